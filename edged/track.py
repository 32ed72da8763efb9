"""Follows faces from frame to frame by their boxes alone: who is who, and when somebody is gone.

Two-pass association after ByteTrack (Zhang et al. 2022, arXiv 2110.06864), with three changes for faces at 5 to 30
frames a second: boxes are widened before they are compared, because small faces leave their own box between frames;
all waiting is in seconds, never in frames; and there are no appearance features, because edged identifies nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
from numpy.typing import NDArray

from edged.types import Box, Detection, Track

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """All thresholds of the tracker; scores are the detector's."""

    high_score: float = 0.55
    """Detections from here on may pair with any track."""
    new_score: float = 0.6
    """Detections from here on may start a track."""
    least_similarity: float = 0.15
    """Smallest widened IoU of a pair in the first pass."""
    least_similarity_low: float = 0.3
    """Smallest widened IoU of a pair in the second pass, for detections under `high_score`."""
    widening: float = 1.4
    confirm_hits: int = 2
    confirm_seconds: float = 0.5
    """A track is told to others after `confirm_hits` sightings; the second must come within this time."""
    lost_seconds: float = 0.8
    coast_seconds: float = 0.5
    """A lost face is assumed to keep its velocity for this long, then to stand still."""
    most_tracks: int = 256


@dataclass(slots=True)
class _Motion:
    """Centre, log of the size, and their rates, smoothed towards each sighting.

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
    VELOCITY_GAIN = 0.5

    def predict(self, time_s: float, coast_s: float) -> Box:
        """Where the face should be at `time_s`, at constant velocity for at most `coast_s`."""
        step = min(max(time_s - self.time_s, 0.0), coast_s)
        x, y = self.x + self.dx * step, self.y + self.dy * step
        half_width, half_height = np.exp(self.log_width) / 2, np.exp(self.log_height) / 2
        return Box(x - half_width, y - half_height, x + half_width, y + half_height)

    def correct(self, box: Box, time_s: float, coast_s: float) -> None:
        """Move towards the sighting `box`."""
        step = time_s - self.time_s
        predicted = self.predict(time_s, coast_s).centre
        error_x, error_y = (seen - guess for seen, guess in zip(box.centre, predicted, strict=True))
        if step > coast_s:
            self.dx = self.dy = 0.0  # after a long absence the old velocity says nothing
        elif step > 0:
            self.dx += self.VELOCITY_GAIN * error_x / step
            self.dy += self.VELOCITY_GAIN * error_y / step
        self.x = predicted[0] + self.POSITION_GAIN * error_x
        self.y = predicted[1] + self.POSITION_GAIN * error_y
        self.log_width += self.POSITION_GAIN * (np.log(max(box.width, 1.0)) - self.log_width)
        self.log_height += self.POSITION_GAIN * (np.log(max(box.height, 1.0)) - self.log_height)
        self.time_s = max(time_s, self.time_s)


@dataclass(slots=True)
class _Candidate:
    """A face being followed; it becomes public, with an id, once confirmed."""

    motion: _Motion
    track: Track


class Tracker:
    """One camera's tracker. Feed it every analysed frame in order."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._candidates: list[_Candidate] = []
        self._next_id = 1

    def update(self, time_s: float, detections: Sequence[Detection]) -> list[Track]:
        """All confirmed tracks at `time_s`: seen in this frame, or out of sight for less than `lost_seconds`.

        A frame that is older than the last one tells nothing new about motion; its sightings still count.
        """
        usable = [d for d in detections if _is_usable(d)]
        high = [d for d in usable if d.score >= self._settings.high_score]
        low = [d for d in usable if d.score < self._settings.high_score]
        predicted = self._predicted(time_s)
        free_tracks, free_high = self._pair(
            time_s, range(len(self._candidates)), predicted, high, self._settings.least_similarity
        )
        self._pair(time_s, free_tracks, predicted, low, self._settings.least_similarity_low)
        self._start(time_s, free_high)
        self._forget(time_s)
        return [self._public(c, time_s) for c in self._candidates if c.track.id]

    def _predicted(self, time_s: float) -> Boxes:
        boxes = [c.motion.predict(time_s, self._settings.coast_seconds) for c in self._candidates]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)

    def _pair(
        self,
        time_s: float,
        indices: Sequence[int],
        predicted: Boxes,
        detections: Sequence[Detection],
        least: float,
    ) -> tuple[list[int], list[Detection]]:
        """Give each of `detections` to at most one candidate; return the candidates and detections left over."""
        indices = list(indices)
        if not indices or not detections:
            return indices, list(detections)
        seen = np.array([d.box for d in detections], dtype=np.float64)
        similarity = widened_iou(predicted[indices], seen, self._settings.widening)
        _, column_of_row, row_of_column = lap.lapjv(1.0 - similarity, extend_cost=True, cost_limit=1.0 - least)
        for row, column in enumerate(column_of_row):
            if column >= 0:
                self._see(self._candidates[indices[row]], detections[column], time_s)
        left = [index for row, index in enumerate(indices) if column_of_row[row] < 0]
        return left, [d for column, d in enumerate(detections) if row_of_column[column] < 0]

    def _see(self, candidate: _Candidate, detection: Detection, time_s: float) -> None:
        candidate.motion.correct(detection.box, time_s, self._settings.coast_seconds)
        track = candidate.track
        hits = track.hits + 1
        identity = track.id
        if not identity and hits >= self._settings.confirm_hits:
            identity, self._next_id = self._next_id, self._next_id + 1
        candidate.track = replace(
            track,
            id=identity,
            box=detection.box,
            hits=hits,
            last_seen_s=max(time_s, track.last_seen_s),
            detection=detection,
        )

    def _start(self, time_s: float, detections: Sequence[Detection]) -> None:
        for detection in detections:
            if detection.score < self._settings.new_score or len(self._candidates) >= self._settings.most_tracks:
                continue
            x, y = detection.box.centre
            motion = _Motion(x, y, np.log(detection.box.width), np.log(detection.box.height), time_s)
            self._candidates.append(_Candidate(motion, Track(0, detection.box, time_s, time_s, 1, detection)))

    def _forget(self, time_s: float) -> None:
        """Drop what has been out of sight too long; an unconfirmed face is given less patience."""

        def keep(track: Track) -> bool:
            patience = self._settings.lost_seconds if track.id else self._settings.confirm_seconds
            return time_s - track.last_seen_s <= patience

        self._candidates = [c for c in self._candidates if keep(c.track)]

    def _public(self, candidate: _Candidate, time_s: float) -> Track:
        """The track as this frame leaves it; out of sight, its box is the predicted one and it has no detection."""
        track = candidate.track
        if track.last_seen_s >= time_s:
            return track
        return replace(track, box=candidate.motion.predict(time_s, self._settings.coast_seconds), detection=None)


def widened_iou(a: Boxes, b: Boxes, widening: float) -> Boxes:
    """IoU of every box in `a` (N x 4) with every box in `b` (M x 4), all widened about their centres, as N x M."""
    a, b = _widened(a, widening)[:, None], _widened(b, widening)[None]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.clip(overlap, 0.0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def _widened(boxes: Boxes, widening: float) -> Boxes:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * widening
    return np.concatenate([centre - half, centre + half], axis=1)


def _is_usable(detection: Detection) -> bool:
    box = detection.box
    return bool(np.isfinite((*box, detection.score)).all()) and box.width >= 1 and box.height >= 1
