"""Writes classifiers of other people's design as ONNX files that meet the mask classifier's contract."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convert.classification import best_temperature, logits_of
from convert.classifiers.architectures import build
from convert.classifiers.backend import load_keras
from convert.classifiers.network import Calibrated, FaceNetwork
from convert.classifiers.simplify import simplify
from convert.classifiers.train import read_run
from convert.mask.evaluate import SMALLEST_SCORED, Examples, held_out_examples, together, web_examples
from convert.mask.export import SIGNATURE, TOLERANCE
from convert.mask.samples import prior_offset
from convert.onnx_file import require_parity, write_onnx
from convert.record import deliver_locally
from convert.training.progress import load_trained
from edged.analyse.mask import CROP_SIZE
from edged.errors import Failed
from edged.readers import MASK_CLASSIFIERS

BATCHES = (1, 7, 32)
EXAMPLE = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)


@dataclass(frozen=True)
class Written:
    """An accepted file: its SHA-256, and the largest difference between its answers and the model's."""

    sha256: str
    parity: float


def write_classifier(model: nn.Module, faces: NDArray[np.uint8], target: Path) -> Written:
    """Write `model` to `target` as what `edged.analyse.mask.MaskClassifier` runs.

    `model` takes uint8 [batch, 112, 112, 3] (BGR) and gives float32 [batch, 3], probabilities in the order of JUDGED_STATES.
    `faces` (such pixels, at least one) are judged by the model and by ONNX Runtime in batches of 1, 7 and 32. Raise Failed,
    leaving whatever `target` was as it was, when a probability differs by more than 1e-4, or one answer is none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    candidate = target.with_suffix(".candidate.onnx")
    model.eval()
    batches = [torch.from_numpy(faces[np.arange(count) % len(faces)]) for count in BATCHES]
    _require_probabilities(model, batches[-1], target)
    try:
        write_onnx(_with_fixed_sizes(model), EXAMPLE, SIGNATURE, candidate)
        sha256 = simplify(candidate)
        parity = require_parity(model, candidate, batches, TOLERANCE)
        candidate.replace(target)
    finally:
        candidate.unlink(missing_ok=True)
    return Written(sha256, parity)


class _Fixed(nn.Module):
    """An exported program as a module: it has no training mode to be switched to."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> "_Fixed":
        return self

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.program(faces)
        return answer


@torch.no_grad()
def _with_fixed_sizes(model: nn.Module) -> nn.Module:
    """The same computation with all sizes but the batch's as plain numbers.

    Keras works out padding from the picture's size at every run, which the ONNX writer cannot put into Xception's pooling.
    """
    free = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    return _Fixed(torch.export.export(model, (EXAMPLE,), dynamic_shapes=free, strict=False).module())


@torch.inference_mode()
def _require_probabilities(model: nn.Module, faces: torch.Tensor, target: Path) -> None:
    answer = model(faces).numpy()
    sums = answer.sum(axis=1) if answer.ndim == 2 else np.zeros(1)
    if answer.shape != (len(faces), 3) or answer.min() < -1e-4 or np.abs(sums - 1).max() > 1e-3:
        raise Failed(
            f"{target}: the model's answers, {answer.shape} with sums from {sums.min():.3g} to {sums.max():.3g}, "
            "are not three probabilities a face; nothing was written"
        )


@dataclass(frozen=True)
class ExportedRun:
    """One trained run as a file: what the table says about it."""

    name: str
    path: Path
    parameters: int
    size: int
    steps: int
    pretrained: bool
    parity: float


def export_run(run: Path, examples: Examples) -> ExportedRun:
    """Write the averaged weights of `run/checkpoint.pt` to `run/classifier.onnx`.

    Prior and temperature are treated as for our own classifier: `examples` are the held-out faces.
    """
    described = read_run(run)
    network = build(described.architecture, described.size)
    step = load_trained(network, run)
    seen = examples.sides >= SMALLEST_SCORED
    offset, images = prior_offset(), examples.images[seen]
    logits = logits_of(network, images, prepare=lambda faces: faces) + np.array(offset, np.float32)
    model = Calibrated(network, offset, best_temperature(logits, examples.states[seen]))
    target = run / "classifier.onnx"
    written = write_classifier(model, images, target)
    return ExportedRun(
        described.architecture,
        target,
        count_parameters(network),
        described.size,
        step,
        bool(described.weights_sha256),
        written.parity,
    )


def deliver_run(run: Path, data: Path, engines: Path) -> tuple[ExportedRun, Path]:
    """Export `run`, and put its file into the folder `engines` under its architecture's name; returns where it is there."""
    with load_keras().device("cpu"):
        exported = export_run(run, together(held_out_examples(data), web_examples(data)))
    return exported, deliver_locally(exported.path, engines, MASK_CLASSIFIERS[exported.name].models[0])


def count_parameters(network: FaceNetwork) -> int:
    """Weights and normalisation statistics, as Keras counts them."""
    return sum(value.numel() for value in network.model.parameters())
