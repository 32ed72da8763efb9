"""No room left, then no inodes: the box runs, says so, and recovers by itself."""

from collections.abc import Iterator

from tests.vm.lab import Lab


def run(lab: Lab) -> Iterator[str]:
    lab.machine.add_disk("state", 128, "-N", "200")
    lab.machine.boot()
    lab.guest("own_disk.sh")
    lab.ready()
    for fill in ("bytes", "inodes"):
        yield lab.guest("fill.sh", 600, fill=fill).strip().splitlines()[-1]
