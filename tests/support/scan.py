"""Looks through what was kept and told for pictures, faces and secrets; each function returns what should not be there."""

import base64
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PICTURES = (
    b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb", b"\x89PNG\r\n", b"WEBPVP8", b"ftypmp4", b"/9j/4", b"iVBORw0KGgo", b"data:image/",
)  # fmt: skip
"""How JPEG, PNG, WebP and MP4 begin, plainly and in base64."""

OF_A_FACE = re.compile(
    r"(^|_)(box|key_?points?\d*|landmarks?|points?|embedding|vector|descriptor|image|picture|jpe?g|crop|thumbnail"
    r"|yaw|pitch|roll|openness|name)(es|s)?($|_)"
)
ARE_NO_FACE = ("smallest_face", "largest_face", "device_name")
MOST_MEASURED_NUMBERS = 4
"""A face is more numbers than these: five points are ten."""
LONGEST_WORD = 64

Documents = Iterable[tuple[str, object]]


def rows(database: Path) -> Iterator[tuple[str, str, object]]:
    """Table, column and value of everything in the database."""
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            found = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608  names out of the file's own list
            columns = [column for column, *_ in found.description]
            yield from ((table, column, value) for row in found for column, value in zip(columns, row, strict=True))


def documents(texts: Iterable[tuple[str, object]]) -> Documents:
    """What of `texts` is JSON, each with the name that stands before it."""
    for where, text in texts:
        try:
            yield where, json.loads(str(text))
        except ValueError:
            continue


def pictures(texts: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    return [(name, mark) for name, text in texts.items() for mark in PICTURES if mark in text]


def blobs(database: Path) -> set[tuple[str, str]]:
    """Columns that hold bytes: the record needs none."""
    return {(table, column) for table, column, value in rows(database) if isinstance(value, bytes)}


def faces(found: Documents) -> set[tuple[str, str]]:
    """Where, and under which key, stands something of a face, or more measured numbers in a row than anybody needs."""
    return {
        (where, key) for where, document in found for key, value in _lists(document) if _tells_of_a_face(key, value)
    }


def holding(secret: str, texts: Mapping[str, bytes]) -> list[str]:
    """Which texts hold the secret, however it may be spelled."""
    raw = secret.encode()
    spellings = {raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), raw.hex().encode()}
    spellings.add(base64.b64encode(raw)[:-4])
    return [name for name, text in texts.items() if any(spelling in text for spelling in spellings)]


def _tells_of_a_face(key: str, value: list[object]) -> bool:
    numbers = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    measured = [one for one in numbers if isinstance(one, float) and not one.is_integer()]
    words = [one for one in value if isinstance(one, str)]
    if (
        OF_A_FACE.search(key)
        and key not in ARE_NO_FACE
        and (numbers or any(len(word) > LONGEST_WORD for word in words))
    ):
        return True
    return len(measured) > MOST_MEASURED_NUMBERS


def _lists(value: object, key: str = "") -> Iterator[tuple[str, list[object]]]:
    """Each list, and each single value as a list of one, with the last key above it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _lists(inner, str(name))
    elif isinstance(value, list):
        yield key, value
        for inner in value:
            yield from _lists(inner, key)
    else:
        yield key, [value]
