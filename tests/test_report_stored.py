"""A stored report with wrong parts is one line with what is done about it, and no other day is held up by it."""

import copy
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_days import HOUR, config, encounter, new_store, span, store_reports, violation, watched
from support.console import Console
from support.storing import HandClock
from test_cli import edged

from edged.config import Config
from edged.daemon.reporter import RECOUNT_INTERVAL_S, Reporter
from edged.deliver.letters import report_letter
from edged.errors import Failed
from edged.host.clock import SETTLED_S, WatchedClock
from edged.report import build_period, canonical_json, day_csv, render_text, report_sha256, stored_report
from edged.report.page import render_html
from edged.report.stored import flaw_of
from edged.store import ReportRow, Store, StoreReader

DAY = date(2026, 11, 19)
BEFORE = DAY - timedelta(days=1)
NOW = span(DAY)[1] + HOUR


def busy(day: date) -> list[Any]:
    begin, end = span(day)
    number = day.toordinal() * 1000
    passing = [
        encounter(number + n, begin + (8 + n % 8) * HOUR + n * 1000, "correct" if n % 5 else "none") for n in range(60)
    ]
    events = [
        *violation(number + 1, begin + 9 * HOUR),
        *violation(number + 2, begin + 9 * HOUR, "away", "cab", kind="inattention"),
        *violation(number + 3, begin + 9 * HOUR, "sleep", "cab", kind="drowsiness"),
    ]
    return [*passing, *events, *watched(begin, end - 3 * HOUR), *watched(begin, end - HOUR, "cab")]


def settings() -> Config:
    made = config(cameras=["door", "cab"], target_percent=90)
    driver = made.camera["cab"].model_copy(update={"profile": "driver"})
    return made.model_copy(update={"camera": {"door": made.camera["door"], "cab": driver}})


def closed(folder: Path, *days: date) -> Store:
    """A store with these days and their reports, each with what it counted."""
    store = new_store(folder, [change for day in days for change in busy(day)])
    store_reports(store, settings(), days)
    reader = StoreReader(store.path)
    for day in days:
        counted = json.dumps(reader.counted(*span(day)))
        spoil(store.path, day, counted=counted)
    return store


def spoil(database: Path, day: date, **columns: Any) -> None:
    with closing(sqlite3.connect(database)) as base, base:
        base.execute("PRAGMA ignore_check_constraints = ON")
        for name, value in columns.items():
            base.execute(f"UPDATE reports SET {name} = ? WHERE day = ?", (value, str(day)))  # noqa: S608  (our own)


def of_another_version(database: Path, day: date) -> None:
    """A report that was written whole, and that this version cannot read."""
    text = canonical_json({"v": 1, "date": str(day), "site": "Entrance 1"})
    spoil(database, day, report=text, sha256=sha256(text.encode()).hexdigest())


