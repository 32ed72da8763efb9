"""Writes a trained landmark regressor as ONNX, and prints the figures of its card."""

from pathlib import Path

import cv2
import numpy as np
import torch

from convert.data.landmarks import PointedFace, person_of, read_points
from convert.data.split import is_held_out
from convert.landmarks.architectures import ARCHITECTURES
from convert.landmarks.evaluate import Faces, Score, found_faces, our_detector, score
from convert.landmarks.network import LandmarkModel
from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.record import Report
from convert.training.progress import load_trained
from edged.analyse.landmarks import CROP_SIZE, LandmarkRegressor
from edged.inference import OnnxEngine
from edged.ports import Detector
from edged.types import Box, Detection

SIGNATURE = Signature({"faces": {0: "batch"}}, {"points": {0: "batch"}, "log_deviations": {0: "batch"}})
TOLERANCE = 1e-3
"""In sides of the crop and logarithms: a tenth of a pixel."""

MASK_SEED = 0
SMALL_SIDES = (96, 64, 48, 32, 24)
REGIONS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}


def export_landmarks(run: Path, target: Path, architecture: str) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, and compare both runtimes on noise."""
    network = ARCHITECTURES[architecture].build()
    step = load_trained(network, run)
    model = LandmarkModel(network)
    sha256 = write_onnx(model, torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8), SIGNATURE, target)
    generator = torch.Generator().manual_seed(0)
    batches = [
        torch.randint(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), dtype=torch.uint8, generator=generator)
        for count in (1, 7, 16)
    ]
    return Exported(sha256, step, require_parity(model, target, batches, TOLERANCE))


def scored_sets(data: Path, detector: Detector) -> dict[str, Faces]:
    """The faces that figures are given for; none of them was trained on."""
    helen, youtube = (read_points(data / "landmarks68" / name) for name in ("helen_test", "youtube_test"))
    everyone = [*read_points(data / "landmarks68" / "youtube_train"), *youtube]
    strangers = [face for face in everyone if is_held_out(person_of(face.path))]
    return {
        "HELEN test": found_faces(helen, detector),
        "HELEN test, masks drawn": found_faces(helen, detector, MASK_SEED),
        "YouTube test": found_faces(youtube, detector),
        "YouTube, people never trained on": found_faces(strangers, detector),
        "YouTube, people never trained on, masks drawn": found_faces(strangers, detector, MASK_SEED),
    }


def report(data: Path, model: Path) -> Report:
    """Score an exported regressor of ours, in the boxes of our own detector."""
    engine = OnnxEngine("landmarks", model.read_bytes(), threads=1)
    detector = our_detector()
    sets = scored_sets(data, detector)
    twice, once = LandmarkRegressor(engine), LandmarkRegressor(engine, passes=1)
    scores = {name: score(twice, faces) for name, faces in sets.items()}
    lines = [
        "| faces | n | not found | NME % | one look | > 10 % | median | within 1 deviation | within 2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, faces in sets.items():
        found = scores[name]
        single = float(score(once, faces).nmes.mean())
        cells = (f"{found.mean:.2f}", f"{single:.2f}", f"{found.failures:.1%}", f"{np.median(found.nmes):.2f}")
        within = (f"{found.within(1):.0%}", f"{found.within(2):.0%}")
        lines.append(f"| {name} | {len(faces.images)} | {faces.missed} | {' | '.join((*cells, *within))} |")
    helen = read_points(data / "landmarks68" / "helen_test")
    tables = [*lines, "", *_regions(scores), "", *_sizes(twice, detector, helen)]
    figures = {
        "nme_helen": scores["HELEN test"].mean,
        "nme_helen_masked": scores["HELEN test, masks drawn"].mean,
        "nme_youtube": scores["YouTube test"].mean,
        "nme_strangers": scores["YouTube, people never trained on"].mean,
    }
    return Report("\n".join(tables), {name: round(value, 2) for name, value in figures.items()})


def _regions(scores: dict[str, Score]) -> list[str]:
    lines = [f"| NME % by region | {' | '.join(REGIONS)} |", "|---|" + "---|" * len(REGIONS)]
    for name, found in scores.items():
        means = (100 * float(found.errors[:, region].mean()) for region in REGIONS.values())
        lines.append(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return lines


def _sizes(regressor: LandmarkRegressor, detector: Detector, helen: list[PointedFace]) -> list[str]:
    """HELEN's test faces seen from afar: the box is the detector's in the large picture, shrunk with it."""
    faces = found_faces(helen, detector)
    lines = ["| HELEN test, face about so many px | NME % | > 10 % |", "|---|---|---|"]
    for side in SMALL_SIDES:
        found = score(regressor, _shrunk(faces, side))
        lines.append(f"| {side} | {found.mean:.2f} | {found.failures:.1%} |")
    return lines


def _shrunk(faces: Faces, side: int) -> Faces:
    """The same faces with the box's longer side brought down to `side` pixels."""
    images, points, detections = [], [], []
    for image, truth, found in zip(faces.images, faces.points, faces.detections, strict=True):
        scale = min(1.0, side / max(found.box.width, found.box.height))
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        scales = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
        images.append(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
        points.append((truth * scales).astype(np.float32))
        box = Box(*(np.array(found.box) * np.tile(scales, 2)).tolist())
        five = None if found.points is None else (found.points * scales).astype(np.float32)
        detections.append(Detection(box, found.score, five))
    return Faces(images, points, detections, faces.missed)
