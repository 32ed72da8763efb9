"""The models use the processors that edged may use, and no other; a CPU set smaller than the machine is no trouble."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.host.device import usable_processors

ENGINES = Path(__file__).parents[1] / "engines"
OPEN_ALL = """
import os, sys
from pathlib import Path
os.sched_setaffinity(0, {int(sys.argv[2])})
from edged.inference import load_manifest, open_engine
manifest = load_manifest(Path(sys.argv[1]))
before = len(os.listdir("/proc/self/task"))
engine = open_engine(manifest, "mask")
print(len(os.listdir("/proc/self/task")) - before)
"""
PROCESSORS = sorted(os.sched_getaffinity(0))


@pytest.mark.skipif(len(PROCESSORS) < 2, reason="needs two processors, to be kept from one")
@pytest.mark.parametrize("processor", PROCESSORS[:2])
def test_a_cpu_set_is_kept_to_without_a_word(processor):
    command = [sys.executable, "-c", OPEN_ALL, str(ENGINES), str(processor)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0\n", "one processor needs no thread beside the caller's"


def test_as_many_as_the_set_allows():
    assert usable_processors() == len(PROCESSORS)
