"""The walk test: what was expected, what was told and why; kept with the settings it speaks for, and quoted while they hold."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from report_days import config, encounter, span

from edged.config import Config, MaskConfig
from edged.daemon.walktest import LONGEST_TEST_MS, keep_walk_test
from edged.report import build_report
from edged.report.page import render_html
from edged.report.walk import PASSAGES, meta_key, walk_steps
from edged.store import Store, StoreReader

DAY = date(2026, 11, 19)
START = span(DAY)[0] + 9 * 3_600_000
NOW = START + 600_000
TOLD = ["correct"] * 5 + ["none"] * 4 + ["uncertain"]


def row(number: int, state: str, **changes: Any) -> dict[str, Any]:
    return asdict(encounter(number, START + number * 10_000, state, **changes))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "edged.db") as opened:
        yield opened


def keep(store: Store, made: Config, **asked: Any) -> dict[str, Any]:
    return keep_walk_test({"camera": "door", "since": START, **asked}, made, StoreReader(store.path), NOW, store.write)


def walk(store: Store, states: Sequence[str], camera: str = "door") -> None:
    store.write([encounter(number, START + number * 10_000, state, camera) for number, state in enumerate(states)])


def test_ten_passages_are_told_apart_and_each_failure_has_its_reason() -> None:
    settings = MaskConfig()
    seen = {"correct": 5, "incorrect": 0, "none": 4, "uncertain": 1}
    rows = [row(number, state) for number, state in enumerate(TOLD[:7])] + [
        row(7, "uncertain", largest_face=20.0),
        row(8, "uncertain", votes={"none": 1}),
        row(9, "uncertain", score=0.6, votes=seen),
        row(10, "none"),
    ]
    steps = walk_steps(rows, settings)
    assert [step.ok for step in steps] == [True] * 7 + [False] * 3
    assert [step.expected for step in steps] == ["correct"] * 5 + ["none"] * 5
    far, brief, split = (step.why for step in steps[7:])
    assert "20 px at most, 24 are needed" in far
    assert "1 votes, 3 are needed" in brief
    assert "best score 0.60, 0.75 is needed" in split


def test_who_passes_by_and_who_is_still_there_do_not_count() -> None:
    rows = [row(0, "none"), row(1, "correct", closed=False), row(2, "correct")]
    (step,) = walk_steps(rows, MaskConfig(), skip=[rows[0]["encounter_id"]])
    assert (step.passage, step.ok) == (rows[2]["encounter_id"], True)


def test_a_finished_test_is_kept_and_quoted_until_the_settings_change(store: Store) -> None:
    made = config()
    walk(store, TOLD)
    answer = keep(store, made)
    assert (answer["ok"], answer["passages"], answer["as_expected"]) == (True, PASSAGES, 9)
    reader = StoreReader(store.path)
    report = build_report(reader, made, DAY, NOW)
    assert report["walk_tests"] == [{"camera": "door", "at_local": "2026-11-19", "passages": 10, "as_expected": 9}]
    assert "9 of 10 as expected, 2026-11-19" in render_html(report)
    other = made.model_copy(update={"camera": {"door": made.camera["door"].model_copy(update={"fps": 5.0})}})
    assert "walk_tests" not in build_report(reader, other, DAY, NOW)
    assert "walk_tests" not in build_report(reader, made, date(2026, 11, 18), NOW), "it had not been made then"
    named = made.model_copy(update={"report": made.report.model_copy(update={"site": "Elsewhere"})})
    assert build_report(reader, named, DAY, NOW)["walk_tests"], "a heading decides nothing"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"camera": "gate"}, "no such camera"),
        ({"camera": ["door"]}, "no such camera"),
        ({"since": NOW + 1}, "begins within"),
        ({"since": NOW - LONGEST_TEST_MS - 1}, "begins within"),
        ({"since": "now"}, "begins within"),
        ({"skip": "all"}, "list"),
        ({"skip": ["door-00000000"]}, "only 9 of 10"),
    ],
)
def test_what_is_no_finished_test_is_refused_and_not_kept(store: Store, asked: dict[str, Any], said: str) -> None:
    walk(store, TOLD)
    answer = keep(store, config(), **asked)
    assert not answer["ok"]
    assert said in answer["error"]
    assert StoreReader(store.path).meta(meta_key("door")) is None


def test_a_result_that_cannot_be_read_is_none(store: Store) -> None:
    made = config()
    for text in ("{", "[]", json.dumps({"settings_sha256": "other"})):
        store.set_meta({meta_key("door"): text})
        assert "walk_tests" not in build_report(StoreReader(store.path), made, DAY, NOW)
