"""Runs scenarios: `python -m tests.vm [--long] [NAME…]`. Each: a folder in scenarios/, a `scenario.py` and scripts."""

import argparse
import importlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from .image import CACHE, image
from .lab import Lab, installed, newest_package, serving
from .machine import Stopped, machine

SCENARIOS = Path(__file__).parent / "scenarios"


BEGINS = {
    "pristine": lambda package: image(),
    "installed": lambda package: installed(image(), package),
    "serving": lambda package: serving(image(), package),
}
"""Where a scenario takes up the machine; one that serves need not be booted, which an emulated processor takes a minute for."""


def play(name: str, long: bool) -> bool:
    """Run one scenario, tell each thing it shows, and whether all was as it must be."""
    scenario = importlib.import_module(f"tests.vm.scenarios.{name}.scenario")
    CACHE.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    package = newest_package()
    disks = BEGINS[getattr(scenario, "BEGINS", "installed")](package)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=CACHE) as folder, machine(disks, Path(folder)) as made:
        lab = Lab(made, SCENARIOS / name, long)
        lab.prepare(package)
        try:
            for line in scenario.run(lab):
                print(f"vm: {name}: {time.monotonic() - began:4.0f} s  {line}", flush=True)
        except (Stopped, AssertionError) as wrong:
            logs = CACHE / f"failed-{name}"
            logs.mkdir(exist_ok=True)
            lab.keep_evidence()
            for log in Path(folder).glob("*.log"):
                (logs / log.name).write_bytes(log.read_bytes())
            print(
                f"vm: {name}: FAILED after {time.monotonic() - began:.0f} s: {wrong}\nvm: logs lie in {logs}",
                flush=True,
            )
            return False
    print(f"vm: {name}: passed in {time.monotonic() - began:.0f} s", flush=True)
    return True


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("vm: stopped"))  # so that the machine is switched off, too
    known = sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.py"))
    asked = argparse.ArgumentParser("python -m tests.vm", description="Tries the package under a real systemd in QEMU.")
    asked.add_argument("names", nargs="*", default=known, metavar="NAME", help=", ".join(known))
    asked.add_argument("--long", action="store_true", help="the long form of those that have one: 100 power cuts")
    given = asked.parse_args()
    if unknown := set(given.names) - set(known):
        asked.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    failed = [name for name in given.names if not play(name, given.long)]
    if failed:
        sys.exit(f"vm: {len(failed)} of {len(given.names)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
