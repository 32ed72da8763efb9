"""Where in a TOML file a mistake stands, and what a person meant who wrote a line that is no TOML."""

import re
import unicodedata
from collections.abc import Iterator

QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'"})
WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_AT_LINE = re.compile(r"\(at line (\d+)")
_HEADER = re.compile(r"^\s*\[+([^\]#]+)\]+")
_KEY = re.compile(r"^\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")
_NAMED = re.compile(r"^(?:key|table \[)\s*(.+?)(?:\]?:| = )")
_END = "(at end of document)"
_SETTING = re.compile(r"""\s*(?P<key>[\w."'-]+)\s*(?P<sign>[=:]?)\s*(?P<value>[^\s#].*?)\s*(?:\s#.*)?""")
_TABLE = re.compile(r"\s*\[\s*(?P<name>[^\[\]]*?)\s*\]?\s*")
_SECRET = re.compile(r"(?i)pass|pwd|pw\b|psk|secret|token|usr|user|auth|credential|@|://[^\s]*\?")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_SEVERAL = re.compile(rf"(?:{_QUOTED.pattern})(?:\s*,\s*(?:{_QUOTED.pattern}))+")
_PATH = re.compile(r"(?i)(.*_)?(file|path|folder|timezone|source)")
"""Keys whose values have a / where Windows has a backslash."""
CUT_OFF = "the file ends too early: a bracket or a quote is not closed, or it was cut off while it was copied"
IN_SINGLE_QUOTES = (
    "text that holds \" or \\ stands between single quotes: '…'; where it holds ' too, write \\\" and \\\\"
)
TWO_TABLES = (
    "this table stands twice; put its keys into one, or give the second camera a name of its own, as in [camera.door2];"
    " where there may be several, each has two brackets, as in [[ssh]]"
)
TWO_KEYS = "this key stands twice in its table; take one of them out"
_TWICE = ("Cannot declare", "Cannot overwrite", "Cannot mutate")
"""What the parser says of both."""
LONGEST = 80
LONGEST_PLACE = 500
"""Characters of a line that is searched for a key or a table: expressions take long on longer ones."""


def hint(message: str, text: str) -> str:
    """The parser's `message` on `text`, with the line that it speaks of and how that is written, where that is known.

    A line that may hold a secret is not repeated.
    """
    if _END in message:
        return f"{message}; {CUT_OFF}"
    found = _AT_LINE.search(message)
    lines = text.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return message
    written = lines[int(found[1]) - 1]
    line = written.strip()
    if message.startswith(_TWICE):
        return f"{message}; {TWO_TABLES if line.startswith('[') else TWO_KEYS}"
    spelling = (_blanks(written) or _spelling(line)) if len(line) <= LONGEST_PLACE else None
    if _SECRET.search(line) or len(line) > LONGEST or not line.isprintable():
        return f"{message}; {spelling[0]}" if spelling else message
    right = f"; {spelling[0]}, as in {spelling[1]}" if spelling else ""
    return f"{message}: {line}{right}"


def line_of(mistake: str, text: str) -> int | None:
    """The line of a mistake that begins with `key a.b` or `table [a.b]`, or holds a parser's position; None where unknown."""
    if found := _AT_LINE.search(mistake):
        return int(found[1])
    if _END in mistake:
        return max(1, len(text.splitlines()))
    if named := _NAMED.match(mistake):
        name = tuple(part for part in named[1].split(".") if not part.isdigit())
        places = _first_of_each(text) | dict(_places(text))
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


def _first_of_each(text: str) -> dict[tuple[str, ...], int]:
    """The line in which each table is first spoken of, also by the name of what is in it: [Camera.door] speaks of Camera."""
    first: dict[tuple[str, ...], int] = {}
    for name, number in _places(text):
        for length in range(1, len(name)):
            first.setdefault(name[:length], number)
    return first


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _blanks(line: str) -> tuple[str, str] | None:
    """Blanks outside of quotes that look like a space, or like nothing: web pages and word processors make them."""
    odd = {one for one in _QUOTED.sub("", line) if one != " " and unicodedata.category(one) in ("Zs", "Cf")}
    if not odd:
        return None
    right = "".join(" " if unicodedata.category(one) == "Zs" else "" if one in odd else one for one in line)
    return "a blank in this line is no ordinary space, as copied from a web page; type the line anew", right.strip()


def _spelling(line: str) -> tuple[str, str] | None:
    """The rule that the line breaks, and the line that keeps it."""
    if line.startswith(("//", ";")):
        return "a comment begins with #", f"# {line.lstrip('/; ')}"
    if line.startswith("["):
        return _table(line)
    setting = _SETTING.fullmatch(line)
    if setting is None:
        return None
    key, value = setting["key"], setting["value"]
    rule, right = _value(key, value)
    if setting["sign"] != "=":
        return "between key and value stands =", f"{key} = {right}"
    return (rule, f"{key} = {right}") if rule else None


def _table(line: str) -> tuple[str, str] | None:
    """Of a table's head: [camera side] meant [camera.side], and [camera.front door] meant [camera.front-door]."""
    found = _TABLE.fullmatch(line)
    if found is None:
        return None
    first, *rest = re.split(r"[\s./:]+", found["name"], maxsplit=1)
    named = (re.sub(r"\s+", "-", part.strip()) for part in re.split(r"[./:]+", rest[0] if rest else ""))
    parts = [plain for part in (first, *named) if (plain := _plain(part))]
    right = f"[{'.'.join(parts)}]"
    if not parts or right == line:
        return None
    return "a table is one name in brackets: letters a to z, digits, - and _, with dots between its parts", right


def _plain(name: str) -> str:
    """The name without accents, and without what no name holds."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^\w-]", "", letters)


def _value(key: str, value: str) -> tuple[str, str]:
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
        return _quoted(key, value)
    if value[0] in "[{" or re.fullmatch(r"[+-]?[\d._]+|true|false", value):
        return "", value
    return "text stands in quotes", '"' + value.replace('"', "") + '"'


def _quoted(key: str, value: str) -> tuple[str, str]:
    """As `_value`, of a value that begins with a quote."""
    quote = value[0]
    if _SEVERAL.fullmatch(value):
        return "several values stand in brackets", f"[{value}]"
    if value.startswith(quote * 3):
        return "", value
    if not value.endswith(quote) or len(value) == 1:
        return ("", value) if value.count(quote) % 2 == 0 else ("the quote at the end is missing", value + quote)
    inner = value[1:-1]
    if quote == '"' and "\\" in inner and '"' not in inner and _PATH.fullmatch(key):
        return "a backslash is written as /", value.replace("\\\\", "\\").replace("\\", "/")
    if quote in inner or (quote == '"' and "\\" in inner):
        if quote == "'":
            return "text that holds ' stands between double quotes", f'"{inner}"'
        escaped = inner.replace("\\", "\\\\").replace('"', '\\"')
        return IN_SINGLE_QUOTES, f'"{escaped}"' if "'" in inner else f"'{inner}'"
    return "", value
