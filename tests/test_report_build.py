"""What the report says of made-up days in a real store."""

import json
import random
import sqlite3
import time
import tracemalloc
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import pytest
from report_days import (
    HOUR,
    MINUTE,
    MODELS,
    config,
    door_and_cab,
    encounter,
    new_store,
    passages,
    span,
    store_reports,
    violation,
    watched,
)
from support.payloads import check_document

from edged.errors import StoreError
from edged.payloads.report import ReportDocument
from edged.report import build_report, canonical_json, list_violations, report_sha256
from edged.store import EventRecord, Message, ReportRow, StoreReader

DAY = date(2026, 11, 19)
START, END = span(DAY)
WATCHED = watched(START, END)


def build(tmp_path, changes, settings=None, day=DAY, now=None, **more):
    settings = settings or config()
    with new_store(tmp_path, changes) as store:
        return build_report(
            StoreReader(store.path), settings, day, now or span(day, settings.report.timezone)[1], **more
        )


def spread(states, begin=START, end=END, camera="door"):
    """Encounters with these counts by state, well mixed and evenly spread over the time."""
    drawn = [state for state, count in states.items() for _ in range(count)]
    random.Random(1).shuffle(drawn)
    step = (end - begin) // max(1, len(drawn))
    return [encounter(n, begin + n * step, state, camera) for n, state in enumerate(drawn)]


def test_the_percentage_is_of_judged_passages_and_uncertain_stand_beside(tmp_path):
    changes = spread({"correct": 460, "incorrect": 9, "none": 31, "uncertain": 41})
    report = build(tmp_path, changes + WATCHED)
    names = (
        "encounters",
        "judged",
        "correct",
        "incorrect",
        "none",
        "uncertain",
        "compliance_percent",
        "coverage_percent",
    )
    assert [report[name] for name in names] == [541, 500, 460, 9, 31, 41, 92.0, 100.0]
    assert report["bounds"] == {"lower": 85.0, "upper": 92.6}
    assert report["interval"]["lower"] <= 89.3
    assert report["interval"]["upper"] >= 94.1
    assert report["complete"] is True


def test_open_encounters_count_as_they_stand(tmp_path):
    report = build(tmp_path, [encounter(1, START, "none", closed=False), encounter(2, START, "correct")])
    assert (report["encounters"], report["none"]) == (2, 1)


def test_the_day_is_half_open(tmp_path):
    changes = [encounter(n, at, "correct") for n, at in enumerate((START - 1, START, END - 1, END))]
    assert build(tmp_path, changes)["encounters"] == 2


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (DAY, 24)])
def test_days_with_a_change_of_the_clock_are_counted_whole(tmp_path, day, hours):
    start, end = span(day)
    changes = [encounter(n, at, "correct") for n, at in enumerate(range(start, end, HOUR))]
    report = build(tmp_path, changes + watched(start, end), day=day)
    assert (report["hours_in_day"], len(report["by_hour"]), report["encounters"]) == (hours, hours, hours)
    assert [hour["encounters"] for hour in report["by_hour"]] == [1] * hours
    assert (report["coverage_percent"], report["gaps"]["count"]) == (100.0, 0)
    assert report["outside_open_hours"]["encounters"] == 0


def test_a_day_that_runs_is_incomplete_and_not_blamed_for_what_is_to_come(tmp_path):
    now = START + 10 * HOUR + 30_000
    report = build(tmp_path, watched(START, START + 10 * HOUR - MINUTE), now=now)
    assert (report["complete"], report["as_of_local"], report["coverage_percent"]) == (False, "10:00", 100.0)
    assert report["gaps"]["count"] == 0
    assert report["by_hour"][12]["watched_percent"] is None


def test_coverage_is_watched_time_in_open_hours(tmp_path):
    settings = config(open_from="08:00", open_until="20:00")
    changes = watched(START + 8 * HOUR, START + 14 * HOUR) + watched(START + 20 * HOUR, END)
    changes += watched(START + 14 * HOUR, START + 17 * HOUR, watched_ms=20_000)
    report = build(tmp_path, changes, settings)
    assert report["coverage_percent"] == round(100 * (6 + 1) / 12, 1)
    assert report["coverage_partial"] is True
    hours = {hour["label"]: (hour["open"], hour["watched_percent"]) for hour in report["by_hour"]}
    assert hours["07:00"] == (False, None)
    assert hours["13:00"] == (True, 100.0)
    assert hours["15:00"] == (True, 33.3)
    assert hours["18:00"] == (True, 0.0)


