"""Follows faces from frame to frame by their boxes alone: which detection belongs to which track, and when a track ends.

Two-pass association after ByteTrack (Zhang et al. 2022, arXiv 2110.06864), with three changes for faces at 5 to 30
frames a second: boxes are widened before they are compared, and what is left over is paired by distance, because small
faces leave their own box between frames; all waiting is in seconds, never in frames; and there are no appearance
features, because edged identifies nobody.

A track counts as a person once it has passed the birth gate: each sighting's score, taken for the chance that it is a
face, adds its log-odds against even chances for as long as it stands, and never below nothing (Page's test, Biometrika
1954). A glove or a nape that scores above that now and then does not get there; a bowed face that scores little above it
does, later than others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
from numpy.typing import NDArray

from edged.arrays import FARTHEST_PX
from edged.config import LOST_S
from edged.types import Box, Detection, Expected, Track

Boxes = NDArray[np.float64]
Similarity = Callable[[list[int], Boxes], Boxes]
"""From rows of the predicted boxes and N boxes seen to rows x N likenesses, 1 the greatest."""

LEAST_SURE = 0.02
"""No score is taken for a probability nearer to 0 or 1."""


WEAKER_BY = 0.05
"""A find that is weaker than a new face must be by this much still pairs freely with faces already known."""

EVEN_BELOW = 0.025
"""Finds that are weaker by this much than a new face must be are as often a face as they are none."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What no key of the config says; scores are the detector's."""

    low_score: float = 0.2
    """Weaker detections are ignored."""
    new_score: float = 0.6
    """Detections from here on may start a track."""
    least_similarity: float = 0.15
    """Smallest widened IoU of a pair in the first pass."""
    least_similarity_low: float = 0.3
    """Smallest widened IoU of a pair in the second pass, for detections under `high_score`."""
    widening: float = 1.4
    size_ratio: float = 1.8
    """A box more than so many times as large or as small as a face was, by its side, is not that face: a body, a hand."""
    match_distance: float = 1.0
    """Detections that no widened box meets pair with a track at most this many face sizes from its predicted place."""
    first_match_distance: float = 2.0
    """The same for a face seen only once, whose velocity is not known, when that was long enough ago…"""
    maximum_speed: float = 10.0
    """…to have moved so far at this many face sizes a second: somebody who runs."""
    duplicate_iou: float = 0.6
    """A detection that covers a followed face this well is that face found twice, and starts no track."""
    same_face_overlap: float = 0.5
    """With more than this share of the smaller box in common with that of a face followed for longer, a sighting may be that
    face found twice: it is no evidence for a new track."""
    unseen_score: float = 0.35
    """A frame without a sighting speaks against it as much as a sighting of this score."""
    birth_evidence: float = 0.5
    """The birth gate: a track gets its number once its evidence, log-odds times seconds, reaches this. Without pause 0.95 takes
    0.2 s, 0.75 takes 0.6 s, 0.65 takes 1.6 s."""
    steady_seconds: float = 0.15
    """One sighting speaks for this long at most, however long ago the one before was, and never for more than half of it all."""
    confirm_seconds: float = 0.5
    """A track that has not passed the birth gate is given up after this time out of sight."""
    coast_seconds: float = 0.5
    """A lost face is assumed to keep its velocity for this long, then to stand still…"""
    coast_frames: float = 1.5
    """…or, where pictures come more rarely, for as long as so many of them take."""
    apart_growth: float = 1.2
    """The time between pictures is believed to grow by this factor at most, from one to the next: a gap is no rate."""
    blind_seconds: float = 5.0
    """After this long without any frame all tracks end."""
    most_tracks: int = 256

    @property
    def high_score(self) -> float:
        """Detections from here on may pair with any track."""
        return self.new_score - WEAKER_BY

    @property
    def even_score(self) -> float:
        """A sighting of this score speaks neither for a face nor against it."""
        return self.new_score - EVEN_BELOW


