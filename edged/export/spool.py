"""The exported files on the device itself: what they hold is never made twice, so that its names never differ."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from edged.errors import Failed, Unavailable
from edged.export.files import Format, decode, encode
from edged.export.manifest import (
    DAY_FOLDER,
    MANIFEST,
    NAMESPACE,
    ROOT,
    DataFile,
    Manifest,
    Name,
    Previous,
    SummedUp,
    Table,
    folder_of,
    named,
    parse_name,
    sha256,
)
from edged.export.schema import KEYS, Row
from edged.files import lock, replace, sync
from edged.processes.program import run

SIGNS_WITHIN_S = 20
PROGRESS = "progress.json"
DAMAGED = "damaged"
"""The folder of what was set aside, day by day as in a place."""
MOST_SET_ASIDE = 20
"""Exports of which the damaged files are kept: the newest."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A manifest in the spool, with where it lies."""

    path: Path
    name: Name
    local_day: str

    @property
    def parts(self) -> list[Path]:
        """Its files in the order in which they are sent: data, signature, manifest. Raise Damaged where one is."""
        data = [self.data(file) for file in read_manifest(self.path).files]
        signature = self.path.with_name(f"{self.path.name}.sig")
        return [*data, *([signature] if signature.exists() else []), self.path]

    def data(self, file: DataFile) -> Path:
        """Where one of its files of rows lies. Raise Damaged where that is: sent, it would replace a whole one."""
        path = self.path.parent / file.name
        try:
            whole = sha256(path.read_bytes()) == file.sha256
        except OSError:
            whole = False
        if not whole:
            raise Damaged(f"{path}: is damaged or gone")
        return path


class Damaged(Failed):
    """A file of an export is not what it was when it was written."""


