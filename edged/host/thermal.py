"""The board's temperature, whether it throttles itself, and by how much to slow down before it does."""

import logging
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from edged.processes.program import run

log = logging.getLogger(__name__)

ZONES = Path("/sys/class/thermal")
PI_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD = ("/usr/bin/vcgencmd", "get_throttled")
ANSWER_S = 2.0
SILENT_S = 600.0
"""A firmware that has not answered is not asked for so long: each program that asks may stay in its driver for ever."""
UNDER_VOLTAGE, FREQUENCY_CAPPED, THROTTLED, SOFT_LIMIT = 0x1, 0x2, 0x4, 0x8
"""Bits of the Pi firmware's `get_throttled` that hold now; those 16 places up say the same of any time since the start."""
IMPLAUSIBLE_BELOW_C, IMPLAUSIBLE_ABOVE_C = -30.0, 130.0

WARM_C, HOT_C, VERY_HOT_C = 76.0, 80.0, 84.0
"""A Pi slows itself at 80 (soft limit) and 85 degrees, a Jetson above 95 or so: full rate up to the first of these."""
COOLER_BY_C = 5.0
"""A step is taken back only this far under where it was taken."""
STEPS = ((WARM_C, 0.67), (HOT_C, 0.5), (VERY_HOT_C, 0.25))
LAST_SHARE = STEPS[-1][1]
"""The step after which the board slows itself, and everything with it."""
_silent_until_s = float("-inf")
HOLD_S = 30.0
"""A step up to more pictures waits this long after the last change; a step down never waits."""


@dataclass(frozen=True, slots=True)
class ThermalState:
    """One reading. `temperature_c` is of the hottest zone, None where the board does not report it."""

    temperature_c: float | None
    throttled: bool = False
    """The board lowers its own clock rate now, because it is hot."""
    under_voltage: bool = False
    """The power supply is too weak now."""


def read_thermal_state(zones: Path = ZONES, firmware: Path = PI_THROTTLED) -> ThermalState:
    """What the board reports now; takes two seconds at most, a few microseconds on most boards."""
    flags = _pi_flags(firmware)
    return ThermalState(
        _hottest(zones),
        throttled=bool(flags & (FREQUENCY_CAPPED | THROTTLED | SOFT_LIMIT)),
        under_voltage=bool(flags & UNDER_VOLTAGE),
    )


class Throttle:
    """What share of the usual rate to work at; pure: time and readings come in. Down at once, up slowly."""

    def __init__(self) -> None:
        self.share = 1.0
        self._changed_s = float("-inf")

    def after(self, time_s: float, state: ThermalState) -> float:
        """The share after this reading; call every few seconds."""
        target = self._target(state)
        if target < self.share or (target > self.share and time_s - self._changed_s >= HOLD_S):
            self.share, self._changed_s = target, time_s
        return self.share

    def _target(self, state: ThermalState) -> float:
        temperature = state.temperature_c
        share = 1.0
        for limit, step in STEPS:
            # Where a step is already taken, its limit is lower: no flicker at the edge.
            edge = limit - COOLER_BY_C if self.share <= step else limit
            if temperature is not None and temperature >= edge:
                share = step
        return min(share, STEPS[1][1]) if state.throttled else share


def _hottest(zones: Path) -> float | None:
    """Of all zones that can be read: a Jetson's switched off parts report an error."""
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            celsius = int(file.read_text()) / 1000
        except (OSError, ValueError):
            continue
        if IMPLAUSIBLE_BELOW_C < celsius < IMPLAUSIBLE_ABOVE_C:
            found.append(celsius)
    return max(found, default=None)


def _pi_flags(firmware: Path) -> int:
    """The Pi firmware's flags, 0 on another board."""
    try:
        return int(firmware.read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    if not Path(VCGENCMD[0]).exists() or time.monotonic() < _silent_until_s:
        return 0
    try:
        done = run(VCGENCMD, ANSWER_S)
        return 0 if done.returncode else int(done.stdout.strip().partition(b"=")[2], 16)
    except subprocess.TimeoutExpired:
        _leave_alone()
        return 0
    except (OSError, ValueError):
        return 0


def _leave_alone() -> None:
    global _silent_until_s
    _silent_until_s = time.monotonic() + SILENT_S
    log.warning(
        "%s has not answered within %g s: for %g minutes it is not known whether the board slows itself or gets too little"
        " power; restart the board if this comes again",
        VCGENCMD[0],
        ANSWER_S,
        SILENT_S / 60,
    )