@dataclass(slots=True)
class _Motion:
    """Centre, log of the size, and the centre's velocity, smoothed towards each sighting.

    A g-h filter: with irregular time steps and jumpy faces it does what a Kalman filter with a fixed noise ratio
    settles to, without matrices.
    """

    x: float
    y: float
    log_width: float
    log_height: float
    time_s: float
    dx: float = 0.0
    dy: float = 0.0

    POSITION_GAIN = 0.85
    VELOCITY_SECONDS = 0.1
    """A step this long tells half of the velocity; a jump within a few milliseconds is noise and tells next to nothing."""
    FIRST_VELOCITY_SECONDS = 0.04
    """The second sighting is all that is known of the velocity, so it counts for more."""

    def predict(self, time_s: float, coast_s: float) -> Box:
        """Where the face should be at `time_s`, at constant velocity for at most `coast_s`."""
        step = min(max(time_s - self.time_s, 0.0), coast_s)
        x, y = self.x + self.dx * step, self.y + self.dy * step
        half_width, half_height = math.exp(self.log_width) / 2, math.exp(self.log_height) / 2
        return Box(x - half_width, y - half_height, x + half_width, y + half_height)

    def correct(self, box: Box, time_s: float, coast_s: float, first: bool) -> None:
        """Move towards the sighting `box`; `first` when it is the first one after the one that started the track."""
        step = time_s - self.time_s
        x, y = self.predict(time_s, coast_s).centre
        error_x, error_y = box.centre[0] - x, box.centre[1] - y
        if step > coast_s:
            self.dx = self.dy = 0.0  # after a long absence the old velocity says nothing
        elif step > 0:
            gain = step / (step**2 + (self.FIRST_VELOCITY_SECONDS if first else self.VELOCITY_SECONDS) ** 2)
            self.dx += gain * error_x
            self.dy += gain * error_y
        self.x = x + self.POSITION_GAIN * error_x
        self.y = y + self.POSITION_GAIN * error_y
        self.log_width += self.POSITION_GAIN * (math.log(box.width) - self.log_width)
        self.log_height += self.POSITION_GAIN * (math.log(box.height) - self.log_height)
        self.time_s = max(time_s, self.time_s)


@dataclass(slots=True)
class _Candidate:
    """A face being followed; it becomes public, with an id, once confirmed."""

    motion: _Motion
    track: Track
    in_sight: bool = True
    """Whether the present frame shows it."""
    evidence: float = 0.0
    weighed_s: float = 0.0
    """When the evidence was weighed last."""


