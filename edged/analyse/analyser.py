"""Decides which faces are classified and read in this frame, and does so in one batch a model.

A verdict on a mask that stands needs few judgements: until a track's vote is settled every detection is judged, afterwards
one in a while. Attention and drowsiness depend on what changes between frames: cameras that need them read
every face in every frame, up to a limit, but for the poses of heads that have not moved. This is where most of the work
on the per-frame path is saved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edged.analyse.ratios import mouth_ratio
from edged.ports import EyeReader, LandmarkReader, MaskJudge, PoseReader
from edged.types import (
    MOST_DEVIATION,
    Box,
    Detection,
    EyeReading,
    Face,
    HeadPose,
    Image,
    Landmarks,
    Lens,
    MaskScores,
    Points,
    Track,
)

OUTER_CORNERS = 36, 45
RIGID = [*range(27, 31), 31, 33, 35, 39, 42, *OUTER_CORNERS]
"""Landmarks (iBUG numbers from 0) that move with the head alone, as lids, brows and lips do not: bridge, nose, eye corners."""

UNMOVED, POSED_S = 0.05, 0.25
"""A pose holds while none of those landmarks moved by more than this share of the outer eye corners' distance, and for less time
than this."""
AGREED = 10.0
"""Degrees. A pose may hold only if it differs by no more from that of the reading before: one wrong reading lasts one frame."""


@dataclass(frozen=True, slots=True)
class AnalyserSettings:
    """Which faces are judged and read, and how often."""

    smallest_face: float
    """Masks of faces with a shorter side, in pixels, are not judged; see `[mask]` in the config."""
    smallest_landmarks: float
    """Faces with a shorter side are not read; see `[attention]` and `[drowsiness]`."""
    least_score: float = 0.5
    """A weaker detection may show a hand, the back of a head, half a face. Its mask is not judged."""
    judgements_until_settled: int = 8
    settled_interval_s: float = 0.5
    """From one judgement of the mask to the next once the verdict stands."""
    most_faces: int = 64
    """Faces judged in one frame at most; those not judged for longest go first, of equals the largest."""
    pose_holds_s: float = POSED_S
    """How long a pose may hold; 0 reads it in every frame."""
    most_read: int = 16
    """Faces whose landmarks, pose and eyes are read in one frame at most; chosen as `most_faces` are."""


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads faces beyond the mask; pose and eyes are None where the profile does not need them."""

    landmarks: LandmarkReader
    pose: PoseReader | None = None
    eyes: EyeReader | None = None


AT_THE_BORDER = 0.02
"""A box this near to the picture's border, in units of its longer side, is a face that goes on beyond it. With a quarter of a
face out of the picture one pose in twelve was more than 20 degrees wrong, with half of it every second one, and the boxes do
not say how much is out."""

BEHIND_ANOTHER = 0.1
"""A box this near to a larger face's, in the same unit, may be what is seen of a face behind it."""

FRESH_S, NEAR, MOST_FOLLOWED = 0.5, 0.2, 15
"""A face is looked for where its landmarks were at most so long before, while no edge of its box moved by more than this share of
the longer side, and so many times in a row: then it is looked for from the detector's box again, so that no mistake lasts."""

BESIDE = 0.5
"""Landmarks of which an edge lies further than this from that of the box, in the same unit, are of something beside the face, and
not where it is looked for next. In four drivers' clips none lies further than 0.29."""

BOWED = -30.0
"""Degrees of pitch below which a mask is not judged: the head hides what decides, and bowed bare faces look masked."""

