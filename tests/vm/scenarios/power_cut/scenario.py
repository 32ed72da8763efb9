"""The power goes at random instants while events are written: nothing that was heard or stored is lost, nothing stays open."""

import json
import os
import random
import re
import time
from collections.abc import Iterator

from tests.vm.lab import Lab
from tests.vm.machine import Stopped

CUTS = int(os.environ.get("CUTS", "20"))
EVENT = re.compile(r'"event_id": ?"([0-9A-Z]{26})"')


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)
    machine.boot()
    lab.ready()
    heard_log = machine.folder / "heard.log"
    for cut in range(1, CUTS + 1):
        heard_before = len(heard_log.read_text(errors="replace"))
        deadline = time.monotonic() + 300
        while "/events " not in heard_log.read_text(errors="replace")[heard_before:]:
            if time.monotonic() > deadline:
                raise Stopped("no event within 300 s")
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.5) if cut % 2 else chance.uniform(3, 14))
        machine.power_cut()
        heard = set(EVENT.findall(heard_log.read_text(errors="replace")))
        machine.boot()
        seen = json.loads(lab.guest("look.sh", 400).splitlines()[-1])
        lost = heard - set(seen["stored"])
        assert not lost, f"cut {cut}, seed {seed}: heard and lost: {sorted(lost)}"
        assert not seen["open"], f"cut {cut}, seed {seed}: {seen['open']} events of before are open"
        yield f"cut {cut} of {CUTS} survived, {len(heard)} events heard so far (seed {seed})"
