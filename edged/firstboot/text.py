"""TOML as text: writes tables, and finds the line of a mistake."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

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


_HEADER = re.compile(r"^\s*\[+\s*([^\]#]+?)\s*\]+")
_KEY = re.compile(r"^\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")
_NAMED = re.compile(r"^(?:key|table \[)\s*([\w.-]+)")
_AT_LINE = re.compile(r"\(at line (\d+)")


def with_line(mistake: str, text: str) -> str:
    """`mistake` with the number of its line in front, where that is known."""
    if found := _AT_LINE.search(mistake):
        return f"line {found[1]}: {mistake}"
    if "(at end of document)" in mistake:
        return f"line {max(1, len(text.splitlines()))}: {mistake}"
    if named := _NAMED.match(mistake):
        name = tuple(part for part in named[1].split(".") if not part.isdigit())
        places = dict(_places(text))
        while name:
            if name in places:
                return f"line {places[name]}: {mistake}"
            name = name[:-1]
    return mistake


def _places(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each key and table of a file with its line."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_parts(key[1])), number


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
