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
    """Faces judged in one frame at most; those not looked at for longest go first, of equals the largest."""


@dataclass(frozen=True, slots=True)
class _Looks:
    count: int = 0
    last_s: float = float("-inf")


_NO_LOOKS = _Looks()


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
        if len(due) > self._settings.most_faces:
            due = sorted(due, key=self._urgency)[: self._settings.most_faces]
        scores = self._judge.judge(image, [track.box for track in due]) if due else []
        found = {track.id: score for track, score in zip(due, scores, strict=True)}
        self._remember(time_s, tracks, found)
        return [
            Face(track, found.get(track.id), None if track.id in found else reason or "not due")
            for track, reason in zip(tracks, reasons, strict=True)
        ]

    def _reason_not_to_look(self, time_s: float, track: Track) -> str | None:
        if track.detection is None:
            return "out of sight"
        if track.box.side < self._settings.smallest_face:
            return "small"
        looks = self._looks.get(track.id, _NO_LOOKS)
        if looks.count < self._settings.looks_until_settled:
            return None
        return None if time_s - looks.last_s >= self._settings.settled_interval_s else "not due"

    def _urgency(self, track: Track) -> tuple[float, float]:
        """The smaller, the sooner a track must be looked at: nobody waits for ever, however many there are."""
        return self._looks.get(track.id, _NO_LOOKS).last_s, -track.box.side

    def _remember(self, time_s: float, tracks: Sequence[Track], looked_at: Collection[int]) -> None:
        """Count this frame's looks and drop the tracks that are gone, which bounds the memory."""
        looks = {track.id: self._looks.get(track.id, _NO_LOOKS) for track in tracks}
        looks.update({track: _Looks(looks[track].count + 1, time_s) for track in looked_at})
        self._looks = looks
