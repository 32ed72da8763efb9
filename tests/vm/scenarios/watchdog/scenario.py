"""The daemon is stopped dead, then one of its workers hangs: systemd's watchdog starts it again, and alerts go on."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    yield "stopped: " + lab.guest("stop.sh", 600, how="stop").strip().replace("\n", "; ")
    yield "a worker that hangs: " + lab.guest("stop.sh", 600, how="hang").strip().replace("\n", "; ")
