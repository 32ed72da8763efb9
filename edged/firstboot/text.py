"""TOML as text: writes tables, and names the line of a mistake."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edged.toml_hints import line_of

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dump_toml(tables: Mapping[str, Any]) -> str:
    """The text of `tables`, which hold strings, numbers, booleans, lists and tables."""
    return "\n".join(_table((), tables)).lstrip("\n") + "\n"


def _table(name: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if name and (plain or not table):
        yield f"\n[{'.'.join(_key(part) for part in name)}]"
    yield from (f"{_key(key)} = {_value(value)}" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table((*name, key), value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    """JSON's strings are TOML's, but for the character DEL."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def with_line(mistake: str, text: str) -> str:
    """`mistake` with the number of its line in front, where that is known."""
    line = line_of(mistake, text)
    return mistake if line is None else f"line {line}: {mistake}"
