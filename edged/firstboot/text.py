"""Names the line of a mistake."""

from edged.toml_hints import line_of


def with_line(mistake: str, text: str) -> str:
    """`mistake` with the number of its line in front, where that is known."""
    line = line_of(mistake, text)
    return mistake if line is None else f"line {line}: {mistake}"
