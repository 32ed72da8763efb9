"""Home Assistant's discovery payload: it names only topics we publish, and its templates fit what we publish there."""

import json
import re
from typing import Any, get_args

import jinja2
import pytest

from edged import messages
from edged.config import CameraConfig, Config, DeviceConfig, MqttConfig
from edged.publish import Command, device_discovery, platforms
from edged.publish.commands import parse_command
from edged.publish.discovery import MOST_REMEMBERED, discovery_topic
from edged.records import EventRecord
from edged.types import Distraction, DrowsinessReason

ROOT = "site/edged/dev-1"
CONFIG = Config(
    device=DeviceConfig(name="Entrance 1"),
    mqtt=MqttConfig(host="broker", prefix="site/edged"),
    camera={
        name: CameraConfig(source="file:///x.mp4", profile=profile)
        for name, profile in (
            ("door", "entrance"),
            ("door_2", "entrance"),
            ("side-gate", "classroom"),
            ("cab", "driver"),
        )
    },
)
COUNTS = messages.counts_payload({"correct": 4, "incorrect": 3, "none": 2, "uncertain": 1}, 0, static=6)
ATTENTION = messages.attention_payload(
    {"present": 5, "attentive": 2, "away": 1, "drowsy": 4, "unknown": 3}, 0, static=7
)
STATE = messages.state_payload(
    version="1", uptime_s=9.6, backend="cpu", models={}, clock_ok=True, outbox=7, errors=[], at=0
)


def components() -> dict[str, dict[str, Any]]:
    return device_discovery(CONFIG, "dev-1")["cmps"]


def published() -> set[str]:
    relative = {messages.AVAILABILITY.at(), messages.STATE.at(), messages.REPORT_DAILY.at()}
    for camera, settings in CONFIG.camera.items():
        relative |= {messages.CAMERA_STATUS.at(camera), messages.CAMERA_VIOLATION.at(camera)}
        relative |= {messages.CAMERA_COUNTS.at(camera)} if settings.tasks.mask else set()
        relative |= {messages.CAMERA_ATTENTION.at(camera)} if settings.tasks.attention else set()
    relative |= {f"{messages.COMMANDS}/{verb}" for verb in ("report", "restart", "selftest")}
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
    assert len(set(identities)) == len(identities) == 7 + 4 + 3 + 8 * 2 + (8 + 3) + (3 + 1 + 4)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", identity) for identity in [*identities, *components()])


def test_every_topic_is_one_we_publish_and_all_are_used() -> None:
    assert topics(device_discovery(CONFIG, "dev-1")) == published()


def test_every_component_has_a_platform_a_name_and_a_topic() -> None:
    for component in components().values():
        assert component["p"] in {"sensor", "binary_sensor", "event", "button"}
        assert component["name"]
        assert component["command_topic" if component["p"] == "button" else "state_topic"]


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("cab_present", "5"), ("cab_attentive", "2"), ("cab_away", "1"), ("cab_drowsy", "4"), ("side-gate_unknown", "3")],
)
def test_attention_comes_out_of_the_payload(name: str, value: str) -> None:
    assert rendered(name, ATTENTION) == value


def test_the_boards_heat_and_power_come_out_of_the_payload() -> None:
    hot = STATE | {"temperature_c": 81.5, "throttled": True, "under_voltage": False}
    assert [rendered(name, hot) for name in ("temperature", "throttled", "under_voltage")] == ["81.5", "ON", "OFF"]
    assert rendered("temperature", STATE) == "None", "which Home Assistant reads as unknown"
    assert components()["temperature"]["unit_of_measurement"] == "°C"


@pytest.mark.parametrize(("camera", "payload", "value"), [("door", COUNTS, "6"), ("cab", ATTENTION, "7")])
def test_pictures_of_faces_stand_apart_from_the_people(camera: str, payload: dict[str, Any], value: str) -> None:
    sensor = components()[f"{camera}_static"]
    assert sensor["entity_category"] == "diagnostic"
    assert sensor["state_topic"].endswith("/counts" if camera == "door" else "/attention")
    assert rendered(f"{camera}_static", payload) == value
    assert "entity_category" not in components()[f"{camera}_present"]


