"""The pause that stands: no camera is open until it ends, by itself or by a person; it outlives restarts of daemon and machine.

How long it lasts is monotonic time: a clock that is set moves nothing. After a restart of the machine a clock that is believed
says what is left; until there is one the pause lasts anew as long as it was asked for, and no longer.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.errors import UsageError
from edged.host.clock import MINUTE_MS
from edged.host.device import boot_id
from edged.messages import iso
from edged.ports import Clock
from edged.report.coverage import LONGEST_PAUSE_MS
from edged.report.day import day_of, day_span

PAUSE = "pause"
"""Under which the store remembers it."""
WHOLE_DAY = 1440
MOST_MINUTES = LONGEST_PAUSE_MS // MINUTE_MS
LONGEST_WHO = 100
SOMEBODY = "somebody"
STEADY_MS = 2000
"""Smaller differences do not count as another end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """`ends_s` is monotonic, in the machine's run `boot`; `ends_ms` is the same by the clock, if `clock_ok` a believed one."""

    who: str
    minutes: int
    ends_s: float
    ends_ms: int
    clock_ok: bool
    boot: str

    @property
    def until(self) -> str:
        return iso(self.ends_ms)


class Pauses:
    """Used by the main thread; others read `stands`."""

    def __init__(
        self, clock: Clock, stored: str | None, remember: Callable[[str], None], boot: str | None = None
    ) -> None:
        """`stored` is what `remember` was given last."""
        self._clock, self._remember = clock, remember
        self._boot = boot_id() if boot is None else boot
        self.stands = _parsed(stored)
        self._by_clock = False
        """The clock has yet to say what is left."""
        if self.stands is not None and not (self._boot and self.stands.boot == self._boot):
            self._by_clock = self.stands.clock_ok
            ends_s = clock.monotonic_s() + 60.0 * self.stands.minutes
            self.stands = replace(self.stands, ends_s=ends_s, boot=self._boot)
        self.check()

    def begin(self, asked: Mapping[str, Any], config: Config) -> Pause:
        """Pause as the command `pause` asks, in place of what stands. Raise UsageError, saying what would be right."""
        minutes, who = _minutes(asked, config, self._clock), asked.get("who", "")
        if not isinstance(who, str) or len(who) > LONGEST_WHO or not who.isprintable():
            raise UsageError(f"who: must be one line of at most {LONGEST_WHO} characters")
        now_s, now_ms = self._clock.monotonic_s(), self._clock.utc_ms()
        self.stands = pause = Pause(
            who.strip() or SOMEBODY,
            math.ceil(minutes),
            now_s + 60.0 * minutes,
            now_ms + round(60_000 * minutes),
            self._clock.trusted(),
            self._boot,
        )
        self._by_clock = False
        self._remember(json.dumps(asdict(pause)))
        return pause

    def end(self) -> None:
        """Watch again."""
        self.stands, self._by_clock = None, False
        self._remember("null")

    def check(self) -> bool:
        """Whether the pause is over; call often."""
        pause, now_s = self.stands, self._clock.monotonic_s()
        if pause is None:
            return False
        if self._by_clock and self._clock.trusted():
            self._by_clock = False
            left_s = (pause.ends_ms - self._clock.utc_ms()) / 1000
            pause = replace(pause, ends_s=min(pause.ends_s, now_s + left_s))
        if not self._by_clock:  # the clock may have been set since
            ends_ms = self._clock.utc_ms() + round(1000 * (pause.ends_s - now_s))
            pause = replace(pause, ends_ms=ends_ms) if abs(ends_ms - pause.ends_ms) > STEADY_MS else pause
        self.stands = pause
        return now_s >= pause.ends_s


def named(who: object, otherwise: str = SOMEBODY) -> str:
    """Who has asked for something, as events and logs hold it: one line; `otherwise` where that is nobody's name."""
    name = str(who or "").strip()[:LONGEST_WHO]
    return name if name and name.isprintable() else otherwise


def _minutes(asked: Mapping[str, Any], config: Config, clock: Clock) -> float:
    longest, minutes = config.privacy.pause_longest_minutes, asked.get("minutes")
    if "until" in asked:
        if asked["until"] != "tomorrow" or minutes is not None:
            raise UsageError('until: must be "tomorrow", alone; or give minutes')
        if not clock.trusted():
            raise UsageError("until tomorrow: the clock is not set, and does not know when that is; give minutes")
        zone = ZoneInfo(config.report.timezone)
        left = (day_span(day_of(clock.utc_ms(), zone) + timedelta(days=1), zone).start - clock.utc_ms()) / 60_000
        if left > longest and longest < WHOLE_DAY:
            raise UsageError(f"until tomorrow: is longer than privacy.pause_longest_minutes = {longest}; give minutes")
        return max(left, 1.0)
    if type(minutes) is not int or not 1 <= minutes <= longest:
        raise UsageError(f'minutes: must be a whole number from 1 to {longest}, or give "until": "tomorrow"')
    return float(minutes)


def _parsed(stored: str | None) -> Pause | None:
    """What was remembered; None of what is damaged."""
    try:
        pause = Pause(**json.loads(stored or "null"))
        kinds = {"who": str, "minutes": int, "ends_s": float, "ends_ms": int, "clock_ok": bool, "boot": str}
        right = all(type(getattr(pause, name)) is kind for name, kind in kinds.items())
    except (ValueError, TypeError, RecursionError):
        return None
    sane = right and 1 <= pause.minutes <= MOST_MINUTES and math.isfinite(pause.ends_s) and 0 <= pause.ends_ms < 2**53
    return pause if sane else None
