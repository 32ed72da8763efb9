"""The engines that answer `report.sql`: SQLite of the standard library, DuckDB, and Spark. All give the same whole numbers."""

import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from edged.connections import one_line
from edged.errors import EdgedError, Failed, Unavailable
from edged.export.files import decode, duckdb_connection, reading
from edged.export.manifest import sha256
from edged.export.schema import TABLES, typed

Engine = Literal["duckdb", "sqlite", "spark"]
ENGINES: tuple[Engine, ...] = ("duckdb", "sqlite", "spark")
MEMORY, THREADS = "600MB", 2

FOLDED = {
    "encounter": """
SELECT device_id, local_day, SUM(row_cnt) AS row_sum, SUM(void_cnt) AS void_sum, SUM(ok_cnt) AS correct_sum,
       SUM(inc_cnt) AS incorrect_sum, SUM(none_cnt) AS none_sum, SUM(unc_cnt) AS uncertain_sum,
       SUM(out_ok_cnt + out_inc_cnt + out_none_cnt + out_unc_cnt) AS outside_sum, SUM(strange_cnt) AS strange_sum
FROM cell WHERE latest = 0 GROUP BY device_id, local_day""",
    "cover": """
SELECT device_id, local_day, COUNT(*) AS row_sum,
       SUM(CASE WHEN local_hour BETWEEN 0 AND 23 AND open_s BETWEEN 0 AND 7200 AND watched_s BETWEEN 0 AND open_s
                 AND paused_s BETWEEN 0 AND open_s AND camera <> '' AND entrance >= '' AND seq >= 1
                THEN 0 ELSE 1 END) AS strange_sum
FROM cover GROUP BY device_id, local_day""",
}
"""What files hold of each device and day, to be held against manifests; `strange` rows have values that none can have."""
SINGLE = {
    "encounter": """
SELECT source, device_id, local_day, COUNT(*) AS row_sum,
       SUM(CASE WHEN outcome = 'void' THEN 1 ELSE 0 END) AS void_sum,
       SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'correct' THEN 1 ELSE 0 END) AS correct_sum,
       SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'incorrect' THEN 1 ELSE 0 END) AS incorrect_sum,
       SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'none' THEN 1 ELSE 0 END) AS none_sum,
       SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'uncertain' THEN 1 ELSE 0 END) AS uncertain_sum,
       SUM(CASE WHEN kind = 'passage' AND in_open = 0 AND outcome IN ('correct', 'incorrect', 'none', 'uncertain')
                THEN 1 ELSE 0 END) AS outside_sum,
       SUM(CASE WHEN local_hour BETWEEN 0 AND 23 AND quarter BETWEEN 0 AND 107 AND in_open IN (0, 1) AND suppressed IN (0, 1)
                 AND clock_ok IN (0, 1) AND camera <> '' AND kind <> '' AND outcome <> '' AND end_reason >= ''
                THEN 0 ELSE 1 END) AS strange_sum
FROM encounter GROUP BY source, device_id, local_day""",
    "cover": FOLDED["cover"]
    .replace("device_id, local_day", "source, device_id, local_day")
    .replace("FROM cover", "FROM cover_row"),
}
"""The same of each file by itself: asked where there is a difference only."""
COVERED = "device_id, camera, entrance, local_day, local_hour, open_s, watched_s, paused_s, seq"
"""The columns of coverage that a report asks for."""

Counts = Mapping[str, Any]
"""One row of the answer, by column."""
Content = Mapping[str, int]
"""How many rows of a device and day there are, `row`, and its manifest's sums; zeros may be left out."""
Run = Callable[[str], tuple[list[str], list[tuple[Any, ...]]]]
"""Answers a question in SQL with the names of its columns and its rows."""


