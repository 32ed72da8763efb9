"""Builds what Home Assistant needs to show the device by itself: one device, its cameras, and the entities of each."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, get_args

from edged import __version__, messages
from edged.config import CameraConfig, Config, MqttConfig, OutputConfig, Tasks
from edged.types import DrowsinessReason

Component = dict[str, Any]

# Payloads of camera/<id>/violation name one of these, by what the camera's profile follows.
VIOLATIONS = {
    "mask": ("mask_none", "mask_incorrect"),
    "attention": ("inattention_long", "inattention_repeated"),
    "drowsiness": tuple(f"drowsiness_{reason}" for reason in get_args(DrowsinessReason)),
}
COUNTS = {
    "present": "people",
    "correct": "masks worn correctly",
    "incorrect": "masks worn incorrectly",
    "none": "without a mask",
    "uncertain": "uncertain",
}
ATTENTION = {"attentive": "attentive", "away": "looking away", "unknown": "attention unknown"}
DROWSINESS = {"drowsy": "drowsy"}
STATIC = {"static": "pictures of faces"}
"""Nobody, so apart from the people: diagnostic."""

DAILY = {
    "passages": ("encounters", "Passages"),
    "correct": ("correct", "Masks worn correctly"),
    "incorrect": ("incorrect", "Masks worn incorrectly"),
    "none": ("none", "Without a mask"),
}
"""The counters of a day: the report's key for each, and its name for people."""

BUTTONS: dict[str, tuple[str, dict[str, str]]] = {
    "acknowledge": ("Acknowledge", {}),
    "report": ("Make the report of yesterday", {}),
    "restart": ("Restart edged", {"device_class": "restart", "entity_category": "config"}),
    "selftest": ("Self-test", {"entity_category": "diagnostic"}),
}

BOARD_PROBLEMS = {"throttled": "Slowed down by heat", "under_voltage": "Power supply too weak"}

MOST_REMEMBERED = 500
"""Sixteen cameras have not half as many components."""

Platforms = dict[str, str]
"""Home Assistant's platform of each component by its name."""


def discovery_topic(mqtt: MqttConfig, device_id: str) -> str:
    """Where the payload goes, as a whole topic: it lies outside `<prefix>/<device>/`."""
    return f"{mqtt.discovery_prefix}/device/{_identity(device_id)}/config"


