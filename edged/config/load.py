"""Turns a TOML file into a `Config`, or into one line for each mistake: file, key, value, remedy."""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from edged.config.model import CameraConfig, Config
from edged.config.nearest import did_you_mean, nearest
from edged.config.output import OUTPUTS
from edged.config.source import redact_refused
from edged.errors import ConfigError
from edged.toml import parse_toml, read_toml
from edged.toml_hints import line_of

DEFAULT_PATH = Path("/etc/edged/edged.toml")

MOST_LISTED = 20

TOP_LEVEL = {*Config.model_fields, "defaults"}

STICK_ONLY = ("network", "ssh")
"""Tables that only the edged.toml of a stick has: they are no settings of the daemon."""

NOTHING: Mapping[str, Collection[str]] = {}

MOST_TABLES = 3
"""A key that more tables have is not explained by naming them."""

LOGIN = ("user", "username", "login", "password")
"""What people write into a camera's table."""

REGION_MISTAKES = (
    "less_than_equal",
    "greater_than_equal",
    "float_parsing",
    "float_type",
    "missing",
    "too_long",
    "too_short",
)

LISTED = 'must be a list in brackets, as in ["…"]; one alone stands in brackets too'

IN_QUOTES = re.compile(r"'([^']*)'")
"""How pydantic writes each value that would be right."""

OUTPUT_KINDS = {get_args(model.model_fields["kind"].annotation)[0]: model for model in OUTPUTS}

OVERRIDABLE = ("mask", "attention", "drowsiness")
"""Tables of which each camera may have its own keys, laid over those that all share."""


def config_path(given: Path | None = None) -> Path:
    """The file to read: the one given, else `EDGED_CONFIG`, else /etc/edged/edged.toml."""
    if given is not None:
        return given
    return Path(os.environ.get("EDGED_CONFIG") or DEFAULT_PATH)


NAME_IT = "; name the file with --config or EDGED_CONFIG"
LET_IN = "; use sudo, or join the group edged, which must be able to read it (chgrp edged, chmod 640)"


def read_tables(path: Path, remedy: str = NAME_IT) -> tuple[dict[str, Any], bytes]:
    """The tables of one file, not validated, and its bytes. Raise ConfigError when it cannot be read, or is no TOML."""
    try:
        data = read_toml(path)
        return parse_toml(data), data
    except OSError as error:
        refused = isinstance(error, PermissionError) and remedy == NAME_IT
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){LET_IN if refused else remedy}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def config_sha256(config: Config) -> str:
    """A hash of the effective settings, defaults included: two devices with the same hash are set up alike."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def parse_config(
    raw: Mapping[str, Any], path: Path, text: str = "", beside: Mapping[str, Collection[str]] = NOTHING
) -> Config:
    """Validate the parsed tables of `path`, whose name and text are only used in messages.

    `beside`: tables and keys that the file may hold beside the config's, and that were taken out of `raw`, for messages too.
    """
    mistakes = _listed(_structural_mistakes(raw, beside))
    if not mistakes:
        try:
            return Config.model_validate(_merged(raw))
        except ValidationError as error:
            mistakes = _listed(_describe(detail, raw, beside) for detail in error.errors(include_url=False))
    raise ConfigError("\n".join(f"{path}: {mistake}{_line(mistake, text)}" for mistake in mistakes))


def _line(mistake: str, text: str) -> str:
    line = line_of(mistake, text)
    return "" if line is None else f" (line {line})"


def _listed(mistakes: Iterable[str]) -> list[str]:
    """Each mistake once, and no more than a person can use: what is shared is found wrong for every camera."""
    listed: dict[str, None] = {}
    for mistake in mistakes:
        if len(listed) == MOST_LISTED:
            return [*listed, "and more; correct these first"]
        listed[mistake] = None
    return list(listed)


def _structural_mistakes(raw: Mapping[str, Any], beside: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What must hold before what cameras share can be merged into each."""
    yield from (unknown((key,), TOP_LEVEL, beside) for key in raw if key not in TOP_LEVEL)
    tables = {name: raw.get(name, {}) for name in ("defaults", *OVERRIDABLE, "camera", "output")}
    for name, table in tables.items():
        if not isinstance(table, dict):
            yield f"key {name} = {_show(table)}: must be a table, [{name}]"
    if isinstance(tables["defaults"], dict):
        allowed = set(CameraConfig.model_fields) - {"source", "name", *OVERRIDABLE}
        yield from (unknown(("defaults", key), allowed, beside) for key in tables["defaults"] if key not in allowed)
    if isinstance(tables["camera"], dict):
        for camera, table in tables["camera"].items():
            name = _name(("camera", camera))
            if not isinstance(table, dict) and camera in CameraConfig.model_fields:
                yield f"key {name} = {_show(table)}: a camera's table has a name of its own, as in [camera.door]"
            elif not isinstance(table, dict):
                yield f"key {name} = {_show(table)}: must be a table, [{name}]"
            else:
                yield from (
                    f"key {name}.{part}: must be a table, [{name}.{part}]"
                    for part in OVERRIDABLE
                    if not isinstance(table.get(part, {}), dict)
                )