def damaged(database: Path, day: date) -> None:
    """A digit is another one: still a report, but not what was stored."""
    text = StoreReader(database).report(str(day))["report"]  # type: ignore[index]
    spoil(database, day, report=text.replace('"judged":60', '"judged":61', 1))


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document; of lists of many the first two."""
    inside = part.items() if isinstance(part, dict) else enumerate(part[:2]) if isinstance(part, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(report: dict[str, Any], path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    copied = copy.deepcopy(report)
    within: Any = copied
    for key in path[:-1]:
        within = within[key]
    change(within, path[-1])
    return copied


def test_whatever_part_is_missing_or_wrong_the_report_is_refused_or_shown(tmp_path: Path) -> None:
    """Never half of it, and no traceback: in text, page, table and mail."""
    with closed(tmp_path, BEFORE, DAY):
        pass
    reader = StoreReader(tmp_path / "edged.db")
    report: Any = stored_report(reader, DAY)
    assert {"attention", "drowsiness"} <= report.keys()
    wrong: list[Any] = [None, "x", -1, 10**18, True, [], {}, [1], {"a": 1}, "=1+1"]
    changes: list[Callable[[Any, Any], None]] = [lambda within, key: within.__delitem__(key)]
    changes += [lambda within, key, value=value: within.__setitem__(key, value) for value in wrong]  # type: ignore[misc]
    shown = refused = 0
    for path in places(report):
        for change in changes:
            other = changed(report, path, change)
            if flaw_of(other):
                refused += 1
                continue
            shown += 1
            render_text(other)
            if shown % 10 == 0:  # each takes milliseconds
                render_html(other)
                day_csv(reader, settings(), DAY, other)
                report_letter(settings(), reader, other)
    assert min(shown, refused) > 100
    for nothing in (None, [], "x", 1):
        assert flaw_of(nothing)


@pytest.mark.parametrize("spoilt", [of_another_version, damaged])
def test_the_command_says_one_line_counts_the_day_anew_and_goes_on_with_the_others(
    tmp_path: Path, spoilt: Callable[[Path, date], None]
) -> None:
    with closed(tmp_path, BEFORE, DAY) as store:
        whole = stored_report(StoreReader(store.path), DAY)
        spoilt(store.path, DAY)
    written = tmp_path / "edged.toml"
    written.write_text(
        f'[device]\nid = "entrance-1"\n[store]\npath = "{tmp_path}/edged.db"\n[report]\ntimezone = "Europe/Madrid"\n'
        '[camera.door]\nsource = "file:///a"\n'
    )
    found = edged("report", str(DAY), "--config", written, "--format", "json")
    assert "its stored report cannot be used" in found.stderr
    assert "it is counted anew" in found.stderr
    assert whole is not None
    assert json.loads(found.stdout)["judged"] == whole["judged"]
    week = edged("report", str(DAY), "--week", "--config", written, "--format", "json")
    assert [day["judged"] for day in json.loads(week.stdout)["by_day"]][:2] == [60, 60]
    with Store(tmp_path / "edged.db") as store:
        store.prune(span(DAY)[0] + 13 * HOUR)
    gone = edged("report", str(DAY), "--config", written)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "the store does not have all of that day any more; an older backup" in gone.stderr
    week = edged("report", str(DAY), "--week", "--config", written, "--format", "json")
    assert [day["date"] for day in json.loads(week.stdout)["by_day"]][:1] == [str(BEFORE)]
    assert "the store does not have all of that day" in week.stderr


def test_a_week_of_which_nothing_can_be_read_is_one_line(tmp_path: Path) -> None:
    with closed(tmp_path, DAY) as store:
        of_another_version(store.path, DAY)
        store.prune(span(DAY)[0] + 13 * HOUR)
    said: list[str] = []
    reader, after_week = StoreReader(tmp_path / "edged.db"), span(DAY + timedelta(days=9))[0]
    report = build_period(reader, settings(), "week", DAY, after_week, said.append)
    assert str(DAY) not in [day["date"] for day in report["by_day"]]
    with pytest.raises(Failed, match="the store does not have all of that day"):
        build_period(reader, settings(), "week", DAY, NOW - 2 * HOUR, said.append)


def test_the_consoles_pages_show_the_other_days(tmp_path: Path) -> None:
    with Console(
        tmp_path, {"camera": {"door": {"source": "file:///a"}}, "report": {"timezone": "Europe/Madrid"}}
    ) as console:
        with closed(console.database.parent, BEFORE, DAY) as store:
            assert store.path == console.database
            of_another_version(console.database, DAY)
        admin = console.start().claimed()
        for path in (
            f"/reports/{DAY}",
            f"/reports/{DAY}?as=csv",
            "/",
            "/reports?month=2026-11",
            f"/reports/week/{DAY}",
        ):
            assert admin.get(path).status == 200, path
        with Store(console.database) as store:
            store.prune(span(DAY)[0] + 13 * HOUR)
        answer = admin.get(f"/reports/{DAY}")
        assert (answer.status, "the store does not have all of that day any more" in answer.text) == (409, True)
        calendar = admin.get("/reports?month=2026-11").text
        assert "damaged" in calendar
        assert f'href="/reports/{BEFORE}"' in calendar
        assert admin.get(f"/reports/week/{DAY}?as=json").status == 200


def test_the_daemon_makes_a_damaged_report_again_and_publishes_none_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closed(tmp_path, BEFORE, DAY) as store:
        sound = stored_report(StoreReader(store.path), DAY)
        assert sound is not None
        damaged(store.path, DAY)
        clock, published = HandClock(utc=NOW), []
        watched_clock = WatchedClock(clock, None)
        watched_clock.settled()
        clock.pass_s(SETTLED_S)
        to = SimpleNamespace(submit=store.write, problem=None)
        reporter = Reporter(settings(), StoreReader(store.path), to, watched_clock, published.append, {})  # type: ignore[arg-type]
        for _ in range(3):
            reporter.check()
            clock.pass_s(RECOUNT_INTERVAL_S)
        reader = StoreReader(store.path)
        again = stored_report(reader, DAY)
        assert again is not None
        assert (again.get("revision"), again["judged"]) == (2, sound["judged"])
        assert [json.loads(text).get("revision") for text in published] == [2]
        assert sum("made again, as revision 2: the stored one is damaged" in line for line in caplog.messages) == 1
        before = reader.report(str(BEFORE))
        of_another_version(store.path, BEFORE)
        reporter.check()
        clock.pass_s(RECOUNT_INTERVAL_S)
        reporter.check()
        now = reader.report(str(BEFORE))
        assert before is not None
        assert now is not None
        assert now["revision"] == before["revision"]


def test_a_mail_of_a_report_that_cannot_be_used_names_the_command(tmp_path: Path) -> None:
    with closed(tmp_path, DAY) as store:
        reader = StoreReader(store.path)
        with pytest.raises(
            Failed, match=r"cannot be made into a mail \(by_hour: .*\); send it with `edged report DATE --mail`"
        ):
            report_letter(settings(), reader, {**dict(stored_report(reader, DAY) or {}), "by_hour": 5})


def test_reports_of_earlier_versions_are_still_shown(tmp_path: Path) -> None:
    """What was added since may be missing."""
    with closed(tmp_path, DAY) as store:
        report: Any = dict(stored_report(StoreReader(store.path), DAY) or {})
        for name in ("revision", "masks_followed", "camera_names", "walk_tests", "told"):
            report.pop(name, None)
        for row in report["by_camera"]:
            del row["masks_followed"]
        report["violations"].pop("static", None)
        for row in report["violations"]["first"]:
            del row["began"], row["began_local"]
        store.write(
            [ReportRow(str(DAY), "Europe/Madrid", NOW, canonical_json(report), report_sha256(report), revision=2)]
        )
        assert stored_report(StoreReader(store.path), DAY) == report
        assert render_html(report)
