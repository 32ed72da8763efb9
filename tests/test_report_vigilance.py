"""What the report says of attention and drowsiness, and that sites without them see nothing of it."""

import csv
import io
import json
import random
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest
from report_days import HOUR, MINUTE, config, door_and_cab, encounter, new_store, span, violation, watched

from edged.report import INCIDENTS, build_report, canonical_json, list_violations, render_csv
from edged.report.charts import hour_chart
from edged.report.page import render_html
from edged.report.screen import render_text
from edged.store import StoreReader

DAY = date(2026, 11, 19)
START, END = span(DAY)
SECOND = 1000
NO_VOTES = {"correct": 0, "incorrect": 0, "none": 0, "uncertain": 0}


def report_of(folder, changes, settings):
    with new_store(folder, changes) as store:
        return build_report(StoreReader(store.path), settings, DAY, END)


def attention(attentive_s: float, away_s: float, unknown_s: float, distractions: int = 0) -> dict[str, Any]:
    return {"attentive_s": attentive_s, "away_s": away_s, "unknown_s": unknown_s, "distractions": distractions}


def drowsiness(**values: Any) -> dict[str, Any]:
    usual = {
        "worst_level": "alert", "highest_perclos": 0.04, "longest_closure_s": 0.4, "yawns": 1, "nods": 0, "valid_s": 500.0,
    }  # fmt: skip
    return usual | values


def pupil(number: int, at: int, **changes: Any):
    """Ten minutes in a classroom, without a verdict on any mask."""
    values = {"last_seen": at + 600 * SECOND, "votes": {"correct": 0, "incorrect": 0, "none": 9, "uncertain": 0}}
    return encounter(number, at, "none", "room", **values | changes)


def drive(number: int, at: int, **changes: Any):
    """Ten minutes in a cab."""
    values = {"last_seen": at + 600 * SECOND, "votes": NO_VOTES, "attention": attention(500, 40, 60)}
    return encounter(number, at, "uncertain", "cab", **values | changes)


def distraction(number: int, at: int, state: str, camera: str = "cab", **changes: Any):
    return violation(1000 + number, at, state, camera, kind="inattention", score=None, **changes)


def drowsy(number: int, at: int, state: str, camera: str = "cab", **changes: Any):
    return violation(2000 + number, at, state, camera, kind="drowsiness", **changes)


def text_of(html: str) -> str:
    return " ".join(" ".join(ElementTree.fromstring(html).find("body").itertext()).split())  # noqa: S314  (we wrote it)


# --- attention


def test_the_attentive_share_is_of_the_known_time_and_the_rest_bounds_it(tmp_path):
    changes = [pupil(n, START + n * HOUR, attention=attention(450, 50, 100)) for n in range(4)]
    section = report_of(tmp_path, changes, config(cameras=["room"], profile="classroom"))["attention"]
    assert (section["passages"], section["known_s"], section["unknown_s"]) == (4, 2000.0, 400.0)
    assert (section["attentive_percent"], section["known_percent"]) == (90.0, 83.3)
    assert section["bounds"] == {"lower": 75.0, "upper": 91.7}
    assert section["withheld"] is None


@pytest.mark.parametrize(
    ("summary", "withheld", "words"),
    [
        (attention(300, 50, 10), "few", "attention was known for 5 min 50 s only"),
        (attention(700, 100, 900), "unknown", "known for 47.1 % of the time people were there"),
        (attention(0, 0, 600), "few", "Not measured In 1 passage it was never known"),
    ],
)
def test_a_share_of_too_little_is_withheld_and_the_page_says_why(tmp_path, summary, withheld, words):
    report = report_of(tmp_path, [pupil(1, START, attention=summary)], config(cameras=["room"], profile="classroom"))
    section = report["attention"]
    assert (section["attentive_percent"], section["bounds"], section["withheld"]) == (None, None, withheld)
    assert words in text_of(render_html(report))


def test_distractions_are_counted_by_what_they_were_by_hour_and_by_camera(tmp_path):
    changes = [pupil(1, START, attention=attention(900, 100, 0))]
    for number, (hour, state) in enumerate([(8, "long"), (8, "long"), (9, "repeated"), (22, "long")]):
        changes += distraction(
            number, START + hour * HOUR, state, "room", details={"held_back": "cooldown"} if number else {}
        )
    settings = config(cameras=["room"], profile="classroom", open_from="00:00", open_until="20:00")
    section = report_of(tmp_path, changes, settings)["attention"]
    told = section["distractions"]
    assert (told["count"], told["by_reason"], told["held_back"]) == (3, {"long": 2, "repeated": 1}, 2)
    assert [(hour["label"], hour["count"]) for hour in told["by_hour"]] == [("08:00", 2), ("09:00", 1)]
    assert told["outside_open_hours"] == 1
    assert [(event["state"], event["camera"]) for event in told["first"]] == [("long", "room")] * 2 + [
        ("repeated", "room")
    ]
    assert section["by_camera"][0]["distractions"] == 3


