"""The console's pages, from the real server: what they say of a day, of a dead daemon, and of odd requests."""

import csv
import io
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from report_days import MINUTE, encounter, store_reports, violation, watched
from support.console import Browser, Console
from support.payloads import check_lines

from edged.config import load_config, load_layered
from edged.console import site as site_module
from edged.console.app import NOT_DONE
from edged.console.events import shown_events
from edged.console.pages import events as event_pages
from edged.console.pages.today import pauses, watched_words
from edged.console.settings import after
from edged.console.site import Site
from edged.console.working import alive, dead, sentence, span
from edged.daemon.client import socket_path
from edged.errors import ConfigError
from edged.files import lock_first_byte, stamp_of
from edged.host.clock import SystemClock, WatchedClock
from edged.report import day_of, day_span
from edged.sockets import LineServer
from edged.store import EventRecord, Store

ZONE = "Europe/Madrid"
CAMERAS = {
    "camera": {
        "door": {"source": "file:///a", "name": "Main <door>"},
        "yard": {"source": "rtsp://user:hush@10.0.0.9/1"},
    },
    "report": {"timezone": ZONE, "site": "Clinic", "target_percent": 50},
}


@cache
def today_():
    """The same day for all of these tests, also where midnight comes between them."""
    return day_of(SystemClock().utc_ms(), ZoneInfo(ZONE))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A console over three days, and a browser that is logged in; nobody watches."""
    folder = tmp_path_factory.mktemp("console")
    with Console(folder, CAMERAS) as console:
        with Store(console.database) as store:
            for days in (2, 1):
                begin, end = day_span(today_() - timedelta(days=days), ZoneInfo(ZONE))
                changes = watched(begin, end)
                for number in range(60):
                    state = "none" if number % 10 == 0 else "correct"
                    at = begin + 15 * number * MINUTE
                    changes.append(encounter(1000 * days + number, at, state))
                    changes += violation(1000 * days + number, at, camera="door") if state == "none" else []
                store.write(changes)
            now = SystemClock().utc_ms()
            store.write(
                [
                    *violation(1, now - 2000, lasted=None, details={"held_back": "cooldown"}),
                    EventRecord(
                        "=cmd", "camera", "yard", None, "lost", None, None, now - 1000, True, {"reason": "=1+1"}
                    ),
                ]
            )
            config = load_config(console.config)
            store_reports(store, config, [today_() - timedelta(days=2), today_() - timedelta(days=1)])
        yield console.start().claimed()


def text_of(answer):
    assert answer.status == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_no_page_waits_long_for_a_daemon_that_is_frozen_and_each_says_so(tmp_path):
    """As after SIGSTOP: the kernel takes the connections, and nobody ever reads."""
    with Console(tmp_path, CAMERAS) as console, socket.socket(socket.AF_UNIX) as frozen:
        Store(console.database).close()
        frozen.bind(str(socket_path(console.database)))
        frozen.listen(64)
        admin = console.start().claimed()
        for path in ("/", "/health", "/setup"):
            began = time.monotonic()
            answer = admin.get(path)
            assert time.monotonic() - began < 10
            assert "the daemon does not answer" in text_of(answer), text_of(answer)
        assert "Not working: edged does not answer." in text_of(admin.get("/"))
        began = time.monotonic()
        assert admin.post("/pause", {"for": "10"}).status >= 400
        assert time.monotonic() - began < 10


def test_the_console_stays_with_the_database_that_is_written_until_the_daemon_restarts(tmp_path):
    def say(database):
        file.write_text(f'[camera.door]\nsource = "csi://0"\n[store]\npath = "{tmp_path}/{database}.db"\n')

    file = tmp_path / "edged.toml"
    say("old")
    site = Site(file)
    with (tmp_path / "old.db").open("wb") as written:
        assert lock_first_byte(written.fileno())
        say("another")
        assert site.config.store.path.name == "old.db"
        assert "systemctl restart" in site.problem
        assert site.config.store.path.name == "old.db"
    assert site.config.store.path.name == "another.db"
    assert site.problem is None


def test_the_first_page_with_a_dead_daemon_says_so_and_what_to_do(shown):
    text = text_of(shown.get("/"))
    assert "Not working: edged does not run. Nothing has been watched since" in text
    assert "switch the device off and on" in text
    assert "no daemon answers" in text
    assert "Main &lt;door&gt;" in text
    assert "hush" not in text


def test_the_first_page_tells_of_yesterday_and_of_the_last_violations(shown):
    page = shown.get("/").text
    assert "90.0 %" in page
    assert f"/reports/{today_() - timedelta(days=1)}" in page
    assert "No mask" in page
    assert "made no alert: cooldown" in page
    assert "still going on" in page


@pytest.mark.parametrize("path", ["/", "/events", "/reports"])
def test_pages_are_one_file_and_a_style_and_load_nothing_from_elsewhere(shown, path):
    page = shown.get(path).text
    assert not re.findall(r'(?:src|href|action)="(?![/#])[^"]*"', page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not re.findall(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page)


def test_the_first_page_and_all_that_it_loads_is_small(shown):
    page = shown.get("/")
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    assert len(loaded) >= 2
    assert len(page.body) + sum(len(shown.get(path).body) for path in loaded) <= 40_000


def test_events_are_filtered_by_kind_camera_and_day(shown):
    everything = shown.get("/events").text
    assert "Camera lost" in everything
    assert everything.count("No mask") == 13
    assert "Camera lost" not in shown.get("/events?kind=mask").text
    assert "No mask" not in shown.get("/events?camera=yard").text
    yesterday = today_() - timedelta(days=1)
    assert shown.get(f"/events?from={yesterday}&to={yesterday}").text.count("No mask") == 6


def test_events_as_a_table_are_all_of_them_and_no_formulas(shown):
    answer = shown.get("/events.csv")
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 14
    assert rows[0]["event_id"] == "'=cmd"
    assert {row["what"] for row in rows if row["kind"] == "mask"} == {"No mask"}


def test_a_table_names_the_local_time_with_its_day_and_offset(shown):
    for row in csv.DictReader(io.StringIO(shown.get("/events.csv").text)):
        local = datetime.fromisoformat(row["local"])
        assert local.utcoffset() == local.astimezone(ZoneInfo(ZONE)).utcoffset()
        assert local == datetime.fromisoformat(row["confirmed_utc"].replace("Z", "+00:00")).replace(microsecond=0)


def test_what_is_stored_while_a_table_is_made_brings_no_row_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(event_pages, "A_PART", 4)
    console, now = Console(tmp_path, CAMERAS), SystemClock().utc_ms()
    with Store(console.database) as store:
        # Three at each instant: more than one part begins in the middle of one.
        store.write([one for n in range(30) for one in violation(n, now - 60_000 + n // 3, lasted=1000)])
        site = Site(console.config)
        asked = event_pages.Asked(today_() - timedelta(days=1), today_() + timedelta(days=1), "", "", 0)
        lines = event_pages._lines(site, asked)
        made = [next(lines), next(lines), next(lines)]
        store.write([one for n in (100, 101) for one in violation(n, now, lasted=1000)])
        rows = list(csv.DictReader(io.StringIO("".join([*made, *lines]))))
    ids = [row["event_id"] for row in rows]
    assert len(ids) == len(set(ids)) == 30


def test_however_many_events_are_shown_the_configs_files_are_looked_at_a_few_times(tmp_path, monkeypatch):
    console, now = Console(tmp_path, CAMERAS), SystemClock().utc_ms()
    with Store(console.database) as store:
        store.write([one for n in range(300) for one in violation(n, now - 1000 * n, lasted=500)])
    site, looks = Site(console.config), list[Path]()
    monkeypatch.setattr(site_module, "stamp_of", lambda path: looks.append(path) or stamp_of(path))
    shown = shown_events(site, site.reader.latest_events(300))
    assert (len(shown), shown[0].camera, len(looks) <= 20) == (300, "Main <door>", True), len(looks)
    looks.clear()
    asked = event_pages.Asked(today_() - timedelta(days=1), today_() + timedelta(days=1), "", "", 0)
    assert len("".join(event_pages._lines(site, asked)).splitlines()) == 301
    assert len(looks) <= 40, len(looks)


def test_a_config_that_was_not_readable_is_taken_up_when_it_is(tmp_path, monkeypatch):
    def read(path):
        if not path.stat().st_mode & 0o444:
            raise ConfigError(f"{path}: cannot be read")
        return load_layered(path)

    monkeypatch.setattr("edged.console.site.load_layered", read)
    console = Console(tmp_path, CAMERAS)
    site = Site(console.config)
    console.config.write_text(console.config.read_text().replace("Clinic", "Ward"))
    console.config.chmod(0)
    assert (site.config.report.site, "cannot be read" in (site.problem or "")) == ("Clinic", True)
    console.config.chmod(0o644)
    assert (site.config.report.site, site.problem) == ("Ward", None)


def test_a_layer_that_was_left_out_is_taken_up_when_it_is_mended_in_place(tmp_path):
    console = Console(tmp_path, CAMERAS)
    layer = console.database.parent / "config" / "10-ward.toml"
    layer.parent.mkdir()
    layer.write_text("[report")
    site = Site(console.config)
    assert (site.config.report.site, len(site.layered.left_out)) == ("Clinic", 1)
    layer.write_text('[report]\nsite = "Ward"\n')
    assert (site.config.report.site, site.layered.left_out) == ("Ward", ())


@pytest.mark.parametrize(
    ("longest", "to_midnight", "offered"),
    [
        (1440, 1500.0, ["10", "60", "tomorrow"]),
        (1440, None, ["10", "60"]),
        (30, 20.0, ["10", "tomorrow"]),
        (30, 40.0, ["10"]),
        (1, 40.0, ["1"]),
    ],
)
def test_only_pauses_that_are_allowed_are_offered(longest, to_midnight, offered):
    assert list(pauses(longest, to_midnight)) == offered


@pytest.mark.parametrize(("restart", "said"), [(False, "?saved=1"), (True, "?restart=1")])
def test_a_change_that_takes_a_restart_is_not_told_as_in_force(shown, restart, said):
    where = after({"restart_needed": restart}, "/camera/door", "saved")
    assert where == f"/camera/door{said}"
    page = shown.get(where).text
    assert ("Saved, and in force." in page, "until edged restarts" in page) == (not restart, restart)
    assert ("until edged restarts" in shown.get(after({"restart_needed": restart}, "/setup")).text) == restart


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=2026-13-40", "not a day"),
        ("from=2020-01-02&to=2020-01-01", "the earlier day comes first"),
        ("kind=face", "must be one of mask"),
        ("skip=-1", "must be a number"),
        ("to=2999-01-01", "has not begun"),
    ],
)
def test_a_filter_that_makes_no_sense_is_told_in_words(shown, query, said):
    answer = shown.get(f"/events?{query}")
    assert (answer.status, said in answer.text) == (400, True)


def test_the_calendar_shows_each_day_with_its_figure_and_the_target(shown):
    yesterday = today_() - timedelta(days=1)
    page = shown.get(f"/reports?month={yesterday:%Y-%m}").text
    assert f'href="/reports/{yesterday}"' in page
    assert "90 %" in page
    assert "met" in page
    assert shown.get("/reports?month=2026-13").status == 400
    assert text_of(shown.get("/reports?month=2024-02"))


def test_a_days_report_is_the_sheet_itself_with_a_way_back(shown):
    yesterday = today_() - timedelta(days=1)
    answer = shown.get(f"/reports/{yesterday}")
    assert "Clinic" in text_of(answer)
    assert '<a href="/reports"' in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    check_lines("report", shown.get(f"/reports/{yesterday}?as=json").text)
    table = shown.get(f"/reports/{yesterday}?as=csv")
    assert sum(row["record"] == "violation" for row in csv.DictReader(io.StringIO(table.text))) == 6


@pytest.mark.parametrize("period", ["week", "month"])
def test_weeks_and_months_are_sums_of_days(shown, period):
    yesterday = today_() - timedelta(days=1)
    report = json.loads(shown.get(f"/reports/{period}/{yesterday}?as=json").text)
    assert report["period"] == period
    assert report["judged"] >= 60
    assert "Clinic" in text_of(shown.get(f"/reports/{period}/{yesterday}"))
    assert shown.get(f"/reports/{period}/{yesterday}?as=csv").text.startswith("record,")


@pytest.mark.parametrize(
    "path", ["/reports/2026-02-30", "/reports/2999-01-01", "/reports/year/2026-01-01", "/reports/..%2f"]
)
def test_a_report_that_cannot_be_is_not_found(shown, path):
    assert shown.get(path).status == 404


def test_a_pause_needs_the_daemon_and_says_so(shown):
    answer = shown.post("/pause", {"for": "10"})
    assert (answer.status, "no daemon answers" in answer.text) == (503, True)


def test_a_daemon_that_is_busy_is_not_told_as_one_without_cameras_or_figures(tmp_path):
    busy = json.dumps({"v": 1, "ok": False, "error": "busy with other clients; ask again in a moment"}).encode()
    with Console(tmp_path, {"console": {"metrics": True}}) as console:
        server = LineServer("status", socket_path(console.database), lambda _: busy, use="the test")
        server.open()
        server.start()
        try:
            browser = console.start().claimed()
            assert "Busy with other clients; ask again in a moment." in browser.get("/setup/camera").text
            assert browser.get("/metrics").status == 200
        finally:
            assert server.stop(60)


def test_a_viewer_looks_and_changes_nothing(tmp_path):
    with Console(tmp_path, CAMERAS) as console:
        admin = console.start().claimed()
        from test_console_access import edged

        assert edged(console, "passwd", "--viewer", typed="only looking around\n").returncode == 0
        viewer = console.browser().log_in("only looking around", "viewer")
        assert admin.get("/events").status == viewer.get("/events").status == 503  # there is no database yet
        for path in ("/pause", "/resume"):
            answer = viewer.post(path, {"for": "10"})
            assert (answer.status, "needs the admin" in answer.text) == (403, True)


def test_a_record_that_cannot_be_read_leaves_the_rest_of_the_page(tmp_path):
    with Console(tmp_path, CAMERAS) as console:
        browser = console.start().claimed()
        console.database.write_bytes(b"no database at all" * 100)
        text = text_of(browser.get("/"))
        assert "Is the rule kept today?" in text
        assert "edged.db" in text
        assert browser.get("/reports").status == 503


def test_a_config_that_is_spoilt_meanwhile_leaves_the_last_good_one(tmp_path):
    with Console(tmp_path, CAMERAS) as console:
        browser = console.start().claimed()
        good = console.config.read_text()
        console.config.write_text(good + "\n[camera.door]\nfps = \n")
        text = text_of(browser.get("/"))
        assert "Main &lt;door&gt;" in text
        assert "not valid TOML" in text
        console.config.write_text(good.replace("Main <door>", "North door"))
        text = text_of(browser.get("/"))
        assert ("North door" in text, "not valid TOML" in text) == (True, False)


def camera(status, reason=None):
    return {"status": status, "reason": reason, "since_s": 1.0}


def test_the_sentence_counts_cameras_and_names_the_blind_ones():
    names = {"a": "Main door"}

    def said(cameras, errors=(), clock=True, **more):
        status = {"cameras": cameras, "errors": list(errors), "clock_synced": clock, **more}
        working = alive(status, names, "06:58")
        return working.level, working.text, working.more

    assert said({"a": camera("online"), "b": camera("online")}) == (
        "good",
        "Working: 2 of 2 cameras watched since 06:58.",
        (),
    )
    assert said({"a": camera("online")}, ["the disk is full"]) == (
        "warning",
        "Working, but there is a problem: 1 of 1 camera watched since 06:58.",
        ("The disk is full.",),
    )
    assert said({"a": camera("online")}, ["one", "two"])[1].startswith("Working, but there are 2 problems: 1 of 1")
    unset = said({"a": camera("online")}, clock=False)
    assert (unset[0], "clock is not set yet" in unset[2][0]) == ("warning", True)
    clock = WatchedClock(SystemClock(synchronised=Path("/nowhere")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edged.host.clock.UNSET_S", -1.0)
        told = clock.problem()
    assert said({"a": camera("online")}, [told], clock=False)[2] == (sentence(told),), "the clock is told once"
    assert said({"a": camera("offline")}, ["camera a is offline: nobody there"])[2] == (
        "Camera Main door is offline: nobody there.",
    )
    partly = said({"a": camera("stalled"), "b": camera("online")})
    assert partly[:2] == ("warning", "Partly working: 1 of 2 cameras watched. Not watched: Main door.")
    assert said({"a": camera("offline")})[:2] == (
        "problem",
        "Not working: 0 of 1 camera watched. Not watched: Main door.",
    )
    paused = {"who": "console (admin)", "left_s": 590, "until": "2026-11-29T10:00:00.000Z"}
    assert said({"a": camera("paused")}, paused=paused)[1] == (
        "Paused by console (admin) for another 10 min. Nobody is watched."
    )
    assert said({})[:2] == ("problem", "Not working: no camera is set up.")
    assert dead("no daemon answers", None).text == "Not working: edged does not run. Nothing has been watched yet."


REPORT = {"coverage_percent": 0.1, "coverage_partial": True, "open_from": "08:00"}


@pytest.mark.parametrize(
    ("report", "open_ms", "clock_set", "began", "text"),
    [
        (REPORT, 9e7, True, "14:02", "Watching since 14:02, which is when this device began."),
        (
            REPORT | {"coverage_percent": 45.8, "masks_coverage_percent": 98.0},
            9e7,
            True,
            None,
            "Watched 45.8 % of the open hours so far (for masks 98.0 %).",
        ),
        (
            REPORT | {"coverage_percent": 98.0, "masks_coverage_percent": 98.0},
            9e7,
            True,
            None,
            "Watched 98.0 % of the open hours so far.",
        ),
        (REPORT | {"coverage_percent": 0.0}, 9e7, False, None, "The clock is not set yet: "),
        (REPORT | {"coverage_percent": 100.0}, 6e5, True, None, "Open since 08:00: it is too early"),
        (REPORT, 9e7, True, None, "Watched 0.1 % of the open hours so far."),
        (REPORT | {"coverage_percent": None}, 0, True, "06:00", "No open time yet today."),
    ],
)
def test_a_percentage_of_the_time_watched_is_told_only_where_it_says_something(report, open_ms, clock_set, began, text):
    told = watched_words(report, open_ms, clock_set, began)
    assert told.text.startswith(text)
    assert told.partly_blind == text.startswith("Watched"), "a first day is no fault"


def test_a_page_that_cannot_be_shown_has_the_menu_and_a_way_back(shown):
    here = f"http://127.0.0.1:{shown.port}"
    for answer, status, title in (
        (shown.get("/nothing-there", referer=f"{here}/events?kind=mask"), 404, "There is no such page"),
        (shown.get("/pause", referer=f"{here}/events?kind=mask"), 405, "This page cannot be used in that way"),
        (shown.post("/pause", {"csrf": "old"}, referer=f"{here}/events?kind=mask"), 403, "This is not allowed"),
        (shown.post("/pause", {"for": "1" * 65_000}, referer=f"{here}/events?kind=mask"), 413, "That was too much"),
        (shown.post("/pause", {"for": "10"}, referer=f"{here}/events?kind=mask"), 503, NOT_DONE),
    ):
        assert answer.status == status
        assert title in answer.text
        assert '<nav aria-label="Main">' in answer.text, status
        assert 'href="/events?kind=mask">Back to the page before' in answer.text, status
    assert "Back to" not in shown.get("/nothing", referer="http://elsewhere/x").text
    stranger = Browser(shown.port).get("/nothing-there")
    assert (stranger.status, "<nav" in stranger.text) == (404, False)
    assert '<a class="button" href="/login">Log in</a>' in stranger.text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 days")],
)
def test_how_long_is_told_in_one_unit(seconds, words):
    assert span(seconds) == words


def test_random_paths_and_queries_never_break_the_server(shown):
    chance = random.Random(7)
    pieces = ["events", "reports", "..", "%00", "%ff", "2026-11-28", "week", "from", "skip", *"?=&/<'", "%C3%A9", "{{"]
    for _ in range(150):
        path = "/" + "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 9)))
        answer = shown.get(path)
        assert answer.status in (200, 303, 400, 404), (path, answer.status)


READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from edged.store import StoreReader
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
print(len(list(StoreReader(Path(sys.argv[1])).events())))
"""


def test_another_user_reads_the_record_while_it_is_written_and_after_its_writer_has_gone():
    """The console may read the daemon's folder, and write nothing there."""
    folder = Path(tempfile.mkdtemp(prefix="edged-read-"))
    try:
        database = folder / "edged.db"
        with Store(database) as store:
            store.write(violation(1, 1_780_000_000_000))
            for file in folder.glob("edged.db*"):
                file.chmod(0o644)
            folder.chmod(0o555)
            assert events_read(database) == "1"
        folder.chmod(0o755)
        Store(database).close()
        for file in folder.glob("edged.db*"):
            file.chmod(0o644)
        folder.chmod(0o555)
        assert not (folder / "edged.db-wal").exists()
        assert events_read(database) == "1"
        assert not (folder / "edged.db-wal").exists()
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def events_read(database):
    done = subprocess.run([sys.executable, "-c", READ_AS_NOBODY, database], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or done.stderr