class Tracker:
    """One camera's tracker. Feed it every analysed frame in order."""

    def __init__(self, settings: TrackerSettings | None = None, lost_seconds: float = LOST_S) -> None:
        """`lost_seconds`: after so long out of sight a face is gone."""
        self._settings = settings or TrackerSettings()
        self._lost_seconds = lost_seconds
        self._candidates: list[_Candidate] = []
        self._next_id = 1
        self._time_s: float | None = None
        self._apart_s = math.inf
        """Between two frames, as a rule."""
        self._coast_s = self._settings.coast_seconds

    def update(self, time_s: float, detections: Sequence[Detection]) -> list[Track]:
        """All confirmed tracks at `time_s`: seen in this frame, or out of sight for less than `lost_seconds`.

        A frame that is older than the last one tells nothing new about motion; its sightings still count.
        """
        settings = self._settings
        if self._time_s is not None:
            apart_s = time_s - self._time_s
            if abs(apart_s) > settings.blind_seconds:
                self.forget()
            if apart_s > 0:  # one gap says little of how often pictures come
                self._apart_s = min(apart_s, self._apart_s * settings.apart_growth)
                self._coast_s = max(settings.coast_seconds, settings.coast_frames * self._apart_s)
        self._time_s = time_s
        usable = [d for d in detections if d.score >= self._settings.low_score and _is_usable(d)]
        high = [d for d in usable if d.score >= settings.high_score]
        low = [d for d in usable if d.score < settings.high_score]
        overlap, nearness = self._similarities(time_s)
        for candidate in self._candidates:
            candidate.in_sight = False
        rows = list(range(len(self._candidates)))
        rows, high = self._pair(time_s, rows, high, overlap, settings.least_similarity)
        rows, high = self._pair(time_s, rows, high, nearness, 0.01)
        self._pair(time_s, rows, low, overlap, settings.least_similarity_low)
        self._start(time_s, high)
        self._hand_over()
        self._weigh(time_s)
        self._drop_lost(time_s)
        return [self._public(c, time_s) for c in self._candidates if c.track.id]

    def expected(self, time_s: float) -> list[Expected]:
        """Where each followed face should be at `time_s`."""
        return [
            Expected(
                c.motion.predict(time_s, self._coast_s),
                clear=c.in_sight and self._is_clear(c.track),
                track=c.track.id,
                found=c.track.detection if c.in_sight else None,
            )
            for c in self._candidates
        ]

    def _is_clear(self, track: Track) -> bool:
        return track.detection is not None and track.detection.score >= self._settings.high_score

    def forget(self) -> None:
        """End all tracks; ids are not used again."""
        self._candidates = []

    def _similarities(self, time_s: float) -> tuple[Similarity, Similarity]:
        """How well detections fit this frame's predictions: by widened overlap, and by distance."""
        settings, motions = self._settings, [c.motion for c in self._candidates]
        predicted = np.array([m.predict(time_s, self._coast_s) for m in motions], np.float64).reshape(-1, 4)
        distances = np.array([self._match_distance(c, time_s) for c in self._candidates], np.float64)
        return (
            lambda rows, seen: np.where(
                alike(predicted[rows], seen, 1 / settings.size_ratio, settings.size_ratio),
                widened_iou(predicted[rows], seen, settings.widening),
                0.0,
            ),
            lambda rows, seen: closeness(predicted[rows], seen, distances[rows]),
        )

    def _match_distance(self, candidate: _Candidate, time_s: float) -> float:
        """How many face sizes from its predicted place a detection may still be this candidate."""
        if candidate.track.hits > 1:
            return self._settings.match_distance
        moved = self._settings.maximum_speed * (time_s - candidate.track.last_seen_s)
        return max(self._settings.match_distance, min(self._settings.first_match_distance, moved))

    def _pair(
        self, time_s: float, rows: list[int], detections: Sequence[Detection], similarity: Similarity, least: float
    ) -> tuple[list[int], list[Detection]]:
        """Give each of `detections` to at most one candidate; return the candidates and detections left over."""
        if not rows or not detections:
            return rows, list(detections)
        likeness = similarity(rows, np.array([d.box for d in detections], dtype=np.float64))
        _, column_of_row, row_of_column = lap.lapjv(1.0 - likeness, extend_cost=True, cost_limit=1.0 - least)
        for row, column in zip(rows, column_of_row, strict=True):
            if column >= 0:
                self._see(self._candidates[row], detections[column], time_s)
        left = [row for row, column in zip(rows, column_of_row, strict=True) if column < 0]
        return left, [d for d, row in zip(detections, row_of_column, strict=True) if row < 0]

    def _see(self, candidate: _Candidate, detection: Detection, time_s: float) -> None:
        track = candidate.track
        candidate.motion.correct(detection.box, time_s, self._coast_s, first=track.hits == 1)
        candidate.in_sight = True
        candidate.track = replace(
            track,
            box=detection.box,
            hits=track.hits + 1,
            last_seen_s=max(time_s, track.last_seen_s),
            detection=detection,
        )

    def _start(self, time_s: float, detections: Sequence[Detection]) -> None:
        """Begin to follow what no candidate explains, the surest first."""
        new = [d for d in detections if d.score >= self._settings.new_score]
        if not new:
            return
        taken = [c.track.box for c in self._candidates if c.in_sight]
        for detection in sorted(new, key=lambda d: -d.score):
            if len(self._candidates) >= self._settings.most_tracks:
                return
            if taken and self._is_duplicate(detection.box, taken):
                continue
            taken.append(detection.box)
            x, y = detection.box.centre
            motion = _Motion(x, y, math.log(detection.box.width), math.log(detection.box.height), time_s)
            track = Track(0, detection.box, time_s, time_s, 1, detection)
            self._candidates.append(_Candidate(motion, track, weighed_s=time_s))

    def _hand_over(self) -> None:
        """A track that is out of sight goes on as the candidate that was begun on top of it: both are the same face."""
        unborn = [c for c in self._candidates if not c.track.id and c.in_sight]
        gone = [c for c in self._candidates if c.track.id and not c.in_sight]
        for old in gone if unborn else []:
            new = next((c for c in unborn if self._lies_on(c.track.box, old.track.box)), None)
            if new is not None:
                unborn.remove(new)
                self._candidates.remove(new)
                old.motion, old.in_sight = new.motion, True
                old.track = replace(
                    new.track,
                    id=old.track.id,
                    first_seen_s=old.track.first_seen_s,
                    hits=old.track.hits + new.track.hits,
                )

    def _weigh(self, time_s: float) -> None:
        """Add this frame's evidence for or against each candidate that has no id yet; one that passes the birth gate gets one."""
        settings = self._settings
        for place, candidate in enumerate(self._candidates):
            if candidate.track.id:
                continue
            lasted_s = min(max(time_s - candidate.weighed_s, 0.0), settings.steady_seconds)
            candidate.weighed_s = time_s
            seen = candidate.track.detection if candidate.in_sight else None
            says = log_odds(seen.score if seen else settings.unseen_score) - log_odds(settings.even_score)
            # Candidates stand in the order in which they came.
            older = [c.track.box for c in self._candidates[:place] if c.in_sight]
            if says > 0 and any(self._lies_on(candidate.track.box, box) for box in older):
                continue
            gained = min(says * lasted_s, settings.birth_evidence / 2)
            candidate.evidence = max(0.0, candidate.evidence + gained)
            if candidate.evidence >= settings.birth_evidence:
                candidate.track = replace(candidate.track, id=self._next_id)
                self._next_id += 1

    def _lies_on(self, box: Box, other: Box) -> bool:
        width = min(box.x2, other.x2) - max(box.x1, other.x1)
        height = min(box.y2, other.y2) - max(box.y1, other.y1)
        smaller = min(box.width * box.height, other.width * other.height)
        return width > 0 and height > 0 and width * height > self._settings.same_face_overlap * smaller

    def _is_duplicate(self, box: Box, taken: Sequence[Box]) -> bool:
        overlaps = widened_iou(np.array([box], np.float64), np.array(taken, np.float64), 1.0)
        return bool(overlaps.max() >= self._settings.duplicate_iou)

    def _drop_lost(self, time_s: float) -> None:
        """Drop what has been out of sight too long; an unconfirmed face is given less patience."""

        def keep(track: Track) -> bool:
            patience = self._lost_seconds if track.id else self._settings.confirm_seconds
            return time_s - track.last_seen_s <= patience

        self._candidates = [c for c in self._candidates if keep(c.track)]

    def _public(self, candidate: _Candidate, time_s: float) -> Track:
        """The track as this frame leaves it; out of sight, its box is the predicted one and it has no detection."""
        if candidate.in_sight:
            return candidate.track
        box = candidate.motion.predict(time_s, self._coast_s)
        return replace(candidate.track, box=box, detection=None)


