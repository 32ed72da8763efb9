"""The report as a page and as a table."""

import csv
import io
import random
import re
import sqlite3
from contextlib import closing
from datetime import date
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_days import HOUR, MINUTE, MODELS, config, encounter, new_store, passages, span, violation, watched
from support.chromium import chromium, tab

from edged.config.section import NOT_SHOWN
from edged.report import build_report, day_csv, list_violations, render_csv, report_sha256
from edged.report.build import _printable
from edged.report.charts import answer_scale, hour_chart, hour_rows
from edged.report.page import render_html
from edged.report.table import FORMULA_STARTS
from edged.store import StoreReader

DAY = date(2026, 11, 19)
START, END = span(DAY)
ODDS = {"correct": 0.8, "incorrect": 0.06, "none": 0.08, "uncertain": 0.06}


def report_of(folder, changes, made=None, day=DAY, now=None):
    made = made or config()
    with new_store(folder, changes) as store:
        return build_report(
            StoreReader(store.path), made, day, now or span(day)[1], models=MODELS, config_sha256="ab" * 32
        )


def full(begin=START, end=END):
    return passages(random.Random(3), [(begin, end)], lambda _: 0.5, ODDS)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """One report of each kind of day."""
    made = config(
        site="Main entrance", open_from="08:00", open_until="20:00", target_percent=85, requirement="Masks on."
    )
    outage = watched(START, START + 9 * HOUR) + watched(START + 9 * HOUR, START + 15 * HOUR, "door", "offline", 0)
    autumn = date(2026, 10, 25)
    kinds = {
        "good": (full() + watched(START, END), made, DAY),
        "sparse": ([encounter(n, START + n * HOUR, "correct") for n in range(20)] + watched(START, END), None, DAY),
        "empty": ([], made, DAY),
        "no cameras": ([], config(cameras=()), DAY),
        "outage": (full() + outage + watched(START + 15 * HOUR, END), None, DAY),
        "autumn": (full(*span(autumn)) + watched(*span(autumn)), None, autumn),
    }
    return {kind: report_of(tmp_path_factory.mktemp("day"), *made_of) for kind, made_of in kinds.items()}


KINDS = ("good", "sparse", "empty", "no cameras", "outage", "autumn")


def parsed(html):
    """The page as a tree: it is XML as well as HTML, so that a tag left open is found."""
    return ElementTree.fromstring(html)  # noqa: S314  (we wrote it)


