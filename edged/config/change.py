"""Changes of the console's layer: planned and shown key by key, written whole, and taken back one by one.

One rule says what the console may set: nothing that names a place on this device, be it a file, folder, program, pipeline or
sound card, but its cameras. Whoever gets hold of an admin's login must not read files by it, write them or start programs.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edged.config.layers import CONSOLE, Layered, laid_over, layers_folder, load_layered
from edged.config.load import parse_config, read_tables
from edged.config.model import CameraConfig, Config, MqttConfig
from edged.config.section import Section
from edged.config.signals import AttentionConfig, DrowsinessConfig, MaskConfig
from edged.config.source import NUMBERED, STREAMS, parse_source, redact
from edged.connections import has_secret
from edged.errors import ConfigError
from edged.files import replace, sync
from edged.toml import MAX_TOML_BYTES, dump_toml, read_toml

HEAD = "# Written by the console. These keys win over the main file; without this file, that alone is in force.\n"
MOST_STEPS = 20
"""How many changes can be taken back."""
MOST_KEYS = 100
KEPT_IN = "mqtt.password_file"
"""Set by the daemon, which writes the file; the console may only take it out."""
_SIGNALS: Mapping[str, type[Section]] = {
    "mask": MaskConfig,
    "attention": AttentionConfig,
    "drowsiness": DrowsinessConfig,
}
_LOCAL_CAMERA = re.compile(r"/dev/(video\d{1,3}|v4l/by-(id|path)/[\w.:+-]+)", re.ASCII)
_CAMERA_KEYS = {"source", "name", "region", "rotation", "flip", "fps", "profile", "smallest_face", "field_of_view"}
_CAMERA_DEFAULTS = CameraConfig(source="file:///any").model_dump(mode="json", exclude={"source"})
_KEYS = {
    "device": {"name"},
    "report": {"site", "timezone", "open_from", "open_until", "target_percent", "requirement"},
    "mqtt": {"host", "port", "username", "tls", "discovery"},
    **{name: set(model.model_fields) for name, model in _SIGNALS.items()},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that is valid as a whole, and not yet written."""

    before: Layered
    after: Config
    text: str
    """What the console's file is to hold; empty where it is to go."""
    lines: tuple[str, ...]
    """What it does, `key: old → new`, for a person."""
    taken_back: Path | None = None
    """The earlier file that this brings back, where it takes a change back."""


def plan_change(path: Path, keys: Mapping[str, Any], read: str | None = None, trusted: Collection[str] = ()) -> Plan:
    """What setting `keys` (`camera.door.region` and so on; None: as without the console) in the console's layer would do.

    `path` is the user's own file. `read` is the `Layered.sha256` that whoever asks has seen. Raise ConfigError when a file
    was changed since, a key is neither the console's to set nor `trusted`, or the whole would be invalid.
    """
    before = _unchanged(path, read)
    if not 0 < len(keys) <= MOST_KEYS:
        raise ConfigError(f"a change sets 1 to {MOST_KEYS} keys, and not {len(keys)}")
    tables = _own_tables(before)
    for key, value in keys.items():
        if key not in trusted:
            _require_settable(key, value)
        _set(tables, key.split("."), value)
    plan = _plan(before, tables)
    main = parse_config(before.base.tables, path)
    _require_secrets_stay((before.config, main), plan.after, keys, typed=KEPT_IN in trusted)
    return plan


def plan_undo(path: Path, read: str | None = None) -> Plan:
    """What taking back the last change would do. Raise ConfigError when there is none, or as `plan_change`."""
    before = _unchanged(path, read)
    now = _own_tables(before)
    for step in reversed(steps(before.config)):
        tables = read_tables(step, remedy="")[0]
        if tables != now:
            return _plan(before, tables, step)
        step.unlink(missing_ok=True)  # a power cut came between keeping the old file and writing the new one
    raise ConfigError("there is no change to take back")