def test_every_configured_camera_counts_and_one_that_was_only_seen_too(tmp_path):
    settings = config(cameras=("door", "side"))
    report = build(tmp_path, WATCHED + watched(START, START + 12 * HOUR, "old"), settings)
    assert {c["camera"]: c["coverage_percent"] for c in report["by_camera"]} == {
        "door": 100.0,
        "old": 50.0,
        "side": 0.0,
    }
    assert report["coverage_percent"] == 50.0


def test_a_camera_that_is_not_asked_for_masks_withholds_no_percentage_of_those_that_are(tmp_path):
    """The cab is parked from six in the morning on: the door was watched all day."""
    cab = spread({"uncertain": 9}, START, START + 5 * HOUR, "cab")
    cab = [replace(row, votes={}) for row in cab] + watched(START, START + 6 * HOUR, "cab")
    settings = door_and_cab(target_percent=85)
    report = build(tmp_path, spread({"correct": 2300, "none": 100}) + WATCHED + cab, settings)
    assert (report["withheld"], report["compliance_percent"], report["verdict"]) == (None, 95.8, "met")
    assert (report["coverage_percent"], report["masks_coverage_percent"]) == (62.5, 100.0)
    assert report["coverage_partial"] is True, "the cab's drowsiness was not watched"
    check_document(ReportDocument, report, "report")
    noon = report["by_hour"][12]
    assert (noon["watched_percent"], noon["masks_watched_percent"], noon["compliance_percent"] is None) == (
        50.0,
        100.0,
        False,
    )
    assert {row["camera"]: (row["masks_followed"], row["coverage_percent"]) for row in report["by_camera"]} == {
        "cab": (False, 25.0),
        "door": (True, 100.0),
    }
    assert len(report["worst_hours"]) == 3


def test_a_camera_that_is_not_asked_for_masks_lends_its_coverage_to_none_that_are(tmp_path):
    """The door is dark from noon on, and the cab is watched all day: half of the hours have no percentage, nor has the day."""
    morning = (START, START + 11 * HOUR)
    changes = spread({"correct": 1100}, *morning) + watched(*morning) + watched(START, END, "cab")
    report = build(tmp_path, changes, door_and_cab())
    assert (report["coverage_percent"], report["masks_coverage_percent"]) == (72.9, 45.8)
    assert (report["withheld"], report["compliance_percent"], report["worst_hours"]) == ("coverage", None, [])
    assert report["by_hour"][20] | {"watched_percent": 50.0, "masks_watched_percent": 0.0} == report["by_hour"][20]


def test_a_camera_that_asked_for_masks_until_noon_counts_with_its_passages(tmp_path):
    """The config asks no more at the day's end: what it judged is in the figure, so how it was watched is too."""
    morning = (START, START + 11 * HOUR)
    was_asked = spread({"correct": 1100}, *morning, "cab") + watched(*morning, "cab")
    report = build(tmp_path, was_asked, config(cameras=["cab"], profile="driver"))
    assert (report["withheld"], report["coverage_percent"]) == ("coverage", 45.8)
    settings = door_and_cab()
    (tmp_path / "beside").mkdir()
    report = build(tmp_path / "beside", was_asked + WATCHED, settings)
    assert (report["withheld"], report["coverage_percent"], report["judged"]) == (None, 72.9, 1100)
    assert "masks_coverage_percent" not in report, "all cameras followed masks on that day"


def test_a_camera_that_was_removed_followed_masks_where_it_judged_some(tmp_path):
    """The old door judged masks, so its passages too far away for a vote are uncertain ones; the old cab judged none."""
    morning = (START, START + 8 * HOUR)
    changes = [*spread({"correct": 300}), *WATCHED, *watched(*morning, "old-door"), *watched(*morning, "old-cab")]
    changes += [encounter(n, START + n * HOUR, "correct", "old-door") for n in range(1, 4)]
    for camera in ("old-door", "old-cab"):
        changes += [encounter(n, START + n * MINUTE, "uncertain", camera, votes={}) for n in range(10, 20)]
    report = build(tmp_path, changes)
    followed = {row["camera"]: (row["masks_followed"], row["uncertain"]) for row in report["by_camera"]}
    assert followed == {"door": (True, 0), "old-door": (True, 10), "old-cab": (False, 0)}
    assert (report["coverage_percent"], report["masks_coverage_percent"]) == (55.6, 66.7)