def text_of(html):
    """The page as it is read: its body's text, blanks folded."""
    body = parsed(html).find("body")
    return " ".join(" ".join(body.itertext()).split())


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_well_formed_and_loads_nothing(reports, kind):
    html = render_html(reports[kind])
    root = parsed(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not re.search(r"http|<script|<link|<img|<iframe|@import|javascript:|\son\w+=", html, re.IGNORECASE)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", html))
    assert all(node.get("href", "#").startswith("#") for node in root.iter())
    assert len(html.encode()) < 80_000


@pytest.mark.parametrize("kind", KINDS)
def test_every_mark_that_is_referred_to_is_there_and_inside_the_drawing(reports, kind):
    root = parsed(render_html(reports[kind]))
    known = {node.get("id") for node in root.iter() if node.get("id")}
    for node in root.iter():
        for value in node.attrib.values():
            for target in re.findall(r"url\(#([^)]*)\)", value) + re.findall(r"^#(icon-.*)$", value):
                assert target in known
        if node.tag == "rect":
            assert float(node.get("height")) >= 0
            assert float(node.get("width")) >= 0


def test_the_page_calls_a_camera_by_its_name_for_people_and_the_document_by_its_id(tmp_path):
    made = config()
    cameras = {"door": made.camera["door"].model_copy(update={"name": "Main <door>"})}
    changes = [*full(), *violation(1, START + HOUR), *watched(START, END - 2 * HOUR)]
    report = report_of(tmp_path, changes, made.model_copy(update={"camera": cameras}))
    text = text_of(render_html(report))
    assert text.count("Main <door>") >= 3, "in the cameras, the violations and the gaps"
    assert not re.search(r"\bdoor\b(?!>)", text)
    assert [row["camera"] for row in report["by_camera"]] == ["door"]


def test_a_good_day_answers_with_percentage_interval_coverage_and_verdict(reports):
    report = reports["good"]
    text = text_of(render_html(report))
    interval = report["interval"]
    assert f"{report['compliance_percent']} % wore a mask correctly" in text
    assert f"95 % interval {interval['lower']} – {interval['upper']} %" in text
    assert "Watched 100.0 % of open hours" in text
    assert f"Judged {report['judged']} of {report['encounters']} passages. Uncertain: {report['uncertain']}" in text
    assert f"If every uncertain one wore it wrongly: {report['bounds']['lower']} %" in text
    assert "Masks on. Target: at least 85.0 % worn correctly." in text
    assert "Thursday, 19 November 2026" in text
    assert "No gaps." in text
    assert report_sha256(report) in text


def test_a_sparse_day_prints_no_percentage_at_all(reports):
    html = render_html(reports["sparse"])
    text = text_of(html)
    assert "Fewer than 30 passages were judged: too few for a percentage." in text
    answer = text.split("By hour")[0].replace("Watched 100.0 %", "")
    assert "%" not in answer


def test_an_empty_day_says_so_and_prints_its_gap(reports):
    text = text_of(render_html(reports["empty"]))
    assert "Nothing was watched" in text
    assert "Nobody was seen" not in text
    assert "Watched 0.0 % of open hours" in text
    assert "08:00 20:00 12 h 00 min door edged was not running" in text
    assert "No violations." not in text
    assert "? Target: cannot tell" in text


def test_an_outage_is_printed_with_its_times_and_marks_the_day_partial(reports):
    text = text_of(render_html(reports["outage"]))
    assert "Partial: see the gaps" in text
    assert "09:00 15:00 6 h 00 min door Camera offline" in text


def test_a_day_that_runs_says_until_when_it_counts(tmp_path):
    now = START + 14 * HOUR + 20 * MINUTE
    text = text_of(render_html(report_of(tmp_path, full(START, now) + watched(START, now), now=now)))
    assert "Day not finished: counts until 14:20" in text


def test_the_autumn_page_shows_both_second_hours(reports):
    text = text_of(render_html(reports["autumn"]))
    assert "the clocks changed: 25 hours" in text
    assert "02:00 CEST:" in text
    assert "02:00 CET:" in text


def test_states_are_told_by_word_and_fill_not_by_colour_alone(reports):
    html = render_html(reports["good"])
    for word in ("Worn correctly", "Worn incorrectly", "No mask", "Uncertain"):
        assert word in html
    fills = set(re.findall(r'<rect x="[^"]*" y="[^"]*" width="[^"]*" height="[^"]*" fill="([^"]*)"', html))
    assert {"var(--correct)", "url(#fill-incorrect)", "url(#fill-none)", "url(#fill-uncertain)"} <= fills
    assert "--correct: #" in html
    assert re.search(r"<title>09:00: \d+ worn correctly, \d+ worn incorrectly, \d+ no mask, \d+ uncertain", html)


EVIL = '<script>alert("x")</script> & </title><b>\'"{{ 7*7 }}'


def test_names_are_escaped_and_characters_that_no_page_may_hold_dropped(tmp_path):
    made = config(site=EVIL + "\uffff", requirement=EVIL)
    html = render_html(report_of(tmp_path, violation(1, START, state="<i>odd</i>"), made))
    assert "<script" not in html
    assert "<i>odd" not in html
    root = parsed(html)
    assert root.find(".//h1").text == EVIL
    assert root.find("head/title").text == f"{EVIL} – mask report 2026-11-19"


@settings(max_examples=50)
@given(
    site=st.text(st.characters(exclude_categories=NOT_SHOWN), max_size=40),  # the config has one line
    state=st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=20),
)
def test_no_text_breaks_the_page_or_the_table(reports, site, state):
    made = config(site=site[:100], requirement=site)
    head = {"site": _printable(made.report.site), "requirement": _printable(made.report.requirement)}
    first = [dict(reports["good"]["violations"]["first"][0], state=state)]
    report = reports["good"] | head | {"violations": reports["good"]["violations"] | {"first": first}}
    parsed(render_html(report))
    rows = list(csv.DictReader(io.StringIO(render_csv(report), newline="")))
    assert rows[-1]["state"] in (state, f"'{state}")
    assert not any(cell.startswith(FORMULA_STARTS) for row in rows for cell in row.values())


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_table_gives_back_the_day_its_hours_and_every_violation(tmp_path):
    report = report_of(tmp_path, full() + watched(START, END))
    everything = list(list_violations(StoreReader(tmp_path / "edged.db"), config(), DAY))
    rows = rows_of(render_csv(report, everything))
    by_record = {kind: [row for row in rows if row["record"] == kind] for kind in ("day", "hour", "violation")}
    assert [len(kind) for kind in by_record.values()] == [1, 24, report["violations"]["count"]]
    assert report["violations"]["count"] > 40
    day = by_record["day"][0]
    assert (int(day["judged"]), float(day["compliance_percent"])) == (report["judged"], report["compliance_percent"])
    assert float(day["interval_lower"]) == report["interval"]["lower"]
    for row, hour in zip(by_record["hour"], report["by_hour"], strict=True):
        assert (row["local_time"], int(row["none"])) == (hour["label"], hour["none"])
    for row, one in zip(by_record["violation"], everything, strict=True):
        assert (row["event_id"], row["utc"], row["state"]) == (one["event_id"], one["at"], one["state"])
        assert float(row["duration_s"]) == one["duration_s"]
    assert {row["date"] for row in rows} == {"2026-11-19"}


