"""Files of rows: gzipped JSON Lines with the standard library alone, Parquet by DuckDB of `edged[fleet]`."""

import gzip
import importlib.util
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from edged.errors import Failed, Unavailable
from edged.export.schema import TABLES, Row
from edged.shared_remedies import DISK

Format = Literal["parquet", "jsonl.gz"]
FORMATS: tuple[Format, ...] = ("parquet", "jsonl.gz")
ROW_GROUP, ROWS_AT_ONCE = 122_880, 8_192
"""Rows of a group: on a server, and on a device, which holds one group in memory."""
LONGEST_LINE = 65_536
"""In bytes. DuckDB takes memory in multiples of this, of 16 MB where it is not set."""
MEMORY, THREADS = "64MB", 1
"""What DuckDB may take on the device."""
REMEDY = "install it with pip install 'edged[fleet]', or set export.format = \"jsonl.gz\""


def format_of(requested: str) -> Format:
    """The form of files: what is requested, and for "auto" Parquet where DuckDB is installed."""
    if requested == "auto":
        return "parquet" if importlib.util.find_spec("duckdb") else "jsonl.gz"
    return "parquet" if requested == "parquet" else "jsonl.gz"


def duckdb_connection(memory: str = MEMORY, threads: int = THREADS, spill: str = "", *, ordered: bool = True) -> Any:
    """An empty database in memory that asks no network for anything; what has no room there goes to the folder `spill`.

    Raise Failed where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise Failed(f"Parquet needs DuckDB: {REMEDY}") from None
    settings: dict[str, Any] = {
        "memory_limit": memory,
        "threads": threads,
        "temp_directory": spill,
        "preserve_insertion_order": ordered,
    }
    offline = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    connection = duckdb.connect(":memory:", config={**settings, **offline})
    connection.execute(
        "SET enable_progress_bar = false"
    )  # it would stand on standard output, in the middle of a report
    return connection


def json_lines(rows: Iterable[Row]) -> bytes:
    """The same rows give the same bytes: no time and no name stands in the head."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=6) as packed:
        for row in rows:
            packed.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
    return buffer.getvalue()


def encode(rows: Iterable[Row], table: str, form: Format, folder: Path) -> bytes:
    """The bytes of a file with `rows`, made in `folder`.

    Raise Failed where DuckDB is requested and missing, Unavailable where it has no room, OSError without DuckDB.
    """
    lines = json_lines(rows)
    if form == "jsonl.gz":
        return lines
    connect = duckdb_connection()
    import duckdb

    with tempfile.TemporaryDirectory(prefix=".edged-", dir=folder) as made, connect as connection:
        source, target = Path(made) / "rows.jsonl.gz", Path(made) / "rows.parquet"
        source.write_bytes(lines)
        try:
            connection.execute(
                f"COPY ({reading(table, [source])}) TO {literal(target)}"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_AT_ONCE})"
            )
        except duckdb.Error as error:  # as of a full disk; no OSError
            why = str(error).splitlines()[0]
            raise Unavailable(f"{folder}: Parquet cannot be written ({why}); {DISK}; it is tried again") from None
        return target.read_bytes()


def decode(path: Path, table: str) -> Iterator[Row]:
    """The rows of a file of either form, in their order. Raise Failed where it cannot be read."""
    if path.name.endswith(".parquet"):
        with duckdb_connection() as connection:
            found = connection.execute(reading(table, [path]))
            names = [column[0] for column in found.description]
            while rows := found.fetchmany(1000):
                yield from (dict(zip(names, row, strict=True)) for row in rows)
        return
    with gzip.open(path) as lines:
        while line := lines.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:  # a small file may unpack to one line without an end
                raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
            yield json.loads(line.decode(), object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> Row:
    """An object. Raise ValueError where a key is there twice: one engine would take the first, another the last."""
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def reading(table: str, paths: Iterable[Path], *, source: bool = False) -> str:
    """DuckDB's question for the columns of `table` in their order, and the `source` of each row, in files of one form."""
    files, names = list(paths), ", ".join([*TABLES[table], *(["filename AS source"] if source else [])])
    which = f"filename = {str(source).lower()}"
    listed = f"[{', '.join(map(name_of, files))}]"
    if files[0].name.endswith(".parquet"):
        return f"SELECT {names} FROM read_parquet({listed}, hive_partitioning = false, {which})"  # noqa: S608  paths quoted
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in TABLES[table].items())
    how = f"format = 'newline_delimited', compression = 'gzip', maximum_object_size = {LONGEST_LINE}, {which}"
    return f"SELECT {names} FROM read_json({listed}, {how}, columns = {{{columns}}})"  # noqa: S608  paths quoted


def name_of(path: Path) -> str:
    """The name, in SQL, of a file that DuckDB is to read: of it alone, where it would be a pattern that other files match.

    One with a backslash is left as it is: in a pattern DuckDB takes that for the end of a folder's name.
    """
    text = str(path)
    return literal(path if "\\" in text else Path(re.sub(r"[*?[]", r"[\g<0>]", text)))


def literal(path: Path) -> str:
    """A path as a text in SQL."""
    return "'" + str(path).replace("'", "''") + "'"
