"""The report of a week or month: the sums of its days' reports, with a title and sections that follow what they held."""

import csv
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_days import HOUR, config, door_and_cab, encounter, new_store, span, store_reports, violation, watched
from support.payloads import check_document
from test_cli import edged

from edged.config import Config
from edged.payloads.period import PeriodDocument
from edged.report import (
    build_period,
    build_report,
    canonical_json,
    days_of,
    render_csv,
    render_period_csv,
    stored_report,
)
from edged.report.page import render_html, render_period_html
from edged.report.screen import render_text
from edged.report.statistics import wilson
from edged.store import StoreReader

MONDAY = date(2026, 11, 16)
WEEK = [MONDAY + timedelta(days=number) for number in range(7)]
NEXT_MONDAY = span(MONDAY + timedelta(days=7))[0]


def people(day: date, correct: int, none: int, **more: Any) -> list[Any]:
    """Passages of a day, spread over its afternoon, and the minutes that were watched."""
    noon, end = span(day)[0] + 12 * HOUR, span(day)[1]
    number, changes = day.toordinal() * 1000, watched(span(day)[0], end)
    for place in range(correct + none):
        at, state = noon + place * 100_000, "correct" if place < correct else "none"
        changes.append(encounter(number + place, at, state, **more))
        changes += violation(number + place, at) if state == "none" else []
    return changes


def period(
    folder: Path,
    changes: list[Any],
    settings: Config,
    *,
    stored: list[date],
    now: int = NEXT_MONDAY,
    name: str = "week",
) -> Any:
    """Of the one that holds Thursday."""
    with new_store(folder, changes) as store:
        store_reports(store, settings, stored)
        report = build_period(StoreReader(store.path), settings, name, WEEK[3], now)
    check_document(PeriodDocument, report, "period")
    return report


def stored_reports(folder: Path) -> list[Any]:
    reader = StoreReader(folder / "edged.db")
    return [json.loads(reader.report(row["day"])["report"]) for row in reader.reports()]


def test_a_week_is_the_sum_of_its_days(tmp_path: Path) -> None:
    changes = [change for number, day in enumerate(WEEK) for change in people(day, 40 + number, 10)]
    report = period(tmp_path, changes, config(), stored=WEEK)
    assert (report["first_day"], report["last_day"], report["complete"]) == ("2026-11-16", "2026-11-22", True)
    correct = 7 * 40 + 21
    assert (report["correct"], report["none"], report["judged"]) == (correct, 70, correct + 70)
    assert report["compliance_percent"] == round(100 * correct / (correct + 70), 1)
    effective = sum(day["interval"]["effective_judged"] for day in stored_reports(tmp_path))
    low, high = wilson(correct / (correct + 70), effective)
    assert (report["interval"]["lower"], report["interval"]["upper"]) == (round(100 * low, 1), round(100 * high, 1))
    assert report["violations"]["count"] == sum(day["violations"] for day in report["by_day"]) == 70
    assert report["coverage_percent"] == 100.0
    (camera,) = report["by_camera"]
    assert (camera["correct"], camera["gaps"]) == (correct, 0)


