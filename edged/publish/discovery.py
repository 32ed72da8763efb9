"""Builds what Home Assistant needs to show the device by itself: one device, its cameras, what each of them tells."""

from typing import Any

from edged import __version__, messages
from edged.config import Config, MqttConfig

Component = dict[str, Any]

# Payloads of camera/<id>/violation name one of these.
VIOLATIONS = ("mask_none", "mask_incorrect")
COUNTS = {
    "present": "people",
    "correct": "masks worn correctly",
    "incorrect": "masks worn incorrectly",
    "none": "without a mask",
    "uncertain": "uncertain",
}


def discovery_topic(mqtt: MqttConfig, device_id: str) -> str:
    """Where the payload goes, as a whole topic: it lies outside `<prefix>/<device>/`."""
    return f"{mqtt.discovery_prefix}/device/{_identity(device_id)}/config"


def device_discovery(config: Config, device_id: str) -> dict[str, Any]:
    """Home Assistant's device discovery payload; refers to no topic but those the device publishes."""
    root = f"{config.mqtt.prefix}/{device_id}"
    identity = _identity(device_id)
    components = {
        name: {"unique_id": f"{identity}_{name}", **component}
        for name, component in [*_device(root), *(part for camera in config.camera for part in _camera(root, camera))]
    }
    return {
        "dev": {
            "ids": [identity],
            "name": config.device.name,
            "mf": "edged",
            "mdl": "edged",
            "sw": __version__,
        },
        "o": {"name": "edged", "sw": __version__},
        "availability_topic": f"{root}/{messages.AVAILABILITY}",
        "qos": 1,
        "cmps": components,
    }


def _identity(device_id: str) -> str:
    return f"edged_{device_id}"


def _device(root: str) -> list[tuple[str, Component]]:
    state = {"state_topic": f"{root}/{messages.STATE}", "entity_category": "diagnostic"}
    return [
        (
            "compliance",
            {
                "p": "sensor",
                "name": "Compliance, last full day",
                "state_topic": f"{root}/{messages.REPORT_DAILY}",
                # A day with too few people has no figure; Home Assistant reads "None" as unknown.
                "value_template": "{{ value_json.compliance_percent }}",
                "unit_of_measurement": "%",
                "suggested_display_precision": 1,
            },
        ),
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
    ]


def _camera(root: str, camera: str) -> list[tuple[str, Component]]:
    label = camera.replace("_", " ").replace("-", " ")
    violation = {
        "p": "event",
        "name": f"{label} violation",
        "state_topic": f"{root}/{messages.camera_violation(camera)}",
        "event_types": list(VIOLATIONS),
    }
    status = {
        "p": "binary_sensor",
        "name": f"{label} camera",
        "state_topic": f"{root}/{messages.camera_status(camera)}",
        "value_template": "{{ 'ON' if value_json.status == 'online' else 'OFF' }}",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }
    counts = [
        (
            f"{camera}_{key}",
            {
                "p": "sensor",
                "name": f"{label} {meaning}",
                "state_topic": f"{root}/{messages.camera_counts(camera)}",
                "value_template": f"{{{{ value_json['{key}'] }}}}",
                "state_class": "measurement",
            },
        )
        for key, meaning in COUNTS.items()
    ]
    return [(f"{camera}_violation", violation), (f"{camera}_status", status), *counts]