def log_odds(score: float) -> float:
    """Of a score taken for a probability; bounded, since no single detection is that sure."""
    probability = min(max(score, LEAST_SURE), 1 - LEAST_SURE)
    return math.log(probability / (1 - probability))


def widened_iou(a: Boxes, b: Boxes, widening: float) -> Boxes:
    """IoU of every box in `a` (N x 4) with every box in `b` (M x 4), all widened about their centres, as N x M."""
    a, b = _widened(a, widening)[:, None], _widened(b, widening)[None]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.clip(overlap, 0.0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def closeness(a: Boxes, b: Boxes, distances: NDArray[np.float64]) -> Boxes:
    """1 for equal centres down to 0 for centres `distances` (one for each of `a`) mean sizes apart; 0 for unlike sizes."""
    size_a, size_b = (a[:, 2:] - a[:, :2])[:, None], (b[:, 2:] - b[:, :2])[None]
    centre_a, centre_b = ((a[:, :2] + a[:, 2:]) / 2)[:, None], ((b[:, :2] + b[:, 2:]) / 2)[None]
    distance = np.linalg.norm((centre_a - centre_b) / ((size_a + size_b) / 2), axis=-1)
    close = np.clip(1.0 - distance / distances[:, None], 0.0, None)
    return np.asarray(np.where(alike(a, b, 0.6, 1.6), close, 0.0))


def alike(a: Boxes, b: Boxes, smallest: float, largest: float) -> NDArray[np.bool_]:
    """Which of `a` are `smallest` to `largest` times as large as which of `b`, by the side of a square as large, as N x M."""
    side_a, side_b = (np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)) for boxes in (a, b))
    ratio = side_a[:, None] / np.maximum(side_b[None], 1e-9)
    return np.asarray((ratio >= smallest) & (ratio <= largest))


def _widened(boxes: Boxes, widening: float) -> Boxes:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * widening
    return np.concatenate([centre - half, centre + half], axis=1)


def _is_usable(detection: Detection) -> bool:
    box = detection.box
    within = all(-FARTHEST_PX <= value <= FARTHEST_PX for value in box)  # else a detector's slip; false for NaN
    return within and math.isfinite(detection.score) and box.width >= 1 and box.height >= 1