# --- drowsiness


def test_drowsiness_is_counted_by_reason_and_hour_with_the_time_the_eyes_were_read(tmp_path):
    changes = [
        drive(1, START, drowsiness=drowsiness(worst_level="alarm", highest_perclos=0.21, longest_closure_s=2.6)),
        drive(2, START + HOUR, drowsiness=drowsiness(yawns=None, nods=3, valid_s=100.0)),
    ]
    for number, (hour, state) in enumerate([(3, "microsleep"), (3, "sleep"), (4, "microsleep"), (5, "yawning")]):
        changes += drowsy(number, START + hour * HOUR, state)
    report = report_of(tmp_path, changes, config(cameras=["cab"], profile="driver"))
    section = report["drowsiness"]
    assert (section["passages"], section["present_s"], section["eyes_read_s"]) == (2, 1200.0, 600.0)
    assert section["eyes_read_percent"] == 50.0
    assert (section["highest_perclos_percent"], section["longest_closure_s"]) == (21.0, 2.6)
    assert (section["yawns"], section["nods"], section["not_measured"]) == (1, 3, [])
    assert section["worst_level"] == {"alarm": 1, "warning": 0, "notice": 0, "alert": 1, "unknown": 0}
    events = section["events"]
    assert events["by_reason"] == {"microsleep": 2, "sleep": 1, "perclos": 0, "yawning": 1, "nodding": 0}
    assert [(hour["label"], hour["by_reason"]["microsleep"]) for hour in events["by_hour"]] == [
        ("03:00", 1),
        ("04:00", 1),
        ("05:00", 0),
    ]
    assert "The eyes could be read for 10 min , 50.0 % of the time" in text_of(render_html(report))


def test_what_was_not_measured_is_said_plainly_and_is_no_zero(tmp_path):
    unread = drowsiness(
        worst_level="unknown", highest_perclos=None, longest_closure_s=0.0, yawns=None, nods=None, valid_s=0.0
    )
    report = report_of(tmp_path, [drive(1, START, drowsiness=unread)], config(cameras=["cab"], profile="driver"))
    section = report["drowsiness"]
    assert section["not_measured"] == ["eyes", "perclos", "yawns", "nods"]
    assert section["highest_perclos_percent"] is section["longest_closure_s"] is section["yawns"] is None
    text = text_of(render_html(report))
    assert "Eyes not measured" in text
    assert "Yawns not measured" in text
    assert "No drowsiness was noticed in what could be measured" in text


def test_a_cab_that_stood_all_day_measured_nothing(tmp_path):
    report = report_of(tmp_path, watched(START, END, "cab"), config(cameras=["cab"], profile="driver"))
    assert report["drowsiness"]["passages"] == 0
    assert text_of(render_html(report)).count("Nobody was seen: nothing was measured.") == 2


def test_distractions_are_told_by_the_words_of_the_table_below(tmp_path):
    changes = [*watched(START, END), *violation(1, START + 60_000, "long", kind="inattention")]
    text = text_of(render_html(report_of(tmp_path, changes, config(profile="classroom"))))
    assert "1 away for long, 0 away repeatedly." in text


def test_of_a_cab_that_nobody_watched_the_page_does_not_say_that_nobody_was_seen(tmp_path):
    text = text_of(render_html(report_of(tmp_path, [], config(cameras=["cab"], profile="driver"))))
    assert text.count("Nothing was watched: nothing was measured.") == 2
    assert "Nobody was seen" not in text


@pytest.mark.parametrize(
    ("camera", "door", "cab"), [("door", "Nobody was", "Nothing was"), ("cab", "Nothing was", "Nobody was")]
)
def test_who_saw_nobody_is_told_by_the_cameras_that_look_for_it(tmp_path, camera, door, cab):
    """A door that asks for masks and a cab, of which one was watched."""
    report = report_of(tmp_path, watched(START, END, camera), door_and_cab())
    text = text_of(render_html(report))
    shown = {"Nobody was": "Nobody was seen", "Nothing was": "Nothing was watched"}
    assert text.count(f"{shown[cab]}: nothing was measured.") == 2
    assert f"{shown[door]} No percentage of nothing." in text
    assert f"{shown[door]}." in render_text(report)
    share = "100.0" if camera == "door" else "0.0"
    assert f"Watched 50.0 % of open hours (for masks {share} %)" in text
    assert f"50.0 % of the open hours (for masks {share} %)" in render_text(report)
    rows = {(row["record"], row["local_time"]): row for row in csv.DictReader(io.StringIO(render_csv(report)))}
    for row in (rows["day", ""], rows["hour", "12:00"]):
        assert (row["coverage_percent"], row["masks_coverage_percent"]) == ("50.0", share)
    hatched = [column.unwatched for column in hour_chart(report).columns]
    assert hatched == [0.0 if camera == "door" else 1.0] * 24, "the chart is of masks"


