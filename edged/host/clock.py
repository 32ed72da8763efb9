"""The real clock: monotonic seconds, UTC milliseconds, and whether the latter may be believed, and acted upon for good."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.messages import iso
from edged.ports import Clock
from edged.shared_remedies import CLOCK

# systemd-timesyncd touches this file at each sync and never removes it before the next boot.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")

EARLIEST_MS = 1_767_225_600_000
"""2026-01-01: no clock that was ever set says less. Saved times and systemd's own build date are later, and wrong too."""

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SETTLED_S = 300.0
"""A clock that has been believed and has not jumped for this long is right enough for what cannot be undone."""

JUMP_MS = 60_000
LEAP_MS = 20 * HOUR_MS
"""A clock that jumps this far while it is believed has most likely been set wrong."""

LONGEST_OFF_MS = 31 * DAY_MS
"""So long a device may have been switched off without its clock being doubted."""

DOUBTED_MS = DAY_MS
"""A leap that has stood for this long is believed."""


UNSET_S = 600.0
"""A clock that was not set for so long after the start will hardly be set by itself."""


class SystemClock:
    """This machine's time; see `edged.ports.Clock`."""

    def __init__(self, always_trusted: bool = False, synchronised: Path = SYNCHRONISED) -> None:
        self._always_trusted = always_trusted
        self._synchronised = synchronised

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def trusted(self) -> bool:
        return self._always_trusted or self._synchronised.exists()


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What is remembered of the clock from one run to the next, in UTC milliseconds."""

    believed_ms: int | None = None
    """The last instant at which it was believed."""
    doubted_from_ms: int | None = None
    """Since when it has shown something else, by its own time; None while it is believed."""
    doubted_ms: int | None = None
    """The last instant of that."""

    @classmethod
    def parse(cls, text: str | None) -> "Reckoning":
        """From its own JSON; nothing known where that cannot be read."""
        try:
            known = json.loads(text or "{}")
            return cls(**{name: None if (value := known.get(name)) is None else int(value) for name in cls.__slots__})
        except (ValueError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        return json.dumps(asdict(self))


class WatchedClock:
    """A clock that is checked against its earlier readings, of this run and of earlier ones. Thread-safe.

    `trusted`: it is synchronised, or said to be right, and has made no unexplained leap. After a leap of
    `LEAP_MS` either way, or of `LONGEST_OFF_MS` over a time without power, it is in doubt until it has stood for a day or come
    back. `settled`: it has been trusted for `SETTLED_S` without a jump; only then may days be closed and rows deleted.
    """

    def __init__(self, clock: Clock, known: Reckoning | None = None) -> None:
        self._clock = clock
        self._known = known or Reckoning()
        self._from_s = clock.monotonic_s()
        self._believed_s: float | None = None
        """The monotonic moment of `believed_ms`, None when that is an earlier run's."""
        self._last: tuple[float, int] | None = None
        """When it was last looked at, and what it said; None while it is not synchronised."""
        self._steady_from_s = 0.0
        self._first_s: float | None = None
        """When a clock that nothing is known of was first believed."""
        self._lock = threading.Lock()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def utc_ms(self) -> int:
        return self._clock.utc_ms()

    def trusted(self) -> bool:
        self._sample()
        return self._last is not None and self._known.doubted_from_ms is None

    def settled(self) -> bool:
        """Whether what cannot be undone may be done by this clock."""
        return self.trusted() and self.monotonic_s() - self._steady_from_s >= SETTLED_S

    def reckoning(self) -> Reckoning:
        """What a later run should know."""
        self._sample()
        return self._known

    def doubt(self) -> str | None:
        """Why it is not believed though it should be right, with the remedy, for people; None when it is."""
        self._sample()
        known = self._known
        if known.doubted_from_ms is None or known.believed_ms is None:
            return None
        days = (known.doubted_from_ms - known.believed_ms) / DAY_MS
        return (
            f"the clock leapt by {days:+.0f} days, from {iso(known.believed_ms)} to {iso(known.doubted_from_ms)}: no day is"
            " closed and nothing is deleted until it has come back or stood for a day; check what sets it (`timedatectl`)"
        )

    def problem(self) -> str | None:
        """The doubt, or that the clock was not set for so long that somebody should see to it; None when all is well."""
        if doubt := self.doubt():
            return doubt
        unset_s = self.monotonic_s() - self._from_s
        if self.trusted() or unset_s < UNSET_S:
            return None
        return f"the clock has not been set: no daily report is made until it is; {CLOCK}"

    def _sample(self) -> None:
        """Take in what the clock says now."""
        with self._lock:
            now_s, now_ms = self._clock.monotonic_s(), self._clock.utc_ms()
            if now_ms < EARLIEST_MS or not self._clock.trusted():
                self._last = None
                return
            if self._last is None or abs(now_ms - self._last[1] - _ms(now_s - self._last[0])) >= JUMP_MS:
                self._steady_from_s = now_s
            self._last = now_s, now_ms
            if self._is_explained(now_s, now_ms):
                self._known, self._believed_s = Reckoning(now_ms), now_s
            else:
                since = self._doubted_from(now_ms)
                self._known = Reckoning(self._known.believed_ms, since, now_ms)

    def _is_explained(self, now_s: float, now_ms: int) -> bool:
        """Whether it follows from what was believed last, or has stood for long enough to be believed all the same."""
        known = self._known
        if known.believed_ms is None:
            self._first_s = now_s
            return True
        if self._first_s is not None and now_s - self._first_s < SETTLED_S:
            return True  # a new device's clock may yet be set
        if now_ms - self._doubted_from(now_ms) >= DOUBTED_MS:
            return True
        if self._believed_s is None:
            return -LEAP_MS < now_ms - known.believed_ms < LONGEST_OFF_MS
        return abs(now_ms - known.believed_ms - _ms(now_s - self._believed_s)) < LEAP_MS

    def _doubted_from(self, now_ms: int) -> int:
        """Since when it has shown its present time, which is not believed; now, unless it continues what it showed last."""
        since, last = self._known.doubted_from_ms, self._known.doubted_ms
        if since is None or last is None or not -LEAP_MS < now_ms - last < LONGEST_OFF_MS:
            return now_ms
        return min(since, now_ms)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
