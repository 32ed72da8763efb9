"""Records an exported model: its hash and figures in the manifest, its tables in its card."""

import re
from collections.abc import Mapping
from pathlib import Path

from edged.errors import UsageError

BEGIN, END = "<!-- figures: written by the export command -->", "<!-- end of figures -->"


def record_model(manifest: Path, name: str, sha256: str, figures: Mapping[str, float]) -> None:
    """Set `sha256` and the numbers of `figures` in the manifest's entry `name`, leaving all other text as it is.

    Raise UsageError when the entry is not there: its words are a person's to write.
    """
    text = manifest.read_text()
    start = text.find(f"[model.{name}]\n")
    if start < 0:
        raise UsageError(f"{manifest}: no entry [model.{name}]; write one first, as the others are")
    following = re.search(rf"^\[model\.(?!{re.escape(name)}[.\]])", text[start:], re.MULTILINE)
    end = start + following.start() if following else len(text)
    entry = _set(text[start:end], "sha256", f'"{sha256}"')
    for key, value in figures.items():
        entry = _set(entry, key, f"{value:g}")
    manifest.write_text(text[:start] + entry + text[end:])


def _set(entry: str, key: str, value: str) -> str:
    """Replace the value of `key`, or add it at the end of the entry (where the figures stand)."""
    line = f"{key} = {value}"
    changed, count = re.subn(rf"^{re.escape(key)} = .*$", line, entry, count=1, flags=re.MULTILINE)
    return changed if count else f"{entry.rstrip()}\n{line}\n\n"


def record_tables(card: Path, markdown: str) -> None:
    """Replace what stands between the card's marks. Raise UsageError when it has none."""
    text = card.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{card}: has no lines {BEGIN!r} and {END!r} for the figures; add them")
    card.write_text(f"{before}{BEGIN}\n\n{markdown.strip()}\n\n{END}{after}")
