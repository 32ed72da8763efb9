"""Labels photographs in which nobody marked the faces.

What two teachers agree on is a face, what one of them sees is marked as ignored: it counts neither way when detectors are
scored, and a training learns it with the mean of what the teachers give it, or not at all where that is little. All faces
are taken for bare ones: the teachers know nothing of masks.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from convert.evaluation.matching import Rows, rows_of
from convert.peers import YuNet
from convert.whole_file import write_whole
from edged.baselines.retinaface import RetinaFace, RetinaFaceSettings
from edged.capture.recordings import decode_picture, read_picture
from edged.detect.boxes import iou
from edged.detect.canvas import WorkingSize
from edged.errors import SourceLost, UsageError
from edged.inference import OnnxEngine
from edged.ports import Detector
from edged.types import Image

YUNET_ENLARGEMENTS, RETINAFACE_ENLARGEMENTS = (1.0, 1.5, 2.0), (1.0, 2.0)
LEAST_SCORE = 0.3
SAME = 0.4
"""IoU from which two finds are of one face."""
SMALLEST, CLEAR = 8.0, 24.0
"""Longer sides in pixels: smaller faces are ignored, and from CLEAR on the teachers must be surer, since there they are."""
SURE = {True: ((0.75, 0.7), (0.86, 0.35)), False: ((0.62, 0.5), (0.8, 0.35))}
"""For clear faces and for others: pairs of least scores (YuNet, RetinaFace), one of which a face must reach."""
DOUBTED = 0.5
"""What one teacher gives this, or both LEAST_SCORE, is marked as ignored; the rest is forgotten."""
LONGEST = 512
"""Pictures are shrunk so that their longer side is no longer, in pixels."""
QUALITY = 85
BOXES = "boxes.json"


@dataclass(frozen=True)
class Label:
    """One place where a teacher sees a face: corners in pixels, what each teacher gives it, whether it is to be ignored."""

    box: tuple[float, float, float, float]
    yunet: float
    retinaface: float
    ignored: bool


class Teachers:
    """YuNet at three sizes and RetinaFace at two."""

    def __init__(self, yunets: Sequence[YuNet], retinafaces: Sequence[Detector]) -> None:
        self._yunets, self._retinafaces = yunets, retinafaces

    @classmethod
    def open(cls, peers: Path, engines: Path) -> "Teachers":
        """YuNet-n from the folder `peers`, RetinaFace from `engines`. Raise UsageError where one is missing."""
        files = peers / "yunet_n_dynamic.onnx", engines / "retinaface.onnx"
        for file in files:
            if not file.is_file():
                raise UsageError(f"{file}: not found; engines/detector.md says who the teachers are")
        yunet, retinaface = (OnnxEngine(file.stem, file.read_bytes(), threads=1) for file in files)
        sizes = [WorkingSize(2 * LONGEST, enlarge) for enlarge in RETINAFACE_ENLARGEMENTS]
        return cls(
            [YuNet(yunet, enlarge, LEAST_SCORE) for enlarge in YUNET_ENLARGEMENTS],
            [RetinaFace(retinaface, RetinaFaceSettings(score=LEAST_SCORE), size) for size in sizes],
        )

    def label(self, image: Image) -> list[Label]:
        """What they see in `image`."""
        height, width = image.shape[:2]
        finds = [(_inside(rows_of(teacher.detect(image)), width, height), True) for teacher in self._yunets]
        finds += [(_inside(rows_of(teacher.detect(image)), width, height), False) for teacher in self._retinafaces]
        rows = np.concatenate([found for found, _ in finds])
        of_yunet = np.concatenate([np.full(len(found), is_yunet) for found, is_yunet in finds])
        labels = (_label(rows[group], of_yunet[group]) for group in _groups(rows))
        return [label for label in labels if label is not None]


def _inside(rows: Rows, width: int, height: int) -> Rows:
    """The finds cut to the picture, as the labels of people are; YuNet's go on beyond it."""
    rows[:, 0:4:2] = rows[:, 0:4:2].clip(0, width)
    rows[:, 1:4:2] = rows[:, 1:4:2].clip(0, height)
    return rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]