def test_the_table_has_the_events_that_the_database_has_deleted_since_where_the_report_lists_them(tmp_path):
    hours = [START + number * HOUR // 10 for number in range(60)]
    changes = [change for number, at in enumerate(hours) for change in violation(number, at)]
    changes += violation(99, START + HOUR, "long", kind="inattention")
    report = report_of(tmp_path, changes)
    path = tmp_path / "edged.db"
    for lost in (hours[30], END):  # by their age: some of the day, then all
        with closing(sqlite3.connect(path)) as base, base:
            base.execute("DELETE FROM events WHERE started_at < ?", (lost,))
        rows = rows_of(day_csv(StoreReader(path), config(), DAY, report))
        found = [row["event_id"] for row in rows if row["record"] == "violation"]
        assert found == [f"EV{number:08d}" for number in range(60 if lost < END else 40)]
        assert [row["event_id"] for row in rows if row["record"] == "inattention event"] == ["EV00000099"]


def test_the_table_counts_in_the_open_hours_and_the_time_zone_of_its_report(tmp_path):
    changes = [*violation(1, START + 7 * HOUR), *violation(2, START + 9 * HOUR), *violation(3, START + 21 * HOUR)]
    report = report_of(tmp_path, changes, config(open_from="08:00", open_until="20:00"))
    now = config("America/New_York", open_from="00:00", open_until="24:00")
    rows = rows_of(day_csv(StoreReader(tmp_path / "edged.db"), now, DAY, report))
    found = [(row["event_id"], row["local_time"]) for row in rows if row["record"] == "violation"]
    assert found == [("EV00000002", "09:00:00")]
    assert report["violations"]["count"] == 1


def test_withheld_figures_are_empty_cells(reports):
    day = rows_of(render_csv(reports["empty"]))[0]
    assert (day["compliance_percent"], day["interval_lower"], day["judged"]) == ("", "", "0")


@pytest.mark.parametrize("site", ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", '=HYPERLINK("x","y")'])
def test_no_cell_starts_a_formula(tmp_path, site):
    row = rows_of(render_csv(report_of(tmp_path, [], config(site=site))))[0]
    assert row["site"] == f"'{site}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_says_what_it_is_where_the_tables_head_is_hidden(reports, kind):
    """On a phone each row is a card, and its cells carry the names of their columns."""
    for table in parsed(render_html(reports[kind])).iter("table"):
        heads = ["".join(head.itertext()) for head in table.find("thead/tr")]
        for row in table.find("tbody"):
            labels = [cell.get("data-l") for cell in row]
            wanted = [None, *heads[1:]]
            assert labels == [
                None if cell.get("class") == "blank" else name for cell, name in zip(row, wanted, strict=True)
            ]


def test_the_hours_stand_under_each_other_too_and_fit(reports):
    for kind, report in reports.items():
        rows = hour_rows(report).rows
        assert [row.label for row in rows] == [hour["label"] for hour in report["by_hour"] if hour["open"]], kind
        hours = {hour["label"]: hour for hour in report["by_hour"]}
        for row in rows:
            assert [part.state for part in row.parts] == [s for s in ODDS if hours[row.label][s]]
            right = 68.0
            for part in row.parts:
                assert part.x == pytest.approx(right, abs=0.05)
                right = part.x + part.width
            assert right <= 240.05
            assert row.title.startswith(row.label)


def test_bars_stand_on_each_other_and_fit(reports):
    for report in reports.values():
        for column in hour_chart(report).columns:
            bottom = 130.0
            for bar in column.bars:
                assert bar.y + bar.height == pytest.approx(bottom, abs=0.05)
                bottom = bar.y
            assert bottom >= -0.05


def test_the_number_line_orders_its_marks(reports):
    scale = answer_scale(reports["good"])
    assert 0 <= scale.lower < scale.point < scale.upper <= 300
    assert 0 <= scale.worst < scale.point < scale.best <= 300
    assert scale.ticks[0] == (300.0, "100")


BEYOND = """() => [...document.querySelectorAll('main *')]
    .filter(one => one.getBoundingClientRect().right > document.querySelector('main').getBoundingClientRect().right + 1)
    .map(one => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)"""


def test_no_name_however_long_runs_out_of_the_page(tmp_path):
    """As long as the config lets them be, and without a blank to break a line at."""
    made = config(profile="driver", site="W" * 64)
    door = made.camera["door"].model_copy(update={"name": "Main_entrance_" + "M" * 50})
    cab = config(cameras=["cab"], profile="driver").camera["cab"]
    device = made.device.model_copy(update={"id": "d" * 63})
    made = made.model_copy(update={"camera": {"door": door, "cab": cab}, "device": device})
    drowsy = {"valid_s": 3.0, "worst_level": "alarm", "highest_perclos": 0.4, "longest_closure_s": 3.0}
    changes = [*full(), encounter(900_001, START, "none", drowsiness=drowsy), *watched(START, START + 9 * HOUR)]
    changes += violation(900_002, START + HOUR, "microsleep", kind="drowsiness")
    page = tmp_path / "page.html"
    page.write_text(render_html(report_of(tmp_path, changes, made)))
    with chromium() as browser:
        for width in (400, 721, 900):
            with tab(browser, "file://", viewport={"width": width, "height": 900}) as shown:
                shown.goto(page.as_uri())
                assert shown.evaluate(BEYOND) == [], width
                assert shown.evaluate("document.documentElement.scrollWidth") == width


def test_the_icons_take_their_colours_from_the_page_dark_or_light(tmp_path):
    page = render_html(report_of(tmp_path, full()))
    for state in ("incorrect", "none", "uncertain"):
        (icon,) = re.findall(rf'<symbol id="icon-{state}".*?</symbol>', page, re.DOTALL)
        assert "#" not in icon.split(">", 1)[1]
