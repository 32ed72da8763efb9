"""What a whole recording comes to, in one line for people: how long, who passed, what was seen for how long, and the gravest."""

from dataclasses import dataclass, field

from edged.config import Tasks
from edged.offline_result import Analysed, Found
from edged.signals.levels import KNOWN_LEVELS
from edged.types import DROWSY_LEVELS, MaskState

MASKS = tuple(state.words for state in (MaskState.CORRECT, MaskState.UNCERTAIN, MaskState.INCORRECT, MaskState.NONE))
DIRECTIONS = ("attentive", "away")
GRAVE = (MaskState.INCORRECT.words, MaskState.NONE.words, "away", *DROWSY_LEVELS)


def count_of(count: int, what: str) -> str:
    """`1 face`, `2 faces`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@dataclass(slots=True)
class _Seen:
    """One thing that was seen of people: of whom, how long altogether, and when first."""

    first_s: float
    tracks: set[int | None] = field(default_factory=set)
    seconds: float = 0.0


class Summary:
    """Takes one frame of a recording after the other."""

    def __init__(self, asked: Tasks) -> None:
        self._asked = asked
        self._frames = 0
        self._last_s = 0.0
        self._tracks: set[int | None] = set()
        self._seen: dict[str, _Seen] = {}

    def add(self, analysed: Analysed) -> None:
        """A frame stands for the time since the one before it."""
        passed_s, self._last_s = analysed.time_s - self._last_s, analysed.time_s
        self._frames += 1
        for face in analysed.counted():
            self._tracks.add(face.track)
            for word in self._words(face):
                seen = self._seen.setdefault(word, _Seen(analysed.time_s))
                seen.tracks.add(face.track)
                seen.seconds += passed_s

    def line(self) -> str:
        """`12.3 s, 308 pictures, 2 passages: no mask 1 passage, 3.2 s; worst: no mask, first at 1.20 s`."""
        whole = f"{self._last_s:.1f} s, {count_of(self._frames, 'picture')}, {count_of(len(self._tracks), 'passage')}"
        ordered = [word for word in (*MASKS, *DIRECTIONS, *KNOWN_LEVELS) if word in self._seen]
        parts = [
            f"{word} {count_of(len(seen.tracks), 'passage')}, {seen.seconds:.1f} s"
            for word in ordered
            if (seen := self._seen[word])
        ]
        grave = [word for word in ordered if word in GRAVE]
        parts += [f"worst: {grave[-1]}, first at {self._seen[grave[-1]].first_s:.2f} s"] if grave else []
        return f"{whole}: {'; '.join(parts)}" if parts else whole

    def _words(self, face: Found) -> list[str]:
        words = [face.state.words] if self._asked.mask else []
        if self._asked.attention and face.attention is not None and face.attention.attentive is not None:
            words.append("attentive" if face.attention.attentive else "away")
        if self._asked.drowsiness and face.drowsiness is not None and face.drowsiness.level in KNOWN_LEVELS:
            words.append(face.drowsiness.level)
        return words
