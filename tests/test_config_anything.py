"""Whatever stands in the config file, it loads or is a ConfigError, and nothing else."""

import copy
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.config import CameraConfig, Config, load_config
from edged.config.load import parse_config
from edged.config.output import OUTPUTS
from edged.errors import ConfigError

SECTIONS = [
    *OUTPUTS,
    *(field.annotation for name, field in Config.model_fields.items() if name not in ("camera", "output")),
]
PATH = Path("edged.toml")


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.times(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([*Config.model_fields, "defaults", "masks", ""]) | st.text(max_size=8)
KEYS = sorted({key for model in [*SECTIONS, CameraConfig] for key in model.model_fields})
TABLES = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), ANYTHING, max_size=5)
STRUCTURES = st.dictionaries(
    NAMES,
    TABLES | ANYTHING | st.dictionaries(st.sampled_from(["door", "mask", "attention", "a b"]), TABLES, max_size=3),
    max_size=5,
)


def outcome(load):
    """The lines of the ConfigError that `load` raises; none when it gives a Config. Anything else comes through."""
    try:
        assert isinstance(load(), Config)
    except ConfigError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize("examples", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_structure_loads_or_is_a_config_error(examples):
    settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(given(STRUCTURES)(load))()


def load(structure):
    lines = outcome(lambda: parse_config(structure, PATH))
    assert all(re.match("edged.toml: (key|table|and more)", line) for line in lines)


VALID = {
    "device": {"id": "x", "name": "X"},
    "defaults": {"fps": 5},
    "mask": {"enter_score": 0.8, "violations": ["none"]},
    "attention": {"long_seconds": 5, "target_yaw": 3.0, "target_pitch": -5, "distractions": ["long"]},
    "drowsiness": {"enabled": True, "yawns": 2, "reasons": ["sleep", "perclos"], "alert_level": "alarm"},
    "camera": {
        "door": {"source": "rtsp://h/x", "region": [0, 0, 1, 1], "mask": {"least_votes": 4}},
        "cab": {
            "source": "rtsp://h/y",
            "profile": "driver",
            "attention": {"enabled": False},
            "drowsiness": {"nods": 3},
        },
    },
    "mqtt": {"host": "h", "tls": True, "port": 1, "username": "u", "password_file": "/p"},
    "report": {"timezone": "Europe/Madrid", "open_from": "08:00", "target_percent": 90},
    "store": {"path": "/tmp/x.db", "retention_days": 3},
}


@st.composite
def mutated(draw):
    """A valid config with one to three of its values replaced, or keys added."""
    config = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        table = config
        while True:
            key = draw(st.sampled_from(sorted(table)))
            if not isinstance(table[key], dict) or not table[key] or draw(st.integers(0, 3)) == 0:
                break
            table = table[key]
        table[draw(st.sampled_from([key, key, key + "s"]))] = draw(ANYTHING)
    return config


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_valid_config_with_wrong_parts_loads_or_is_a_config_error(structure):
    lines = outcome(lambda: parse_config(structure, PATH))
    assert all(re.match("edged.toml: (key|table|and more)", line) for line in lines)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(st.sampled_from("[]{}=.\"'#\n,a1 -_"), max_size=120).map(str.encode))
def test_any_file_loads_or_is_a_config_error(tmp_path, data):
    path = tmp_path / "edged.toml"
    path.write_bytes(data)
    assert all(line.startswith(f"{path}: ") for line in outcome(lambda: load_config(path)))


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=60) | st.text(max_size=40).map("rtsp://".__add__) | st.text(max_size=40).map("v4l2:///a?".__add__)
)
def test_any_source_is_taken_apart_or_refused(uri):
    lines = outcome(lambda: parse_config({"camera": {"door": {"source": uri}}}, PATH))
    assert all(line.startswith("edged.toml: key camera.door.source = ") for line in lines)
