"""Models share one arena of memory: inputs of many shapes cost no more than the largest, and a second model little more."""

import subprocess
import sys
from pathlib import Path

ENGINES = Path(__file__).parents[1] / "engines"
MANY_SHAPES = """
import sys
from pathlib import Path
import numpy as np
from edged.inference import load_manifest, open_engine
from edged.host.device import resident_mb
manifest = load_manifest(Path(sys.argv[1]))
detectors = [open_engine(manifest, "detector", 1) for _ in range(int(sys.argv[2]))]
for detector in detectors:
    detector.run({"image": np.zeros((1, 736, 1280, 3), np.uint8)})
before = resident_mb()
sizes = [(736, 1280), *((height, width) for height in range(32, 520, 32) for width in range(32, 520, 96)), (736, 1280)]
for height, width in sizes:
    for detector in detectors * 2:  # a plan of memory is made for what has come once
        detector.run({"image": np.zeros((1, height, width, 3), np.uint8)})
print(before, resident_mb() - before)
"""


def measured(models: int) -> tuple[float, float]:
    """Resident megabytes after the largest picture, and how many more after many smaller ones."""
    command = [sys.executable, "-c", MANY_SHAPES, str(ENGINES), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    before, grown = done.stdout.split()
    return float(before), float(grown)


def test_pictures_of_many_sizes_cost_no_more_than_the_largest():
    assert measured(1)[1] < 8


def test_models_share_their_memory():
    """A picture of 1280 x 736 takes the detector 30 MB or more."""
    assert measured(2)[0] - measured(1)[0] < 15