@pytest.mark.parametrize("profile", ["entrance", "driver"])
def test_coverage_stands_once_where_all_cameras_are_asked_alike(tmp_path, profile):
    settings = config(cameras=("door", "side"), profile=profile)
    report = build(tmp_path, WATCHED, settings)
    assert report["coverage_percent"] == 50.0
    assert "masks_" not in canonical_json(report).replace("masks_followed", "")


def test_a_hundred_percent_during_an_outage_is_withheld(tmp_path):
    changes = spread({"correct": 100}, START, START + 11 * HOUR) + watched(START, START + 11 * HOUR)
    report = build(tmp_path, changes, config(target_percent=90))
    assert (report["compliance_percent"], report["interval"], report["withheld"]) == (None, None, "coverage")
    assert (report["judged"], report["verdict"]) == (100, "cannot tell")


def test_gaps_carry_from_to_and_reason(tmp_path):
    changes = [
        *watched(START, START + 8 * HOUR),
        *watched(START + 8 * HOUR, START + 8 * HOUR + 2 * MINUTE, state="stalled", watched_ms=29_999),
        *watched(START + 8 * HOUR + 2 * MINUTE, START + 14 * HOUR, state="offline", watched_ms=0),
        *watched(START + 14 * HOUR, START + 20 * HOUR, watched_ms=30_000),
        *watched(START + 20 * HOUR, START + 21 * HOUR, watched_ms=1000),
    ]
    gaps = build(tmp_path, changes)["gaps"]
    told = [(g["from_local"], g["to_local"], g["minutes"], g["reason"]) for g in gaps["listed"]]
    assert told == [
        ("08:00", "14:00", 360, "offline"),
        ("20:00", "21:00", 60, "not analysed"),
        ("21:00", "24:00", 180, "not running"),
    ]
    assert (gaps["count"], gaps["minutes"], gaps["unlisted_minutes"]) == (3, 600, 0)


