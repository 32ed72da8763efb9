"""What a setting is called on the console's forms: one table from keys to labels, and mistakes and changes told by it."""

import json
import re
from typing import Final, NamedTuple

LABELS: Final = {
    "device.name": "Name of the device",
    "report.site": "Name of the place",
    "report.timezone": "Time zone",
    "report.open_from": "Open from",
    "report.open_until": "Open until",
    "report.target_percent": "Target in percent",
    "report.requirement": "What is asked for",
    "mqtt.host": "Name or address",
    "mqtt.port": "Port",
    "mqtt.username": "User",
    "mqtt.tls": "Encrypt, and check its certificate",
    "mqtt.password_file": "Password",
    "mqtt.discovery": "Home Assistant finds this device",
    "camera.name": "Name",
    "camera.source": "Address of the camera",
    "camera.profile": "What it watches",
    "camera.fps": "Pictures looked at in a second, at most",
    "camera.region": "Part of the picture to watch",
    "camera.rotation": "Turned by",
    "camera.flip": "Mirrored",
    "camera.smallest_face": "Smallest face to look for",
    "camera.field_of_view": "Angle of view",
    "mask.enter_score": "Score for a verdict",
    "mask.leave_score": "Score to keep it",
    "mask.smallest_face": "Smallest face",
}
"""By key, without a camera's name: `camera.door.mask.enter_score` is `mask.enter_score`."""
SIDES: Final = ("left", "top", "right", "bottom")
MISTAKE = re.compile(
    r"(?:\S+: )?(?:key (?P<key>[^\s:=]+)(?: = .*?)?|table \[(?P<table>[^\]]+)\]): (?P<what>.+?)(?: \(line \d+\))?",
    re.DOTALL,
)
CHANGE = re.compile(r"(?P<key>[^\s:]+): (?P<old>.+) → (?P<new>.+)", re.DOTALL)
PLAINER = (
    (re.compile(r"must be less than or equal to (\S+)"), r"must be \1 at most"),
    (re.compile(r"must be greater than or equal to (\S+)"), r"must be \1 at least"),
    (
        re.compile(r"(?:value|string) should have at most (\d+) (?:items|characters)[^;]*"),
        r"may have \1 characters at most",
    ),
)


class Change(NamedTuple):
    """A changed setting as a person reads it, and its key."""

    label: str
    old: str
    new: str
    key: str


def short(key: str) -> str:
    """The key without a camera's name."""
    parts = key.split(".")
    if parts[0] == "camera" and len(parts) > 2:
        return ".".join(parts[2:] if len(parts) > 3 else ("camera", parts[2]))
    return key


def label_of(key: str) -> str | None:
    """What forms call the setting; None of one that no form has."""
    return LABELS.get(short(key))


def mistake(line: str) -> str:
    """What is wrong with a setting, by its label, with the key behind it; any other line as it is."""
    found = MISTAKE.fullmatch(line)
    if found is None:
        return line
    what = found["what"]
    for pattern, plain in PLAINER:
        what = pattern.sub(plain, what)
    if found["key"]:
        label = label_of(found["key"])
        return f"{label}: {what} ({found['key']})" if label else f"{found['key']}: {what}"
    table = short(f"{found['table']}.").rstrip(".")
    for key, label in LABELS.items():
        if key.startswith(f"{table}."):
            what = re.sub(rf"\b{key.removeprefix(f'{table}.')} = (\S+?)(?=[;:,]?(?: |$))", rf"{label} (\1)", what)
    return f"{what} ({found['table']})"


def change(line: str) -> Change:
    """A line `key: old → new` of a change."""
    found = CHANGE.fullmatch(line)
    if found is None:
        return Change(line, "", "", "")
    key = found["key"]
    return Change(label_of(key) or key, _value(key, found["old"]), _value(key, found["new"]), key)


def _value(key: str, text: str) -> str:
    """As a form shows it: the region in percent."""
    if short(key) == "camera.region":
        try:
            return ", ".join(f"{side} {100 * share:g} %" for side, share in zip(SIDES, json.loads(text), strict=True))
        except (ValueError, TypeError):
            return text
    return {"true": "yes", "false": "no"}.get(text, text.strip('"'))
