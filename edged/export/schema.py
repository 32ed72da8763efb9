"""The columns of the files of closed days: version 1, whose columns keep their names, types and places; new ones come last.

Whole numbers and text only, so that every engine reads the same; `INTEGER` has 32 bits, `BIGINT` 64. A yes or no is 1 or 0.
docs/fleet.md says what each column means.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

SCHEMA_V = 1

Row: TypeAlias = dict[str, Any]
"""One row, its columns in their order."""

ENCOUNTER: dict[str, str] = {
    "schema_v": "INTEGER",
    "site": "VARCHAR",
    "device_id": "VARCHAR",
    "camera": "VARCHAR",
    "entrance": "VARCHAR",
    "event_id": "VARCHAR",
    "seq": "INTEGER",
    "kind": "VARCHAR",
    "outcome": "VARCHAR",
    "started_ms": "BIGINT",
    "ended_ms": "BIGINT",
    "local_day": "VARCHAR",
    "local_hour": "INTEGER",
    "tz": "VARCHAR",
    "votes": "INTEGER",
    "score_milli": "INTEGER",
    "face_px": "INTEGER",
    "merged": "INTEGER",
    "suppressed": "INTEGER",
    "clock_ok": "INTEGER",
    "end_reason": "VARCHAR",
    "model_id": "VARCHAR",
    "policy_sha": "VARCHAR",
    "in_open": "INTEGER",
    "quarter": "INTEGER",
}
COVER: dict[str, str] = {
    "site": "VARCHAR",
    "device_id": "VARCHAR",
    "camera": "VARCHAR",
    "entrance": "VARCHAR",
    "local_day": "VARCHAR",
    "local_hour": "INTEGER",
    "open_s": "INTEGER",
    "watched_s": "INTEGER",
    "paused_s": "INTEGER",
    "reason": "VARCHAR",
    "seq": "INTEGER",
}
TABLES = {"encounter": ENCOUNTER, "cover": COVER}
KEYS = {"encounter": ("event_id",), "cover": ("camera", "local_hour")}
"""What names a row within a day of a device."""

_RANGES = {"INTEGER": (-(2**31), 2**31 - 1), "BIGINT": (-(2**63), 2**63 - 1)}


def typed(row: Any, table: str) -> tuple[int | str | None, ...]:
    """The values of a row in the order of the columns. Raise ValueError where one is missing, or not of its column's type."""
    columns, shape = TABLES[table], _SHAPES[table]
    try:
        values: tuple[Any, ...] = shape.values(row)
    except (KeyError, TypeError):
        raise ValueError("not all columns are there") from None
    if len(row) > len(columns) and any(name.lower() in columns for name in row.keys() - columns.keys()):
        raise ValueError("a column is there twice")
    if tuple(map(type, values)) == shape.types:  # most rows: looked at all at once
        numbers, texts = shape.numbers(row), "".join(shape.texts(row))
        short = min(numbers) >= -(2**31) and max(numbers) < 2**31
        if short and all(map(_is_long, shape.longs(row))) and texts.isascii() and "\0" not in texts:
            return values
    for (name, kind), value in zip(columns.items(), values, strict=True):
        if value is not None and not (_is_text(value) if kind == "VARCHAR" else _is_whole(value, *_RANGES[kind])):
            raise ValueError(f"{name} holds what is no {kind}")
    return values


class _Shape(NamedTuple):
    """How the values of a row are got at, and their usual types."""

    values: Callable[[Any], tuple[Any, ...]]
    types: tuple[type, ...]
    numbers: Callable[[Any], tuple[int, ...]]
    longs: Callable[[Any], tuple[int, ...]]
    texts: Callable[[Any], tuple[str, ...]]


def _getter(names: list[str]) -> Callable[[Any], tuple[int, ...]]:
    """As `itemgetter`, of none too."""
    return itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names)


_SHAPES = {
    table: _Shape(
        itemgetter(*kinds),
        tuple(str if kind == "VARCHAR" else int for kind in kinds.values()),
        itemgetter(*(name for name, kind in kinds.items() if kind == "INTEGER")),
        _getter([name for name, kind in kinds.items() if kind == "BIGINT"]),
        itemgetter(*(name for name, kind in kinds.items() if kind == "VARCHAR")),
    )
    for table, kinds in TABLES.items()
}


def _is_long(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_text(value: object) -> bool:
    """Without what one engine would end it at, or refuse."""
    if not isinstance(value, str) or "\0" in value:
        return False
    if not value.isascii():
        value.encode()  # no half of a character: that is a ValueError
    return True


PASSAGE = "passage"
"""The kind of a person's passage; the other kinds are those of events about people."""
VOID = "void"
"""The outcome of what was exported, and has turned out to be none of that day."""
UNASKED = "unasked"
"""The outcome of a passage at a camera that does not follow masks."""
