"""Turns each data set into pictures with complete face labels, once, before the training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import CORRECT, INCORRECT, NONE, UNKNOWN, LabelledPicture, pictures_in, read_coco, read_picture
from convert.data.held_out import MASK_SCENES, PEOPLE, training_part, unlike
from convert.data.landmarks import face_box, read_points
from convert.data.occluders import draw_occluder
from convert.data.pseudo_labels import BOXES
from convert.data.teacher import Teacher
from edged.detect.boxes import iou
from edged.errors import UsageError
from edged.render import Wear, random_style, wear_mask
from edged.render.mean_face import five_points
from edged.types import Image

COLUMNS = 26
"""Of a face's row: box 4, points 10, point weights 5, visible 5, state 1, and how sure it is that a face is there.

A row with state IGNORED is a region only.
"""
STATE, SURE = 24, 25
IGNORED = -2.0
LEAST_SURE = 0.3
"""Pseudo-labels of a lower score are regions to ignore; the others are learned with their score as the target."""
Rows = NDArray[np.float32]

HIDDEN_BY_MASK = np.array([1, 1, 0, 0, 0], np.float32)


@dataclass(frozen=True, eq=False)
class TrainingPicture:
    """A picture, its faces (N x COLUMNS) and the group it is sampled with.

    "crowd": masked people; "people": others; "scene": labelled by the teacher alone; "single": for mosaics; "empty": nobody.
    """

    image: Image
    faces: Rows
    group: str


def face_row(
    box: NDArray[np.float32],
    state: float,
    found: NDArray[np.float32] | None,
    visible: NDArray[np.float32] | None = None,
    sure: float = 1.0,
) -> Rows:
    """One face. `found` is its 5 x 2 points or None; `visible` defaults to what the state implies."""
    row = np.zeros(COLUMNS, np.float32)
    row[:4], row[STATE], row[SURE] = box, state, sure
    if visible is None:
        visible = {CORRECT: HIDDEN_BY_MASK, NONE: np.ones(5, np.float32)}.get(
            int(state), np.full(5, UNKNOWN, np.float32)
        )
    row[19:24] = visible
    if found is not None:
        row[4:14] = found.reshape(-1)
        # A teacher only guesses at what a mask hides.
        row[14:19] = np.where(visible == 1, 1.0, 0.3)
    return row


def from_boxes(
    pictures: Sequence[LabelledPicture], teacher: Teacher, group: str, rng: np.random.Generator
) -> Iterator[TrainingPicture]:
    """Real scenes as labelled, with the teacher's points; and once more with masks drawn on their bare faces.

    What only the teacher takes for a face is not asked about: the labels leave out many a blurred or cut face.
    """
    for picture in pictures:
        image = read_picture(picture.path)
        seen = _both_scales(teacher, image, 0.3)
        rows = [_labelled_row(picture, number, seen) for number in range(len(picture.boxes))]
        unlabelled = seen[iou(seen[:, :4], picture.boxes).max(axis=1, initial=0) < 0.3] if len(seen) else seen
        rows += [face_row(found[:4], IGNORED, None) for found in unlabelled]
        faces = np.array(rows, np.float32).reshape(-1, COLUMNS)
        yield TrainingPicture(image, faces, group)
        if _wearable(faces).any():
            yield _dressed(image, faces, group, rng)


def _labelled_row(picture: LabelledPicture, number: int, seen: NDArray[np.float32]) -> Rows:
    """One label with the points of the teacher's find that overlaps it best.

    A label that counts neither way is a face as surely as its teachers said, or only a region; so is a face whose state
    nobody knows, since such labels are finds of a detector.
    """
    box, state = picture.boxes[number], float(picture.states[number])
    overlap = iou(box[None], seen[:, :4])[0] if len(seen) else np.zeros(1, np.float32)
    best = int(overlap.argmax())
    found = seen[best] if len(seen) and overlap[best] > 0.45 else None
    sure = 1.0
    if picture.ignored[number]:
        sure = float(picture.scores[number])
    elif state == UNKNOWN:
        sure = 0.0 if found is None else min(1.0, float(found[4]) / 0.6)
    return face_row(
        box, state if sure >= LEAST_SURE else IGNORED, None if found is None else found[5:].reshape(5, 2), sure=sure
    )


def from_empty(pictures: Sequence[LabelledPicture]) -> Iterator[TrainingPicture]:
    """Scenes in which nobody is, whatever a teacher sees in them."""
    for picture in pictures:
        yield TrainingPicture(read_picture(picture.path), np.zeros((0, COLUMNS), np.float32), "empty")


def from_scenes(folder: Path, teacher: Teacher) -> Iterator[TrainingPicture]:
    """Unlabelled scenes of masked people: the teacher's sure finds are faces, its doubtful ones are not asked about."""
    for path in sorted(folder.glob("*.jpg")):
        image = read_picture(path)
        rows = []
        for found in _both_scales(teacher, image, 0.25):
            sure = found[4] >= 0.6
            rows.append(face_row(found[:4], UNKNOWN if sure else IGNORED, found[5:].reshape(5, 2)))
        if any(row[24] != IGNORED for row in rows):
            yield TrainingPicture(image, np.array(rows, np.float32), "scene")


