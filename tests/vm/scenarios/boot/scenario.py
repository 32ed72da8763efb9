"""From power on to the first alert, by the guest's clock, which does not depend on how busy the host is."""

import json
from collections.abc import Iterator

from tests.vm.lab import Lab

FIRMWARE_S = 2.5
"""From power on to the guest's clock 0: firmware, and the kernel's unpacking."""
GOAL_S = 30.0

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    lab.machine.power_off()
    lab.machine.boot()
    seen = json.loads(lab.guest("measure.sh", 400).splitlines()[-1])
    started, ready, alert = (float(seen[key]) + FIRMWARE_S for key in ("started", "ready", "alert"))
    yield f"from power on: edged is started after {started:.1f} s, READY after {ready:.1f} s, first alert after {alert:.1f} s"
    yield f"the chain of units before it: {lab.guest('chain.sh').strip()}"
    assert alert <= GOAL_S, f"the first alert came {alert:.1f} s after power on, not {GOAL_S:.0f}"