class Question(NamedTuple):
    """Files by table, the device-days that came in several, and the days asked for."""

    files: Mapping[str, Sequence[Path]]
    again: Sequence[tuple[str, str]]
    day_from: str
    day_to: str
    rows: Mapping[Path, int] = {}
    """How many rows each file must have, where that is known."""
    vouched: Mapping[tuple[Path, str, str], Content] | None = None
    """What each file must hold of each device and day, where that is known."""
    refused: Sequence[tuple[str, str]] = ()
    """Device-days whose rows, in files of many devices, do not count."""
    files_again: Sequence[Path] | None = None
    """Those files of passages and events that hold rows of device-days that came in several; all, where that is not known."""
    unasked: Sequence[tuple[str, str, str]] = ()
    """Of which device, on which day, which camera followed no masks."""

    @property
    def searched(self) -> Sequence[Path]:
        return self.files["encounter"] if self.files_again is None else self.files_again


class Fault(NamedTuple):
    """A file that is not what it must be; in one of many devices of one of them alone, where `device_id` is not ""."""

    path: Path
    kind: str
    text: str
    device_id: str = ""
    local_day: str = ""


class BadFiles(EdgedError):
    """Files that are what their manifests say by their hashes, and cannot be counted all the same."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.text for fault in faults))
        self.faults = faults


@cache
def report_sql() -> str:
    """The one text that all engines run."""
    return (resources("edged.fleet") / "report.sql").read_text("utf-8")


@cache
def fold_sql() -> str:
    """What all engines run before it."""
    return (resources("edged.fleet") / "fold.sql").read_text("utf-8")


def report_sql_sha256() -> str:
    return sha256((fold_sql() + report_sql()).encode())


def ask(engine: Engine, question: Question, master: str = "local[2]") -> list[Counts]:
    """The answer, in one order. Raise BadFiles for files that must not count, Failed where the engine is not installed."""
    sessions: dict[Engine, Callable[[Question], AbstractContextManager[Run]]] = {
        "duckdb": _duckdb,
        "sqlite": _sqlite,
        "spark": lambda asked: _spark(asked, master),
    }
    with sessions[engine](question) as run:
        _check(question, run)
        names, rows = run(report_sql())
    whole = [
        {name: value if isinstance(value, str) else int(value or 0) for name, value in zip(names, row, strict=True)}
        for row in rows
    ]
    return sorted(whole, key=lambda row: tuple(row.values()))


def examine(question: Question) -> None:
    """Raise BadFiles for files that must not count, Failed without DuckDB."""
    with _duckdb(question) as run:
        _check(question, run)


def _check(question: Question, run: Run) -> None:
    """Hold what the files hold against what their manifests vouch for: all together, and each where that differs.

    A file cannot give another device rows without a trace: what that one's own manifests name would be too little.
    """
    if question.vouched is None:
        return
    faults: list[Fault] = []
    for table, paths in question.files.items():
        chosen, whole = set(paths), defaultdict[tuple[str, str], Counter[str]](Counter)
        vouched = {key: content for key, content in question.vouched.items() if key[0] in chosen}
        for (_, *key), content in vouched.items():
            whole[key[0], key[1]].update(content)
        names, rows = run(FOLDED[table])
        found = {(device, day): _content(names[2:], sums) for device, day, *sums in rows}
        if {key: +content for key, content in found.items()} == {key: +content for key, content in whole.items()}:
            continue
        by_source = {str(one): path for path in paths for one in (path, path.absolute())}
        names, rows = run(SINGLE[table])
        has = {(by_source[at], device or "", day or ""): _content(names[3:], sums) for at, device, day, *sums in rows}
        faults += _differences(has, vouched)
    if faults:
        raise BadFiles(*faults)


def _content(names: Sequence[str], sums: Sequence[Any]) -> Counter[str]:
    return Counter({name.removesuffix("_sum"): int(value or 0) for name, value in zip(names, sums, strict=True)})


def _differences(
    found: Mapping[tuple[Path, str, str], Counter[str]], vouched: Mapping[tuple[Path, str, str], Content]
) -> Iterator[Fault]:
    for key in sorted(found.keys() | vouched.keys()):
        (path, device, day), has, must = key, found.get(key, Counter()), Counter(vouched.get(key, {}))
        what = f"{path.name} holds {has['row']} rows of {one_line(device) or 'no device'}, {one_line(day) or 'no day'}"
        if key not in vouched:
            yield Fault(path, "file", f"{what}, for which its manifest does not vouch", device, day)
        elif has["row"] != must["row"]:
            yield Fault(path, "file", f"{what}, and its manifest counts {must['row']}", device, day)
        elif has["strange"]:
            yield Fault(path, "file", f"{what}, {has['strange']} with values that none can have", device, day)
        elif +has != +must:
            told = ", ".join(
                f"{name} {must[name]}, not {has[name]}" for name in sorted(must) if must[name] != has[name]
            )
            yield Fault(path, "sums", f"its manifest names other passages than {path.name} holds: {told}", device, day)


@contextmanager
def _duckdb(question: Question) -> Iterator[Run]:
    with (
        tempfile.TemporaryDirectory(prefix="edged-fleet-") as spill,
        closing(duckdb_connection(MEMORY, THREADS, spill, ordered=False)) as connection,
    ):
        import duckdb

        def run(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
            found = connection.execute(sql)
            return [column[0] for column in found.description], found.fetchall()

        try:
            connection.execute("SET prefetch_all_parquet_files = true")  # one read a file instead of one a column
            for name, columns, rows in _parameters(question):
                connection.execute(f"CREATE TABLE {name} ({', '.join(f'{one} VARCHAR' for one in columns)})")
                if rows:
                    marks = ", ".join("?" * len(columns))
                    connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608  our own table
            kept = KEPT if question.refused else ""
            for name, table, paths in (
                ("encounter", "encounter", question.files["encounter"]),
                ("encounter_again", "encounter", question.searched),
                ("cover_row", "cover", question.files["cover"]),
            ):
                connection.execute(f"CREATE VIEW {name} AS {_union(table, paths)} {kept}")
            connection.execute(f"CREATE TABLE cover AS SELECT {COVERED} FROM cover_row")  # noqa: S608  our own names
            connection.execute(f"CREATE TABLE cell AS {fold_sql()}")
            yield run
        except duckdb.OutOfMemoryException as error:  # no file is to blame
            raise Failed(f"DuckDB lacks room: {str(error).splitlines()[0]}; edged fleet compact helps") from None
        except duckdb.Error as error:
            _blame(question)
            reason = str(error).splitlines()[0]
            raise Failed(
                f"DuckDB cannot answer: {reason}; see that the disk has room, or try --engine sqlite"
            ) from None


KEPT = "WHERE NOT EXISTS (SELECT 1 FROM refused n WHERE n.device_id = r.device_id AND n.local_day = r.local_day)"


def _parameters(question: Question) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """The small tables: their names, columns and rows."""
    return [
        ("again", ("device_id", "local_day"), list(question.again)),
        ("refused", ("device_id", "local_day"), list(question.refused)),
        ("unasked", ("device_id", "local_day", "camera"), list(question.unasked)),
        ("report_params", ("day_from", "day_to"), [(question.day_from, question.day_to)]),
    ]


def _union(table: str, paths: Sequence[Path]) -> str:
    """A question for all rows of a table, and the files they are of, whichever forms these have."""
    by_form = [[path for path in paths if path.name.endswith(ending)] for ending in (".parquet", ".jsonl.gz")]
    parts = [reading(table, chosen, source=True) for chosen in by_form if chosen]
    columns = {**TABLES[table], "source": "VARCHAR"}
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
    rows = " UNION ALL ".join(parts) if parts else f"SELECT {nothing} WHERE false"
    return f"SELECT r.* FROM ({rows}) r"  # noqa: S608  paths quoted


def _blame(question: Question) -> None:
    """Raise BadFiles for the first file that cannot be read by itself, or has other rows than it must have."""
    for table, paths in question.files.items():
        for path in paths:
            for _ in _rows(question, path, table):
                pass


@contextmanager
def _sqlite(question: Question) -> Iterator[Run]:
    with closing(sqlite3.connect("")) as connection:  # a scratch file that goes with the connection

        def run(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
            found = connection.execute(sql)
            return [column[0] for column in found.description], found.fetchall()

        for name, keys, values in _parameters(question):
            connection.execute(f"CREATE TABLE {name} ({', '.join(keys)}, PRIMARY KEY ({', '.join(keys)}))")
            marks = ", ".join("?" * len(keys))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)  # noqa: S608  a table of our own
        for table, kinds in TABLES.items():
            columns = {**kinds, "source": "VARCHAR"}
            connection.execute(f"CREATE TABLE all_{table} ({', '.join(f'{n} {kind}' for n, kind in columns.items())})")
            marks = ", ".join("?" * len(columns))
            for path in question.files[table]:
                rows = ((*row, str(path)) for row in _rows(question, path, table))
                connection.executemany(f"INSERT INTO all_{table} VALUES ({marks})", rows)  # noqa: S608  our own table
            connection.execute(f"CREATE VIEW {table} AS SELECT r.* FROM all_{table} r {KEPT}")  # noqa: S608
        connection.execute("CREATE VIEW encounter_again AS SELECT * FROM encounter")
        connection.execute("CREATE VIEW cover_row AS SELECT * FROM cover")
        connection.execute(f"CREATE TABLE cell AS {fold_sql()}")
        yield run


def _rows(question: Question, path: Path, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of one file. Raise BadFiles where it cannot be read, or has more rows than it must have."""
    most = question.rows.get(path)
    try:
        for number, row in enumerate(decode(path, table), 1):
            if most is not None and number > most:
                raise ValueError(f"it has more rows than the {most} that it must have")
            yield typed(row, table)
    except Failed:
        raise
    except Exception as error:  # noqa: BLE001  whatever a library makes of a strange file
        text = f"{path.name}: cannot be read ({str(error).splitlines()[0][:200]})"
        raise BadFiles(Fault(path, "file", text)) from None


