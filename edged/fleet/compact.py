"""Puts the many small files of a day together into one large file a table, which a manifest of its own vouches for."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence, Set
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import cast

from edged.errors import Failed, Unavailable
from edged.export.files import ROW_GROUP, duckdb_connection, literal, reading
from edged.export.manifest import DataFile, Name, Table, folder_of, named
from edged.files import lock, replace, sync
from edged.fleet.digests import digest_of
from edged.fleet.engines import MEMORY, THREADS, examine
from edged.fleet.intake import OWNER, Compacted
from edged.fleet.place import COMPACTED, Place

SCRATCH = ".edged-compact-"


def compact(place: Place, day: date, now_ms: int) -> int | None:
    """Put the whole files of `day` together, and remove them; how many there were, None where nothing was to do.

    Manifests stay: they still say what each device sent. Files with a fault are left as they are. After a power cut the day
    counts the same, whatever of this was done. Raise Unavailable where the place cannot be written, Failed without DuckDB.
    """
    folder = place.root / folder_of(day)
    with _locked(folder):
        intake = place.read(day, day, now_ms)
        intake.settle(day, day, examine)
        older = intake.compactions.get(str(day), [])
        old = {file.name for one in older for file in one.files}
        small = {path.name for paths in intake.files.values() for path in paths} - old
        if len(small) < 2:
            return None
        try:
            whole = [_together(folder, table, paths) for table, paths in intake.files.items() if paths]
            replaces = frozenset(small).union(*(one.replaces for one in older))
            text = Compacted(v=1, local_day=str(day), files=tuple(whole), replaces=replaces).model_dump_json().encode()
            replace(folder / named(OWNER, 0, text, COMPACTED), text, 0o644)
            _remove(folder, older, replaces, {file.name for file in whole})
        except OSError as error:
            raise Unavailable(f"{folder}: cannot be written ({error.strerror}); compact it again") from None
        return len(small)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One compaction of a day at a time; what one that was cut short left behind goes. Raise Failed while another runs."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # nothing was exported of that day
        return
    try:
        if not lock(descriptor):
            raise Failed(f"{folder}: another edged fleet compact is under way; wait for its end")
        for path in folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(path, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _together(folder: Path, table: str, paths: Sequence[Path]) -> DataFile:
    """One Parquet file with the rows of all, in the order of devices, so that few row groups hold each of them."""
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as made,
        closing(duckdb_connection(MEMORY, THREADS, spill=made)) as connection,
    ):
        target = Path(made) / "rows.parquet"
        forms = [[path for path in paths if path.name.endswith(form)] for form in (".parquet", ".jsonl.gz")]
        rows = " UNION ALL ".join(reading(table, chosen) for chosen in forms if chosen)
        connection.execute(
            f"COPY ({rows}) TO {literal(target)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
        )
        count = connection.execute(f"SELECT count(*) FROM ({reading(table, [target])})").fetchone()  # noqa: S608
        sync(target)
        digest, size = digest_of(target)
        name = Name(OWNER, 0, digest[:8], f"{table}.parquet")
        target.chmod(0o644)
        target.replace(folder / str(name))
        sync(folder)
    return DataFile(name=str(name), table=cast(Table, table), rows=count[0] if count else 0, bytes=size, sha256=digest)


def _remove(folder: Path, older: Sequence[Compacted], replaces: frozenset[str], new: Set[str]) -> None:
    """What the new files hold. Each older compaction's manifest goes before its files, so that it never lacks them.

    A file that holds the same bytes as before has the same name as before: what is in `new` stays.
    """
    for one in older:
        for path in folder.glob(f"{OWNER}-*.{COMPACTED}"):
            if Compacted.model_validate_json(path.read_bytes()) == one:
                path.unlink()
        for name in {file.name for file in one.files} - new:
            (folder / name).unlink()
    for name in replaces:
        (folder / name).unlink(missing_ok=True)
    sync(folder)
