"""Puts the many small files of a day together into one large file a table, which a manifest of its own vouches for."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from edged.errors import Unavailable
from edged.export.files import ROW_GROUP, duckdb_connection, literal, reading
from edged.export.manifest import DataFile, folder_of, named, sha256
from edged.files import replace, sync
from edged.fleet.engines import MEMORY, THREADS
from edged.fleet.place import COMPACTED, Compacted, Place

OWNER = "fleet"
"""Stands with number 0 in the place of a device in the names of what was put together: those of devices begin at 1."""


def compact(place: Place, day: date, now_ms: int) -> int | None:
    """Put the whole files of `day` together, and remove them; how many there were, None where nothing was to do.

    Manifests stay: they still say what each device sent. Files with a fault are left as they are. After a power cut the day
    counts the same, whatever of this was done. Raise Unavailable where the place cannot be written, Failed without DuckDB.
    """
    intake = place.read(day, day, now_ms)
    files = {path for paths in intake.files.values() for path in paths}
    small = {path for path in files if not path.name.startswith(f"{OWNER}-000000-")}
    if len(small) < 2:
        return None
    folder = place.root / folder_of(day)
    older = place.compactions(str(day))
    held = {
        name
        for one in older
        if {file.name for file in one.files} <= {path.name for path in files}
        for name in one.replaces
    }
    try:
        whole = [_together(folder, table, sorted(paths)) for table, paths in intake.files.items() if paths]
        replaces = frozenset({path.name for path in small} | held)
        text = Compacted(v=1, local_day=str(day), files=tuple(whole), replaces=replaces).model_dump_json().encode()
        path = folder / named(OWNER, 0, text, COMPACTED)
        replace(path, text, 0o644)
        _remove(folder, {path.name, *(file.name for file in whole)}, replaces)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written ({error.strerror}); compact it again") from None
    return len(small)


def _together(folder: Path, table: str, paths: Sequence[Path]) -> DataFile:
    """One Parquet file with the rows of all, in the order of devices, so that few row groups hold each of them."""
    with (
        tempfile.TemporaryDirectory(prefix=".edged-", dir=folder) as made,
        closing(duckdb_connection(MEMORY, THREADS, spill=made)) as connection,
    ):
        target = Path(made) / "rows.parquet"
        forms = [[path for path in paths if path.name.endswith(form)] for form in (".parquet", ".jsonl.gz")]
        rows = " UNION ALL ".join(reading(table, chosen) for chosen in forms if chosen)
        connection.execute(
            f"COPY ({rows}) TO {literal(target)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
        )
        count = connection.execute(f"SELECT count(*) FROM ({reading(table, [target])})").fetchone()  # noqa: S608
        data = target.read_bytes()
        sync(target)
        name = named(OWNER, 0, data, f"{table}.parquet")
        target.chmod(0o644)
        target.replace(folder / name)
        sync(folder)
    return DataFile(name=name, table=table, rows=count[0] if count else 0, bytes=len(data), sha256=sha256(data))


def _remove(folder: Path, new: set[str], replaces: frozenset[str]) -> None:
    """What the new files hold: single files, and older compactions with their manifests first."""
    for path in _older(folder, new):
        path.unlink()
    for name in replaces:
        (folder / name).unlink(missing_ok=True)
    sync(folder)


def _older(folder: Path, new: set[str]) -> Iterator[Path]:
    old = [path for path in sorted(folder.glob(f"{OWNER}-000000-*")) if path.name not in new]
    yield from (path for path in old if path.name.endswith(COMPACTED))
    yield from (path for path in old if not path.name.endswith(COMPACTED))