def _groups(rows: Rows) -> Iterator[NDArray[np.intp]]:
    """The numbers of the finds that are of one face, the surest first."""
    left = np.argsort(-rows[:, 4], kind="stable")
    while len(left):
        same = iou(rows[left[:1], :4], rows[left, :4])[0] >= SAME
        same[0] = True
        yield left[same]
        left = left[~same]


def _label(rows: Rows, of_yunet: NDArray[np.bool_]) -> Label | None:
    """One face from all finds of it, rows of x1, y1, x2, y2, score; None where the teachers doubt too much."""
    yunet, retinaface = (float(rows[which, 4].max(initial=0)) for which in (of_yunet, ~of_yunet))
    boxes = rows[of_yunet] if of_yunet.any() else rows
    box = np.average(boxes[:, :4], axis=0, weights=boxes[:, 4])
    side = float((box[2:] - box[:2]).max())
    sure = any(yunet >= one and retinaface >= other for one, other in SURE[side >= CLEAR])
    if not sure and max(yunet, retinaface) < DOUBTED and min(yunet, retinaface) < LEAST_SCORE:
        return None
    x1, y1, x2, y2 = box.tolist()
    return Label((x1, y1, x2, y2), yunet, retinaface, not sure or side < SMALLEST)


def label_pictures(pictures: Sequence[Path], teachers: Teachers, out: Path) -> int:
    """Write the pictures, shrunk to `LONGEST`, and their labels to `out`, as a COCO file; return how many faces count.

    A picture is named by its place among `pictures`: whether it is held out must not depend on what it was called. One that
    cannot be read is told of and left out. Raise UsageError where `out` is the pictures' own folder, whose files would go.
    """
    if any(path.parent.resolve() == out.resolve() for path in pictures):
        raise UsageError(f"{out}: holds the pictures that are to be labelled; name another --out")
    out.mkdir(parents=True, exist_ok=True)
    # An earlier run's labels would be of other pictures than those that stand there when this one is interrupted.
    (out / BOXES).unlink(missing_ok=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    with click.progressbar(pictures, label=f"labelling {out.name}", file=sys.stderr) as shown:
        for number, path in enumerate(shown, 1):
            name = f"{number:05}.jpg"
            image = _copied(path, out / name)
            if image is None:
                continue
            height, width = image.shape[:2]
            images.append({"id": number, "file_name": name, "width": width, "height": height, "original": path.name})
            for label in teachers.label(image):
                annotations.append(_annotation(label, len(annotations) + 1, number))
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "face"}]}
    write_whole(out / BOXES, json.dumps(coco).encode())
    return sum(not annotation["ignore"] for annotation in annotations)


def _copied(path: Path, target: Path) -> Image | None:
    """The picture as it stands in `target` now, small and compressed; None for one that cannot be read."""
    try:
        data = _as_jpeg(_shrunk(read_picture(path)))
    except SourceLost as error:
        click.echo(f"left out: {error}", err=True)
        return None
    write_whole(target, data)
    return decode_picture(data, target.name)


def _annotation(label: Label, number: int, picture: int) -> dict[str, object]:
    x1, y1, x2, y2 = label.box
    scores = {"yunet": label.yunet, "retinaface": label.retinaface, "score": (label.yunet + label.retinaface) / 2}
    return {
        "id": number,
        "image_id": picture,
        "category_id": 1,
        "bbox": [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)],
        "iscrowd": int(label.ignored),
        "ignore": int(label.ignored),
        "pseudo": True,
    } | {key: round(value, 3) for key, value in scores.items()}


def _shrunk(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _as_jpeg(image: Image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