# --- sites of one kind and of both


def test_a_site_without_such_cameras_sees_nothing_of_it(tmp_path):
    report = report_of(tmp_path, [encounter(1, START, "correct")], config())
    assert not {"attention", "drowsiness"} & report.keys()
    assert not [word for word in ("attenti", "drows") if word in render_html(report).lower()]
    assert next(csv.reader(io.StringIO(render_csv(report))))[-2:] == ["began_utc", "violations"]


def test_a_site_that_asks_nobody_for_masks_has_no_word_of_them(tmp_path):
    changes = [drive(1, START, drowsiness=drowsiness()), *watched(START, END, "cab")]
    report = report_of(tmp_path, changes, config(cameras=["cab"], profile="driver", target_percent=90))
    assert (report["masks_followed"], report["encounters"], report["verdict"]) == (False, 0, None)
    text = text_of(render_html(report))
    assert "mask" not in text.replace("No camera here is asked for masks.", "").lower()
    assert "Watched 100.0 % of open hours" in text


def test_a_cabs_passages_are_not_uncertain_masks_at_the_door(tmp_path):
    settings = config(cameras=["door", "cab"]).model_dump()
    settings["camera"]["cab"]["profile"] = "driver"
    changes = [encounter(1, START, "correct"), drive(2, START, drowsiness=drowsiness()), drive(3, START)]
    changes.append(encounter(4, START + MINUTE, "none", "cab"))
    report = report_of(tmp_path, changes, type(config()).model_validate(settings))
    assert (report["correct"], report["none"], report["uncertain"]) == (1, 1, 0), "votes tell of a former profile"
    assert report["masks_followed"] is True
    assert report["drowsiness"]["passages"] == 1


def test_passages_from_before_the_profile_changed_still_count(tmp_path):
    report = report_of(tmp_path, [pupil(1, START, attention=attention(900, 100, 0))], config(cameras=["room"]))
    assert report["attention"]["attentive_percent"] == 90.0


def test_a_report_stored_before_there_was_attention_is_still_a_page(tmp_path):
    report = json.loads(canonical_json(report_of(tmp_path, [encounter(1, START, "correct")], config())))
    del report["masks_followed"]
    for camera in report["by_camera"]:
        del camera["masks_followed"]
    assert "Daily mask report" in render_html(report)


# --- forms


def test_the_table_has_every_event_and_a_row_for_the_site_and_each_camera(tmp_path):
    settings = config(cameras=["cab"], profile="driver")
    changes = [drive(1, START, drowsiness=drowsiness())]
    for number in range(45):
        changes += drowsy(number, START + number * MINUTE, "microsleep")
    changes += distraction(1, START, "long")
    report = report_of(tmp_path, changes, settings)
    reader = StoreReader(tmp_path / "edged.db")
    incidents = {kind: list_violations(reader, settings, DAY, kind) for kind in INCIDENTS}
    rows = list(csv.DictReader(io.StringIO(render_csv(report, [], incidents))))
    by_record = {record: [row for row in rows if row["record"] == record] for record in {row["record"] for row in rows}}
    assert len(by_record["drowsiness event"]) == 45
    assert len(report["drowsiness"]["events"]["first"]) == 40
    (long,) = by_record["inattention event"]
    assert (long["state"], long["camera"], long["duration_s"]) == ("long", "cab", "4.5")
    assert [row["camera"] for row in by_record["attention"]] == ["", "cab"]
    assert by_record["drowsiness"][0]["drowsiness_events"] == "45"
    assert by_record["drowsiness"][0]["eyes_read_s"] == "500.0"
    assert len(by_record["hour"]) == 24


def test_the_page_stays_well_formed_whatever_a_row_holds(tmp_path):
    odd = random.Random(5)
    changes = []
    for number in range(30):
        summary = {key: odd.choice([None, 0, 3.5, "<b>", 10**9]) for key in ("worst_level", "yawns2", "nods2")}
        values = {"attention": attention(odd.random() * 600, 1, odd.random()), "drowsiness": drowsiness() | summary}
        changes.append(drive(number, START + number * MINUTE, **values))
        changes += drowsy(number, START + number * MINUTE, odd.choice(["microsleep", "<script>", "new"]), lasted=None)
    html = render_html(report_of(tmp_path, changes, config(cameras=["cab"], profile="driver")))
    assert "<script" not in html
    assert "<b>" not in text_of(html)
