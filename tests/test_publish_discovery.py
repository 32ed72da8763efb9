"""Home Assistant's discovery payload: it names only topics we publish, and its templates fit what we publish there."""

import json
import re
from typing import Any

import jinja2
import pytest

from edged import messages
from edged.config import CameraConfig, Config, DeviceConfig, MqttConfig
from edged.publish import device_discovery
from edged.publish.discovery import discovery_topic

ROOT = "site/edged/dev-1"
CONFIG = Config(
    device=DeviceConfig(name="Entrance 1"),
    mqtt=MqttConfig(host="broker", prefix="site/edged"),
    camera={name: CameraConfig(source="file:///x.mp4") for name in ("door", "door_2", "side-gate")},
)
COUNTS = messages.counts_payload({"correct": 4, "incorrect": 3, "none": 2, "uncertain": 1}, 0)
STATE = messages.state_payload(
    version="1", uptime_s=9.6, mode="normal", backend="cpu", models={}, clock_ok=True, outbox=7, errors=[], at=0
)


def components() -> dict[str, dict[str, Any]]:
    return device_discovery(CONFIG, "dev-1")["cmps"]


def published() -> set[str]:
    relative = {messages.AVAILABILITY, messages.STATE, messages.REPORT_DAILY}
    for camera in CONFIG.camera:
        relative |= {messages.camera_status(camera), messages.camera_counts(camera), messages.camera_violation(camera)}
    return {f"{ROOT}/{topic}" for topic in relative}


def topics(value: object) -> set[str]:
    """Every value under a key that ends in `topic`, at any depth."""
    if not isinstance(value, dict):
        return set()
    return {v for k, v in value.items() if k.endswith("topic")} | {t for v in value.values() for t in topics(v)}


def rendered(name: str, payload: dict[str, Any]) -> str:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(components()[name]["value_template"])  # noqa: S701
    return template.render(value_json=json.loads(messages.encode(payload)))


def test_every_unique_id_is_unique_and_fit_for_home_assistant() -> None:
    identities = [component["unique_id"] for component in components().values()]
    assert len(set(identities)) == len(identities) == 4 + 7 * 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", identity) for identity in [*identities, *components()])


def test_every_topic_is_one_we_publish_and_all_are_used() -> None:
    assert topics(device_discovery(CONFIG, "dev-1")) == published()


def test_every_component_has_a_platform_a_name_and_a_topic() -> None:
    for component in components().values():
        assert component["p"] in {"sensor", "binary_sensor", "event"}
        assert component["name"]
        assert component["state_topic"]


def test_the_device_is_named_and_available() -> None:
    payload = device_discovery(CONFIG, "dev-1")
    assert payload["dev"]["ids"] == ["edged_dev-1"]
    assert payload["dev"]["name"] == "Entrance 1"
    assert payload["availability_topic"] == f"{ROOT}/availability"
    assert payload["o"]["name"] == "edged"
    assert discovery_topic(CONFIG.mqtt, "dev-1") == "homeassistant/device/edged_dev-1/config"
    json.dumps(payload, allow_nan=False)


@pytest.mark.parametrize(
    ("key", "value"), [("present", "10"), ("correct", "4"), ("incorrect", "3"), ("none", "2"), ("uncertain", "1")]
)
def test_counts_come_out_of_the_payload(key: str, value: str) -> None:
    assert rendered(f"door_{key}", COUNTS) == value


@pytest.mark.parametrize(("status", "value"), [("online", "ON"), ("stalled", "OFF"), ("offline", "OFF")])
def test_a_camera_is_connected_when_online(status: str, value: str) -> None:
    assert rendered("door_status", messages.status_payload(status, 0, 0, 0, None)) == value


def test_the_state_comes_out_of_the_payload() -> None:
    assert rendered("outbox", STATE) == "7"
    assert rendered("mode", STATE) == "normal"
    assert rendered("problem", STATE) == "OFF"
    assert rendered("problem", {**STATE, "errors": ["disk full"]}) == "ON"


def test_a_day_without_a_figure_is_unknown() -> None:
    assert rendered("compliance", {"compliance_percent": 97.25}) == "97.25"
    assert rendered("compliance", {"compliance_percent": None}) == "None"


@pytest.mark.parametrize("state", ["none", "incorrect"])
def test_a_violation_is_of_a_type_the_event_entity_knows(state: str) -> None:
    event = messages.event_payload(
        phase="start", event_id="e", seq=1, kind="mask", camera="door", track=1, state=state, score=0.9, votes=None,
        violation=True, start=0, end=None, end_reason=None, clock_ok=True, details={},
    )  # fmt: skip
    assert messages.violation_payload(event, 0)["event_type"] in components()["door_violation"]["event_types"]
