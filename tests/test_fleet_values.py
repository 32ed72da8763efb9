"""Whatever stands in a row or a manifest: every engine counts the same, and what no column can hold is named and not counted."""

import json
import math
import shutil
from datetime import date

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_fleet_report import NOW, build, of_day, rewrite, troubles

from edged.cli import cli
from edged.errors import EdgedError, UsageError
from edged.export.files import duckdb_connection, literal, reading
from edged.export.manifest import named, sha256
from edged.export.schema import TABLES
from edged.fleet.compact import compact
from edged.fleet.place import Place
from edged.fleet.simulate import simulate
from edged.report import canonical_json

DAY = date(2026, 11, 18)
COLUMNS = [(table, name) for table, kinds in TABLES.items() for name in kinds]
ODD = [
    *("1e308", "1e400", "NaN", "-Infinity", "1.0", "1e3", "-0", "01", "1,2", "", "٣", "''", "true", "false", "null"),
    *(
        "[]",
        '["door"]',
        "{}",
        '{"a": {"a": []}}',
        "[" * 3000,
        '"5"',
        '""',
        '"\\u0000"',
        '"a\\u0000b"',
        '"\\ud800"',
        '"\\u202e"',
    ),
    *("9" * 5000, str(10**40), str(-(10**40)), *(str(2**bits + one) for bits in (31, 63) for one in (-1, 0))),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
).map(lambda value: json.dumps(value))
KEYS = ["v", "schema_v", "number", "seq", "created_ms", "target_percent", "sums", "files", "previous", "models"]
KEYS += ["site", "unasked"]
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("values")
    simulate(place, 2, [DAY], 17, 0.02, "jsonl.gz", lambda _: None)
    return place, build(place, "day", day=DAY)["by_device"]


def forged(place, table, data, form="jsonl.gz"):
    """The first device's file of `table` with other bytes, and the manifest that goes with them."""
    (path,) = of_day(place, DAY, "sim-00000", ".manifest.json")
    whole = json.loads(path.read_bytes())
    (file,) = [one for one in whole["files"] if one["table"] == table]
    file |= {
        "name": named("sim-00000", whole["number"], data, f"{table}.{form}"),
        "bytes": len(data),
        "sha256": sha256(data),
    }
    (path.parent / file["name"]).write_bytes(data)
    rewrite(path, files=whole["files"])


def lines_of(place, table):
    import gzip

    (path,) = of_day(place, DAY, "sim-00000", f".{table}.jsonl.gz")
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def packed(lines):
    import gzip

    return gzip.compress("".join(f"{line}\n" for line in lines).encode(errors="surrogatepass"), mtime=0)


def report(place, engine):
    try:
        return canonical_json(build(place, "day", engine, DAY))
    except EdgedError as error:
        return f"failed: {error}"


@settings(max_examples=25, **SETTINGS)
@given(column=st.sampled_from(COLUMNS), value=JSON | st.sampled_from(ODD))
@example(("encounter", "started_ms"), str(10**40))
@example(("encounter", "seq"), "1e308")
@example(("encounter", "merged"), "true")
@example(("encounter", "camera"), '["main"]')
@example(("encounter", "event_id"), '"a\\u0000b"')
@example(("cover", "watched_s"), "3e1")
@example(("cover", "entrance"), '"\\ud800"')
def test_whatever_stands_in_a_column_every_engine_says_the_same(made, tmp_path_factory, column, value):
    table, name = column
    place = tmp_path_factory.mktemp("values") / "place"
    shutil.copytree(made[0], place)
    lines = lines_of(place, table)
    row = json.loads(lines[1])
    text = ",".join(f"{json.dumps(key)}:{value if key == name else json.dumps(old)}" for key, old in row.items())
    forged(place, table, packed([lines[0], f"{{{text}}}", *lines[2:]]))
    said = report(place, "duckdb")
    assert said == report(place, "sqlite")
    found = json.loads(said)
    assert [one for one in found["by_device"] if one["device"] == "sim-00001"] == made[1][1:]
    if not fits(value, TABLES[table][name]):
        assert troubles(found) == [("sim-00000", str(DAY), "file")]