def test_cameras_are_announced_with_what_their_profile_follows_and_no_more() -> None:
    names = components().keys()
    assert not [name for name in names if name.startswith("door_") and name.endswith(("attentive", "drowsy"))]
    assert "side-gate_drowsy" not in names
    assert "cab_correct" not in names
    types = {name: components()[f"{name}_violation"]["event_types"] for name in CONFIG.camera}
    assert types["door"] == ["mask_none", "mask_incorrect"]
    assert types["side-gate"] == [*types["door"], "inattention_long", "inattention_repeated"]
    assert types["cab"][:2] == ["inattention_long", "inattention_repeated"]
    assert "drowsiness_microsleep" in types["cab"]


def test_counters_of_the_day_begin_anew_with_each_report() -> None:
    report = {"encounters": 12, "correct": 7, "incorrect": 2, "none": 1, "utc_start": "2026-11-27T23:00:00.000Z"}
    for name, value in (("passages", "12"), ("correct", "7"), ("incorrect", "2"), ("none", "1")):
        sensor = components()[name]
        assert rendered(name, report) == value
        assert sensor["state_class"] == "total"
        assert sensor["last_reset_value_template"] == "{{ value_json.utc_start }}"
    assert components()["compliance"]["state_class"] == "measurement"


@pytest.mark.parametrize("verb", ["report", "restart", "selftest"])
def test_what_a_button_sends_is_a_command(verb: str) -> None:
    button = components()[verb]
    relative = button["command_topic"].removeprefix(f"{ROOT}/")
    command = parse_command(relative, button["payload_press"].encode(), retained=False)
    assert command == Command(verb, {"request_id": "home-assistant"})


def test_cameras_go_by_their_names_for_people_and_the_device_has_a_link_where_the_config_names_them() -> None:
    assert "configuration_url" not in device_discovery(CONFIG, "dev-1")["dev"]
    assert components()["door_2_status"]["name"] == "door 2 camera"
    door = CONFIG.camera["door"].model_copy(update={"name": "Main door"})
    mqtt = CONFIG.mqtt.model_copy(update={"configuration_url": "http://wiki/hall"})
    payload = device_discovery(CONFIG.model_copy(update={"camera": {"door": door}, "mqtt": mqtt}), "dev-1")
    assert payload["dev"]["configuration_url"] == "http://wiki/hall"
    assert payload["cmps"]["door_status"]["name"] == "Main door camera"
    assert payload["cmps"]["door_status"]["unique_id"] == "edged_dev-1_door_status", "which no name changes"


def test_a_site_that_asks_nobody_for_masks_announces_no_compliance() -> None:
    cab = CONFIG.model_copy(update={"camera": {"cab": CONFIG.camera["cab"]}})
    assert "compliance" not in device_discovery(cab, "dev-1")["cmps"]


def test_what_a_config_no_longer_has_is_removed_and_comes_back_when_it_has_it_again() -> None:
    before = platforms(device_discovery(CONFIG, "dev-1"))
    fewer = CONFIG.model_copy(update={"camera": {"door": CONFIG.camera["door"], "side-gate": CONFIG.camera["door"]}})
    after = device_discovery(fewer, "dev-1", before)
    assert after["cmps"]["cab_drowsy"] == {"p": "sensor"}
    assert after["cmps"]["cab_violation"] == {"p": "event"}
    assert after["cmps"]["side-gate_attentive"] == {"p": "sensor"}
    assert after["cmps"]["side-gate_present"]["state_topic"]
    assert platforms(after) == before, "what was removed while nobody listened is removed again"
    assert device_discovery(CONFIG, "dev-1", platforms(after)) == device_discovery(CONFIG, "dev-1")


def test_what_is_remembered_is_bounded_and_never_forgets_what_is_there() -> None:
    crowd = {f"old{number}_status": "binary_sensor" for number in range(10_000)}
    remembered = platforms(device_discovery(CONFIG, "dev-1", crowd))
    assert len(remembered) == MOST_REMEMBERED
    assert components().keys() <= remembered.keys()


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


@pytest.mark.parametrize(
    ("camera", "kind", "state"),
    [
        *(("door", "mask", state) for state in ("none", "incorrect")),
        *(("side-gate", "inattention", state) for state in get_args(Distraction)),
        *(("cab", "drowsiness", state) for state in get_args(DrowsinessReason)),
    ],
)
def test_a_violation_is_of_a_type_the_event_entity_knows(camera: str, kind: str, state: str) -> None:
    event = messages.event_payload(EventRecord("e", kind, camera, 1, state, 0.9, None, 0, True))
    assert messages.violation_payload(event, 0)["event_type"] in components()[f"{camera}_violation"]["event_types"]
