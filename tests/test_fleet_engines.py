"""One text of SQL, several engines: the same whole numbers, equal to an independent count, whatever order rows come in."""

import importlib.util
import random
import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fleet_rows import DAYS, counted, made_up_cover, made_up_rows, question, versions

from edged.errors import Failed
from edged.fleet import engines
from edged.fleet.engines import FOLDED, SINGLE, ask, fold_sql, report_sql

SPARK = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark or Java is not installed here; make test-fleet runs this in an environment of its own",
)
ENGINES = ["sqlite", "duckdb", pytest.param("spark", marks=SPARK)]


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_counts_as_an_independent_count_does(tmp_path, engine, form):
    rows = made_up_rows(random.Random(3), devices=6, passages=60)
    found = ask(engine, question(tmp_path, versions(random.Random(4), rows), files=5, form=form))
    cells = Counter()
    for row in found:
        if row["record"] == "device":
            for name, outcome in (("ok", "correct"), ("inc", "incorrect"), ("none", "none"), ("unc", "uncertain")):
                cells[row["device_id"], row["local_day"], "in", outcome] += row[f"{name}_sum"]
                cells[row["device_id"], row["local_day"], "out", outcome] += row[f"out_{name}_sum"]
            cells[row["device_id"], row["local_day"], "violations", "incorrect"] += row["vinc_sum"]
            cells[row["device_id"], row["local_day"], "violations", "none"] += row["vnone_sum"]
    assert +cells == counted(rows)


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_counts_the_coverage_of_cameras_that_follow_no_masks_apart(tmp_path, engine, form):
    cover = made_up_cover(random.Random(6), devices=5)
    unasked = [("dev-0001", DAYS[0], "gate"), ("dev-0001", DAYS[1], "door"), ("dev-0003", DAYS[0], "door"),
               ("dev-0003", DAYS[0], "gate"), ("dev-0009", DAYS[0], "door"), ("dev-0002", DAYS[0], "roof")]  # fmt: skip
    found = ask(engine, question(tmp_path, [], 3, form, cover=cover, unasked=unasked))
    latest = {}
    for row in sorted(cover, key=lambda row: row["seq"]):
        latest[(row["device_id"], row["local_day"], row["camera"]), row["local_hour"]] = row
    days, hours = Counter(), Counter()
    for (key, hour), row in latest.items():
        for name in ("open", "watched"):
            days["cover", key, name] += row[f"{name}_s"]
            hours["cover hour", hour, name] += row[f"{name}_s"]
            if key in unasked:
                days["unasked", key, name] += row[f"{name}_s"]
                hours["unasked hour", hour, name] += row[f"{name}_s"]
    told_days, told_hours = Counter(), Counter()
    for row in found:
        key = row["device_id"], row["local_day"], row["camera"]
        for name in ("open", "watched"):
            if row["record"] in ("cover", "unasked"):
                told_days[row["record"], key, name] = row[f"{name}_sum"]
            else:
                told_hours[row["record"], row["local_hour"], name] = row[f"{name}_sum"]
    assert (told_days, told_hours) == (days, hours)


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_all_engines_give_the_same_rows(tmp_path, engine):
    rows = versions(random.Random(4), made_up_rows(random.Random(3), devices=6, passages=60))
    cover, unasked = made_up_cover(random.Random(6), devices=6), [("dev-0001", DAYS[0], "gate")]
    asked = question(tmp_path, rows, files=3, cover=cover, unasked=unasked)
    assert ask(engine, asked) == ask("sqlite", asked)


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), files=st.integers(1, 4), again=st.integers(0, 30))
def test_shuffled_and_doubled_rows_count_the_same(tmp_path_factory, engine, chance, files, again):
    rows = versions(random.Random(4), made_up_rows(random.Random(3), devices=3, passages=20))
    doubled = rows + [chance.choice(rows) for _ in range(again)]
    chance.shuffle(doubled)
    folder = tmp_path_factory.mktemp("rows")
    assert ask(engine, question(folder, doubled, files)) == ask(engine, question(folder, rows, 1))


def test_devices_that_came_in_one_file_are_counted_as_with_the_search_for_versions(tmp_path):
    rows = made_up_rows(random.Random(5), devices=4, passages=40)
    searched, plain = question(tmp_path, rows, 1), question(tmp_path, rows, 1, again=False)
    for engine in ("sqlite", "duckdb"):
        assert ask(engine, searched) == ask(engine, plain)


def test_nothing_at_all_has_an_answer(tmp_path):
    for engine in ("sqlite", "duckdb"):
        assert ask(engine, question(tmp_path, [], 0)) == []


def test_the_text_holds_whole_numbers_only():
    lines = "\n".join([fold_sql(), report_sql(), *FOLDED.values(), *SINGLE.values()]).lower().splitlines()
    words = " ".join(line for line in lines if not line.startswith("--"))
    traps = ("/", "avg(", "left join", "round(", " filter", "now(", "like", "qualify", "rollup", "limit")
    assert [trap for trap in traps if trap in words] == []


def test_what_duckdb_cannot_answer_is_no_question_of_java(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "report_sql", lambda: "SELECT 1 FROM nowhere")
    with pytest.raises(Failed, match="DuckDB cannot answer") as raised:
        ask("duckdb", question(tmp_path, [], 0))
    assert "Java" not in str(raised.value)
    assert "--engine sqlite" in str(raised.value)