def write(plan: Plan) -> None:
    """Put the console's file on the disk, whole, and keep the one before it. Raise OSError."""
    folder = plan.before.folder
    file, history = folder / CONSOLE, folder / "history"
    make_folder(folder)
    make_folder(history)
    if plan.taken_back is None:
        kept = steps(plan.before.config)
        number = int(kept[-1].stem) + 1 if kept else 1
        old = read_toml(file) if file.exists() else b""
        replace(history / f"{number:06d}.toml", old, 0o640)
        for step in kept[: max(0, len(kept) + 1 - MOST_STEPS)]:
            step.unlink(missing_ok=True)
    if plan.text:
        replace(file, plan.text.encode(), 0o640)
    else:
        file.unlink(missing_ok=True)
        sync(folder)
    if plan.taken_back is not None:
        plan.taken_back.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder that the service's group may read, whatever the umask. Raise OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o750)


def steps(config: Config) -> list[Path]:
    """The console's files before each change that can be taken back, oldest first."""
    return sorted(
        file
        for file in (layers_folder(config) / "history").glob("*.toml")
        if file.stem.isdecimal() and file.stem.isascii()
    )


def differences(old: Config, new: Config) -> Iterator[str]:
    """One line, `key: old → new`, for each setting that differs; what all cameras share is named once.

    Of a camera that comes or goes only what is its own is named: not what it shares, and no default.
    """
    before, after = dict(_settings(old)), dict(_settings(new))
    shared = set[tuple[str, ...]]()
    changed = [
        key for key in [*before, *(key for key in after if key not in before)] if before.get(key) != after.get(key)
    ]
    for key in sorted(changed, key=lambda key: key[0] == "camera"):
        if key[0] in _SIGNALS:
            shared.add(key)
        if key[0] == "camera" and key[2:] in shared and (before.get(key), after.get(key)) == (
            before.get(key[2:]), after.get(key[2:]),
        ):  # fmt: skip
            continue
        if key[0] == "camera" and (key[1] in old.camera) != (key[1] in new.camera):
            settings = after if key in after else before
            if settings[key] == (settings.get(key[2:]) if key[2] in _SIGNALS else _CAMERA_DEFAULTS.get(key[2])):
                continue
        yield f"{'.'.join(key)}: {_shown(before, key)} → {_shown(after, key)}"


def _unchanged(path: Path, read: str | None) -> Layered:
    before = load_layered(path)
    if read is not None and before.sha256 != read:
        raise ConfigError("the settings were changed by somebody else meanwhile; read them again, then change them")
    return before


def _own_tables(layered: Layered) -> dict[str, Any]:
    """What the console's file holds now. Raise ConfigError when it is there, and not in force."""
    file = layered.folder / CONSOLE
    for layer in layered.layers:
        if layer.path == file:
            return json.loads(json.dumps(layer.tables))  # type: ignore[no-any-return]  # a copy, down to the last table
    for line in layered.left_out:
        if line.startswith(f"{file}:"):
            raise ConfigError(f"{line}; or delete it")
    return {}


def _plan(before: Layered, tables: dict[str, Any], step: Path | None = None) -> Plan:
    own = before.folder / CONSOLE
    below = [before.base, *(layer for layer in before.layers if layer.path != own)]
    merged: dict[str, Any] = {}
    for layer in below:
        merged = laid_over(merged, layer.tables)
    text = HEAD + dump_toml(tables) if tables else ""
    if len(text.encode()) > MAX_TOML_BYTES:
        raise ConfigError(f"the console's settings would take more than {MAX_TOML_BYTES} bytes; take some back")
    after = parse_config(laid_over(merged, tables), own, text)
    return Plan(before, after, text, tuple(differences(before.config, after)), step)


