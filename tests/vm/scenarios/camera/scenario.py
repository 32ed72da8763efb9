"""A real /dev/video0, from the kernel's vivid: its rate is the config's, and it comes back after its driver was gone."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    lab.guest("attach.sh")
    lab.guest("start.sh")
    yield lab.guest("rate.sh", 400).strip().splitlines()[-1]
    yield lab.guest("unplug.sh", 400).strip().splitlines()[-1]
