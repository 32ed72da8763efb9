"""Calibrates a trained mask classifier, writes it as ONNX, and prints the figures of its card."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.classification import (
    Confusion,
    answers,
    best_temperature,
    calibration_error,
    confusion,
    f1_scores,
    logits_of,
    macro_f1,
)
from convert.layers import BothViews
from convert.mask.evaluate import (
    SIZE_BANDS,
    SMALLEST_SCORED,
    Examples,
    drawn_examples,
    held_out_examples,
    together,
    web_examples,
)
from convert.mask.network import MaskModel, MaskNetwork
from convert.mask.samples import prior_offset
from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.record import Report
from convert.training.progress import load_trained
from edged.analyse.mask import CROP_SIZE
from edged.inference import OnnxEngine
from edged.types import JUDGED_STATES

SIGNATURE = Signature({"faces": {0: "batch"}}, {"probabilities": {0: "batch"}})
TOLERANCE = 1e-4


def export_mask(data: Path, run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, calibrated on held-out faces of at least 16 px."""
    trained = MaskNetwork()
    step = load_trained(trained, run)
    network = BothViews(trained, CROP_SIZE)
    examples = together(held_out_examples(data), web_examples(data))
    seen = examples.sides >= SMALLEST_SCORED
    offset = prior_offset()
    logits = logits_of(network, examples.images[seen]) + np.array(offset, np.float32)
    temperature = best_temperature(logits, examples.states[seen])
    model = MaskModel(network, offset, temperature)
    example = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    sha256 = write_onnx(model, example, SIGNATURE, target)
    batches = [torch.from_numpy(examples.images[:count].copy()) for count in (1, 7, 32)]
    return Exported(sha256, step, require_parity(model, target, batches, TOLERANCE), temperature)


def report(data: Path, model: Path, seed: int = 0) -> Report:
    """Score an exported classifier: by size of the held-out faces, and on drawn masks."""
    engine = OnnxEngine("mask", model.read_bytes(), threads=1)
    real, web, drawn = held_out_examples(data), web_examples(data), drawn_examples(data, seed)
    scores = answers(engine, real.images)
    seen = real.sides >= SMALLEST_SCORED
    counts = confusion(scores[seen], real.states[seen])
    error = calibration_error(scores[seen], real.states[seen])
    clear = web.sides >= SMALLEST_SCORED
    said = answers(engine, web.images[clear])
    tables = [
        f"Held-out part of masks853, labelled boxes, faces with a shorter side of at least {SMALLEST_SCORED} px:",
        "",
        *_table(counts),
        "",
        f"Expected calibration error: {error:.3f}",
        "",
        *_bands(real, scores),
        "",
        f"Reviewed photographs of seven sources, held-out parts, faces of at least {SMALLEST_SCORED} px:",
        "",
        *_table(found := confusion(said, web.states[clear])),
        "",
        f"Expected calibration error: {calibration_error(said, web.states[clear]):.3f}",
        "",
        "HELEN test faces, bare or with drawn masks (none of these people was trained on):",
        "",
        *_table(confusion(answers(engine, drawn.images), drawn.states)),
    ]
    named = {f"f1_{state}": round(float(f1), 3) for state, f1 in zip(JUDGED_STATES, f1_scores(counts), strict=True)}
    return Report(
        "\n".join(tables), {"macro_f1": round(macro_f1(counts), 3), **named, "macro_f1_web": round(macro_f1(found), 3)}
    )


def _table(counts: Confusion) -> list[str]:
    names = [str(state) for state in JUDGED_STATES]
    lines = [f"| truth \\ answer | {' | '.join(names)} | F1 |", "|---|---|---|---|---|"]
    for name, row, f1 in zip(names, counts.tolist(), f1_scores(counts), strict=True):
        lines.append(f"| {name} | {' | '.join(map(str, row))} | {f1:.3f} |")
    return [*lines, "", f"Macro-F1: {macro_f1(counts):.3f}"]


def _bands(examples: Examples, scores: NDArray[np.float32]) -> list[str]:
    lines = ["| shorter side, px | faces (correct / incorrect / none) | macro-F1 | accuracy |", "|---|---|---|---|"]
    for low, high in SIZE_BANDS:
        chosen = (examples.sides >= low) & (examples.sides < high)
        counts = confusion(scores[chosen], examples.states[chosen])
        if not counts.sum():
            continue
        name = f"{low}–{high}" if high < 1000 else f"≥ {low}"
        faces = " / ".join(map(str, counts.sum(axis=1).tolist()))
        lines.append(f"| {name} | {faces} | {macro_f1(counts):.3f} | {counts.trace() / counts.sum():.3f} |")
    return lines
