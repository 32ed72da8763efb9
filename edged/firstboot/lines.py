"""Says on which line of a file each mistake stands."""

import re
from collections.abc import Iterator

_HEADER = re.compile(r"^\s*\[+\s*([^\]#]+?)\s*\]+")
_KEY = re.compile(r"^\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")
_NAMED = re.compile(r"^(?:key|table \[)\s*([\w.-]+)")
_AT_LINE = re.compile(r"\(at line (\d+)")


def with_line(mistake: str, text: str) -> str:
    """`mistake` with the number of its line in front, where that can be told."""
    if found := _AT_LINE.search(mistake):
        return f"line {found[1]}: {mistake}"
    if "(at end of document)" in mistake:
        return f"line {max(1, len(text.splitlines()))}: {mistake}"
    if named := _NAMED.match(mistake):
        wanted = tuple(part for part in named[1].split(".") if not part.isdigit())
        places = dict(_places(text))
        while wanted:
            if wanted in places:
                return f"line {places[wanted]}: {mistake}"
            wanted = wanted[:-1]
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
