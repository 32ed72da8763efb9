"""A pristine Debian: one command installs, one file sets up, an alert is heard, and purging leaves what was there before."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "pristine"


def run(lab: Lab) -> Iterator[str]:
    yield f"booted in {lab.machine.boot():.0f} s"
    lab.guest("listen.sh")
    before = set(lab.guest("files.sh").splitlines())
    lab.guest("install.sh", 900)
    yield "installed by apt, with no network"
    yield lab.guest("idle.sh").strip().replace("\n", "; ")
    lab.guest("configure.sh")
    yield lab.guest("alert.sh", 600).strip().replace("\n", "; ")
    lab.guest("remove.sh")
    after = set(lab.guest("files.sh").splitlines())
    assert after == before, f"left behind: {sorted(after - before)[:20]}; gone: {sorted(before - after)[:20]}"
    yield "purged; the files are those of before"