LensMaker = Callable[[int, int], Lens]
"""The lens of a picture of this width and height."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one face; what could not be, or was not requested, is None. `unread` says why, where it is known."""

    landmarks: Landmarks
    pose: HeadPose | None
    eyes: EyeReading | None
    mouth_ratio: float | None
    unread: str | None = None
    pose_held: bool = False
    """Whether the pose is an earlier picture's, which still holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """A pose, when it was read, and for which landmarks."""

    pose: HeadPose
    time_s: float
    points: Points

    def holds(self, points: Points) -> bool:
        """Whether a head with these landmarks still points there; never where they are no numbers."""
        with np.errstate(over="ignore", invalid="ignore"):
            moved = np.square(points[RIGID] - self.points[RIGID]).sum(axis=1).max()
            corner, other = self.points[list(OUTER_CORNERS)]
            return bool(np.isfinite(moved) and moved <= UNMOVED**2 * np.square(corner - other).sum())


def read_faces(
    readers: Readers,
    image: Image,
    detections: Sequence[Detection],
    masked: Sequence[bool],
    lens: Lens,
    before: Sequence[Points | None] = (),
    posed: Sequence[Posed | None] = (),
) -> list[Reading]:
    """Read faces of one picture, in order: one run of each reader, however many. Under a mask there is no mouth to read.

    `before`: see `LandmarkReader`. `posed`: one for each face, or none at all; a pose that still holds is the face's.
    """
    landmarks = readers.landmarks.read(image, detections, before)
    poses: list[HeadPose | None] = [
        one.pose if one is not None and one.holds(marks.points) else None
        for one, marks in zip(posed or [None] * len(detections), landmarks, strict=True)
    ]
    nothing: list[None] = [None] * len(detections)
    rows = [row for row, pose in enumerate(poses) if pose is None]
    if readers.pose is not None and rows:
        faces, marked = [detections[row] for row in rows], [landmarks[row] for row in rows]
        read = readers.pose.read(image, faces, marked, [masked[row] for row in rows], lens)
        for row, pose in zip(rows, read, strict=True):
            poses[row] = pose
    eyes = nothing if readers.eyes is None else readers.eyes.read(image, landmarks, poses)
    mouths = [None if hidden else mouth_ratio(marks.points) for marks, hidden in zip(landmarks, masked, strict=True)]
    found = zip(landmarks, poses, eyes, mouths, strict=True)
    return [Reading(*one, pose_held=row not in rows) for row, one in enumerate(found)]


def is_cut_below(box: Box, image_height: int) -> bool:
    """Whether a face goes on below the picture, so that mouth or nose are not in it: its box ends there, and is wider than high,
    as no whole face's is. What is left resembles a bare face.
    """
    return box.height < box.width and box.y2 >= image_height - AT_THE_BORDER * max(box.width, box.height)


def is_masked(scores: MaskScores) -> bool:
    """Whether a mask is in the face, wherever in it: more probable than none at all."""
    return scores.correct + scores.incorrect > scores.none


@dataclass(slots=True)
class _Known:
    """What is kept of one track; judgements of the mask and readings have their own turns."""

    judgements: int = 0
    judged_s: float = float("-inf")
    read_s: float = float("-inf")
    scores: MaskScores | None = None
    bowed: bool = False
    box: Box | None = None
    """Where the face was when it was read last, …"""
    points: Points | None = None
    """… and its landmarks then; None where they were doubtful, or beside the face."""
    followed: int = 0
    """How many times in a row it was looked for where it was before."""
    pose: HeadPose | None = None
    """The pose of the last reading."""
    posed: Posed | None = None
    """The newest pose that was read, if it may hold: it is no guess, and the one before agreed."""

    def bow(self, bowed: bool) -> None:
        """Whether the head is bowed in this frame. What was judged of it meanwhile was no vote: once it is up it is new."""
        if self.bowed and not bowed:
            self.judgements = 0
        self.bowed = bowed

    def before(self, time_s: float, box: Box) -> Points | None:
        """The landmarks near which the face in `box` may be looked for; None where it must be looked for anew."""
        near = self.box is not None and 0 <= time_s - self.read_s <= FRESH_S and _is_near(self.box, box, NEAR)
        self.followed = self.followed + 1 if near and self.points is not None and self.followed < MOST_FOLLOWED else 0
        return self.points if self.followed else None

    def posed_before(self, time_s: float, holds_s: float) -> Posed | None:
        """The pose that may still hold; None where it must be read."""
        return self.posed if self.posed is not None and 0 <= time_s - self.posed.time_s < holds_s else None

    def remember_pose(self, time_s: float, reading: Reading) -> None:
        """Keep a pose that was read now, if it may hold. One that was held stays as old as it is."""
        before, self.pose = self.pose, reading.pose
        if not reading.pose_held:
            self.posed = None
            if before is not None and reading.pose is not None and _agree(before, reading.pose):
                self.posed = Posed(reading.pose, time_s, reading.landmarks.points)

    def remember(self, time_s: float, box: Box, reading: Reading) -> None:
        """What the next reading may begin with."""
        self.read_s, self.box = time_s, box
        points = reading.landmarks.points
        extent = Box(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        self.points = points if reading.unread is None and _is_near(box, extent, BESIDE) else None


@dataclass(slots=True)
class Analyser:
    """One camera's analyser; the judge and the readers behind it may be shared."""

    judge: MaskJudge
    settings: AnalyserSettings
    readers: Readers | None = None
    lens: LensMaker = Lens.of
    only: Callable[[], int | None] = lambda: None
    """The one track whose face is to be read; None: all of them."""
    _known: dict[int, _Known] = field(default_factory=dict)

    def analyse(self, time_s: float, image: Image, tracks: Sequence[Track]) -> list[Face]:
        """One Face for each track, in order; those not judged or read say why. The mask comes first: it hides the rest."""
        self._known = {track.id: self._known.get(track.id) or _Known() for track in tracks}
        unjudged = [self._reason_not_to_judge(time_s, track, image.shape[0]) for track in tracks]
        judged = self._judge(time_s, image, _without_reason(tracks, unjudged))
        only = self.only()
        unread = [self._reason_not_to_read(track, only) for track in tracks]
        in_sight = [track.box for track in tracks if track.detection is not None]
        read = self._read(time_s, image, _without_reason(tracks, unread), in_sight)
        faces = []
        for track, not_judged, not_read in zip(tracks, unjudged, unread, strict=True):
            scores, reading = judged.get(track.id), read.get(track.id)
            if reading:
                self._known[track.id].bow(_is_bowed(reading.pose))
            if scores and reading and self._known[track.id].bowed:
                scores, not_judged = None, "bowed"
            not_judged = None if scores else not_judged or "not due"
            if reading is None:
                faces.append(Face(track, scores, not_judged, unread=not_read or "not due"))
            else:
                own = reading.landmarks, reading.pose, reading.eyes, reading.mouth_ratio, reading.unread
                faces.append(Face(track, scores, not_judged, *own))
        return faces

    def _judge(self, time_s: float, image: Image, tracks: Sequence[Track]) -> Mapping[int, MaskScores]:
        """Scores of those whose turn it is, by track."""
        if len(tracks) > self.settings.most_faces:
            tracks = sorted(tracks, key=lambda t: (self._known[t.id].judged_s, -t.box.side))[: self.settings.most_faces]
        if not tracks:
            return {}
        judged = {}
        for track, scores in zip(tracks, self.judge.judge(image, [track.box for track in tracks]), strict=True):
            known = self._known[track.id]
            # A mask that is judged otherwise than before starts anew: it may have been put on or taken off.
            judgements = known.judgements + 1 if known.scores is None or known.scores.state is scores.state else 1
            known.judgements, known.judged_s, known.scores = judgements, time_s, scores
            judged[track.id] = scores
        return judged

    def _read(
        self, time_s: float, image: Image, tracks: Sequence[Track], in_sight: Sequence[Box]
    ) -> Mapping[int, Reading]:
        """Readings of those whose turn it is, by track; `in_sight` are the boxes of everybody, read or not."""
        if len(tracks) > self.settings.most_read:
            tracks = sorted(tracks, key=lambda t: (self._known[t.id].read_s, -t.box.side))[: self.settings.most_read]
        if not tracks or self.readers is None:
            return {}
        height, width = image.shape[:2]
        detections = [track.detection for track in tracks if track.detection is not None]
        masked = [self._is_masked(track) for track in tracks]
        before = [self._known[track.id].before(time_s, track.box) for track in tracks]
        posed = [self._known[track.id].posed_before(time_s, self.settings.pose_holds_s) for track in tracks]
        readings = read_faces(self.readers, image, detections, masked, self.lens(width, height), before, posed)
        read = {}
        for track, reading in zip(tracks, readings, strict=True):
            reason = _reason_to_doubt(track.box, in_sight, width, height)
            read[track.id] = _doubted(reading, reason) if reason else reading
            self._known[track.id].remember_pose(time_s, read[track.id])
            self._known[track.id].remember(time_s, track.box, read[track.id])
        return read

    def _is_masked(self, track: Track) -> bool:
        """By the newest scores, else the detector's; a face never judged may wear a mask, and its mouth is not read."""
        scores = self._known[track.id].scores or (track.detection and track.detection.mask)
        return is_masked(scores) if scores else True

    def _reason_not_to_judge(self, time_s: float, track: Track, image_height: int) -> str | None:
        if track.detection is None:
            return "out of sight"
        if track.box.side < self.settings.smallest_face:
            return "small"
        if track.detection.score < self.settings.least_score:
            return "unsure"
        if is_cut_below(track.box, image_height):
            return "cut off"
        known = self._known[track.id]
        if known.judgements < self.settings.judgements_until_settled:
            return None
        # A judgement that lies ahead is one before the clock was set back.
        return "not due" if 0 <= time_s - known.judged_s < self.settings.settled_interval_s else None

    def _reason_not_to_read(self, track: Track, only: int | None) -> str | None:
        if self.readers is None or only not in (None, track.id):
            return "not wanted"
        if track.detection is None:
            return "out of sight"
        return "small" if track.box.side < self.settings.smallest_landmarks else None


