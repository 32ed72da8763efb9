"""No network, and a broker that appears minutes after the start: what happened before it is told, whole and in order."""

import json
import os
from collections.abc import Iterator

from tests.vm.lab import Lab

MINUTES = int(os.environ.get("MINUTES", "10"))

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    lab.guest("away.sh")
    lab.guest("start.sh")
    before = json.loads(lab.guest("alone.sh", MINUTES * 60 + 120, minutes=MINUTES).splitlines()[-1])
    yield f"{MINUTES} minutes without a broker, as the status says: {before['events']} events, {before['waiting']} messages wait"
    yield lab.guest("comes.sh", 600, last=before["last"]).strip().splitlines()[-1]
