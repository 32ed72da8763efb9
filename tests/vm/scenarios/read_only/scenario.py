"""A root that takes no writing, with /var on a disk of its own: the box runs as on any other."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    machine.boot()
    lab.guest("split.sh", 300)
    machine.power_off()
    machine.boot(root="ro")
    yield lab.guest("runs.sh", 600).strip().splitlines()[-1]
