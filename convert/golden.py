"""Draws the golden pictures from a portrait in the public domain, and writes down what the models say of them.

The faces' mask states are how the masks were drawn, not what a model says: a model that disagrees is an error.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.analyse.analyser import Reading, read_faces
from edged.assembly import EVERYTHING, Models, load_models
from edged.capture.recordings import decode_picture
from edged.config import ModelsConfig
from edged.demo.scene import POINTS, make_portrait, portrait_crowd
from edged.errors import Failed
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.readers import SURE_SCORES, make_pose_reader
from edged.render import STYLES, Wear, wear_mask
from edged.selftest.golden import TABLE, eye_state
from edged.types import Box, Detection, HeadPose, Image, Lens, MaskScores, MaskState

QUALITY = 90
TURN = -30.0
"""Degrees, anticlockwise, by which the turned picture is turned."""
CROWD, CROWD_WIDTH, CROWD_HEIGHT = 5, 720, 400
CROWD_STATES = (MaskState.CORRECT, MaskState.NONE, MaskState.INCORRECT, MaskState.CORRECT, MaskState.NONE)
"""From left to right, as `portrait_crowd` draws them."""

SURE_STATE = 0.6
"""A state that the classifier is less sure of belongs into no picture that must come out alike everywhere."""
CLEARLY_FOUND = 0.1
"""The same of a find: above the score of a sure one by this much."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One picture to be made, and the states of its faces from left to right."""

    name: str
    drawn: str
    image: Image
    states: tuple[MaskState, ...]


