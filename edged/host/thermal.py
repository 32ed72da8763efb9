"""The board's temperature, whether it throttles itself, and by how much to slow down before it does."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ZONES = Path("/sys/class/thermal")
PI_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD = ("vcgencmd", "get_throttled")
ANSWER_S = 2.0
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
    if not Path("/usr/bin/vcgencmd").exists():
        return 0
    try:
        said = subprocess.run(VCGENCMD, capture_output=True, timeout=ANSWER_S, check=True, text=True).stdout
        return int(said.strip().partition("=")[2], 16)
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0