def test_a_week_that_still_runs_counts_the_days_there_were_and_today(tmp_path: Path) -> None:
    changes = [change for day in WEEK[2:4] for change in people(day, 20, 2)]
    report = period(tmp_path, changes, config(), stored=[WEEK[2]], now=span(WEEK[3])[0] + 20 * HOUR)
    assert [day["date"] for day in report["by_day"]] == ["2026-11-18", "2026-11-19"], "the record begins on Wednesday"
    assert (report["days"], report["days_reported"], report["complete"]) == (7, 2, False)
    assert report["interval"]["design_effect_assumed"] is True, "no day has enough for one of its own"
    assert report["judged"] == 44
    assert "Not whole" in render_period_html(report)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_week_rests_on_what_the_cameras_that_follow_masks_watched(tmp_path: Path, earlier: bool) -> None:
    """The cab was parked, and its camera off, all week; reports of earlier versions do not tell the door's coverage apart."""
    settings = door_and_cab(target_percent=70)
    changes = [change for day in WEEK for change in people(day, 40, 10)]
    week = period(tmp_path, changes, settings, stored=WEEK)
    if earlier:
        with closing(sqlite3.connect(tmp_path / "edged.db")) as base, base:
            base.create_function("sha256", 1, lambda text: hashlib.sha256(text.encode()).hexdigest())
            base.execute("UPDATE reports SET report = json_remove(report, '$.masks_coverage_percent')")
            base.execute("UPDATE reports SET sha256 = sha256(report)")
        week = build_period(StoreReader(tmp_path / "edged.db"), settings, "week", WEEK[3], NEXT_MONDAY)
    assert (week["withheld"], week["compliance_percent"]) == (None, 80.0)
    assert (week["coverage_percent"], week["masks_coverage_percent"]) == (50.0, 100.0)
    assert [day.get("masks_coverage_percent") for day in week["by_day"]] == [None if earlier else 100.0] * 7
    assert not any("masks_coverage_percent" in row for row in week["by_camera"])
    rows = list(csv.DictReader(render_period_csv(week).splitlines()))
    assert [row["masks_coverage_percent"] for row in rows if row["record"] == "week"] == ["100.0"]
    assert "(for masks 100.0 %)" in render_text(week)
    assert earlier or render_period_html(week).count("(for masks 100.0 %)") == 7


def test_a_camera_that_asked_for_masks_on_some_days_is_measured_by_these(tmp_path: Path) -> None:
    """From Wednesday on it asks for none, and is off."""
    changes = [change for day in WEEK[:2] for change in people(day, 40, 10)]
    with new_store(tmp_path, changes) as store:
        store_reports(store, config(), WEEK[:2])
        store_reports(store, config(profile="driver"), WEEK[2:])
        week = build_period(StoreReader(store.path), config(profile="driver"), "week", WEEK[3], NEXT_MONDAY)
    for row in (week, *week["by_camera"]):
        assert (row["withheld"], row["compliance_percent"]) == (None, 80.0)
        assert (row["coverage_percent"], row["masks_coverage_percent"]) == (28.6, 100.0)
    check_document(PeriodDocument, week, "period")