def write_golden(folder: Path) -> Iterator[str]:
    """Draw the golden pictures into `folder`, with the table of what the models say of them here; a line on each.

    Raise Failed when a model sees one otherwise than it was drawn.
    """
    folder.mkdir(exist_ok=True)
    parts = [_HEAD.format(version=version("scikit-image"))]
    models = load_models(ModelsConfig(), EVERYTHING)
    for drawn in draw():
        data = cv2.imencode(".jpg", drawn.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        path = folder / f"{drawn.name}.jpg"
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        parts.append(f'\n[picture.{drawn.name}]\nfile = "{path.name}"\nsha256 = "{sha256}"\ndrawn = "{drawn.drawn}"\n')
        parts += _faces(drawn, decode_picture(data, path.name), models)
        yield f"{path}: {len(data)} bytes, {len(drawn.states)} faces"
    (folder / TABLE).write_text("".join(parts))


def draw() -> Iterator[Drawn]:
    """The pictures, one after the other; the same each time."""
    portrait = make_portrait()
    yield Drawn("bare", "the portrait, cut to head and shoulders", portrait, (MaskState.NONE,))
    for name, wear, words in (
        ("correct", Wear.CORRECT, "with mask 1, worn correctly"),
        ("nose", Wear.NOSE, "with mask 1, the nose bare"),
        ("chin", Wear.MOUTH, "with mask 1 under the chin, nose and mouth bare"),
    ):
        worn = wear_mask(portrait, POINTS, STYLES[0], wear, np.random.default_rng(1))
        yield Drawn(name, words, worn.image, (worn.state,))
    turned = _turned(portrait)
    yield Drawn("turned", f"the bare portrait, turned clockwise by {-TURN:.0f} degrees", turned, (MaskState.NONE,))
    crowd = portrait_crowd(CROWD, CROWD_WIDTH, CROWD_HEIGHT)
    yield Drawn(
        "crowd", "five smaller portraits side by side: masks 1, none, 1 (nose bare), 4, none", crowd, CROWD_STATES
    )


def _turned(portrait: Image) -> Image:
    """The portrait turned about its face."""
    x, y = POINTS.mean(axis=0).tolist()
    matrix = cv2.getRotationMatrix2D((x, y), TURN, 1.0)
    height, width = portrait.shape[:2]
    return np.asarray(cv2.warpAffine(portrait, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _faces(drawn: Drawn, image: Image, models: Models) -> Iterator[str]:
    """The table's entries, from left to right. Raise Failed when a model sees the picture otherwise than it was drawn."""
    sure = SURE_SCORES["edged"]
    found = sorted(models.detector.detect(image), key=lambda face: face.box.x1)
    doubtful = [face for face in found if abs(face.score - sure) < CLEARLY_FOUND]
    found = [face for face in found if face.score >= sure]
    if len(found) != len(drawn.states) or doubtful:
        raise Failed(f"{drawn.name}: {len(found)} faces are found and {len(doubtful)} doubted of {len(drawn.states)}")
    judged = models.judge.judge(image, [face.box for face in found])
    for number, (state, scores) in enumerate(zip(drawn.states, judged, strict=True), 1):
        if scores.state is not state or max(scores) < SURE_STATE:
            raise Failed(
                f"{drawn.name}: face {number} is drawn {state} and judged {_percent(scores)}; draw it otherwise"
            )
    height, width = image.shape[:2]
    masked = [state is not MaskState.NONE for state in drawn.states]
    readers = models.readers(EVERYTHING)
    if readers is None:
        raise Failed("the readers of faces are not loaded")
    lens = Lens.of(width, height)
    readings = read_faces(readers, image, found, masked, lens)
    heatmap = _heatmap_poses(image, found, readings, masked, lens)
    for row in zip(drawn.states, found, readings, heatmap, strict=True):
        yield _entry(drawn.name, *row)


def _heatmap_poses(
    image: Image, found: Sequence[Detection], readings: Sequence[Reading], masked: Sequence[bool], lens: Lens
) -> list[HeadPose | None]:
    manifest = load_manifest(default_engines_dir())
    reader = make_pose_reader("heatmap", lambda name: open_engine(manifest, name))
    return reader.read(image, found, [reading.landmarks for reading in readings], masked, lens)


def _entry(name: str, state: MaskState, found: Detection, reading: Reading, heatmap: HeadPose | None) -> str:
    if reading.pose is None or reading.eyes is None or heatmap is None or found.points is None:
        raise Failed(f"{name}: pose, eyes or points of a face cannot be read; draw it otherwise")
    return (
        f"\n[[picture.{name}.faces]]\n"
        f'state = "{state}"\n'
        f"box = {_row(_box(found.box))}\n"
        f"score = {found.score:.3f}\n"
        f"points = {_rows(found.points)}\n"
        f"landmarks = {_rows(reading.landmarks.points)}\n"
        f"deviations = {_row(reading.landmarks.deviations)}\n"
        f"pose.edged = {_pose(reading.pose)}\n"
        f"pose.heatmap = {_pose(heatmap)}\n"
        f'eyes = "{eye_state(reading.eyes)}"\n'
    )


def _box(box: Box) -> NDArray[np.float64]:
    return np.array(box, np.float64)


def _row(values: NDArray[np.floating]) -> str:
    return "[" + ", ".join(f"{value:.2f}" for value in values.tolist()) + "]"


def _rows(values: NDArray[np.floating]) -> str:
    """Eight points a line: 68 are no line for a person."""
    texts = [_row(row) for row in values]
    lines = [", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]
    return "[\n    " + ",\n    ".join(lines) + ",\n]"


def _pose(pose: HeadPose) -> str:
    names = ("yaw", "pitch", "roll", "facing_yaw", "facing_pitch", "deviation")
    return "{ " + ", ".join(f"{name} = {getattr(pose, name):.2f}" for name in names) + " }"


def _percent(scores: MaskScores) -> str:
    return ", ".join(f"{name} {value:.0%}" for name, value in scores._asdict().items())


_HEAD = """\
# The golden pictures, and what the models say of them; written by `python -m convert golden`, read by edged/selftest/golden.py.
# Boxes, points and expected errors are pixels, poses degrees (edged/types.py); `state` is how the mask was drawn.

source = "scikit-image {version}, skimage.data.astronaut: portrait of Eileen Collins by NASA; masks drawn by edged/render"
licence = "public domain (NASA); the drawn masks as edged"
"""