def _merged(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The file with `[defaults]` and the tables that cameras share laid under each camera's own keys."""
    merged = {key: value for key, value in raw.items() if key != "defaults"}
    merged["camera"] = {
        name: {
            **raw.get("defaults", {}),
            **camera,
            **{part: {**raw.get(part, {}), **camera.get(part, {})} for part in OVERRIDABLE},
        }
        for name, camera in raw.get("camera", {}).items()
    }
    return merged


def _describe(detail: Mapping[str, Any], raw: Mapping[str, Any], beside: Mapping[str, Collection[str]]) -> str:
    """One pydantic error as `key a.b = value: what would be right`."""
    location = _as_written(tuple(str(part) for part in detail["loc"] if part != "[key]"), raw)
    if detail["type"] == "extra_forbidden":
        return unknown(location, _known_keys(tuple(str(part) for part in detail["loc"][:-1])), beside)
    if detail["type"].startswith("union_tag"):
        kinds = ", ".join(f'"{kind}"' for kind in OUTPUT_KINDS)
        meant = did_you_mean(detail.get("ctx", {}).get("tag"), OUTPUT_KINDS)
        return f"key {_name((*location, 'kind'))}: must be one of {kinds}{meant}"
    if detail["type"] == "missing":
        return f"key {_name(location)}: is missing; give it a value"
    message = for_people(detail)
    if isinstance(detail["input"], dict):
        return f"table [{_name(location)}]: {message}"
    return f"key {_name(location)} = {_show(detail['input'])}: {message}"


def for_people(detail: Mapping[str, Any]) -> str:
    """What would be right, in words instead of patterns and Python's types."""
    if detail["type"] == "string_pattern_mismatch" and str(detail["loc"][-1]).endswith(("_from", "_until")):
        return 'must be a local time like "08:00"'
    if detail["type"] == "string_pattern_mismatch":
        return "must begin with a letter or digit, and hold only letters, digits, - and _ (a prefix also /), 63 at most"
    if detail["type"] == "path_type":
        return "must be a path in quotes"
    if detail["type"] == "string_type":
        return "must be text in quotes"
    if detail["type"] in ("tuple_type", "frozen_set_type"):
        return f"is written with two brackets, [[{detail['loc'][-1]}]]" if isinstance(detail["input"], dict) else LISTED
    if "region" in detail["loc"] and detail["type"] in REGION_MISTAKES:
        return "must be shares of the picture from 0 to 1: left, top, right, bottom, as in [0.0, 0.1, 1.0, 0.9]; not pixels"
    if (length := _length(detail)) is not None:
        return length
    message = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    meant = did_you_mean(detail["input"], IN_QUOTES.findall(message)) if detail["type"] == "literal_error" else ""
    return message[0].lower() + message[1:] + meant


def _length(detail: Mapping[str, Any]) -> str | None:
    """What is said of something too long or too short; None of another mistake."""
    limits = detail.get("ctx", {})
    if detail["type"] == "string_too_short" and limits["min_length"] == 1:
        return "must not be empty; leave the key out where there is nothing to say"
    if detail["type"] == "string_too_short":
        return f"must be {limits['min_length']} characters at least"
    if detail["type"] == "string_too_long":
        return f"must be {limits['max_length']} characters at most"
    return f"takes {limits['max_length']} of them at most" if detail["type"] == "too_long" else None


def _as_written(location: tuple[str, ...], raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the file says it: what a camera took from [defaults] or [mask] is wrong there, not in each camera."""
    if location[0] == "output":
        return location[:2] + location[3:]  # what follows the name is the kind that was tried
    if len(location) < 3 or location[0] != "camera":
        return location
    own = raw["camera"].get(location[1], {})
    if location[2] in OVERRIDABLE:
        own_part = own.get(location[2], {})
        inherited = location[3] not in own_part if len(location) > 3 else not own_part
        return location[2:] if inherited else location
    if location[2] not in own and location[2] in raw.get("defaults", {}):
        return ("defaults", *location[2:])
    return location


def _known_keys(location: tuple[str, ...]) -> set[str]:
    """The keys allowed in the table at `location`, which names the kind of an output after its name."""
    model: type[BaseModel] = Config
    if location[:1] == ("output",):
        return set(OUTPUT_KINDS[location[2]].model_fields)
    if location[:1] == ("camera",):
        model, location = CameraConfig, location[2:]
    for part in location:
        model = _section(model.model_fields[part].annotation) or model
    return set(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def unknown(location: tuple[str, ...], known: Collection[str], beside: Mapping[str, Collection[str]] = NOTHING) -> str:
    """One line on a key that is not `known` in its table: what was meant, or where it stands. `beside` as for `parse_config`."""
    key = location[-1]
    known = {*known, *(beside if len(location) == 1 else beside.get(location[0], ()) if len(location) == 2 else ())}
    near = nearest(key, known)
    if near is not None and near.casefold() == key.casefold():
        remedy = f"did you mean {near}?"
    elif len(location) == 1 and key in STICK_ONLY:
        remedy = "it stands only in the edged.toml of a stick; take it out"
    elif location[0] == "camera" and key in LOGIN:
        remedy = "user and password stand in source, as in rtsp://user:password@host/path, or in credentials_file"
    elif tables := _tables_with(key, beside):
        remedy = f"it stands in {' or '.join(tables)}"
    else:
        remedy = f"did you mean {near}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"key {_name(location)}: unknown; {remedy}"


def _tables_with(key: str, beside: Mapping[str, Collection[str]]) -> list[str]:
    """The tables that have such a key; none where they are too many to help."""
    tables = {
        name: {*(section.model_fields if (section := _section(field.annotation)) else ()), *beside.get(name, ())}
        for name, field in Config.model_fields.items()
        if name not in ("camera", "output")
    }
    tables |= {name: {*keys} for name, keys in beside.items() if name not in tables}
    tables["camera.door"] = set(CameraConfig.model_fields)
    having = [f"[{name}]" for name, keys in tables.items() if key.casefold() in keys]
    return having if len(having) <= MOST_TABLES else []


def _name(location: tuple[str, ...]) -> str:
    """The key's full name on one line, whatever characters it was given."""
    text = ".".join(part if part.isprintable() else repr(part) for part in location)
    return text if len(text) <= 80 else text[:77] + "…"


def _show(value: object) -> str:
    try:
        text = str(value).lower() if isinstance(value, bool) else redact_refused(repr(value))
    except (RecursionError, ValueError):  # nested too deep, or a number with more digits than Python prints
        return "…"
    return text if len(text) <= 80 else text[:77] + "…"