def device_discovery(config: Config, device_id: str, formerly: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Home Assistant's device discovery payload; refers to no topic but those the device publishes.

    `formerly` are the platforms of all components that were ever announced: those that are no more are named with
    nothing but their platform, which has Home Assistant remove them.
    """
    root = f"{config.mqtt.prefix}/{device_id}"
    identity = _identity(device_id)
    components = {
        name: {"unique_id": f"{identity}_{name}", **component}
        for name, component in [
            *_device(root, config),
            *(part for name, camera in config.camera.items() for part in _camera(root, name, camera)),
            *(part for name, output in config.output.items() for part in _output(root, name, output)),
        ]
    }
    gone = {name: {"p": platform} for name, platform in (formerly or {}).items() if name not in components}
    return {
        "dev": {
            "ids": [identity],
            "name": config.device.name,
            "mf": "edged",
            "mdl": "edged",
            "sw": __version__,
            **({"configuration_url": url} if (url := config.mqtt.configuration_url) else {}),
        },
        "o": {"name": "edged", "sw": __version__},
        "availability_topic": f"{root}/{messages.AVAILABILITY.at()}",
        "qos": 1,
        "cmps": components | gone,
    }


def platforms(discovery: Mapping[str, Any]) -> Platforms:
    """The components a payload announces or removes: `formerly` for the next one, those in use first."""
    return {name: component["p"] for name, component in islice(discovery["cmps"].items(), MOST_REMEMBERED)}


def _identity(device_id: str) -> str:
    return f"edged_{device_id}"


def _device(root: str, config: Config) -> list[tuple[str, Component]]:
    state = {"state_topic": f"{root}/{messages.STATE.at()}", "entity_category": "diagnostic"}
    masks = any(camera.tasks.mask for camera in config.camera.values())
    return [
        *(_daily(root) if masks else []),
        *((verb, _button(root, verb)) for verb in BUTTONS if verb != "acknowledge" or config.output),
        ("mode", {"p": "sensor", "name": "Mode", **state, "value_template": "{{ value_json.mode }}"}),
        (
            "outbox",
            {
                "p": "sensor",
                "name": "Messages waiting",
                **state,
                "value_template": "{{ value_json.outbox }}",
                "state_class": "measurement",
            },
        ),
        (
            "problem",
            {
                "p": "binary_sensor",
                "name": "Problem",
                **state,
                "device_class": "problem",
                "value_template": "{{ 'ON' if value_json.errors else 'OFF' }}",
            },
        ),
        *_board(state),
    ]


def _daily(root: str) -> list[tuple[str, Component]]:
    """The figures of the last full day, from its report."""
    report = {"p": "sensor", "state_topic": f"{root}/{messages.REPORT_DAILY.at()}"}
    compliance = {
        **report,
        "name": "Compliance, last full day",
        # A day with too few people has no figure; Home Assistant reads "None" as unknown.
        "value_template": "{{ value_json.compliance_percent }}",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "suggested_display_precision": 1,
    }
    counters = [
        (
            name,
            {
                **report,
                "name": f"{label}, last full day",
                "value_template": f"{{{{ value_json['{key}'] }}}}",
                # Each day counts from zero, and a day that is counted again may have less: "total_increasing" would take
                # a day with more for an increase of the day before, and the other for a new day.
                "state_class": "total",
                "last_reset_value_template": "{{ value_json.utc_start }}",
            },
        )
        for name, (key, label) in DAILY.items()
    ]
    return [("compliance", compliance), *counters]


def _button(root: str, verb: str) -> Component:
    """A button that sends a command; the answer comes on `cmd/<verb>/result`."""
    name, more = BUTTONS[verb]
    return {
        "p": "button",
        "name": name,
        "command_topic": f"{root}/{messages.COMMANDS}/{verb}",
        "payload_press": '{"request_id":"home-assistant"}',
        **more,
    }


def _board(state: Component) -> list[tuple[str, Component]]:
    """The board's temperature and power supply; `state` is what all that read the state document share."""
    temperature = {
        "p": "sensor",
        "name": "Temperature",
        **state,
        "device_class": "temperature",
        "unit_of_measurement": "°C",
        "state_class": "measurement",
        # None, which is unknown, where the board has no sensor.
        "value_template": "{{ value_json.temperature_c }}",
    }
    problems = [
        (
            key,
            {
                "p": "binary_sensor",
                "name": name,
                **state,
                "device_class": "problem",
                "value_template": f"{{{{ 'ON' if value_json.{key} else 'OFF' }}}}",
            },
        )
        for key, name in BOARD_PROBLEMS.items()
    ]
    return [("temperature", temperature), *problems]


def _camera(root: str, camera: str, config: CameraConfig) -> list[tuple[str, Component]]:
    label, tasks = config.name or camera.replace("_", " ").replace("-", " "), config.tasks
    status = {
        "p": "binary_sensor",
        "name": f"{label} camera",
        "state_topic": f"{root}/{messages.CAMERA_STATUS.at(camera)}",
        "value_template": "{{ 'ON' if value_json.status == 'online' else 'OFF' }}",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }
    types = _event_types(tasks)
    violation = {
        "p": "event",
        "name": f"{label} violation",
        "state_topic": f"{root}/{messages.CAMERA_VIOLATION.at(camera)}",
        "event_types": types,
    }
    people: dict[str, str] = {}
    attention = (ATTENTION if tasks.attention else {}) | (DROWSINESS if tasks.drowsiness else {})
    if attention:
        # A camera whose profile has no masks publishes no counts of them.
        present = {} if tasks.mask else {"present": COUNTS["present"]}
        people = dict.fromkeys(present | attention, f"{root}/{messages.CAMERA_ATTENTION.at(camera)}")
    if tasks.mask:
        people |= dict.fromkeys(COUNTS, f"{root}/{messages.CAMERA_COUNTS.at(camera)}")
    static = dict.fromkeys(STATIC, next(reversed(people.values()))) if people else {}
    meanings = COUNTS | attention | STATIC
    sensors = [
        (
            f"{camera}_{key}",
            {
                "p": "sensor",
                "name": f"{label} {meanings[key]}",
                "state_topic": topic,
                "value_template": f"{{{{ value_json['{key}'] }}}}",
                "state_class": "measurement",
                **({"entity_category": "diagnostic"} if key in STATIC else {}),
            },
        )
        for key, topic in (people | static).items()
    ]
    return [*([(f"{camera}_violation", violation)] if types else []), (f"{camera}_status", status), *sensors]


def _output(root: str, name: str, config: OutputConfig) -> list[tuple[str, Component]]:
    """Whether the output is on, and whether it works; of a button only that."""
    label, topic = config.name or name.replace("_", " ").replace("-", " "), f"{root}/{messages.OUTPUT.at(name)}"
    on = {
        "p": "binary_sensor",
        "name": label,
        "state_topic": topic,
        "value_template": "{{ 'ON' if value_json.on else 'OFF' }}",
        "json_attributes_topic": topic,
    }
    problem = {
        "p": "binary_sensor",
        "name": f"{label} problem",
        "state_topic": topic,
        "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
        "device_class": "problem",
        "entity_category": "diagnostic",
    }
    return [*([] if config.kind == "button" else [(f"output_{name}", on)]), (f"output_{name}_problem", problem)]


def _event_types(tasks: Tasks) -> list[str]:
    return [name for kind, names in VIOLATIONS.items() if getattr(tasks, kind) for name in names]
