"""Writes a trained detector as ONNX, and prints the figures of its card, beside a peer's in the same run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from convert.classification import f1_scores, macro_f1
from convert.data.coco import LabelledPicture, read_coco, read_picture
from convert.data.split import split
from convert.data.teacher import Teacher
from convert.detector.evaluate import DetectionFigures, score
from convert.detector.network import STRIDES, DetectorModel, DetectorNetwork
from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.record import Report
from convert.training.progress import load_trained
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.inference import OnnxEngine
from edged.ports import Detector, Engine
from edged.types import JUDGED_STATES, Box, Detection, Image

SIGNATURE = Signature(
    {"image": {0: "batch", 1: "height", 2: "width"}},
    {f"stride{s}": {0: "batch", 2: f"height/{s}", 3: f"width/{s}"} for s in STRIDES},
)
TOLERANCE = 2e-3
"""In strides and probabilities: a hundredth of a pixel."""
ENLARGEMENTS = (1.0, 1.25, 1.6, 2.0)


class _Peer:
    """The teacher behind the `Detector` contract, to be scored in the same run."""

    def __init__(self, teacher: Teacher, threshold: float) -> None:
        self._teacher, self._threshold = teacher, threshold

    def detect(self, image: Image) -> list[Detection]:
        found = self._teacher.find(image, 1.0, self._threshold)
        return [Detection(Box(*row[:4].tolist()), float(row[4])) for row in found]


@dataclass(frozen=True)
class _Contestant:
    """One row of the table: accuracy counts finds down to 0.02, time is taken at the threshold of service."""

    name: str
    scored: Detector
    served: Detector


def _ours(engine: Engine, enlarge: float) -> _Contestant:
    size = WorkingSize(2000, enlarge)
    name = f"ours, {enlarge:g}x"
    return _Contestant(name, AnchorFreeDetector(engine, size, score=0.02), AnchorFreeDetector(engine, size))


def _peer(model: Path) -> _Contestant:
    teacher = Teacher(model)
    return _Contestant("YuNet-n, 1x", _Peer(teacher, 0.02), _Peer(teacher, 0.5))


def export_detector(run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, and compare both runtimes on three sizes."""
    network = DetectorNetwork()
    step = load_trained(network, run)
    model = DetectorModel(network)
    sha256 = write_onnx(model, torch.zeros(1, 320, 320, 3, dtype=torch.uint8), SIGNATURE, target)
    generator = torch.Generator().manual_seed(0)
    sizes = ((1, 64, 96), (1, 320, 320), (2, 416, 608))
    inputs = [torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=generator) for size in sizes]
    return Exported(sha256, step, require_parity(model, target, inputs, TOLERANCE))


def report(data: Path, model: Path) -> Report:
    """Score on the held-out part of masks853: ours at several working sizes, the peer at the pictures' own."""
    _, held_out = split(read_coco(data / "masks853"))
    engine = OnnxEngine("detector", model.read_bytes(), threads=1)
    lines = [
        "| detector, enlarged | AP at IoU 0.4 | recall 0–12 px | 12–20 | 20–40 | ≥ 40 | ms a picture |",
        "|---|---|---|---|---|---|---|",
    ]
    peer = data / "peers" / "yunet_n_dynamic.onnx"
    ours = [_ours(engine, enlarge) for enlarge in ENLARGEMENTS]
    contestants = [*ours, _peer(peer)] if peer.is_file() else ours
    tables, numbers = [], {}
    for contestant in contestants:
        figures = score(contestant.scored, held_out)
        spent = milliseconds(contestant.served.detect, held_out)
        recall = " | ".join(f"{value:.3f}" for value in figures.recall.values())
        lines.append(f"| {contestant.name} | {figures.ap:.4f} | {recall} | {spent:.2f} |")
        if contestant.name == f"ours, {WorkingSize().enlarge:g}x":
            tables = _mask_table(figures)
            numbers = {"ap_40": round(figures.ap, 4), "mask_macro_f1": round(macro_f1(figures.masks), 3)}
    return Report("\n".join([*lines, "", *tables]), numbers)


def milliseconds(detect: Callable[[Image], list[Detection]], pictures: Sequence[LabelledPicture]) -> float:
    """The mean over pictures of the best of three runs each, decoding and suppression included."""
    best = []
    for picture in pictures:
        image = read_picture(picture.path)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            detect(image)
            times.append(time.perf_counter() - start)
        best.append(min(times))
    return float(np.mean(best) * 1000)


def _mask_table(figures: DetectionFigures) -> list[str]:
    """The mask branch on found faces of at least 16 px."""
    names = [str(state) for state in JUDGED_STATES]
    lines = [
        f"| mask branch at {WorkingSize().enlarge:g}x, truth \\ answer | {' | '.join(names)} | F1 |",
        "|---|---|---|---|---|",
    ]
    for name, row, f1 in zip(names, figures.masks.tolist(), f1_scores(figures.masks), strict=True):
        lines.append(f"| {name} | {' | '.join(map(str, row))} | {f1:.3f} |")
    return lines