def test_a_flapping_camera_lists_its_longest_gaps_and_sums_the_rest(tmp_path):
    changes = [row for row in WATCHED if row.minute // MINUTE % 10]
    gaps = build(tmp_path, [row for row in changes if not START <= row.minute < START + 2 * HOUR])["gaps"]
    assert (gaps["count"], len(gaps["listed"])) == (1 + 132 - 1, 40)
    assert gaps["listed"][0]["minutes"] == 121
    assert gaps["minutes"] == 160 + gaps["unlisted_minutes"]


def test_outside_open_hours_everything_stands_apart(tmp_path):
    settings = config(open_from="08:00", open_until="20:00")
    changes = [encounter(1, START + 7 * HOUR, "none"), encounter(2, START + 8 * HOUR, "correct")]
    changes += violation(1, START + 7 * HOUR) + violation(2, START + 20 * HOUR) + violation(3, START + 20 * HOUR - 1)
    report = build(tmp_path, changes, settings)
    assert (report["encounters"], report["none"], report["violations"]["count"]) == (1, 0, 1)
    outside = report["outside_open_hours"]
    assert (outside["encounters"], outside["none"], outside["violations"]) == (1, 1, 2)
    assert sum(hour["encounters"] for hour in report["by_hour"]) == 1


def test_violations_list_the_first_forty_and_count_all(tmp_path):
    changes = [
        change for n in range(50) for change in violation(n, START + n * MINUTE, "incorrect" if n % 5 else "none")
    ]
    changes += violation(99, START + HOUR, lasted=None, details={"held_back": "cooldown"})
    report = build(tmp_path, changes)
    violations = report["violations"]
    assert [violations[key] for key in ("count", "none", "incorrect", "held_back")] == [51, 11, 40, 1]
    assert len(violations["first"]) == 40
    assert violations["first"][1] == {
        "event_id": "EV00000001",
        "began": "2026-11-18T23:01:00.000Z",
        "began_local": "00:01:00",
        "at": "2026-11-18T23:01:00.000Z",
        "local": "00:01:00",
        "camera": "door",
        "state": "incorrect",
        "duration_s": 4.5,
        "score": 0.91,
        "held_back": None,
    }
    listed = list(list_violations(StoreReader(tmp_path / "edged.db"), config(), DAY))
    assert listed[:40] == violations["first"]
    assert (len(listed), listed[-1]["duration_s"], listed[-1]["held_back"]) == (51, None, "cooldown")


@pytest.mark.parametrize(
    ("target", "verdict"),
    [(None, None), (80, "met"), (92, "cannot tell"), (99, "not met"), (0, "met"), (100, "not met")],
)
def test_the_target_is_judged_by_the_interval(tmp_path, target, verdict):
    changes = spread({"correct": 460, "none": 40}) + WATCHED
    assert build(tmp_path, changes, config(target_percent=target))["verdict"] == verdict


def test_the_lowest_hours_need_thirty_judged(tmp_path):
    changes = spread({"correct": 30, "none": 10}, START, START + HOUR)
    changes += [encounter(1000 + n, START + HOUR + n, "none") for n in range(29)]
    changes += [encounter(2000 + n, START + 2 * HOUR + n, "correct") for n in range(40)]
    worst = build(tmp_path, changes + WATCHED)["worst_hours"]
    assert [(w["label"], w["compliance_percent"]) for w in worst] == [("00:00", 75.0), ("02:00", 100.0)]


def test_cameras_have_figures_of_their_own(tmp_path):
    settings = config(cameras=("door", "side"))
    changes = spread({"correct": 80, "none": 20}) + WATCHED
    changes += spread({"correct": 29}, camera="side") + watched(START, END, "side")
    door, side = build(tmp_path, changes, settings)["by_camera"]
    assert (door["compliance_percent"], door["withheld"]) == (80.0, None)
    assert (side["compliance_percent"], side["withheld"], side["judged"]) == (None, "few", 29)


def system(number, state):
    return EventRecord(
        f"SY{number}", "system", "", None, state, None, None, START + number, clock_ok=number > 0, details={}
    )


def test_the_devices_health_is_what_the_store_knows(tmp_path):
    changes = [system(0, "started"), system(1, "started"), system(2, "recovered"), system(3, "disk low")]
    changes += [encounter(1, START, "correct", clock_ok=False), Message("events", "{}", created=START)]
    report = build(tmp_path, changes, models=MODELS, config_sha256="ab" * 32)
    assert report["device_health"] == {
        "starts": 2,
        "database_recoveries": 1,
        "system_events": {"started": 2, "recovered": 1, "disk low": 1},
        "clock_unsynced_rows": 2,
        "unsent_messages": 1,
    }
    assert report["origin"]["models"] == MODELS
    assert report["origin"]["config_sha256"] == "ab" * 32


def history(tmp_path, odds_before, odds_now):
    settings = config()
    with new_store(tmp_path) as store:
        for distance in (8, 7, 3):
            start, end = span(DAY - timedelta(days=distance))
            rows = spread(odds_before, start, end)
            store.write(
                [encounter(row.track + 10_000 * distance, row.first_seen, row.state) for row in rows]
                + watched(start, end)
            )
            store_reports(store, settings, [DAY - timedelta(days=distance)])
        start, end = span(DAY - timedelta(days=2))
        store.write(watched(start, end))
        store_reports(store, settings, [DAY - timedelta(days=2)])
        store.write(spread(odds_now) + WATCHED)
        return build_report(StoreReader(store.path), settings, DAY, END)["trend"]


def test_a_clear_change_is_named_and_pooled_over_days_with_a_percentage(tmp_path):
    trend = history(tmp_path, {"correct": 160, "none": 40}, {"correct": 195, "none": 5})
    week, month = trend["last_week"], trend["four_weeks"]
    assert (week["days"], week["compliance_percent"], week["direction"]) == (1, 80.0, "better")
    assert week["difference_points"]["value"] == 17.5
    assert week["difference_points"]["lower"] > 0
    assert (month["days"], month["judged"]) == (3, 600)
    known = {day["date"]: day["compliance_percent"] for day in trend["history"]}
    assert len(known) == 28
    assert (known["2026-11-12"], known["2026-11-17"], known["2026-11-13"]) == (80.0, None, None)


def test_a_small_change_is_no_clear_change(tmp_path):
    trend = history(tmp_path, {"correct": 160, "none": 40}, {"correct": 158, "none": 42})
    assert trend["last_week"]["direction"] == trend["four_weeks"]["direction"] == "no clear change"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"correct":1,"judged":0,"interval":{"effective_judged":1}}', "null"])