def from_rendered_set(folder: Path, teacher: Teacher) -> Iterator[TrainingPicture]:
    """Single faces with rendered masks: the teacher's boxes, the set's states."""
    for picture in read_coco(folder):
        image = read_picture(picture.path)
        rows = _found_rows(teacher, image, float(picture.states[0]) if len(picture.states) else UNKNOWN)
        if rows is not None:
            yield TrainingPicture(image, rows, "single")


def from_folder(folder: Path, every: int, state: float, teacher: Teacher) -> Iterator[TrainingPicture]:
    """Pictures of one face in one state; those where the teacher is in doubt are left out."""
    for path in sorted(folder.rglob("*.jpg"))[::every]:
        image = read_picture(path)
        rows = _found_rows(teacher, image, state)
        if rows is not None:
            yield TrainingPicture(image, rows, "single")


def from_points(folder: Path, variants: int, teacher: Teacher, rng: np.random.Generator) -> Iterator[TrainingPicture]:
    """Faces with 68 points: bare or with an object before them, and with drawn masks."""
    for face in read_points(folder):
        image, box, points = read_picture(face.path), face_box(face.points), five_points(face.points)
        others = _others(teacher, image, box)
        bare = draw_occluder(image, face.points, rng) if rng.random() < 0.2 else image
        yield TrainingPicture(bare, np.vstack([face_row(box, NONE, points), others]), "single")
        for wear in rng.choice(list(Wear), variants, p=(0.4, 0.3, 0.2, 0.1)):
            worn = wear_mask(image, face.points, random_style(rng), Wear(wear), rng)
            state = CORRECT if wear == Wear.CORRECT else INCORRECT
            row = face_row(box, state, points, worn.visible.astype(np.float32))
            yield TrainingPicture(worn.image, np.vstack([row, others]), "single")


@dataclass(frozen=True)
class More:
    """The training part of what a user adds to the collected sets, and photographs of things."""

    people: Sequence[LabelledPicture] = ()
    nobody: Sequence[LabelledPicture] = ()
    photographs: Sequence[Image] = ()

    @classmethod
    def read(cls, people: Sequence[Path], nobody: Sequence[Path], photographs: Sequence[Image] = ()) -> "More":
        """From folders that `label-people` wrote, and folders of pictures that show nobody. The split by name holds for them too.

        Raise UsageError for a folder that is none of these.
        """
        for folder in people:
            if not (folder / BOXES).is_file():
                raise UsageError(
                    f"{folder / BOXES}: not found; --people names a folder that `label-people` wrote to its end"
                )
        # A folder given as `.` has a name too, by which its pictures are held out or not.
        labelled = [picture for folder in people for picture in read_coco(folder.resolve(), BOXES, ".")]
        empty = [_nobody(path) for folder in nobody for path in pictures_in(folder.resolve())]
        return cls(training_part(labelled), training_part(empty), photographs)

    def unlike(self, others: Sequence[Path]) -> "More":
        """The same without near copies of `others`."""
        return replace(self, people=unlike(self.people, others), nobody=unlike(self.nobody, others))

    def pictures(self, teacher: Teacher, rng: np.random.Generator) -> Iterator[TrainingPicture]:
        """All of it, ready to be learned from."""
        yield from from_boxes(self.people, teacher, "people", rng)
        yield from from_empty(self.nobody)
        for photograph in self.photographs:
            yield TrainingPicture(photograph, np.zeros((0, COLUMNS), np.float32), "empty")


