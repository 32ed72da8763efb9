"""Turns each data set into wide face crops with a mask state, ready to be jittered."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import CORRECT, INCORRECT, NONE, LabelledPicture, counted_faces, read_coco, read_picture
from convert.data.headwear import draw_headwear
from convert.data.held_out import MASK_SCENES, PEOPLE, scored_below, training_part, unlike
from convert.data.landmarks import PointedFace, face_box, read_points
from convert.data.occluders import draw_occluder
from convert.data.pseudo_labels import BOXES
from convert.data.reviewed import Reviewed
from convert.data.teacher import Teacher
from edged.analyse.mask import CROP_MARGIN, CROP_SIZE
from edged.crops import square_crops
from edged.render import Wear, random_style, wear_mask
from edged.render.mean_face import five_points
from edged.types import Box, Image

WIDE = 168
"""Side of a stored crop. At its middle, CROP_SIZE pixels show what the classifier will see."""
DRESSED_UP = 0.25

Ways = Callable[[], Sequence[Wear]]
"""The ways in which the next face wears the masks that are drawn on it."""


@dataclass(frozen=True, eq=False)
class WideCrop:
    """One face: WIDE x WIDE x 3 pixels, its state, the group it is sampled with, and its shorter side in its picture."""

    image: NDArray[np.uint8]
    state: int
    group: str
    side: float


def wide_crop(image: Image, box: NDArray[np.float32], state: int, group: str) -> WideCrop:
    """Cut one face with room for jitter."""
    x1, y1, x2, y2 = (float(value) for value in box)
    crop = square_crops(image, [Box(x1, y1, x2, y2)], WIDE, CROP_MARGIN * WIDE / CROP_SIZE)[0]
    return WideCrop(crop, state, group, min(x2 - x1, y2 - y1))


def from_boxes(pictures: list[LabelledPicture], group: str, smallest: float) -> Iterator[WideCrop]:
    """Every labelled face with a shorter side of at least `smallest` pixels."""
    for picture in pictures:
        image = read_picture(picture.path)
        for box, state in zip(picture.boxes, picture.states, strict=True):
            if min(box[2] - box[0], box[3] - box[1]) >= smallest:
                yield wide_crop(image, box, int(state), group)


def in_every_way() -> Sequence[Wear]:
    """The rare states twice, each picture being precious."""
    return (Wear.NOSE, Wear.NOSE, Wear.MOUTH, Wear.MOUTH, Wear.CHIN, Wear.CORRECT)


def from_dressed(
    pictures: list[LabelledPicture], teacher: Teacher, rng: np.random.Generator, group: str, ways: Ways
) -> Iterator[WideCrop]:
    """Bare faces of real scenes with masks drawn on in the `ways` of wearing: the rare state as cheap pictures show it."""
    for picture in pictures:
        image = read_picture(picture.path)
        found = teacher.find(image, 2.0, 0.4)
        for box in picture.boxes[picture.states == NONE]:
            near = found[np.array([_meet(row[:4], box) for row in found], bool)]
            if not len(near) or min(box[2] - box[0], box[3] - box[1]) < 16:
                continue
            for wear in ways():
                worn = wear_mask(image, near[0, 5:].reshape(5, 2), random_style(rng), wear, rng)
                yield wide_crop(worn.image, box, CORRECT if wear is Wear.CORRECT else INCORRECT, group)


def from_people(pictures: list[LabelledPicture], teacher: Teacher, rng: np.random.Generator) -> Iterator[WideCrop]:
    """People without masks: each face bare, and in two ways of wearing one."""

    def two_ways() -> Sequence[Wear]:
        chosen = rng.choice(
            [Wear.NOSE, Wear.MOUTH, Wear.CHIN, Wear.CORRECT], 2, replace=False, p=(0.4, 0.15, 0.05, 0.4)
        )
        return [Wear(wear) for wear in chosen]

    yield from from_boxes(pictures, "people", smallest=14)
    yield from from_dressed(pictures, teacher, rng, "dressed people", two_ways)


def from_scenes(folder: Path, teacher: Teacher, reviewed: Reviewed) -> Iterator[WideCrop]:
    """The surest finds in pictures of masked people: many kinds of masks; those not worn after all were reviewed."""
    for path in sorted(folder.glob("*.jpg")):
        image = read_picture(path)
        for row in teacher.find(image, threshold=0.7):
            state = reviewed.state(path, row[:4], CORRECT)
            if state is not None and min(row[2] - row[0], row[3] - row[1]) >= 24:
                yield wide_crop(image, row[:4], state, "scene" if state == CORRECT else "real")


def from_rendered_set(folder: Path, teacher: Teacher) -> Iterator[WideCrop]:
    """The rendered-mask set, with the teacher's box where it sees one there: the set's own boxes follow no one rule."""
    for picture in read_coco(folder):
        image = read_picture(picture.path)
        found = teacher.find(image)
        for box, state in zip(picture.boxes, picture.states, strict=True):
            near = found[np.array([_meet(row[:4], box) for row in found], bool)]
            yield wide_crop(image, near[0, :4] if len(near) else box, int(state), "rendered set")


def from_crop_folder(folder: Path, state: int, group: str, teacher: Teacher, reviewed: Reviewed) -> Iterator[WideCrop]:
    """Ready-made crops, cut again round the face the teacher sees in them; pictures without one face are left out."""
    for path in sorted(folder.rglob("*.jpg")):
        actual = reviewed.state(path, None, state)
        if actual is None:
            continue
        image = read_picture(path)
        found, edge = _find_with_room(teacher, image, 0.4)
        if len(found) == 1:
            yield wide_crop(image, found[0, :4] - edge, actual, group if actual == state else "real")


def from_points(faces: list[PointedFace], variants: int, rng: np.random.Generator) -> Iterator[WideCrop]:
    """Each bare face as it is, with something held before it, and with `variants` masks drawn on."""
    for face in faces:
        image, box = _dressed_up(read_picture(face.path), face, rng), face_box(face.points)
        yield wide_crop(image, box, NONE, "bare")
        if rng.random() < 0.5:
            yield wide_crop(draw_occluder(image, face.points, rng), box, NONE, "occluded")
        for wear in rng.choice(list(Wear), variants, p=(0.4, 0.3, 0.2, 0.1)):
            worn = wear_mask(image, face.points, random_style(rng), Wear(wear), rng)
            yield wide_crop(worn.image, box, CORRECT if wear == Wear.CORRECT else INCORRECT, f"drawn {wear}")


def _known(folder: Path, *where: str) -> list[LabelledPicture]:
    """The training part of a set with the faces whose state is known."""
    return [counted_faces(picture) for picture in training_part(read_coco(folder, *where))]


def _dressed_up(image: Image, face: PointedFace, rng: np.random.Generator) -> Image:
    """Every fourth face with sunglasses, a cap or something else."""
    if rng.random() < DRESSED_UP:
        image = image.copy()
        draw_headwear(image, five_points(face.points), rng)
    return image


def from_poses(folder: Path, every: int, teacher: Teacher) -> Iterator[WideCrop]:
    """Bare heads turned far, one frame of `every`: the frames of one sequence are much alike."""
    for path in sorted((folder / "images").glob("*.jpg"))[::every]:
        image = read_picture(path)
        found, edge = _find_with_room(teacher, image, 0.5)
        if len(found) == 1:
            yield wide_crop(image, found[0, :4] - edge, NONE, "turned")


def added_people(data: Path, folders: Sequence[Path]) -> list[LabelledPicture]:
    """The training part of the folders that a user adds, without near copies of the pictures below `data` that score."""
    added = [picture for folder in folders for picture in _known(folder, BOXES, ".")]
    return unlike(added, scored_below(data)) if added else []


def training_crops(
    data: Path, training: list[LabelledPicture], seed: int, people: Sequence[Path] = ()
) -> Iterator[WideCrop]:
    """Everything the classifier learns from; `training` is the training part of masks853, `people` are folders that
    `label-people` wrote.
    """
    teacher = Teacher(data / "peers" / "yunet_n_dynamic.onnx")
    rng = np.random.default_rng(seed)
    reviewed = Reviewed()
    yield from from_boxes(training, "real", smallest=7)
    yield from from_dressed(training, teacher, rng, "dressed", in_every_way)
    for name in MASK_SCENES:
        yield from from_boxes(_known(data / "mask_scenes3" / name), "reviewed", smallest=12)
    for name in PEOPLE:
        yield from from_people(_known(data / "people" / name, BOXES, "."), teacher, rng)
    yield from from_people(added_people(data, people), teacher, rng)
    yield from from_crop_folder(data / "bare_crops", NONE, "bare crop", teacher, reviewed)
    yield from from_scenes(data / "masked_scenes", teacher, reviewed)
    yield from from_rendered_set(data / "maskedfacenet_voc", teacher)
    yield from from_crop_folder(data / "mask_crops/web/correct", CORRECT, "web", teacher, reviewed)
    yield from from_crop_folder(data / "mask_crops/web/none", NONE, "web", teacher, reviewed)
    yield from from_crop_folder(data / "mask_crops/web_synthetic/correct", CORRECT, "rendered set", teacher, reviewed)
    yield from from_crop_folder(data / "mask_crops/maskedfacenet/correct", CORRECT, "rendered set", teacher, reviewed)
    yield from from_crop_folder(
        data / "mask_crops/maskedfacenet/incorrect", INCORRECT, "rendered set", teacher, reviewed
    )
    yield from from_poses(data / "headpose_biwi", 6, teacher)
    for name, variants in (("helen_train", 5), ("youtube_train", 3)):
        yield from from_points(read_points(data / "landmarks68" / name), variants, rng)


def _find_with_room(teacher: Teacher, image: Image, threshold: float) -> tuple[NDArray[np.float32], int]:
    """The teacher's faces in a tight crop given an edge on every side, and that edge's width."""
    edge = max(image.shape) // 3
    roomy = cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    return teacher.find(np.asarray(roomy, np.uint8), threshold=threshold), edge


def _meet(found: NDArray[np.float32], labelled: NDArray[np.float32]) -> bool:
    """Whether the centre of `found` lies inside `labelled`."""
    x, y = (found[:2] + found[2:]) / 2
    return bool(labelled[0] <= x <= labelled[2] and labelled[1] <= y <= labelled[3])
