"""Calibrates a trained mask classifier, writes it as ONNX, and prints the figures of its card."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from convert.mask.evaluate import (
    SIZE_BANDS,
    Confusion,
    Examples,
    best_temperature,
    calibration_error,
    confusion,
    drawn_examples,
    f1_scores,
    held_out_examples,
    logits_of,
    macro_f1,
)
from convert.mask.network import MaskModel, MaskNetwork
from convert.mask.samples import prior_offset
from convert.onnx_file import Signature, require_parity, write_onnx
from convert.training import read_trained
from edged.analyse.mask import CROP_SIZE
from edged.types import JUDGED_STATES

SIGNATURE = Signature({"faces": {0: "batch"}}, {"probabilities": {0: "batch"}})
TOLERANCE = 1e-4
SMALLEST_SCORED = 16
"""Shorter side in pixels."""


@dataclass(frozen=True)
class ExportedMask:
    """What the card and the manifest say about the file."""

    sha256: str
    temperature: float
    parity: float


def export_mask(data: Path, run: Path, target: Path) -> ExportedMask:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, calibrated on the held-out faces of at least 16 px."""
    network = MaskNetwork()
    network.load_state_dict(read_trained(run / "checkpoint.pt").weights)
    network.eval()
    examples = held_out_examples(data)
    seen = examples.sides >= SMALLEST_SCORED
    offset = prior_offset()
    logits = logits_of(network, examples.images[seen]) + np.array(offset, np.float32)
    temperature = best_temperature(logits, examples.states[seen])
    model = MaskModel(network, offset, temperature)
    example = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    sha256 = write_onnx(model, example, SIGNATURE, target)
    batches = [torch.from_numpy(examples.images[:count].copy()) for count in (1, 7, 32)]
    return ExportedMask(sha256, temperature, require_parity(model, target, batches, TOLERANCE))


@dataclass(frozen=True)
class MaskReport:
    """The card's tables as Markdown, and the manifest's figures."""

    tables: str
    figures: dict[str, float]


def report(data: Path, model: Path, seed: int = 0) -> MaskReport:
    """Score an exported classifier: by size of the held-out faces, and on drawn masks."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    real, drawn = held_out_examples(data), drawn_examples(data, seed)
    answers = _answers(session, real.images)
    seen = real.sides >= SMALLEST_SCORED
    counts = confusion(answers[seen], real.states[seen])
    error = calibration_error(answers[seen], real.states[seen])
    tables = [
        f"Held-out part of masks853, labelled boxes, faces with a shorter side of at least {SMALLEST_SCORED} px:",
        "",
        *_table(counts),
        "",
        f"Expected calibration error: {error:.3f}",
        "",
        *_bands(real, answers),
        "",
        "HELEN test faces, bare or with drawn masks (none of these people was trained on):",
        "",
        *_table(confusion(_answers(session, drawn.images), drawn.states)),
    ]
    named = {f"f1_{state}": round(float(f1), 3) for state, f1 in zip(JUDGED_STATES, f1_scores(counts), strict=True)}
    return MaskReport("\n".join(tables), {"macro_f1": round(macro_f1(counts), 3), **named})


def _answers(session: ort.InferenceSession, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = [session.run(None, {"faces": images[start : start + 32]})[0] for start in range(0, len(images), 32)]
    return np.concatenate(parts)


def _table(counts: Confusion) -> list[str]:
    names = [str(state) for state in JUDGED_STATES]
    lines = [f"| truth \\ answer | {' | '.join(names)} | F1 |", "|---|---|---|---|---|"]
    for name, row, f1 in zip(names, counts.tolist(), f1_scores(counts), strict=True):
        lines.append(f"| {name} | {' | '.join(map(str, row))} | {f1:.3f} |")
    return [*lines, "", f"Macro-F1: {macro_f1(counts):.3f}"]


def _bands(examples: Examples, answers: NDArray[np.float32]) -> list[str]:
    lines = ["| shorter side, px | faces (correct / incorrect / none) | macro-F1 | accuracy |", "|---|---|---|---|"]
    for low, high in SIZE_BANDS:
        chosen = (examples.sides >= low) & (examples.sides < high)
        counts = confusion(answers[chosen], examples.states[chosen])
        if not counts.sum():
            continue
        name = f"{low}–{high}" if high < 1000 else f"≥ {low}"
        faces = " / ".join(map(str, counts.sum(axis=1).tolist()))
        lines.append(f"| {name} | {faces} | {macro_f1(counts):.3f} | {counts.trace() / counts.sum():.3f} |")
    return lines
