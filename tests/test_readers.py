"""The tables of models that `[models]` can name."""

import subprocess
import sys
from typing import get_args

import pytest

from edged.config import ModelsConfig
from edged.readers import DETECTORS, LANDMARK_READERS, MASK_CLASSIFIERS, POSE_READERS

TABLES = {"detector": DETECTORS, "mask": MASK_CLASSIFIERS, "landmarks": LANDMARK_READERS, "pose": POSE_READERS}

LOAD_DEFAULTS = """
import sys
from edged.assembly import EVERYTHING, load_models
from edged.config import ModelsConfig
load_models(ModelsConfig(threads=1), EVERYTHING)
sys.exit(", ".join(name for name in sys.modules if name.startswith("edged.baselines")) or 0)
"""


@pytest.mark.parametrize("key", TABLES)
def test_the_config_names_what_can_be_loaded(key):
    assert get_args(ModelsConfig.model_fields[key].annotation) == tuple(TABLES[key])


def test_baselines_are_not_imported_unless_they_are_named():
    done = subprocess.run(
        [sys.executable, "-c", LOAD_DEFAULTS], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
