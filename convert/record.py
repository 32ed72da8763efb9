"""Records an exported model: its hash and figures in the manifest, its tables in its card."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from convert.whole_file import write_whole
from edged.errors import UsageError
from edged.inference import load_manifest

FIGURES = ("<!-- figures: written by the export command -->", "<!-- end of figures -->")
HALF_PRECISION = ("<!-- half precision: written by fp16-figures -->", "<!-- end of half precision -->")
EVALUATION = ("<!-- evaluation: written by evaluate -->", "<!-- end of evaluation -->")
"""Marks in a card: what stands between them is written by a command."""


@dataclass(frozen=True)
class Report:
    """What an export measured: the card's tables as Markdown, and the manifest's figures."""

    tables: str
    figures: Mapping[str, float]


def record_export(engines: Path, name: str, sha256: str, report: Report) -> None:
    """Print the tables, then write them to the card `name.md` in `engines`, and hash and figures to its manifest.

    In this order, so that minutes of measuring are not lost where card or manifest lacks the place for them.
    """
    click.echo(report.tables)
    record_tables(engines / f"{name}.md", report.tables)
    record_model(engines / "manifest.toml", name, sha256, report.figures)


def deliver_locally(model: Path, engines: Path, name: str) -> Path:
    """Put `model` into `engines` as the file of the manifest's model `name`, which each machine trains for itself.

    Its hash goes beside it, as sha256sum writes it: the manifest cannot know it. Returns where the file is now. Raise
    UsageError for a model whose hash the manifest knows.
    """
    entry = load_manifest(engines).entry(name)
    target = engines / entry.file
    if not entry.trained_locally:
        raise UsageError(f"{engines / 'manifest.toml'}: model {name} has a sha256, so no other file can be it")
    data = model.read_bytes()
    write_whole(target, data)
    write_whole(engines / entry.hash_file, f"{hashlib.sha256(data).hexdigest()}  {entry.file}\n".encode())
    return target


def record_model(manifest: Path, name: str, sha256: str, figures: Mapping[str, float]) -> None:
    """Set `sha256` and the numbers of `figures` in the manifest's entry `name`, leaving all other text as it is.

    Raise UsageError when the entry is not there, since its words are a person's to write, and when its tables do not stand
    together.
    """
    text = manifest.read_text()
    start = text.find(f"[model.{name}]\n")
    if start < 0:
        raise UsageError(f"{manifest}: no entry [model.{name}]; write one first, as the others are")
    following = re.search(rf"^\[model\.(?!{re.escape(name)}[.\]])", text[start:], re.MULTILINE)
    end = start + following.start() if following else len(text)
    if f"[model.{name}." in text[:start] + text[end:]:
        raise UsageError(
            f"{manifest}: the tables of [model.{name}] do not stand together; move the others away from them"
        )
    entry = _set(text[start:end], "sha256", f'"{sha256}"')
    for key, value in figures.items():
        entry = _set(entry, key, f"{value:g}")
    manifest.write_text(text[:start] + entry + text[end:])


def _set(entry: str, key: str, value: str) -> str:
    """Replace the value of `key`, or add it at the end of the entry (where the figures stand)."""
    line = f"{key} = {value}"
    changed, count = re.subn(rf"^{re.escape(key)} = .*$", line, entry, count=1, flags=re.MULTILINE)
    return changed if count else f"{entry.rstrip()}\n{line}\n\n"


def record_tables(card: Path, markdown: str, marks: tuple[str, str] = FIGURES) -> None:
    """Replace what stands between the card's `marks`. Raise UsageError when it has none."""
    text = card.read_text()
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise UsageError(f"{card}: has no lines {marks[0]!r} and {marks[1]!r} for the figures; add them")
    card.write_text(f"{before}{begin}\n\n{markdown.strip()}\n\n{end}{after}")
