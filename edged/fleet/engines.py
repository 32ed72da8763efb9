"""The engines that answer `report.sql`: SQLite of the standard library, DuckDB, and Spark. All give the same whole numbers."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

from edged.errors import EdgedError, Failed, Unavailable
from edged.export.files import decode, duckdb_connection, reading
from edged.export.manifest import sha256
from edged.export.schema import TABLES

Engine = Literal["duckdb", "sqlite", "spark"]
ENGINES: tuple[Engine, ...] = ("duckdb", "sqlite", "spark")
MEMORY, THREADS = "600MB", 2

ROWS = "SELECT count(device_id) FROM {}"

Counts = Mapping[str, Any]
"""One row of the answer, by column."""


class Question(NamedTuple):
    """Files by table, the device-days that came in several, and the days asked for."""

    files: Mapping[str, Sequence[Path]]
    again: Sequence[tuple[str, str]]
    day_from: str
    day_to: str
    rows: Mapping[Path, int] = {}
    """How many rows each file must have, where that is known: an engine may read a damaged file without a word."""

    def lacks(self, table: str, count: int) -> bool:
        return bool(self.rows) and count != sum(self.rows[path] for path in self.files[table])


class BadFile(EdgedError):
    """A file that is what its manifest says cannot be read all the same."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name}: {why}")
        self.path = path


@cache
def report_sql() -> str:
    """The one text that all engines run."""
    return (resources("edged.fleet") / "report.sql").read_text("utf-8")


def report_sql_sha256() -> str:
    return sha256(report_sql().encode())


def ask(engine: Engine, question: Question, master: str = "local[2]") -> list[Counts]:
    """The answer, in one order. Raise BadFile for a file that cannot be read, Failed where the engine is not installed."""
    answer: Callable[[Question], tuple[list[str], list[tuple[Any, ...]]]] = {
        "duckdb": _duckdb,
        "sqlite": _sqlite,
        "spark": lambda asked: _spark(asked, master),
    }[engine]
    names, rows = answer(question)
    whole = [
        {name: value if isinstance(value, str) else int(value or 0) for name, value in zip(names, row, strict=True)}
        for row in rows
    ]
    return sorted(whole, key=lambda row: tuple(row.values()))


def _duckdb(question: Question) -> tuple[list[str], list[tuple[Any, ...]]]:
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="edged-fleet-") as spill,
        closing(duckdb_connection(MEMORY, THREADS, spill, ordered=False)) as connection,
    ):
        try:
            for table in TABLES:
                connection.execute(f"CREATE VIEW {table} AS {_union(table, question.files[table])}")
            connection.execute("CREATE TABLE again (device_id VARCHAR, local_day VARCHAR)")
            if question.again:
                connection.executemany("INSERT INTO again VALUES (?, ?)", [list(key) for key in question.again])
            connection.execute("CREATE TABLE report_params (day_from VARCHAR, day_to VARCHAR)")
            connection.execute("INSERT INTO report_params VALUES (?, ?)", [question.day_from, question.day_to])
            for table in TABLES:
                if question.lacks(table, connection.execute(ROWS.format(table)).fetchone()[0]):
                    _blame(question)
            found = connection.execute(report_sql())
            return [column[0] for column in found.description], found.fetchall()
        except duckdb.OutOfMemoryException as error:  # no file is to blame
            raise Failed(f"DuckDB lacks room: {str(error).splitlines()[0]}; edged fleet compact helps") from None
        except duckdb.Error as error:
            _blame(question)
            raise Failed(f"DuckDB cannot answer: {str(error).splitlines()[0]}") from None


def _union(table: str, paths: Sequence[Path]) -> str:
    """A question for all rows of a table, whichever forms its files have."""
    by_form = [[path for path in paths if path.name.endswith(ending)] for ending in (".parquet", ".jsonl.gz")]
    parts = [reading(table, chosen) for chosen in by_form if chosen]
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in TABLES[table].items())
    return " UNION ALL ".join(parts) if parts else f"SELECT {nothing} WHERE false"