class Spool:
    """One folder, used by one export at a time. Every change is one file that appears whole, the manifest last."""

    def __init__(self, folder: Path, device_id: str) -> None:
        self.folder = folder
        self.device_id = device_id

    @contextmanager
    def locked(self) -> Iterator["Spool"]:
        """Raise Failed while another export runs, Unavailable where the folder cannot be made."""
        try:
            self.folder.mkdir(mode=0o750, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(
                f"{self.folder}: cannot be used ({error.strerror}); it must be a folder that the user edged may write"
            ) from None
        try:
            if not lock(descriptor):
                raise Failed(f"{self.folder}: another edged export is under way; wait for its end")
            yield self
        finally:
            os.close(descriptor)

    def exported(self) -> list[Exported]:
        """Every manifest of this device, in the order of their numbers."""
        return [one for one in self.everything() if one.name.device_id == self.device_id]

    def everything(self) -> list[Exported]:
        """As `exported`, after those of the ids that this device had before."""
        return self._found(self.folder / ROOT)

    def set_aside(self) -> list[Exported]:
        """As `everything`, of the damaged exports that `set_damaged_aside` moved away and that are still kept."""
        return self._found(self.folder / DAMAGED)

    def _found(self, root: Path) -> list[Exported]:
        found = [
            Exported(path, name, match[1])
            for path in root.glob(f"dt=*/*.{MANIFEST}")
            if (name := parse_name(path.name)) and (match := DAY_FOLDER.fullmatch(path.parent.name))
        ]
        return sorted(
            found, key=lambda one: (one.name.device_id == self.device_id, one.name.device_id, one.name.number)
        )

    def set_damaged_aside(self, used: Iterable[Exported]) -> list[str]:
        """Move away those exports of `used` of which a file is damaged or gone; a line on each.

        Raise Unavailable where they cannot be moved.
        """
        said = []
        for one in used:
            try:
                one.parts  # noqa: B018  reading them is the check
            except Damaged as damage:
                aside = self.folder / DAMAGED / one.path.parent.name
                try:
                    self._move(one, aside)
                except OSError as error:
                    raise Unavailable(f"{damage}, and cannot be moved to {aside} ({error.strerror})") from None
                said.append(
                    f"{damage}; this export was moved to {aside}. Where the store still has all of {one.local_day}, that is"
                    " exported again; else copy the files back from where they were sent. See that the disk is sound"
                )
        return said

    def _move(self, one: Exported, aside: Path) -> None:
        """Move all files of an export, the manifest first: without it the others do not count."""
        aside.mkdir(parents=True, exist_ok=True)
        for path in [one.path, *_files_of(one)]:
            path.replace(aside / path.name)
        for folder in (aside, one.path.parent):
            sync(folder)
        for old in sorted(self.set_aside(), key=lambda one: (one.local_day, one.name.number))[:-MOST_SET_ASIDE]:
            for path in [*_files_of(old), old.path]:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # another export of the day is still there
                old.path.parent.rmdir()

    def next_number(self, sent: Mapping[str, int]) -> int:
        """That of the next manifest: no number is given twice, whatever was damaged or moved away since.

        `sent` is that of `progress`.
        """
        own = [one.name.number for one in (*self.exported(), *self.set_aside()) if one.name.device_id == self.device_id]
        return 1 + max(
            [*own, *(number for of, number in sent.items() if of.partition(" ")[0] == self.device_id)], default=0
        )

    def known(self, exported: Iterable[Exported], table: str) -> dict[tuple[Any, ...], Row]:
        """What these manifests hold of a table, the latest version of each row, by its key."""
        latest: dict[tuple[Any, ...], Row] = {}
        for one in exported:
            for file in read_manifest(one.path).files:
                if file.table == table:
                    for row in decode(one.data(file), table):
                        latest[tuple(row[key] for key in KEYS[table])] = row
        return latest

    def add(
        self,
        number: int,
        day: date,
        tables: Mapping[str, Iterable[Row]],
        form: Format,
        about: Mapping[str, Any],
        before: Exported | None,
        sign_key: Path | None,
    ) -> Exported:
        """Write the files of manifest `number`, the next after `before`. Raise Unavailable where the disk does not allow it."""
        last = read_manifest(before.path) if before else None
        folder = self.folder / folder_of(day)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(folder, number)
            passing = {table: SummedUp(rows) for table, rows in tables.items()}
            files = [self._data(folder, number, table, rows, form) for table, rows in passing.items()]
            manifest = Manifest(
                sums=passing["encounter"].sums,
                **about,
                device_id=self.device_id,
                local_day=day.isoformat(),
                chain=last.chain if last else secrets.token_hex(8),
                number=number,
                files=tuple(files),
                previous=Previous(
                    local_day=last.local_day, name=before.path.name, sha256=sha256(before.path.read_bytes())
                )
                if last and before
                else None,
            )
            text = manifest.text()
            path = folder / named(self.device_id, number, text, MANIFEST)
            if sign_key is not None:
                replace(path.with_name(f"{path.name}.sig"), _signature(text, sign_key), 0o640)
            replace(path, text, 0o640)
        except OSError as error:
            raise Unavailable(f"{folder}: cannot be written ({error.strerror}); it is tried again") from None
        return Exported(path, parse_name(path.name) or Name("", 0, "", ""), day.isoformat())

    def _data(self, folder: Path, number: int, table: str, rows: SummedUp, form: Format) -> DataFile:
        data = encode(rows, table, form, folder)
        name = named(self.device_id, number, data, f"{table}.{form}")
        replace(folder / name, data, 0o640)
        return DataFile(name=name, table=cast(Table, table), rows=rows.count, bytes=len(data), sha256=sha256(data))

    def _sweep(self, folder: Path, number: int) -> None:
        """Remove what an export left that was cut short before its manifest."""
        for path in folder.iterdir():
            name = parse_name(path.name)
            if name and (name.device_id, name.number) == (self.device_id, number):
                path.unlink()
            elif path.name.startswith(".edged-"):
                _remove(path)

    def forget_before(self, first: date) -> list[str]:
        """Delete the files of days before `first`, but for the newest manifest, on which the next one builds; which days went."""
        everything = self.everything()
        kept = {one.local_day for one in self.exported()[-1:]}
        gone = sorted({one.local_day for one in everything if one.local_day < first.isoformat()} - kept)
        for day in gone:
            folder = self.folder / folder_of(day)
            for path in folder.iterdir():
                _remove(path)
            folder.rmdir()
        return gone

    def progress(self) -> dict[str, dict[str, Any]]:
        """What is remembered between runs: `sent`, the last number that each place has of an id, and `seen`, by day the store's
        mark.

        Where it is lost or damaged, files are sent and days looked at once more, which changes nothing.
        """
        try:
            found = json.loads((self.folder / PROGRESS).read_bytes())
            return {name: _each(dict(found[name]), kind) for name, kind in (("sent", int), ("seen", str))}
        except (OSError, ValueError, KeyError, TypeError):
            return {"sent": {}, "seen": {}}

    def remember(self, progress: Mapping[str, Mapping[str, Any]]) -> None:
        try:
            replace(self.folder / PROGRESS, json.dumps(progress, sort_keys=True).encode(), 0o640)
        except OSError as error:
            raise Unavailable(f"{self.folder}: cannot be written ({error.strerror}); it is tried again") from None


def _each(values: dict[str, Any], kind: type) -> dict[str, Any]:
    """The values, all of this type. Raise ValueError."""
    if not all(type(value) is kind for value in values.values()):
        raise ValueError(f"a value is no {kind.__name__}")
    return values


def read_manifest(path: Path) -> Manifest:
    """A manifest of our own. Raise Damaged where it is."""
    name = parse_name(path.name)
    try:
        data = path.read_bytes()
        if name is None or sha256(data)[:8] != name.sha8:
            raise ValueError("these are not the bytes that it is named after")
        return Manifest.model_validate_json(data)
    except (OSError, ValueError):
        raise Damaged(f"{path}: is damaged") from None


def _files_of(one: Exported) -> list[Path]:
    """All files of an export beside its manifest, by their names: the manifest may not be readable."""
    return [
        path
        for path in one.path.parent.iterdir()
        if path != one.path and (name := parse_name(path.name)) and name[:2] == one.name[:2]
    ]


def _remove(path: Path) -> None:
    """A scratch file or folder of an export that was cut short."""
    if path.is_dir():
        for one in path.iterdir():
            one.unlink()
        path.rmdir()
    else:
        path.unlink()


def _signature(text: bytes, key: Path) -> bytes:
    """As `ssh-keygen -Y sign` gives it. Raise Failed where it cannot, above all for a key with a passphrase."""
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE]
    quiet = {**os.environ, "SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": "/bin/false"}
    try:
        done = run(command, SIGNS_WITHIN_S, given=text, environment=quiet)
    except subprocess.TimeoutExpired:
        raise Failed(
            f"key export.sign_key_file = '{key}': ssh-keygen has not signed within {SIGNS_WITHIN_S} s; see whether its disk"
            " answers"
        ) from None
    except OSError as error:
        raise Failed(f"key export.sign_key_file = '{key}': ssh-keygen cannot sign ({error})") from None
    if done.returncode or not done.stdout:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise Failed(f"key export.sign_key_file = '{key}': ssh-keygen cannot sign with it ({why[0]})")
    return done.stdout