def test_what_is_to_come_of_a_day_weighs_nothing_in_what_was_watched(tmp_path: Path) -> None:
    """A Wednesday of which a fifth was watched, and the first two hours of a Thursday, watched whole."""
    wednesday, thursday = span(WEEK[2])[0], span(WEEK[3])[0]
    changes = [*watched(wednesday, wednesday + 24 * HOUR // 5), *watched(thursday, thursday + 2 * HOUR)]
    report = period(tmp_path, changes, config(), stored=[WEEK[2]], now=thursday + 2 * HOUR)
    assert report["coverage_percent"] == pytest.approx(100 * (24 / 5 + 2) / 26, abs=0.5)
    assert report["coverage_percent"] < 50


@pytest.mark.parametrize(
    ("name", "day", "first", "count"),
    [
        ("week", date(2026, 11, 16), date(2026, 11, 16), 7),
        ("week", date(2026, 11, 22), date(2026, 11, 16), 7),
        ("week", date(2027, 1, 1), date(2026, 12, 28), 7),
        ("month", date(2028, 2, 29), date(2028, 2, 1), 29),
        ("month", date(2026, 12, 31), date(2026, 12, 1), 31),
    ],
)
def test_weeks_begin_on_monday_and_months_on_the_first(name: str, day: date, first: date, count: int) -> None:
    days = days_of(name, day)
    assert (days[0], len(days), day in days) == (first, count, True)


@pytest.mark.parametrize(
    ("profile", "distracted", "title", "heads"),
    [
        ("entrance", False, "mask", []),
        ("entrance", True, "mask and attention", ["Attention"]),  # it happened, whatever the profile is now
        ("classroom", True, "mask and attention", ["Attention"]),
        ("driver", True, "attention and drowsiness", ["Attention", "Drowsiness"]),
    ],
)
def test_title_and_sections_follow_what_was_there(
    tmp_path: Path, profile: str, distracted: bool, title: str, heads: list[str]
) -> None:
    settings = config(profile=profile)
    changes = people(WEEK[3], 40, 0, votes={})
    changes += violation(1, span(WEEK[3])[0] + 13 * HOUR, "long", kind="inattention") if distracted else []
    week = period(tmp_path, changes, settings, stored=[WEEK[3]])
    day = build_report(StoreReader(tmp_path / "edged.db"), settings, WEEK[3], NEXT_MONDAY)
    for page in (render_period_html(week), render_html(day)):
        root = ElementTree.fromstring(page.partition("<!DOCTYPE html>")[2].strip())  # noqa: S314  (our own)
        assert f" – {title} report 2026-11-1" in str(root.find("head/title").text)
        found = [str(head.text).strip() for head in root.iter("h2")]
        assert [head for head in found if head in ("Attention", "Drowsiness")] == heads


def test_a_month_as_a_table_and_as_json(tmp_path: Path) -> None:
    report = period(tmp_path, people(WEEK[3], 40, 10), config(), stored=[WEEK[3]], name="month")
    lines = render_period_csv(report).splitlines()
    assert [line.split(",")[0] for line in lines] == ["record", "month", *["day"] * len(report["by_day"]), "camera"]
    assert json.loads(canonical_json(report)) == report


def test_a_camera_that_was_removed_keeps_its_name_and_the_newest_one_holds(tmp_path: Path) -> None:
    def named(**names: str) -> Config:
        made = config(cameras=names)
        return made.model_copy(
            update={"camera": {c: made.camera[c].model_copy(update={"name": name}) for c, name in names.items()}}
        )

    with new_store(tmp_path, [*people(WEEK[0], 40, 0), *people(WEEK[2], 40, 0)]) as store:
        store_reports(store, named(door="Front door", side="Side gate"), [WEEK[0]])
        store_reports(store, named(door="Main door"), WEEK[1:3])
        report = build_period(StoreReader(store.path), named(door="Main door"), "week", WEEK[2], span(WEEK[3])[0])
    assert report["camera_names"] == {"door": "Main door", "side": "Side gate"}
    assert "Side gate" in render_period_html(report)


def test_the_page_of_a_week_marks_few_passages_and_no_masks_as_that_of_a_day_does(tmp_path: Path) -> None:
    driver = config(cameras=["cab"], profile="driver").camera["cab"]
    made = config()
    settings = made.model_copy(update={"camera": {**made.camera, "cab": driver}})
    changes = [*people(WEEK[3], 40, 0), *watched(*span(WEEK[3]), "cab")]
    report = period(tmp_path, changes, settings, stored=[WEEK[3]], now=span(WEEK[3])[1] - 1)
    root = ElementTree.fromstring(render_period_html(report).partition("<!DOCTYPE html>")[2].strip())  # noqa: S314  (our own)
    assert "Indicative only: 40 judged" in "".join(root.itertext())
    rows = {row[0].text: ["".join(cell.itertext()).strip() for cell in row] for row in root.iter("tr")}
    assert rows["cab"][1] == "–", "not asked for masks: none were judged, which is no zero"
    assert rows["door"][1:3] == ["40", "100.0 % few"]


def test_the_table_of_a_week_tells_interval_and_coverage_of_each_camera(tmp_path: Path) -> None:
    report = period(tmp_path, people(WEEK[3], 60, 10), config(), stored=[WEEK[3]], now=span(WEEK[3])[1] - 1)
    (row,) = [row for row in csv.DictReader(render_period_csv(report).splitlines()) if row["record"] == "camera"]
    (camera,) = report["by_camera"]
    assert float(row["coverage_percent"]) == camera["coverage_percent"]
    assert float(row["interval_lower"]) == camera["interval"]["lower"]


def test_the_table_of_a_week_counts_the_same_events_as_the_tables_of_its_days_and_the_page(tmp_path: Path) -> None:
    settings = config(cameras=["door", "cab"])
    driver = settings.camera["cab"].model_copy(update={"profile": "driver", "name": "Cab"})
    settings = settings.model_copy(update={"camera": {"door": settings.camera["door"], "cab": driver}})
    noon = span(WEEK[2])[0] + 12 * HOUR
    events = [
        *violation(7, noon, "away", "cab", kind="inattention"),
        *violation(8, noon, "sleep", "cab", kind="drowsiness"),
        *violation(9, noon + HOUR, "sleep", "cab", kind="drowsiness"),
    ]
    report = period(tmp_path, [*people(WEEK[2], 40, 10), *events], settings, stored=[WEEK[2]])
    rows = list(csv.DictReader(render_period_csv(report).splitlines()))
    day = stored_report(StoreReader(tmp_path / "edged.db"), WEEK[2])
    assert day is not None
    of_day = list(csv.DictReader(render_csv(day).splitlines()))
    assert list(rows[0]) == list(of_day[0])
    counts = {"violations": "10", "distractions": "1", "drowsiness_events": "2"}
    (own,) = [row for row in rows if row["record"] == "day" and row["date"] == str(WEEK[2])]
    for row in (rows[0], own, of_day[0]):
        assert {name: row[name] for name in counts} == counts
    for record, name in (("attention", "distractions"), ("drowsiness", "drowsiness_events")):
        for table in (rows, of_day):
            assert next(row[name] for row in table if row["record"] == record) == counts[name]
    assert [row["camera"] for row in of_day if row["record"] == "camera"] == ["cab", "door"]


def test_a_stored_report_that_is_damaged_is_counted_anew(tmp_path: Path) -> None:
    whole = period(tmp_path, people(WEEK[3], 40, 10), config(), stored=[WEEK[3]])
    for text in ("substr(report, 1, 100)", "'[]'", "NULL", "x'ff'"):
        with closing(sqlite3.connect(tmp_path / "edged.db")) as base, base:
            base.execute("PRAGMA ignore_check_constraints = ON")
            base.execute(f"UPDATE reports SET report = coalesce({text}, '')")  # noqa: S608  (our own)
        reader = StoreReader(tmp_path / "edged.db")
        assert stored_report(reader, WEEK[3]) is None
        assert build_period(reader, config(), "week", WEEK[3], NEXT_MONDAY) == whole, text


def test_the_command_line_prints_weeks_and_months_in_every_form(tmp_path: Path) -> None:
    with new_store(tmp_path, people(WEEK[3], 40, 10)) as store:
        store_reports(store, config(), [WEEK[3]])
    file = tmp_path / "edged.toml"
    file.write_text(
        '[camera.door]\nsource = "file:///none.mp4"\n[report]\ntimezone = "Europe/Madrid"\n'
        f'[store]\npath = "{store.path}"\n'
    )
    asked = ("report", "2026-11-19", "--config", file)
    week = json.loads(edged(*asked, "--week", "--format", "json").stdout)
    assert (week["period"], week["judged"]) == ("week", 50)
    day = edged(*asked, "--format", "json").stdout
    assert hashlib.sha256(day.encode()).hexdigest() in edged(*asked, "--format", "html").stdout, "as the page names it"
    assert edged(*asked, "--month", "--format", "csv").stdout.splitlines()[1].startswith("month,2026-11-01")
    done = edged(*asked, "--week", "--out", tmp_path)
    assert (tmp_path / "2026-11-16-week.html").read_text().startswith("<!DOCTYPE html>"), done.stderr
