"""No room left, then no inodes: the box runs, says so, and recovers by itself."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    for fill in ("bytes", "inodes"):
        yield lab.guest("fill.sh", 600, fill=fill).strip().splitlines()[-1]
