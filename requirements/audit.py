"""Compares a bill of materials with a list of known vulnerabilities, offline: `python requirements/audit.py SBOM LIST…`.

LIST is what osv.dev gives out (https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip), fetched wherever there is a
network: the zip, a folder of its files, or one file with an advisory or an array of them. One line for each hit; exit code 1
when there is one, 2 when something cannot be read. An advisory without versions is told: it may concern every one.
"""

import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

MOST_BYTES = 32 * 1024 * 1024
"""Of one advisory, or one file of them."""

PURL = "pkg:pypi/"
FROM_THE_BEGINNING = "0"

Advisory = dict[str, Any]


class Unreadable(Exception):
    """One line for a person."""


@dataclass(frozen=True)
class Hit:
    """A component that an advisory concerns."""

    name: str
    version: str
    advisory: str
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is named"
        return f"{self.name} {self.version}: {self.advisory}: {self.summary or 'no summary'} ({remedy})"


def components(sbom: Path) -> set[tuple[str, str]]:
    """Canonical name and version of every Python package in a CycloneDX file. Raise Unreadable."""
    try:
        found = json.loads(sbom.read_text())["components"]
        purls = [component["purl"] for component in found if str(component.get("purl", "")).startswith(PURL)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{sbom}: no CycloneDX file with components ({error}); make one with `make sbom`") from None
    if not purls:
        raise Unreadable(f"{sbom}: names no Python package; make one with `make sbom`")
    pairs = (purl.removeprefix(PURL).split("?")[0].rpartition("@") for purl in purls)
    return {(canonicalize_name(unquote(name)), unquote(version)) for name, _, version in pairs}


def advisories(source: Path) -> Iterator[Advisory]:
    """Every advisory of a zip, a folder or a file. Raise Unreadable."""
    try:
        if source.is_dir():
            for file in sorted(source.glob("**/*.json")):
                yield from _parsed(file.name, file.stat().st_size, file.read_bytes)
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".json"):
                        yield from _parsed(entry.filename, entry.file_size, lambda entry=entry: archive.read(entry))
        else:
            yield from _parsed(source.name, source.stat().st_size, source.read_bytes)
    except (OSError, zipfile.BadZipFile) as error:
        raise Unreadable(f"{source}: cannot be read ({error})") from None


def _parsed(name: str, size: int, read: Any) -> Iterator[Advisory]:
    if size > MOST_BYTES:
        raise Unreadable(f"{name}: larger than {MOST_BYTES // 1024**2} MB")
    try:
        told = json.loads(read())
    except ValueError as error:
        raise Unreadable(f"{name}: is not JSON ({error})") from None
    for one in told if isinstance(told, list) else [told]:
        if not isinstance(one, dict) or "id" not in one:
            raise Unreadable(f"{name}: holds no OSV advisory, which has an id")
        yield one


def hits(parts: set[tuple[str, str]], advisory: Advisory) -> Iterator[Hit]:
    """What of `parts` an advisory concerns, once each."""
    if advisory.get("withdrawn"):
        return
    versions: dict[str, set[str]] = {}
    for name, version in parts:
        versions.setdefault(name, set()).add(version)
    for affected in advisory.get("affected") or []:
        package = affected.get("package") or {}
        name = canonicalize_name(str(package.get("name", "")))
        if package.get("ecosystem") != "PyPI":
            continue
        for version in sorted(versions.get(name, ())):
            if concerns(affected, version):
                fixed = tuple(event["fixed"] for events in _ranges(affected) for event in events if "fixed" in event)
                yield Hit(name, version, advisory["id"], str(advisory.get("summary", "")), fixed)


def concerns(affected: Advisory, version: str) -> bool:
    """Whether one `affected` of an advisory holds for a version: it is listed, or lies in one of the ranges."""
    listed, ranges = affected.get("versions") or [], list(_ranges(affected))
    if not listed and not ranges:
        return True
    try:
        here = Version(version)
    except InvalidVersion:
        return True  # better told once too often
    return any(_same(one, here) for one in listed) or any(_within(events, here) for events in ranges)


def _same(text: str, here: Version) -> bool:
    try:
        return Version(text) == here
    except InvalidVersion:
        return False


def _ranges(affected: Advisory) -> Iterator[list[dict[str, str]]]:
    return (one.get("events") or [] for one in affected.get("ranges") or [] if one.get("type") == "ECOSYSTEM")


def _within(events: Sequence[dict[str, str]], here: Version) -> bool:
    """OSV's rule: the last event at or below the version decides; `fixed` is free again, `last_affected` is not yet."""
    inside = False
    for at, kind in sorted((_place(value), kind) for event in events for kind, value in event.items()):
        if kind == "introduced" and here >= at:
            inside = True
        elif (kind == "fixed" and here >= at) or (kind == "last_affected" and here > at):
            inside = False
    return inside


def _place(text: str) -> Version:
    try:
        return Version(FROM_THE_BEGINNING + ".dev0" if text == FROM_THE_BEGINNING else text)
    except InvalidVersion:
        return Version(FROM_THE_BEGINNING + ".dev0")


def audit(sbom: Path, lists: Sequence[Path]) -> tuple[int, list[Hit]]:
    """How many advisories were looked at, and every hit. Raise Unreadable."""
    parts, seen, found = components(sbom), 0, set()
    for source in lists:
        for advisory in advisories(source):
            seen += 1
            found.update(hits(parts, advisory))
    if not seen:
        raise Unreadable(f"{', '.join(map(str, lists))}: no advisory in it")
    return seen, sorted(found, key=str)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 2:
        print("usage: audit.py SBOM LIST…; LIST is osv.dev's all.zip of PyPI, or files out of it", file=sys.stderr)
        return 2
    try:
        seen, found = audit(Path(arguments[0]), [Path(one) for one in arguments[1:]])
    except Unreadable as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    for hit in found:
        print(hit)
    print(f"{seen} advisories, {len(found)} of them concern what is in {arguments[0]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
