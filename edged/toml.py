"""Reads a TOML file on every supported Python, with bounds on its size and on the depth of its keys; writes tables as TOML."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edged.files import read_regular
from edged.toml_hints import hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_TOML_BYTES = 256 * 1024
MOST_KEY_PARTS = 8
"""camera.door.mask.smallest_face has four. A parser's memory grows with the square of a dotted key's length."""

# Strings and comments, closed or not: each alternative takes all it begins with, so that one pass is linear.
_NOT_KEYS = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:\\.|[^"\\\n])*"?|\'[^\'\n]*\'?|#[^\n]*', re.DOTALL
)
_DOCUMENTS = (b"{\\rtf", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"<")
"""How the files of word processors and web pages begin."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TOO_DEEP = re.compile(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{MOST_KEY_PARTS}}}")


def load_toml(path: Path) -> dict[str, Any]:
    """Parse `path`. Raise OSError when unreadable, ValueError when too large, or as `parse_toml`."""
    return parse_toml(read_toml(path))


def read_toml(path: Path) -> bytes:
    """The bytes of `path`. Raise OSError when unreadable, ValueError when too large."""
    return read_regular(path, MAX_TOML_BYTES)


def parse_toml(data: bytes) -> dict[str, Any]:
    """The tables of a file's bytes. Raise ValueError when they are not UTF-8, nested too deep or not TOML.

    A byte order mark, which some editors put first, and either kind of line ending are accepted.
    """
    text = _decoded(data)
    if found := _TOO_DEEP.search(_NOT_KEYS.sub(_placeholder, text)):
        raise ValueError(f"a key of more than {MOST_KEY_PARTS} parts ({' '.join(found[0].split())[:40]}…)")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(hint(str(error), text)) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("a number of thousands of digits; write a smaller one") from None
        raise


def _decoded(data: bytes) -> str:
    """The text of `data`. Raise ValueError saying how to save it."""
    if data and not data.strip(b"\0"):
        raise ValueError("holds nothing but zeros, as a file that was not written to its end; copy it once more")
    if data.lstrip().startswith(_DOCUMENTS):
        raise ValueError(
            "is no plain text but a document or a web page; save it from a text editor as plain text, UTF-8"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        raise ValueError("is UTF-16 text; in the editor, choose the encoding UTF-8 where you save it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"byte {error.start} is not UTF-8 text; in the editor, choose the encoding UTF-8 where you save the file"
            f" (at line {line})"
        ) from None


def _placeholder(found: re.Match[str]) -> str:
    """A quoted part of a key is a part; a comment is none."""
    return "" if found[0].startswith("#") else "_"


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
