"""Where in a TOML file a mistake stands, and what a person meant who wrote a line that is no TOML."""

import re
from collections.abc import Iterator

QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'"})
WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_AT_LINE = re.compile(r"\(at line (\d+)")
_HEADER = re.compile(r"^\s*\[+([^\]#]+)\]+")
_KEY = re.compile(r"^\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")
_NAMED = re.compile(r"^(?:key|table \[)\s*([\w.-]+)")
_SETTING = re.compile(r"""\s*(?P<key>[\w."'-]+)\s*(?P<sign>[=:]?)\s*(?P<value>[^\s#].*?)\s*(?:\s#.*)?""")
_TABLE = re.compile(r"\s*\[\s*(?P<name>[^\[\]]*?)\s*\]?\s*")
_SECRET = re.compile(r"(?i)pass|pwd|pw\b|psk|secret|token|usr|user|auth|credential|@|://[^\s]*\?")
LONGEST = 80
LONGEST_PLACE = 500
"""Characters of a line that is searched for a key or a table: expressions take long on longer ones."""


def hint(message: str, text: str) -> str:
    """The parser's `message` on `text`, with the line that it speaks of and how that is written, where that is known.

    A line that may hold a secret is not repeated.
    """
    found = _AT_LINE.search(message)
    lines = text.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return message
    line = lines[int(found[1]) - 1].strip()
    spelling = _spelling(line) if len(line) <= LONGEST_PLACE else None
    if _SECRET.search(line) or len(line) > LONGEST or not line.isprintable():
        return f"{message}; {spelling[0]}" if spelling else message
    right = f"; {spelling[0]}, as in {spelling[1]}" if spelling else ""
    return f"{message}: {line}{right}"


def line_of(mistake: str, text: str) -> int | None:
    """The line of a mistake that begins with `key a.b` or `table [a.b]`, or holds a parser's position; None where unknown."""
    if found := _AT_LINE.search(mistake):
        return int(found[1])
    if "(at end of document)" in mistake:
        return max(1, len(text.splitlines()))
    if named := _NAMED.match(mistake):
        name = tuple(part for part in named[1].split(".") if not part.isdigit())
        places = dict(_places(text))
        while name:
            if name in places:
                return places[name]
            name = name[:-1]
    return None


def _places(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each key and table of a file with its line."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST_PLACE:
            continue
        if header := _HEADER.match(line):
            table = _parts(header[1])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_parts(key[1])), number


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _spelling(line: str) -> tuple[str, str] | None:
    """The rule that the line breaks, and the line that keeps it."""
    if line.startswith(("//", ";")):
        return "a comment begins with #", f"# {line.lstrip('/; ')}"
    if line.startswith("["):
        name = _TABLE.fullmatch(line)
        parts = re.split(r"[\s./:]+", name["name"]) if name else []
        right = f"[{'.'.join(parts)}]"
        return (
            ("a table is one name in brackets, with dots between its parts", right) if parts and right != line else None
        )
    setting = _SETTING.fullmatch(line)
    if setting is None:
        return None
    key, value = setting["key"], setting["value"]
    rule, right = _value(value)
    if setting["sign"] != "=":
        return "between key and value stands =", f"{key} = {right}"
    return (rule, f"{key} = {right}") if rule else None


def _value(value: str) -> tuple[str, str]:
    """The rule that the value breaks, "" for none, and the value that keeps it."""
    straight = value.translate(QUOTES)
    if straight != value:
        return "quotes are straight", straight
    if value.lower() in WORDS and value not in ("true", "false"):
        return "true and false are written in lower case", WORDS[value.lower()]
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return "decimals stand behind a point", value.replace(",", ".")
    if re.fullmatch(r"\d+\s*%", value):
        return "a number stands alone", value.rstrip("% ")
    if value[0] in "\"'":
        whole = value.count(value[0]) % 2 == 0
        if whole and "\\" in value:
            return "a backslash is written as /", value.replace("\\\\", "\\").replace("\\", "/")
        return ("", value) if whole else ("the quote at the end is missing", value + value[0])
    if value[0] in "[{" or re.fullmatch(r"[+-]?[\d._]+|true|false", value):
        return "", value
    return "text stands in quotes", '"' + value.replace('"', "") + '"'