@contextmanager
def _spark(question: Question, master: str) -> Iterator[Run]:
    with _session(master) as spark:

        def frame_of(table: str, paths: Sequence[Path]) -> Any:
            kinds = TABLES[table]
            schema = ", ".join(f"{name} {kind.replace('VARCHAR', 'STRING')}" for name, kind in kinds.items())
            frame = spark.createDataFrame([], f"{schema}, source STRING")
            chosen = [*kinds, "_metadata.file_path AS source"]
            names = [str(path.absolute()) for path in paths]
            if parquet := [name for name in names if name.endswith(".parquet")]:
                frame = frame.union(spark.read.schema(schema).parquet(*parquet).selectExpr(*chosen))
            if lines := [name for name in names if name.endswith(".jsonl.gz")]:
                frame = frame.union(spark.read.schema(schema).json(lines).selectExpr(*chosen))
            return frame.join(spark.table("refused"), ["device_id", "local_day"], "left_anti") if refused else frame

        def run(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
            found = spark.sql(sql)
            rows = [tuple(row) for row in found.collect()]
            if found.columns[0] == "source":  # Spark tells it as an address
                rows = [(unquote(urlsplit(row[0]).path), *row[1:]) for row in rows]
            return list(found.columns), rows

        refused = bool(question.refused)
        for name, columns, rows in _parameters(question):
            frame = spark.createDataFrame(rows, ", ".join(f"{column} STRING" for column in columns))
            frame.createOrReplaceTempView(name)
        frame_of("encounter", question.files["encounter"]).createOrReplaceTempView("encounter")
        frame_of("encounter", question.searched).createOrReplaceTempView("encounter_again")
        cover = frame_of("cover", question.files["cover"]).cache()
        cover.createOrReplaceTempView("cover")
        cover.createOrReplaceTempView("cover_row")
        spark.sql(fold_sql()).cache().createOrReplaceTempView("cell")
        try:
            yield run
        except EdgedError:
            raise
        except Exception as error:  # noqa: BLE001  Java's own errors have no common class
            _blame(question)
            raise Failed(
                f"Spark cannot answer: {str(error).splitlines()[0]}; it needs Java 17 or later, and a --master that answers"
            ) from None


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
        raise Unavailable(
            f"Spark does not start on {master}: {str(error).splitlines()[0]}; it needs Java 17 or later, and a"
            " --master that answers"
        ) from None
    try:
        yield spark
    finally:
        spark.stop()