def _blame(question: Question) -> None:
    """Raise BadFile for the first file that cannot be read by itself, or has other rows than it must have."""
    for table, paths in question.files.items():
        for path in paths:
            for _ in _rows(question, path, table):
                pass


def _sqlite(question: Question) -> tuple[list[str], list[tuple[Any, ...]]]:
    with closing(sqlite3.connect("")) as connection:  # a scratch file that goes with the connection
        for table, columns in TABLES.items():
            connection.execute(
                f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})"
            )
            marks = ", ".join("?" * len(columns))
            for path in question.files[table]:
                rows = _rows(question, path, table)
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  a table of our own
        connection.execute("CREATE TABLE again (device_id TEXT, local_day TEXT, PRIMARY KEY (device_id, local_day))")
        connection.executemany("INSERT INTO again VALUES (?, ?)", question.again)
        connection.execute("CREATE TABLE report_params (day_from TEXT, day_to TEXT)")
        connection.execute("INSERT INTO report_params VALUES (?, ?)", (question.day_from, question.day_to))
        found = connection.execute(report_sql())
        return [column[0] for column in found.description], found.fetchall()


def _rows(question: Question, path: Path, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of one file. Raise BadFile where it cannot be read, or has other rows than it must have."""
    count = 0
    try:
        for number, row in enumerate(decode(path, table), 1):
            if question.rows and number > question.rows[path]:
                raise ValueError(f"it has more rows than the {question.rows[path]} that it must have")
            count += row["device_id"] is not None
            yield tuple(_typed(row[name], kind) for name, kind in TABLES[table].items())
    except Failed:
        raise
    except Exception as error:  # noqa: BLE001  whatever a library makes of a strange file
        raise BadFile(path, f"cannot be read ({str(error).splitlines()[0][:200]})") from None
    if question.rows and count != question.rows[path]:
        raise BadFile(path, f"has {count} rows instead of {question.rows[path]}")


def _typed(value: Any, kind: str) -> Any:
    """A value of a row, if it is of the column's type. Raise ValueError."""
    if isinstance(value, str) and kind == "VARCHAR":
        value.encode()  # no lone surrogates
    elif value is not None:
        most = 2**31 if kind == "INTEGER" else 2**63
        if kind == "VARCHAR" or type(value) is not int or not -most <= value < most:
            raise ValueError(f"a value that is no {kind}")
    return value


def _spark(question: Question, master: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with _session(master) as spark:
        for table, columns in TABLES.items():
            schema = ", ".join(f"{name} {kind.replace('VARCHAR', 'STRING')}" for name, kind in columns.items())
            frame = spark.createDataFrame([], schema)
            paths = [str(path.absolute()) for path in question.files[table]]
            if parquet := [path for path in paths if path.endswith(".parquet")]:
                frame = frame.union(spark.read.schema(schema).parquet(*parquet).select(*columns))
            if lines := [path for path in paths if path.endswith(".jsonl.gz")]:
                frame = frame.union(spark.read.schema(schema).json(lines).select(*columns))
            frame.createOrReplaceTempView(table)
        again = spark.createDataFrame(list(question.again), "device_id STRING, local_day STRING")
        again.createOrReplaceTempView("again")
        days = [(question.day_from, question.day_to)]
        spark.createDataFrame(days, "day_from STRING, day_to STRING").createOrReplaceTempView("report_params")
        for table in TABLES:
            if question.lacks(table, spark.sql(ROWS.format(table)).collect()[0][0]):
                _blame(question)
        found = spark.sql(report_sql())
        return list(found.columns), [tuple(row) for row in found.collect()]


@contextmanager
def _session(master: str) -> Iterator[Any]:
    """Spark on `master`. Raise Failed where it is not installed, Unavailable where it does not start."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise Failed("Spark is not installed: pip install 'edged[spark]', and a Java of version 17 or later") from None
    try:
        settings = {
            "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master(master).appName("edged fleet report")
        spark = builder.config(map=settings).getOrCreate()
    except Exception as error:  # noqa: BLE001  Java's own errors have no common class
        raise Unavailable(f"Spark does not start on {master}: {str(error).splitlines()[0]}") from None
    try:
        yield spark
    finally:
        spark.stop()