def _nobody(path: Path) -> LabelledPicture:
    return LabelledPicture(path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def training_pictures(
    data: Path, training: list[LabelledPicture], seed: int, more: More | None = None
) -> Iterator[TrainingPicture]:
    """Everything the detector learns from: `training` is the training part of masks853."""
    teacher = Teacher(data / "peers" / "yunet_n_dynamic.onnx")
    rng = np.random.default_rng(seed)
    yield from from_boxes(training, teacher, "crowd", rng)
    for name in MASK_SCENES:
        yield from from_boxes(training_part(read_coco(data / "mask_scenes3" / name)), teacher, "crowd", rng)
    for name in PEOPLE:
        pictures = training_part(read_coco(data / "people" / name, "boxes.json", "."))
        yield from from_boxes(pictures, teacher, "people", rng)
    yield from from_empty(training_part(read_coco(data / "people/negatives", "boxes.json", ".")))
    yield from from_empty(training_part(read_coco(data / "empty/scenes")))
    yield from from_empty(read_coco(data / "empty/crops"))
    yield from from_scenes(data / "masked_scenes", teacher)
    yield from from_rendered_set(data / "maskedfacenet_voc", teacher)
    yield from from_folder(data / "mask_crops/web/correct", 2, CORRECT, teacher)
    yield from from_folder(data / "mask_crops/web/none", 3, NONE, teacher)
    yield from from_folder(data / "bare_crops", 1, NONE, teacher)
    yield from from_folder(data / "people/mtfl80", 1, NONE, teacher)
    yield from from_folder(data / "headpose_biwi/images", 6, NONE, teacher)
    yield from from_folder(data / "yawn", 5, NONE, teacher)
    yield from from_points(data / "landmarks68/helen_train", 2, teacher, rng)
    yield from from_points(data / "landmarks68/youtube_train", 1, teacher, rng)
    yield from (more or More()).pictures(teacher, rng)


def _both_scales(teacher: Teacher, image: Image, threshold: float) -> NDArray[np.float32]:
    """What the teacher finds at the picture's size and at twice it, each face once."""
    found = np.concatenate([teacher.find(image, scale, threshold) for scale in (1.0, 2.0)])
    found = found[np.argsort(-found[:, 4])]
    kept: list[int] = []
    for index, row in enumerate(found):
        if not kept or iou(row[None, :4], found[kept, :4]).max() < 0.4:
            kept.append(index)
    return found[kept]


def _found_rows(teacher: Teacher, image: Image, state: float) -> Rows | None:
    """The teacher's one sure face in `state`; None when it sees no or several faces, or is in doubt."""
    found = teacher.find(image, 1.0, 0.3)
    if len(found) != 1 or found[0, 4] < 0.6:
        return None
    return face_row(found[0, :4], state, found[0, 5:].reshape(5, 2))[None]


def _others(teacher: Teacher, image: Image, box: NDArray[np.float32]) -> Rows:
    """Regions to ignore: people in the background, whom the points' annotators left out."""
    found = teacher.find(image, 1.0, 0.25)
    strangers = found[iou(found[:, :4], box[None])[:, 0] < 0.3]
    rows = [face_row(row[:4], IGNORED, None) for row in strangers]
    return np.array(rows, np.float32).reshape(-1, COLUMNS)


def _wearable(faces: Rows) -> NDArray[np.bool_]:
    """Bare faces large enough to show a drawn mask, whose points are known."""
    side = np.minimum(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    return np.asarray((faces[:, STATE] == NONE) & (faces[:, 14] > 0) & (side >= 18))


def _dressed(image: Image, faces: Rows, group: str, rng: np.random.Generator) -> TrainingPicture:
    """The same scene with masks on most bare faces."""
    faces = faces.copy()
    for index in np.flatnonzero(_wearable(faces)):
        if rng.random() < 0.2:
            continue
        wear = Wear(rng.choice(list(Wear), p=(0.2, 0.4, 0.3, 0.1)))
        worn = wear_mask(image, faces[index, 4:14].reshape(5, 2), random_style(rng), wear, rng)
        image = worn.image
        faces[index, STATE] = CORRECT if wear is Wear.CORRECT else INCORRECT
        faces[index, 19:24] = worn.visible
    return TrainingPicture(image, faces, group)
