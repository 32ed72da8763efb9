"""The report as lines for a terminal, and which form `edged report` prints where."""

import os
import pty
import random
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from report_days import HOUR, config, encounter, new_store, passages, span, violation, watched

from edged.report import build_period, build_report, render_text
from edged.report.page import render_period_html
from edged.store import StoreReader

DAY = date(2026, 11, 19)
START, END = span(DAY)
ODDS = {"correct": 0.8, "incorrect": 0.06, "none": 0.08, "uncertain": 0.06}


def everything(folder: Path, profile: str = "entrance") -> tuple[str, str]:
    """The text of a day with everything, and of its month."""
    made = config(cameras=("door", "side"), profile=profile, site="Main entrance", target_percent=85)
    changes = passages(random.Random(3), [(START + 7 * HOUR, END - 4 * HOUR)], lambda _: 0.5, ODDS)
    changes += watched(START, START + 9 * HOUR, "side") + watched(START, END)
    if profile != "entrance":
        drowsy = {"worst_level": "alarm", "highest_perclos": 0.31, "longest_closure_s": 3.4, "yawns": 2, "nods": 1}
        looks = {"attentive_s": 900.0, "away_s": 120.0, "unknown_s": 30.0, "distractions": 1}
        changes += [encounter(9999, START, "uncertain", attention=looks, drowsiness={**drowsy, "valid_s": 900.0})]
        changes += violation(9998, START + HOUR, "microsleep", kind="drowsiness")
    with new_store(folder, changes) as store:
        reader = StoreReader(store.path)
        return render_text(build_report(reader, made, DAY, END)), render_text(
            build_period(reader, made, "month", DAY, END)
        )


def test_the_text_of_a_day_says_what_the_page_says_first(tmp_path: Path) -> None:
    day, _ = everything(tmp_path)
    assert day.startswith(
        "Main entrance: mask report of a day\nThursday, 19 November 2026, open 00:00–24:00, Europe/Madrid\n"
    )
    assert re.search(
        r"^Masks +\d\d\.\d % worn correctly \(95 % interval \d\d\.\d – \d\d\.\d %\)$", day, re.MULTILINE
    ), day
    assert re.search(r"^Target +at least 85\.0 %: ", day, re.MULTILINE)
    states = r"^Passages +\d+ judged of \d+: \d+ worn correctly, \d+ worn incorrectly, \d+ no mask, \d+ uncertain$"
    assert re.search(states, day, re.MULTILINE)
    assert re.search(r"^Watched +68\.\d % of the open hours$", day, re.MULTILINE), day
    assert re.search(r"^Violations +\d+ \(\d+ worn incorrectly, \d+ no mask\)", day, re.MULTILINE)
    assert re.search(r"^Gaps +1, together 15 h 00 min\n +09:00–24:00 side: edged was not running$", day, re.MULTILINE)
    assert re.search(r"^door +\d+ +\d\d\.\d % +\d\d\.\d – \d\d\.\d +\d+ +100\.0 % +none$", day, re.MULTILINE), day
    assert re.search(r"^side +0 +– +– +0 +37\.5 % +1 \(15 h 00 min\)$", day, re.MULTILINE), day
    assert "<" not in day


def test_the_text_tells_of_attention_and_drowsiness_where_they_are_followed(tmp_path: Path) -> None:
    day, month = everything(tmp_path, "driver")
    for text in (day, month):
        assert re.search(r"^Attention +known for ", text, re.MULTILINE), text
        assert re.search(r"^Drowsiness +eyes read for 4.0 s; events: 1 \(1 microsleep\)", text, re.MULTILINE), text
    assert "attention and drowsiness report of a month" in month


def test_the_page_of_a_month_names_its_target(tmp_path: Path) -> None:
    made = config(target_percent=85)
    with new_store(tmp_path, watched(START, END)) as store:
        page = render_period_html(build_period(StoreReader(store.path), made, "month", DAY, END))
    assert "Target: at least 85.0 % worn correctly." in page
    assert "of 30 days</span> A day that has not ended counts until now." in page


def test_the_text_of_a_month_says_that_it_is_not_whole(tmp_path: Path) -> None:
    _, month = everything(tmp_path)
    assert "Sunday, 1 November 2026 to Monday, 30 November 2026" in month
    assert "Not whole: " in month
    assert re.search(r"^door +\d+ +\d\d\.\d % ", month, re.MULTILINE), month


def test_a_month_that_withholds_its_percentage_withholds_that_of_its_cameras(tmp_path: Path) -> None:
    """Watched for a third of the day: neither the month, nor its camera, nor the lowest hours are given a percentage."""
    made = config(site="Main entrance")
    changes = passages(random.Random(3), [(START, START + 7 * HOUR)], lambda _: 1.0, ODDS) + watched(
        START, START + 8 * HOUR
    )
    with new_store(tmp_path, changes) as store:
        reader = StoreReader(store.path)
        day, month = build_report(reader, made, DAY, END), build_period(reader, made, "month", DAY, END)
    assert month["judged"] >= 200
    assert month["withheld"] == "coverage"
    (camera,) = month["by_camera"]
    assert camera["compliance_percent"] is None
    assert camera["withheld"] == "coverage"
    assert camera["coverage_percent"] == month["coverage_percent"]
    assert day["withheld"] == "coverage"
    assert day["worst_hours"] == []
    for text in (render_text(day), render_text(month), render_period_html(month)):
        by_camera = text[text.lower().index("camera") :]
        assert not re.search(r"\d\d\.\d %\s*(<[^>]*>\s*)*\d\d\.\d – ", by_camera)
        assert "No percentage" in text


def test_an_hour_watched_for_less_than_half_has_no_percentage(tmp_path: Path) -> None:
    changes = passages(random.Random(3), [(START, START + 2 * HOUR)], lambda _: 2.0, ODDS)
    changes += watched(START, START + HOUR // 3) + watched(START + HOUR, END)
    with new_store(tmp_path, changes) as store:
        report = build_report(StoreReader(store.path), config(), DAY, END)
    first, second = report["by_hour"][:2]
    assert first["judged"] >= 30
    assert first["compliance_percent"] is None
    assert second["judged"] >= 30
    assert second["compliance_percent"] is not None


def test_the_command_prints_text_on_a_terminal_and_the_page_elsewhere(tmp_path: Path) -> None:
    with new_store(tmp_path, watched(START, END)) as store:
        path = store.path
    file = tmp_path / "edged.toml"
    file.write_text(f'[camera.door]\nsource = "file:///none.mp4"\n[store]\npath = "{path}"\n')
    command = [sys.executable, "-m", "edged", "report", "2026-11-19", "--config", str(file)]
    assert on_a_terminal(command).startswith("edged: mask report of a day")
    assert on_a_terminal([*command, "--week"]).startswith("edged: mask report of a week")
    assert on_a_terminal([*command, "--format", "html"]).startswith("<!DOCTYPE html>")
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert piped.stdout.startswith("<!DOCTYPE html>")
    asked = subprocess.run([*command, "--format", "text", "--out", str(tmp_path)], check=True)
    assert asked.returncode == 0
    assert (tmp_path / "2026-11-19.txt").read_text().startswith("edged: mask report of a day")


def on_a_terminal(command: list[str]) -> str:
    """What the command prints on a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdout=theirs, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"}
    ) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end was closed
                break
            if not part:
                break
            told += part
    os.close(ours)
    assert process.returncode == 0, told
    return told.decode().replace("\r\n", "\n")