def _require_settable(key: str, value: Any) -> None:
    """Raise ConfigError where `key`, or this value of it, is for those who may edit the main file: see the module's rule."""
    parts = key.split(".")
    if len(parts) == 4 and parts[0] == "camera" and parts[2] in _SIGNALS:
        known = _KEYS[parts[2]]
    elif len(parts) == 3 and parts[0] == "camera":
        known = _CAMERA_KEYS
    else:
        known = _KEYS.get(parts[0], set()) if len(parts) == 2 else set()
    if parts[-1] not in known and not (key == KEPT_IN and value is None):
        raise ConfigError(f"key {key}: is not set from the console; write it into the main file")
    if parts[-1] == "source" and isinstance(value, str) and not _is_live(value):
        raise ConfigError(
            f"key {key}: the console sets cameras only; a recording or folder can be any file, and a pipeline can start any"
            " program: write it into the main file"
        )


def _is_live(source: str) -> bool:
    """Whether it is a camera, of this device or of the network, or nothing at all, which validation tells."""
    try:
        parsed = parse_source(source)
    except ValueError:
        return True
    is_local = parsed.scheme == "v4l2"
    return parsed.scheme in (*STREAMS, *NUMBERED) or (is_local and _LOCAL_CAMERA.fullmatch(parsed.path) is not None)


def is_elsewhere(now: MqttConfig, then: MqttConfig) -> bool:
    """Whether a password that is kept would go to another broker than now, or lose its encryption on the way."""
    same_port = then.tls or now.effective_port == then.effective_port
    return then.host is not None and not (now.host == then.host and same_port and then.tls >= now.tls)


def _require_secrets_stay(known: tuple[Config, Config], then: Config, asked: Mapping[str, Any], *, typed: bool) -> None:
    """Raise ConfigError where somebody who does not know a kept password would have it sent to a place of their choice.

    `known`: what is in force now, and the user's own file: where one of them sends the same secret, it may go. So whoever has a
    password of their own sent elsewhere first cannot then have the user's follow it.
    """
    mqtt = then.mqtt
    kept = mqtt.username is not None and not typed and has_secret("mqtt", mqtt.password_file)
    if kept and any(key.startswith("mqtt.") for key in asked) and not any(_sends(one.mqtt, mqtt) for one in known):
        raise ConfigError("key mqtt.host: the password that is kept is not sent to another broker: type it again")
    places = {(camera.credentials_file, _place_of(camera.source)) for one in known for camera in one.camera.values()}
    for name, camera in then.camera.items():
        secret = camera.credentials_file if any(key.startswith(f"camera.{name}.") for key in asked) else None
        if secret is not None and (secret, _place_of(camera.source)) not in places:
            raise ConfigError(
                f"key camera.{name}.source: the password in {secret} would go to another address;"
                " write it into the main file"
            )


def _sends(known: MqttConfig, then: MqttConfig) -> bool:
    """Whether `known` sends the secret of `then`, to the same broker."""
    same = known.username is not None and known.password_file == then.password_file
    return same and not is_elsewhere(known, then)


def _place_of(source: str) -> tuple[str, str]:
    """Where a stream comes from, and whether encrypted."""
    parts = urlsplit(source)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _set(tables: dict[str, Any], parts: list[str], value: Any) -> None:
    """Set one key, or take it and the tables that it leaves empty out."""
    *folders, last = parts
    path = [tables]
    for part in folders:
        path.append(path[-1].setdefault(part, {}))
    if value is not None:
        path[-1][last] = value
        return
    path[-1].pop(last, None)
    for table, part in zip(reversed(path[:-1]), reversed(folders), strict=True):
        if not table[part]:
            del table[part]


def _settings(config: Config) -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(value: Any, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if isinstance(value, dict):
            for part, inner in value.items():
                yield from walk(inner, (*key, part))
        else:
            yield key, redact(value) if key[-1] == "source" else value

    yield from walk(config.model_dump(mode="json"), ())


def _shown(settings: Mapping[tuple[str, ...], Any], key: tuple[str, ...]) -> str:
    if key not in settings or settings[key] is None:
        return "not set"
    return json.dumps(settings[key], ensure_ascii=False)
