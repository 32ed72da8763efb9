"""Runs scenarios: `python -m tests.vm [NAME…]`. Each is a folder in scenarios/ with a `scenario.py` and scripts for the guest."""

import importlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from .image import CACHE, image
from .lab import Lab, installed, newest_package
from .machine import Stopped, machine

SCENARIOS = Path(__file__).parent / "scenarios"


def play(name: str) -> bool:
    """Run one scenario, tell each thing it shows, and whether all was as it must be."""
    scenario = importlib.import_module(f"tests.vm.scenarios.{name}.scenario")
    CACHE.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    package = newest_package()
    disks = image() if getattr(scenario, "PRISTINE", False) else installed(image(), package)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=CACHE) as folder, machine(disks, Path(folder)) as made:
        lab = Lab(made, SCENARIOS / name)
        lab.prepare(package)
        try:
            for line in scenario.run(lab):
                print(f"vm: {name}: {time.monotonic() - began:4.0f} s  {line}", flush=True)
        except (Stopped, AssertionError) as wrong:
            logs = CACHE / f"failed-{name}"
            logs.mkdir(exist_ok=True)
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
    names = sys.argv[1:] or sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.py"))
    failed = [name for name in names if not play(name)]
    if failed:
        sys.exit(f"vm: {len(failed)} of {len(names)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
