"""The daemon is stopped dead: systemd's watchdog starts it again, and alerts go on."""

from collections.abc import Iterator

from tests.vm.lab import Lab


def run(lab: Lab) -> Iterator[str]:
    yield f"booted in {lab.machine.boot():.0f} s"
    lab.ready()
    yield lab.guest("stop.sh", 600).strip().replace("\n", "; ")
