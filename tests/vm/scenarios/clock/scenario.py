"""A clock that was never set, then set in a jump: alerts go on, nothing is deleted, no day is reported that was not."""

import json
from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    machine.boot()
    before = json.loads(lab.guest("before.sh", 400).splitlines()[-1])
    machine.power_off()
    machine.boot("-rtc", "base=1970-01-01,clock=vm")
    yield lab.guest("unset.sh", 400, now=before["now"]).strip().splitlines()[-1]
    after = json.loads(lab.guest("jump.sh", 900, now=before["now"] + 3600).splitlines()[-1])
    lost = set(before["events"]) - set(after["events"])
    assert not lost, f"gone from the record: {sorted(lost)}"
    assert set(after["days"]) <= set(before["days"]), f"reported: {after['days']}"
    assert not after["early"], f"{after['early']} events still carry the wrong clock's time"
    yield f"set by a jump of months: {len(after['events'])} events, none lost, none with a wrong time; reports of {after['days']}"
