"""What a sound output plays, and when: from causes to one clip after the other. Pure: time comes in."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from edged.config import Rule, SoundOutput
from edged.outputs.activation import NEVER, Activation
from edged.outputs.rules import Cause
from edged.outputs.sentences import sentence_for

ALARM, CHIME, VOICE, FILE = "alarm", "chime", "voice", "file"

AGAIN_S = 5.0
"""Whatever happens meanwhile, the same clip is not begun again sooner."""

RANKS: tuple[tuple[str, int], ...] = (("drowsiness_alarm", 4), ("drowsiness_notice", 1), ("drowsiness", 3), ("", 2))
"""By the beginning of a rule's name, the first that fits: the graver one is heard."""


class Playback(NamedTuple):
    """A clip that is to be heard; another `serial` means to begin anew."""

    serial: int
    clip: str
    """`alarm` (goes on until it is ended), `chime`, `file`, or `voice/<sentence>`."""

    @property
    def goes_on(self) -> bool:
        return self.clip == ALARM


def rank(rule: Rule) -> int:
    """How grave a rule is, beside others that are true at the same time."""
    return next(grave for beginning, grave in RANKS if rule.startswith(beginning))


def clip_for(play: str, rule: Rule) -> str:
    """The clip for a rule."""
    if play.startswith("/"):
        return FILE
    if play == "auto":
        play = {"drowsiness_alarm": ALARM, "drowsiness_notice": CHIME}.get(rule, VOICE)
    sentence = sentence_for(rule)
    return f"{VOICE}/{sentence}" if play == VOICE and sentence else CHIME if play == VOICE else play


def clips_of(settings: SoundOutput) -> set[str]:
    """Every clip that an output may play."""
    return {clip_for(settings.play, rule) for rule in _heard(settings.when)}


def _heard(rules: Collection[Rule]) -> list[Rule]:
    """With the graver levels of drowsiness that a level includes."""
    levels: list[Rule] = ["drowsiness_notice", "drowsiness_warning", "drowsiness_alarm"]
    least = min((levels.index(rule) for rule in rules if rule in levels), default=len(levels))
    return [*rules, *levels[least:]]


@dataclass(slots=True)
class SoundPlan:
    """One sound output's clips: a graver cause is heard at once, and none twice for the same reason."""

    settings: SoundOutput
    _rank: int = 0
    _serial: int = 0
    _clip: str | None = None
    _began_s: float = -NEVER
    _last: str | None = None
    """The clip that was begun last, over or not."""
    _repetition: tuple[float, float] | None = None

    def update(self, activation: Activation, now_s: float) -> Playback | None:
        """What is to be heard now. None: nothing more; a clip that does not go on by itself may end."""
        live, turn_s = activation.open_causes, activation.turn_s(now_s)
        if not live and turn_s is not None and self._clip == ALARM:
            return Playback(self._serial, ALARM)  # for as long as it is on at least
        if not live or turn_s is None or activation.on_since_s is None:
            self._rank, self._clip, self._repetition = 0, None, None
            return None
        gravest = max(live, key=lambda cause: (rank(cause.rule), cause.rule))
        grave, clip = rank(gravest.rule), clip_for(self.settings.play, gravest.rule)
        every = self.settings.repeat_seconds
        repetition = activation.on_since_s, (now_s - activation.on_since_s) // every if every else 0.0
        someone_new = (
            any(rank(cause.rule) >= grave for cause in activation.new_causes) and now_s - self._began_s >= AGAIN_S
        )
        if clip == self._last != ALARM and self._clip is None and now_s - self._began_s < AGAIN_S:
            self._clip = clip  # people follow one another: it is still being heard
        elif grave > self._rank or repetition != self._repetition or (someone_new and clip != ALARM):
            self._serial, self._clip, self._last, self._began_s = self._serial + 1, clip, clip, now_s
        elif grave < self._rank and self._clip == ALARM:
            self._clip = None
        self._rank, self._repetition = grave, repetition
        return None if self._clip is None else Playback(self._serial, self._clip)

    def next_s(self, activation: Activation, now_s: float) -> float:
        """When time alone may change something."""
        moments = [activation.next_s(now_s)]
        longest, every = self.settings.longest_seconds, self.settings.repeat_seconds
        if activation.on_since_s is not None:
            began = activation.on_since_s + ((now_s - activation.on_since_s) // every * every if every else 0.0)
            moments += [began + (longest or NEVER), began + (every or NEVER), activation.spent_s]
        return min([NEVER, *(moment for moment in moments if moment > now_s)])


def heard_rules(when: Collection[Rule], causes: Collection[Cause]) -> frozenset[Cause]:
    """Of what is true, that which an output listens to: with a level of drowsiness the graver ones too."""
    heard = set(_heard(when))
    return frozenset(cause for cause in causes if cause.rule in heard)
