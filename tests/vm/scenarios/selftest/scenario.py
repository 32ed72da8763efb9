"""Every model of the package gives what it should, with the libraries that the package brings."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    yield lab.guest("selftest.sh", 600).strip().replace("\n", "; ")