def _is_near(box: Box, other: Box, share: float) -> bool:
    """Whether each edge of `other` lies within this share of the longer side of `box` from that of `box`."""
    return max(abs(a - b) for a, b in zip(box, other, strict=True)) <= share * max(box.width, box.height)


def _agree(one: HeadPose, other: HeadPose) -> bool:
    """Whether two poses are no mere guesses, and of one head that has hardly moved."""
    turned = (one.yaw - other.yaw, one.pitch - other.pitch, (one.roll - other.roll + 180) % 360 - 180)
    guessed = max(one.deviation, other.deviation) >= MOST_DEVIATION
    return not guessed and all(abs(angle) <= AGREED for angle in turned)


def _is_bowed(pose: HeadPose | None) -> bool:
    """Whether the head is known to be bowed so far that nothing can be said of its mask."""
    return pose is not None and pose.facing_pitch < BOWED and pose.deviation < MOST_DEVIATION


def _reason_to_doubt(box: Box, boxes: Sequence[Box], width: int, height: int) -> str | None:
    """Why only a part of the face may be seen: "cut off" by the picture's border or "covered" by another face; else None."""
    side = max(box.width, box.height)
    if min(box.x1, box.y1, width - box.x2, height - box.y2) < AT_THE_BORDER * side:
        return "cut off"
    near, area = BEHIND_ANOTHER * side, box.width * box.height
    for other in boxes:
        apart = max(other.x1 - box.x2, box.x1 - other.x2, other.y1 - box.y2, box.y1 - other.y2)
        if apart < near and other.width * other.height > area:
            return "covered"
    return None


def _doubted(reading: Reading, reason: str) -> Reading:
    """What was read of a face of which only a part may be seen: where its head points is a guess, and so is the mouth."""
    pose = reading.pose and replace(reading.pose, deviation=MOST_DEVIATION)
    return replace(reading, pose=pose, mouth_ratio=None, unread=reason)


def _without_reason(tracks: Sequence[Track], reasons: Sequence[str | None]) -> list[Track]:
    return [track for track, reason in zip(tracks, reasons, strict=True) if reason is None]
