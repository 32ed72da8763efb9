"""The exported files on the device itself: what they hold is never made twice, so that its names never differ."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
from edged.files import lock, replace
from edged.processes.program import run

SIGNS_WITHIN_S = 20
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """A manifest in the spool, with where it lies."""

    path: Path
    name: Name
    local_day: str

    @property
    def parts(self) -> list[Path]:
        """Its files in the order in which they are sent: data, signature, manifest. Raise Failed where one is damaged."""
        data = [self.data(file) for file in read_manifest(self.path).files]
        signature = self.path.with_name(f"{self.path.name}.sig")
        return [*data, *([signature] if signature.exists() else []), self.path]

    def data(self, file: DataFile) -> Path:
        """Where one of its files of rows lies. Raise Failed where that is damaged: sent, it would replace a whole one."""
        path = self.path.parent / file.name
        try:
            whole = sha256(path.read_bytes()) == file.sha256
        except OSError:
            whole = False
        if not whole:
            raise Failed(
                f"{path}: is damaged or gone; copy it back from where it was sent, or move its manifest and the later ones"
                " away, and the days are exported again"
            )
        return path


class Spool:
    """One folder, used by one export at a time. Every change is one file that appears whole, the manifest last."""

    def __init__(self, folder: Path, device_id: str) -> None:
        self.folder = folder
        self._device_id = device_id

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
        return [one for one in self.everything() if one.name.device_id == self._device_id]

    def everything(self) -> list[Exported]:
        """As `exported`, after those of the ids that this device had before."""
        found = [
            Exported(path, name, match[1])
            for path in self.folder.glob(f"{ROOT}/dt=*/*.{MANIFEST}")
            if (name := parse_name(path.name)) and (match := DAY_FOLDER.fullmatch(path.parent.name))
        ]
        return sorted(
            found, key=lambda one: (one.name.device_id == self._device_id, one.name.device_id, one.name.number)
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
        day: date,
        tables: Mapping[str, Iterable[Row]],
        form: Format,
        about: Mapping[str, Any],
        before: Exported | None,
        sign_key: Path | None,
    ) -> Exported:
        """Write the files of one more manifest after `before`. Raise Unavailable where the disk does not allow it."""
        last = read_manifest(before.path) if before else None
        number = last.number + 1 if last else 1
        folder = self.folder / folder_of(day)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(folder, number)
            passing = {table: SummedUp(rows) for table, rows in tables.items()}
            files = [self._data(folder, number, table, rows, form) for table, rows in passing.items()]
            manifest = Manifest(
                sums=passing["encounter"].sums,
                **about,
                device_id=self._device_id,
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
            path = folder / named(self._device_id, number, text, MANIFEST)
            if sign_key is not None:
                replace(path.with_name(f"{path.name}.sig"), _signature(text, sign_key), 0o640)
            replace(path, text, 0o640)
        except OSError as error:
            raise Unavailable(f"{folder}: cannot be written ({error.strerror}); it is tried again") from None
        return Exported(path, parse_name(path.name) or Name("", 0, "", ""), day.isoformat())

    def _data(self, folder: Path, number: int, table: str, rows: SummedUp, form: Format) -> DataFile:
        data = encode(rows, table, form, folder)
        name = named(self._device_id, number, data, f"{table}.{form}")
        replace(folder / name, data, 0o640)
        return DataFile(name=name, table=cast(Table, table), rows=rows.count, bytes=len(data), sha256=sha256(data))

    def _sweep(self, folder: Path, number: int) -> None:
        """Remove what an export left that was cut short before its manifest."""
        for path in folder.iterdir():
            name = parse_name(path.name)
            if name and (name.device_id, name.number) == (self._device_id, number):
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
    """A manifest of our own. Raise Failed where it is damaged."""
    name = parse_name(path.name)
    try:
        data = path.read_bytes()
        if name is None or sha256(data)[:8] != name.sha8:
            raise ValueError("these are not the bytes that it is named after")
        return Manifest.model_validate_json(data)
    except (OSError, ValueError):
        raise Failed(f"{path}: is damaged; move it and the later ones away, and the days are exported again") from None


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
