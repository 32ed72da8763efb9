"""Decides, before any engine reads it, whether a file holds what its columns can hold: so every engine counts the same."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from edged.errors import Failed
from edged.export.files import decode, duckdb_connection, name_of
from edged.export.schema import TABLES, typed
from edged.fleet.engines import MEMORY, THREADS, Fault

KINDS = {
    "INTEGER": "type = 'INT32' AND converted_type = 'INT_32'",
    "BIGINT": "type = 'INT64' AND converted_type = 'INT_64'",
    "VARCHAR": "type = 'BYTE_ARRAY' AND converted_type = 'UTF8'",
}
"""Of columns in Parquet; whole numbers may be plain, too."""
PLAIN = "type = 'INT32' AND converted_type IS NULL AND logical_type IS NULL"


def malformed(files: Mapping[str, Sequence[Path]], rows: Mapping[Path, int]) -> Iterator[Fault]:
    """Files, by table, with a value that is not of its column's type or outside its range; `rows`: the most each may have."""
    for table, paths in files.items():
        for path in paths:
            if path.name.endswith(".jsonl.gz") and (why := _lines(path, table, rows.get(path))):
                yield Fault(path, "file", f"{path.name}: {why}")
        for path in _of_other_types([path for path in paths if path.name.endswith(".parquet")], table):
            yield Fault(path, "file", f"{path.name}: its columns are of other types than those of an export")


def _lines(path: Path, table: str, most: int | None) -> str:
    """What is wrong with a file of JSON Lines; "" where nothing is."""
    number = 0
    try:
        for number, row in enumerate(decode(path, table), 1):
            if most is not None and number > most:
                return f"it has more rows than the {most} that it must have"
            typed(row, table)
    except Exception as error:  # noqa: BLE001  whatever a library makes of a strange file
        return f"row {number + 1} cannot be counted ({(str(error) or type(error).__name__).splitlines()[0][:200]})"
    return ""


def _of_other_types(paths: Sequence[Path], table: str) -> list[Path]:
    """Those of these Parquet files whose columns are not those of `table`, or that cannot be read."""
    try:
        connection = duckdb_connection(MEMORY, THREADS) if paths else None
    except Failed:
        return []  # Spark alone reads Parquet then, and takes columns of these types only
    if connection is None:
        return []
    columns = TABLES[table]
    right = " OR ".join(f"(name = '{name}' AND ({_kind(kind)}))" for name, kind in columns.items())
    known = ", ".join(f"'{name}'" for name in columns)

    def found(some: Sequence[Path]) -> list[Path]:
        listed = ", ".join(map(name_of, some))
        sql = f"""SELECT file_name FROM parquet_schema([{listed}]) GROUP BY file_name
                  HAVING count(CASE WHEN {right} THEN 1 END) <> {len(columns)}
                      OR count(CASE WHEN lower(name) IN ({known}) THEN 1 END) <> {len(columns)}"""  # noqa: S608  paths quoted
        try:
            return [Path(name) for (name,) in connection.execute(sql).fetchall()]
        except Exception:  # noqa: BLE001  one file that is no Parquet spoils the question for all
            return list(some) if len(some) == 1 else [path for one in some for path in found([one])]

    with closing(connection):
        return found(paths)


def _kind(kind: str) -> str:
    logical = "(logical_type IS NULL OR logical_type LIKE 'IntType%' OR logical_type LIKE 'StringType%')"
    plain = f" OR ({PLAIN.replace('INT32', 'INT64' if kind == 'BIGINT' else 'INT32')})" if kind != "VARCHAR" else ""
    return f"({KINDS[kind]} AND {logical}){plain}"