def test_an_earlier_report_that_cannot_be_read_is_no_report(tmp_path, text):
    day = DAY - timedelta(days=7)
    row = ReportRow(day.isoformat(), "Europe/Madrid", 0, text, "")
    assert build(tmp_path, [row, *spread({"correct": 50}), *WATCHED])["trend"]["last_week"] is None


def test_the_same_store_gives_the_same_bytes_whenever_a_finished_day_is_built(tmp_path):
    randomness = random.Random(7)
    odds = {"correct": 0.8, "incorrect": 0.05, "none": 0.1, "uncertain": 0.05}
    changes = passages(randomness, [(START, END)], lambda _: 0.3, odds) + WATCHED
    with new_store(tmp_path, changes) as store:
        built = [build_report(StoreReader(store.path), config(), DAY, now) for now in (END, END, END + 9 * HOUR)]
    texts = {canonical_json(report) for report in built}
    assert len(texts) == 1
    text = texts.pop()
    assert json.loads(text) == built[0]
    assert list(json.loads(text)) == sorted(built[0])
    assert len(report_sha256(built[0])) == 64


def test_a_store_that_is_not_there_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="no database there yet"):
        build_report(StoreReader(tmp_path / "none.db"), config(), DAY, END)


def test_a_day_nobody_watched_is_one_long_gap(tmp_path):
    report = build(tmp_path, [])
    assert (report["encounters"], report["compliance_percent"], report["coverage_percent"]) == (0, None, 0.0)
    assert [(g["minutes"], g["reason"]) for g in report["gaps"]["listed"]] == [(1440, "not running")]


def test_a_device_without_cameras_has_nothing_to_cover(tmp_path):
    report = build(tmp_path, [], config(cameras=()))
    assert (report["coverage_percent"], report["by_camera"], report["gaps"]["count"]) == (None, [], 0)


@pytest.fixture
def crowded(tmp_path):
    """A hundred thousand passages in one day, one in ten of them a violation."""
    step = (END - START) / 100_000
    votes = '{"correct":5,"incorrect":0,"none":0,"uncertain":1}'
    new_store(tmp_path, WATCHED).close()
    with closing(sqlite3.connect(tmp_path / "edged.db")) as connection, connection:
        for n in range(100_000):
            at = int(START + n * step)
            row = (f"e{n:06d}", n, at, at + 4000, "correct" if n % 10 else "none", votes)
            connection.execute("INSERT INTO encounters VALUES (?,'door',?,?,?,?,0.9,?,30,60,1,1,NULL,NULL)", row)
        connection.execute(
            "INSERT INTO events SELECT encounter_id, 'mask', camera, track, state, 0.9, votes, first_seen, last_seen,"
            " 'left', 1, '{}', 2, 2, NULL, NULL FROM encounters WHERE state = 'none'"
        )
    return _Timed(tmp_path / "edged.db")


def test_a_hundred_thousand_passages_take_seconds_and_short_reads(crowded):
    started = time.process_time()
    report = build_report(crowded, config(), DAY, END)
    assert time.process_time() - started < 5
    assert (report["encounters"], report["violations"]["count"]) == (100_000, 10_000)
    assert crowded.slowest_s < 1


def test_a_hundred_thousand_passages_take_little_memory(crowded):
    tracemalloc.start()
    build_report(crowded, config(), DAY, END)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 1024 * 1024


class _Timed(StoreReader):
    """A reader that remembers its longest read."""

    slowest_s = 0.0

    def _rows(self, sql, values=()):
        started = time.process_time()
        rows = super()._rows(sql, values)
        self.slowest_s = max(self.slowest_s, time.process_time() - started)
        return rows
