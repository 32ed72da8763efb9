"""The real clock: monotonic seconds, UTC milliseconds, and whether the latter may be believed."""

import time
from pathlib import Path

# systemd-timesyncd touches this file at each sync and never removes it before the next boot.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


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
