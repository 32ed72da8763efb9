"""Calibrates a trained eye classifier, writes it as ONNX, and prints the figures of its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from convert.eyes.evaluate import (
    Answers,
    Examples,
    accuracy,
    confusion,
    covered,
    from_afar,
    held_out_crops,
    held_out_faces,
    in_service,
    logits_of,
    stretched,
)
from convert.eyes.network import EyeModel, EyeNetwork
from convert.eyes.sources import WideEye
from convert.mask.evaluate import best_temperature, calibration_error
from convert.onnx_file import Signature, require_parity, write_onnx
from convert.training import read_trained
from edged.analyse.eyes import EYE_SIZE, EYE_STATES

SIGNATURE = Signature({"eyes": {0: "batch"}}, {"probabilities": {0: "batch"}})
TOLERANCE = 1e-4
FOLD = 0
"""The part that is held out of the model that ships."""

WIDTHS = (6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0)
"""Eye widths in pixels at which the accuracy is measured."""


@dataclass(frozen=True)
class ExportedEyes:
    """What the card and the manifest say about the file."""

    sha256: str
    step: int
    temperature: float
    parity: float


def export_eyes(data: Path, run: Path, target: Path) -> ExportedEyes:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, calibrated on the held-out eyes."""
    trained = read_trained(run / "checkpoint.pt")
    network = EyeNetwork()
    network.load_state_dict(trained.weights)
    network.eval()
    examples = _calibration_examples(data)
    temperature = best_temperature(logits_of(network, examples.images), examples.states)
    model = EyeModel(network, temperature)
    sha256 = write_onnx(model, torch.zeros(2, EYE_SIZE, EYE_SIZE, 3, dtype=torch.uint8), SIGNATURE, target)
    batches = [torch.from_numpy(examples.images[:count].copy()) for count in (1, 7, 32)]
    return ExportedEyes(sha256, trained.step, temperature, require_parity(model, target, batches, TOLERANCE))


def _calibration_examples(data: Path) -> Examples:
    """Held-out crops and faces, near and far, and one eye in four covered."""
    eyes = [*held_out_crops(data, FOLD), *_real(held_out_faces(data))]
    parts = [in_service(eyes), in_service(eyes, 14.0), covered(eyes[::2])]
    return Examples(np.concatenate([p.images for p in parts]), np.concatenate([p.states for p in parts]))


def _real(faces: Sequence[WideEye]) -> list[WideEye]:
    return [eye for eye in faces if eye.group == "large"]


@dataclass(frozen=True)
class EyeReport:
    """The card's tables as Markdown, and the manifest's figures."""

    tables: str
    figures: dict[str, float]


def report(data: Path, model: Path) -> EyeReport:
    """Score an exported classifier on held-out crops and faces: as they are, from afar, and covered."""
    answers = _engine(model)
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
    lines = _parts_table(parts, answers)
    both = in_service([*crops, *real])
    error = calibration_error(answers(both.images), both.states)
    lines += ["", f"Expected calibration error, held-out crops and HELEN test eyes: {error:.3f}", ""]
    lines += _width_table(crops, real, drawn, answers)
    figures = {
        "parameters": float(sum(p.numel() for p in EyeNetwork().parameters())),
        "accuracy": round(accuracy(answers(near.images), near.states), 3),
    }
    return EyeReport("\n".join(lines), figures)


def _engine(model: Path) -> Answers:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [session.run(None, {"eyes": images[start : start + 32]})[0] for start in range(0, len(images), 32)]
        return np.concatenate(parts)

    return answer


def _parts_table(parts: dict[str, Examples], answers: Answers) -> list[str]:
    """Accuracy, and what each true state was called."""
    called = " / ".join(EYE_STATES)
    heads = [f"{state} called {called}" for state in EYE_STATES]
    lines = [f"| eyes | n | accuracy | {' | '.join(heads)} |", "|---" * (3 + len(heads)) + "|"]
    for name, part in parts.items():
        scores = answers(part.images)
        rows = [" / ".join(map(str, row)) if any(row) else "–" for row in confusion(scores, part.states).tolist()]
        lines.append(f"| {name} | {len(part.states)} | {accuracy(scores, part.states):.3f} | {' | '.join(rows)} |")
    return lines


def _width_table(
    crops: Sequence[WideEye], real: Sequence[WideEye], drawn: Sequence[WideEye], answers: Answers
) -> list[str]:
    """Accuracy where the eyes are so many pixels wide: wider ones are shrunk, and grown as in service."""
    groups = {"crops": crops, "HELEN, real": real, "HELEN, drawn": drawn}
    heads = [*groups, *(f"{name}, noise and JPEG" for name in groups)]
    lines = [f"| eye width, px | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for width in WIDTHS:
        wide = [[eye for eye in eyes if eye.width >= 0.8 * width] for eyes in groups.values()]
        parts = [*(in_service(eyes, width) for eyes in wide), *(from_afar(eyes, width) for eyes in wide)]
        figures = [f"{accuracy(answers(part.images), part.states):.3f}" for part in parts]
        lines.append(f"| {width:g} | {' | '.join(figures)} |")
    return lines