def fits(text, kind):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if value is None:
        return True
    if kind == "VARCHAR":
        return isinstance(value, str)
    return type(value) is int and abs(value) <= 2 ** (31 if kind == "INTEGER" else 63)


ROWS = {
    "a key twice": lambda line: line[:-1] + ',"seq":9}',
    "a column in capitals": lambda line: line[:-1] + ',"SEQ":9}',
    "a column less": lambda line: line.replace('"seq":1,', "").replace(',"seq":1', ""),
    "no object": lambda _: "[1,2]",
    "two objects": lambda line: line + line,
    "an empty line": lambda line: f"\n{line}",
    "no UTF-8": lambda line: line[:-1] + ',"x":"\udcff"}',
    "a mark of its order": lambda line: "\ufeff" + line,
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", ROWS.values(), ids=list(ROWS))
def test_a_line_that_engines_read_differently_is_named(made, tmp_path, table, change):
    place = shutil.copytree(made[0], tmp_path / "place")
    lines = lines_of(place, table)
    forged(place, table, packed([lines[0], change(lines[1]), *lines[2:]]))
    said = report(place, "duckdb")
    assert said == report(place, "sqlite")
    assert troubles(json.loads(said)) == [("sim-00000", str(DAY), "file")]


PARQUET = {
    "a number with a fraction": "* REPLACE (seq::DOUBLE AS seq)",
    "true for 1": "* REPLACE ((seq = 1) AS seq)",
    "a longer number": "* REPLACE (seq::BIGINT AS seq)",
    "a number for a text": "* REPLACE (1 AS entrance)",
    "a list": "* REPLACE ([entrance] AS entrance)",
    "a day": "* REPLACE (local_day::DATE AS local_day)",
    "a column less": "* EXCLUDE (seq)",
    "a column within another": "* REPLACE ({'seq': seq} AS seq)",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("columns", PARQUET.values(), ids=list(PARQUET))
def test_a_parquet_file_with_columns_of_other_types_is_named(made, tmp_path, table, columns):
    place = shutil.copytree(made[0], tmp_path / "place")
    (source,) = of_day(place, DAY, "sim-00000", f".{table}.jsonl.gz")
    target = tmp_path / "rows.parquet"
    with duckdb_connection() as connection:
        connection.execute(
            f"COPY (SELECT {columns} FROM ({reading(table, [source])})) TO {literal(target)} (FORMAT parquet)"  # noqa: S608  our own
        )
    forged(place, table, target.read_bytes(), "parquet")
    said = report(place, "duckdb")
    assert said == report(place, "sqlite")
    assert troubles(json.loads(said)) == [("sim-00000", str(DAY), "file")]
    compact(Place(place), DAY, NOW)
    assert report(place, "duckdb") == said, "what was named is left as it is"


@settings(max_examples=20, **SETTINGS)
@given(
    key=st.sampled_from(KEYS),
    value=JSON.map(json.loads).filter(lambda value: not isinstance(value, float) or math.isfinite(value))
    | st.sampled_from([True, 10**40, -(10**40), 1.0, [True], "1"]),
)  # fmt: skip
def test_whatever_stands_in_a_manifest_is_taken_or_named_the_same_by_every_engine(made, tmp_path_factory, key, value):
    place = tmp_path_factory.mktemp("values") / "place"
    shutil.copytree(made[0], place)
    (path,) = of_day(place, DAY, "sim-00000", ".manifest.json")
    whole = json.loads(path.read_bytes()) | {key: value}
    data = json.dumps(whole).encode()
    path.unlink()
    path.with_name(named("sim-00000", 1, data, "manifest.json")).write_bytes(data)
    said = report(place, "duckdb")
    assert said == report(place, "sqlite")
    found = json.loads(said)
    assert [one for one in found["by_device"] if one["device"] == "sim-00001"] == made[1][1:]
    if isinstance(value, bool):
        assert {device for device, _, _ in troubles(found)} == {"sim-00000"}


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_does_not_exist_is_refused(port) -> None:
    asked = ["fleet", "simulate", "--devices", "1", "--mqtt", f"localhost:{port}"]
    done = CliRunner().invoke(cli, asked)
    assert isinstance(done.exception, UsageError), done.output
    assert "from 1 to 65535" in str(done.exception)
