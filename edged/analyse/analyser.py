"""Decides which faces are worth a look in this frame, and looks at them all in one batch.

A verdict that stands needs few looks: until a track's vote is settled every sighting is judged, afterwards one in a
while. This is where most of the work on the per-frame path is saved.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edged.ports import MaskJudge
from edged.types import Face, Image, Track


@dataclass(frozen=True, slots=True)
class AnalyserSettings:
    """Which faces are judged, and how often."""

    smallest_face: float = 24
    looks_until_settled: int = 8
    settled_interval_s: float = 0.5
    """From one look to the next once the verdict stands."""
    most_faces: int = 64
    """Faces judged in one frame at most; the largest go first, the rest wait for the next frame."""


@dataclass(slots=True)
class _Looks:
    count: int
    last_s: float


class Analyser:
    """One camera's analyser; the judge behind it may be shared."""

    def __init__(self, judge: MaskJudge, settings: AnalyserSettings | None = None) -> None:
        self._judge = judge
        self._settings = settings or AnalyserSettings()
        self._looks: dict[int, _Looks] = {}

    def analyse(self, time_s: float, image: Image, tracks: Sequence[Track]) -> list[Face]:
        """One Face for each track, in order; those not looked at say why."""
        reasons = [self._reason_not_to_look(time_s, track) for track in tracks]
        due = [track for track, reason in zip(tracks, reasons, strict=True) if reason is None]
        due = sorted(due, key=lambda track: -track.box.side)[: self._settings.most_faces]
        scores = self._judge.judge(image, [track.box for track in due]) if due else []
        found = {track.id: score for track, score in zip(due, scores, strict=True)}
        self._remember(time_s, tracks, found.keys())
        return [
            Face(track, found.get(track.id), None if track.id in found else reason or "not due")
            for track, reason in zip(tracks, reasons, strict=True)
        ]

    def _reason_not_to_look(self, time_s: float, track: Track) -> str | None:
        if track.detection is None:
            return "out of sight"
        if track.box.side < self._settings.smallest_face:
            return "small"
        looks = self._looks.get(track.id)
        if looks is None or looks.count < self._settings.looks_until_settled:
            return None
        return None if time_s - looks.last_s >= self._settings.settled_interval_s else "not due"

    def _remember(self, time_s: float, tracks: Sequence[Track], looked_at: Collection[int]) -> None:
        """Count this frame's looks and drop the tracks that are gone, which bounds the memory."""
        kept: dict[int, _Looks] = {}
        for track in tracks:
            looks = self._looks.get(track.id) or _Looks(0, time_s)
            if track.id in looked_at:
                looks = _Looks(looks.count + 1, time_s)
            kept[track.id] = looks
        self._looks = kept
