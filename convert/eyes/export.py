"""Calibrates a trained eye classifier, writes it as ONNX, and prints the figures of its card."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.classification import (
    accuracy,
    answers,
    best_temperature,
    calibration_error,
    confusion,
    logits_of,
)
from convert.eyes.evaluate import (
    Examples,
    covered,
    from_afar,
    held_out_crops,
    held_out_faces,
    in_service,
    stretched,
)
from convert.eyes.network import EyeModel, EyeNetwork
from convert.eyes.sources import WideEye
from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.record import Report
from convert.training.progress import load_trained
from edged.analyse.eyes import EYE_SIZE, EYE_STATES
from edged.inference import OnnxEngine

Judge = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""N x EYE_SIZE x EYE_SIZE x 3 to N x 3 scores."""

SIGNATURE = Signature({"eyes": {0: "batch"}}, {"probabilities": {0: "batch"}})
TOLERANCE = 1e-4
FOLD = 0
"""The part that is held out of the model that ships."""

WIDTHS = (6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0)
"""Eye widths in pixels at which the accuracy is measured."""


def export_eyes(data: Path, run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, calibrated on the held-out eyes."""
    network = EyeNetwork()
    step = load_trained(network, run)
    examples = _calibration_examples(data)
    temperature = best_temperature(logits_of(network, examples.images), examples.states)
    model = EyeModel(network, temperature)
    sha256 = write_onnx(model, torch.zeros(2, EYE_SIZE, EYE_SIZE, 3, dtype=torch.uint8), SIGNATURE, target)
    batches = [torch.from_numpy(examples.images[:count].copy()) for count in (1, 7, 32)]
    return Exported(sha256, step, require_parity(model, target, batches, TOLERANCE), temperature)


def _calibration_examples(data: Path) -> Examples:
    """Held-out crops and faces, near and far, and one eye in four covered."""
    eyes = [*held_out_crops(data, FOLD), *_real(held_out_faces(data))]
    parts = [in_service(eyes), in_service(eyes, 14.0), covered(eyes[::2])]
    return Examples(np.concatenate([p.images for p in parts]), np.concatenate([p.states for p in parts]))


def _real(faces: Sequence[WideEye]) -> list[WideEye]:
    return [eye for eye in faces if eye.group == "large"]


def report(data: Path, model: Path) -> Report:
    """Score an exported classifier on held-out crops and faces: as they are, from afar, and covered."""
    judge = _judge(model)
    crops, faces = held_out_crops(data, FOLD), held_out_faces(data)
    real, drawn = _real(faces), [eye for eye in faces if eye.group != "large"]
    near = in_service(crops)
    parts = {
        "held-out crops, framed as in service": near,
        "the same, resized whole": stretched(crops),
        "HELEN test eyes, clearly open or shut": in_service(real),
        "HELEN test eyes, lids drawn shut or narrowed": in_service(drawn),
        "all these, behind drawn sunglasses, hands, arms, hair": covered([*crops, *faces]),
    }
    lines = _parts_table(parts, judge)
    both = in_service([*crops, *real])
    error = calibration_error(judge(both.images), both.states)
    lines += ["", f"Expected calibration error, held-out crops and HELEN test eyes: {error:.3f}", ""]
    lines += _width_table(crops, real, drawn, judge)
    figures = {
        "parameters": float(sum(p.numel() for p in EyeNetwork().parameters())),
        "accuracy": round(accuracy(judge(near.images), near.states), 3),
    }
    return Report("\n".join(lines), figures)


def _judge(model: Path) -> Judge:
    engine = OnnxEngine("eyes", model.read_bytes(), threads=1)
    return lambda images: answers(engine, images, "eyes")


def _parts_table(parts: dict[str, Examples], judge: Judge) -> list[str]:
    """Accuracy, and what each true state was called."""
    called = " / ".join(EYE_STATES)
    heads = [f"{state} called {called}" for state in EYE_STATES]
    lines = [f"| eyes | n | accuracy | {' | '.join(heads)} |", "|---" * (3 + len(heads)) + "|"]
    for name, part in parts.items():
        scores = judge(part.images)
        rows = [" / ".join(map(str, row)) if any(row) else "–" for row in confusion(scores, part.states).tolist()]
        lines.append(f"| {name} | {len(part.states)} | {accuracy(scores, part.states):.3f} | {' | '.join(rows)} |")
    return lines


def _width_table(
    crops: Sequence[WideEye], real: Sequence[WideEye], drawn: Sequence[WideEye], judge: Judge
) -> list[str]:
    """Accuracy where the eyes are so many pixels wide: wider ones are shrunk, and grown as in service."""
    groups = {"crops": crops, "HELEN, real": real, "HELEN, drawn": drawn}
    heads = [*groups, *(f"{name}, noise and JPEG" for name in groups)]
    lines = [f"| eye width, px | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for width in WIDTHS:
        wide = [[eye for eye in eyes if eye.width >= 0.8 * width] for eyes in groups.values()]
        parts = [*(in_service(eyes, width) for eyes in wide), *(from_afar(eyes, width) for eyes in wide)]
        figures = [f"{accuracy(judge(part.images), part.states):.3f}" for part in parts]
        lines.append(f"| {width:g} | {' | '.join(figures)} |")
    return lines
