"""A clock that is wrong, was never set or leaps closes no day and deletes no row; what it spoilt is put right afterwards."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from report_days import HOUR, MINUTE, config, span, violation, watched
from support.storing import HandClock, ended, message, minute, started
from test_cli import edged, one_line

from edged.config import StoreConfig
from edged.daemon.reporter import MOST_DAYS_MADE_UP, RECOUNT_INTERVAL_S, Reporter
from edged.host.clock import DAY_MS, SETTLED_S, Reckoning, WatchedClock
from edged.store import Change, ReportRow, Store, StoreReader
from edged.store.recorder import Recorder
from edged.store.upkeep import MOST_DAYS_PRUNED, RECKONING, Upkeep, known_reckoning
from edged.types import Event

TEN_YEARS_MS = 3652 * DAY_MS
ZONE = "Europe/Madrid"
DAY = date(2026, 11, 19)
NOON = span(DAY)[0] + 12 * HOUR
BUILD_DATE = 1_777_248_000_000
"""2026-04-27: what systemd takes an unset clock to be on Debian 12."""


class Site:
    """A device's record with all that time touches; `start` is another run on the same record."""

    def __init__(self, folder: Path, utc: int = NOON, *, trusted: bool = True) -> None:
        self.path = folder / "edged.db"
        self.clock = HandClock(utc=utc, is_trusted=trusted)
        self.published: list[str] = []
        self.store = Store(self.path)

    def start(self) -> "Site":
        self.watched = WatchedClock(self.clock, known_reckoning(self.store))
        self.recorder = Recorder(self.watched, self.store.write, publishing=False)
        self.upkeep = Upkeep(self.watched, StoreConfig(backups=0), record=self.recorder.system_event)
        self.reader = StoreReader(self.path)
        self.reporter = Reporter(config(), self.reader, self, self.watched, self.published.append, {})
        return self

    def submit(self, changes: Sequence[Change]) -> None:
        self.store.write(changes)

    def live(self, seconds: float, step_s: float = 30.0) -> None:
        """Time passes; a camera watches, and what is due is done."""
        while seconds > 0:
            self.recorder.analysed("door", self.clock.monotonic_s(), 1)
            self.recorder.seen("door", 10, 0, "online")
            self.upkeep(self.store)
            self.reporter.check()
            self.clock.pass_s(min(step_s, seconds))
            seconds -= step_s

    def happens(self, key: str) -> None:
        for phase in ("start", "end"):
            self.recorder.record([Event(key, "mask", phase, "door", 1, self.clock.monotonic_s(), "none")], [])

    @property
    def days(self) -> list[str]:
        return [row["day"] for row in self.reader.reports()]

    def minutes(self) -> list[int]:
        return [row["minute"] for row in self.reader.coverage(-(2**62), 2**62)]

    def system(self, state: str) -> list[dict[str, Any]]:
        return [row for row in self.reader.events(-(2**62), kind="system") if row["state"] == state]

    def retained(self) -> str | None:
        return json.loads(self.published[-1])["date"] if self.published and self.published[-1] else None


@pytest.fixture
def site(tmp_path: Path):
    one = Site(tmp_path)
    with one.store:
        yield one


def fill(site: Site, first: date, days: int) -> None:
    """A violation and an hour's minutes on each of so many days."""
    begin = span(first)[0]
    for number in range(days):
        noon = begin + number * DAY_MS + 12 * HOUR
        site.store.write([*violation(number, noon), *watched(noon, noon + HOUR)])


SECOND, YEAR = 1000, 365 * DAY_MS
JUMPS = [
    sign * length
    for length in (SECOND, 5 * SECOND, 60 * SECOND, HOUR, 2 * HOUR, DAY_MS, 30 * DAY_MS, YEAR, 5 * YEAR, TEN_YEARS_MS)
    for sign in (1, -1, -1, 1)
]


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_forty_jumps_in_the_midst_of_events_turn_none_round(site: Site, trusted: bool) -> None:
    site.start()
    site.clock.is_trusted = trusted
    for number, jump in enumerate([*JUMPS, -site.clock.utc_ms()]):  # the last to 1970
        at_s = site.clock.monotonic_s()
        site.recorder.record([Event(f"k{number}", "mask", "start", "door", 1, at_s, "none")], [])
        site.live(60)
        site.clock.set_by(jump)
        site.live(60)
        at_s = site.clock.monotonic_s()
        site.recorder.record([Event(f"k{number}", "mask", "end", "door", 1, at_s, "none", end_reason="left")], [])
    site.recorder.flush()
    events = list(site.reader.events(-(2**62), kind="mask"))
    assert len(events) == 41
    assert [event["event_id"] for event in events if not event["started_at"] <= event["ended_at"]] == []
    assert [event["event_id"] for event in events if event["ended_at"] - event["started_at"] != 120 * SECOND] == []
    assert len(site.days) == len(set(site.days)) <= 1, "a day that is not over has no report, whatever the clock says"


# --- what is believed


def watch(utc: int = NOON, known: Reckoning | None = None, *, trusted: bool = True) -> tuple[HandClock, WatchedClock]:
    clock = HandClock(utc=utc, is_trusted=trusted)
    return clock, WatchedClock(clock, known)


def settle(clock: HandClock, watched_clock: WatchedClock) -> None:
    assert not watched_clock.settled()
    clock.pass_s(SETTLED_S)
    assert watched_clock.settled()


def test_a_clock_settles_after_a_while_and_again_after_each_jump() -> None:
    clock, watched_clock = watch()
    settle(clock, watched_clock)
    clock.set_by(-3600_000)
    assert watched_clock.trusted()
    settle(clock, watched_clock)


@pytest.mark.parametrize("leap_ms", [DAY_MS, -DAY_MS, TEN_YEARS_MS, -100 * DAY_MS])
def test_a_leap_is_doubted_until_it_has_come_back(leap_ms: int) -> None:
    clock, watched_clock = watch()
    settle(clock, watched_clock)
    clock.set_by(leap_ms)
    clock.pass_s(3600)
    assert not watched_clock.trusted()
    assert f"leapt by {leap_ms / DAY_MS:+.0f} days" in str(watched_clock.doubt())
    clock.pass_s(3600)
    clock.set_by(-leap_ms)
    assert watched_clock.trusted()
    assert watched_clock.doubt() is None
    settle(clock, watched_clock)


@pytest.mark.parametrize("leap_ms", [TEN_YEARS_MS, -100 * DAY_MS])
def test_a_leap_that_has_stood_for_a_day_is_believed(leap_ms: int) -> None:
    clock, watched_clock = watch()
    settle(clock, watched_clock)
    clock.set_by(leap_ms)
    for _ in range(23):
        clock.pass_s(3600)
        assert not watched_clock.settled()
    clock.pass_s(7300)
    assert watched_clock.settled()


def test_a_doubt_outlives_a_restart_and_counts_on() -> None:
    clock, before = watch(known=Reckoning(NOON - TEN_YEARS_MS))
    assert not before.trusted()
    clock.pass_s(20 * 3600)
    known = Reckoning.parse(before.reckoning().text())
    after = WatchedClock(clock, known)
    assert not after.trusted()
    clock.pass_s(4 * 3600)
    assert after.trusted()


@pytest.mark.parametrize(("off_ms", "trusted"), [(20 * DAY_MS, True), (60 * DAY_MS, False), (-2 * DAY_MS, False)])
def test_a_time_without_power_is_no_leap_unless_it_is_very_long(off_ms: int, trusted: bool) -> None:
    _, watched_clock = watch(known=Reckoning(NOON - off_ms))
    assert watched_clock.trusted() is trusted


@pytest.mark.parametrize("utc", [0, -5000, 1_700_000_000_000])
def test_no_word_makes_a_time_before_this_program_believed(utc: int) -> None:
    clock, watched_clock = watch(utc)
    assert not watched_clock.trusted()
    clock.utc = NOON
    assert watched_clock.trusted(), "it has been set"


def test_the_clock_of_a_new_device_may_be_set_a_moment_after_it_starts() -> None:
    clock, watched_clock = watch(BUILD_DATE)
    assert watched_clock.trusted()
    clock.pass_s(30)
    clock.set_by(NOON - BUILD_DATE)
    assert watched_clock.trusted()
    settle(clock, watched_clock)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"believed_ms": "x"}', '{"believed_ms": [1]}', "null"])
def test_what_cannot_be_read_of_the_last_run_is_not_known(text: str | None) -> None:
    assert Reckoning.parse(text) == Reckoning()


# --- reports


def test_a_boot_on_an_unset_clock_makes_no_report_and_its_minutes_are_moved(site: Site) -> None:
    fill(site, date(2026, 11, 17), 2)
    site.clock.utc, site.clock.is_trusted = BUILD_DATE, False
    site.start()
    site.live(1200)
    site.happens("early")
    assert (site.days, site.published) == ([], [])
    site.clock.utc = NOON
    site.clock.is_trusted = True
    site.live(SETTLED_S + 1200)
    assert site.days == ["2026-11-17", "2026-11-18"]
    assert site.retained() == "2026-11-18"
    assert len(site.published) == 1
    assert min(site.minutes()) >= span(date(2026, 11, 17))[0], "no minute keeps a false day coming"
    today = site.reader.coverage(NOON - 1200_000 - MINUTE, NOON + 1500_000)
    assert len({row["minute"] for row in today}) >= 44
    assert {row["clock_ok"] for row in today} == {1}
    assert all(row["watched_ms"] <= MINUTE for row in today)
    (early,) = [row for row in site.reader.events(NOON - HOUR) if row["kind"] == "mask"]
    assert (early["started_at"] // MINUTE, early["clock_ok"]) == (NOON // MINUTE, 1)


def test_what_was_on_its_way_to_the_disk_when_the_clock_was_set_is_moved_too(site: Site) -> None:
    site.clock.utc, site.clock.is_trusted = BUILD_DATE, False
    site.start()
    site.live(60)
    waiting: list[Change] = []
    site.recorder, before = Recorder(site.watched, waiting.extend, publishing=False), site.recorder
    site.happens("late")
    site.clock.utc, site.clock.is_trusted = NOON, True
    site.upkeep(site.store)
    site.store.write(waiting)
    site.recorder = before
    site.live(150)
    (late,) = (row for row in site.reader.events(-(2**62)) if row["kind"] == "mask")
    assert (late["started_at"], late["ended_at"], late["clock_ok"]) == (NOON, NOON, 1)
    site.clock.is_trusted = False
    site.happens("doubted")
    site.live(150)
    (doubted,) = (row for row in site.reader.events(NOON + MINUTE) if row["kind"] == "mask")
    assert (doubted["started_at"], doubted["clock_ok"]) == (NOON + 150_000, 0), "what is stamped later is not moved"


def test_the_minute_in_which_the_clock_is_set_lies_where_it_was(site: Site) -> None:
    site.clock.utc, site.clock.is_trusted = BUILD_DATE + 20_000, False
    site.start()
    site.live(35, 1)
    site.clock.utc, site.clock.is_trusted = NOON + 5_000, True
    site.live(1, 1)
    assert site.minutes() == [NOON - MINUTE]


def test_an_untrusted_jump_of_a_day_closes_nothing(site: Site) -> None:
    fill(site, DAY, 1)
    site.start()
    site.clock.is_trusted = False
    site.clock.set_by(DAY_MS)
    site.live(3600)
    assert site.days == []
    site.clock.set_by(-DAY_MS)
    site.clock.is_trusted = True
    site.store.write([change for number in range(60) for change in violation(1000 + number, NOON + number)])
    site.clock.utc = span(DAY)[1]
    site.live(SETTLED_S + 900)
    assert site.days == ["2026-11-19"]
    (report,) = [json.loads(text) for text in site.published]
    assert report["violations"]["count"] == 61


def test_a_leap_of_ten_years_reports_deletes_and_publishes_nothing_and_is_put_right(site: Site) -> None:
    fill(site, date(2026, 10, 1), 49)
    site.start()
    site.live(SETTLED_S + 60)
    days, minutes, published = site.days, site.minutes(), list(site.published)
    assert days[-1] == "2026-11-18"
    site.clock.set_by(TEN_YEARS_MS)
    site.happens("then")
    site.live(6 * 3600, 300)
    assert (site.days, site.published) == (days, published)
    assert site.minutes()[: len(minutes) - 1] == minutes[:-1]
    assert max(site.minutes()) > NOON + TEN_YEARS_MS
    site.clock.set_by(-TEN_YEARS_MS)
    site.live(SETTLED_S + 120)
    assert max(site.minutes()) < NOON + DAY_MS, "what was recorded meanwhile lies where it was"
    (then,) = [row for row in site.reader.events(NOON + MINUTE) if row["kind"] == "mask"]
    assert (then["started_at"] < NOON + HOUR, then["clock_ok"]) == (True, 1)
    assert site.published == published


def test_a_report_of_a_day_that_is_not_over_is_withdrawn_and_replaced_at_the_broker(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    fill(site, date(2026, 11, 18), 1)
    texts = {day: f'{{"date":"{day}"}}' for day in ("2026-11-18", "2036-11-18")}
    site.store.write(
        [ReportRow(day, ZONE, NOON, text, sha256(text.encode()).hexdigest()) for day, text in texts.items()]
    )
    site.start()
    site.reporter.check()
    assert site.retained() == "2026-11-18", "at once: whatever the broker keeps is replaced"
    site.live(SETTLED_S + 60)
    assert site.days == ["2026-11-18"]
    assert "2036-11-18 is withdrawn" in caplog.text


def test_when_every_report_is_a_wrong_clocks_the_broker_is_told_to_forget(site: Site) -> None:
    site.store.write([ReportRow("2036-11-18", ZONE, NOON, "{}", "x")])
    site.start()
    site.live(SETTLED_S + 60)
    assert site.published == [""]
    assert site.days == []


def test_a_day_that_gained_rows_is_reported_again_with_a_revision_and_a_line(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fill(site, date(2026, 11, 18), 1)
    site.start()
    site.live(SETTLED_S + 60)
    late = span(date(2026, 11, 18))[0] + 13 * HOUR
    site.store.write([change for number in range(60) for change in violation(1000 + number, late + number)])
    site.live(RECOUNT_INTERVAL_S + 60)
    (row,) = site.reader.reports()
    first, second = (json.loads(text) for text in site.published)
    assert (first["revision"], second["revision"], row["revision"]) == (1, 2, 2)
    assert second["violations"]["count"] - first["violations"]["count"] == 60
    assert caplog.text.count("is made again, as revision 2: the day has 60 rows more") == 1
    site.live(2 * RECOUNT_INTERVAL_S)
    assert len(site.published) == 2


def test_what_retention_deletes_is_no_reason_to_report_again(site: Site) -> None:
    fill(site, date(2026, 11, 18), 1)
    site.start()
    site.live(SETTLED_S + 60)
    site.store.execute("DELETE FROM coverage WHERE minute < ?", (NOON - DAY_MS + HOUR // 2,))
    site.live(RECOUNT_INTERVAL_S + 60)
    assert [row["revision"] for row in site.reader.reports()] == [1]


def test_old_days_are_not_made_up_however_far_back_the_record_goes(site: Site) -> None:
    site.store.write([minute(at=0), minute(at=BUILD_DATE), minute(at=NOON - DAY_MS)])
    site.start()
    site.live(SETTLED_S + 600, 60)
    assert len(site.days) == MOST_DAYS_MADE_UP
    assert len(site.published) == 1


def test_a_report_counts_as_made_once_it_is_stored(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fill(site, date(2026, 11, 18), 1)
    site.start()
    kept: list[Change] = []
    disk = {"submit": lambda _, changes: kept.extend(changes), "problem": "the disk is full"}
    site.reporter._store = type("FullDisk", (), disk)()
    site.live(SETTLED_S + 60)
    assert len(kept) == 1, "it is not made again and again"
    assert "stored, revision" not in caplog.text
    site.store.write(kept)
    site.live(30)
    assert "daily report of 2026-11-18 stored, revision 1" in caplog.text
    assert site.retained() == "2026-11-18"


def test_that_the_report_waits_is_said_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.clock.is_trusted = False
    site.start()
    site.live(600)
    assert caplog.text.count("the daily report waits: the clock has not been set") == 1


# --- retention


def test_a_days_worth_is_deleted_without_a_word(site: Site) -> None:
    first = date(2026, 8, 19)
    fill(site, first, 3)
    site.clock.utc = span(first)[0] + 90 * DAY_MS + 14 * HOUR
    site.store.write([minute(at=site.clock.utc - MINUTE)])
    site.start()
    site.live(SETTLED_S + 180, 60)
    assert len([at for at in site.minutes() if at < NOON - 60 * DAY_MS]) == 120
    assert site.system("retention") == []


def test_more_than_a_days_worth_is_an_event_first_and_no_more_than_a_weeks_at_once(site: Site) -> None:
    fill(site, date(2026, 7, 1), 20)
    site.store.write([minute(at=NOON - MINUTE)])
    site.start()
    site.live(SETTLED_S, 60)
    old = lambda: [at for at in site.minutes() if at < NOON - 60 * DAY_MS]  # noqa: E731
    while not site.system("retention"):
        assert len(old()) == 20 * 60
        site.live(60, 60)
    assert len(old()) == 20 * 60, "the event is there before the first row goes"
    site.live(180, 60)
    left = len(old())
    assert (18 - MOST_DAYS_PRUNED) * 60 < left <= (20 - MOST_DAYS_PRUNED) * 60
    (event,) = site.system("retention")
    assert event["details"]["days"] == MOST_DAYS_PRUNED
    assert event["details"]["rows"] >= 20 * 60 - left
    assert event["details"]["from"].startswith("2026-07-01")


def test_even_a_leap_that_is_believed_in_the_end_deletes_a_week_a_day(site: Site) -> None:
    fill(site, date(2026, 9, 1), 80)
    site.start()
    site.live(SETTLED_S + 60)
    before = len(site.minutes())
    site.clock.set_by(TEN_YEARS_MS)
    site.live(23 * 3600, 600)
    assert len(site.minutes()) >= before
    site.live(3 * 3600, 60)
    assert len(site.system("retention")) == 1
    assert len([at for at in site.minutes() if at < NOON]) >= before - (MOST_DAYS_PRUNED + 2) * 60


def test_the_clock_is_remembered_and_a_device_that_comes_up_years_off_is_doubted(site: Site) -> None:
    fill(site, date(2026, 11, 17), 2)
    site.start()
    site.live(60)
    assert Reckoning.parse(site.store.meta(RECKONING)).believed_ms is not None
    site.clock.set_by(TEN_YEARS_MS)
    site.start()
    site.live(3600, 60)
    assert site.days == []
    assert "leapt" in str(site.watched.doubt())


DAMAGED = ["day = '2026-11-q9'", "day = '9999-12-31'", "day = x'ff'", "revision = 'q'", "created = 'q'"]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_report_ends_nothing_and_its_day_is_reported_again(site: Site, damage: str) -> None:
    fill(site, date(2026, 11, 18), 1)
    site.start()
    site.live(HOUR / 1000, 60)
    days = site.days
    assert days == ["2026-11-18"]
    site.store.execute(f"UPDATE reports SET {damage} WHERE day = (SELECT max(day) FROM reports)")  # noqa: S608
    assert site.days == []
    site.start()
    site.live(HOUR / 1000, 60)
    assert site.days == days


def test_the_newest_backup_is_kept_however_old_a_wrong_clock_makes_it(site: Site) -> None:
    site.store.write([started("A"), ended("A"), message()])
    for stamp in ("a", "b"):
        site.store.back_up(2, stamp)
    for file in (site.path.parent / "backups").iterdir():
        os.utime(file, (4e9, 4e9))
    made = site.store.back_up(2, "now")
    assert made.exists()
    assert len(list(made.parent.iterdir())) == 2


def prune(folder: Path, **device: Mapping[str, str]) -> Any:
    settings = folder / "edged.toml"
    keys = "\n".join(f"{key} = {value}" for key, value in device.items())
    settings.write_text(
        f'[device]\n{keys}\n[camera.door]\nsource = "file:///no.mp4"\n[store]\npath = "{folder}/edged.db"\n'
    )
    return edged("db", "prune", "--config", settings)


def test_pruning_by_hand_asks_whether_the_clock_is_right(site: Site, tmp_path: Path) -> None:
    site.store.write([started("A"), ended("A"), minute(at=BUILD_DATE)])
    site.store.set_meta({RECKONING: Reckoning(BUILD_DATE).text()})
    site.store.close()
    done = prune(tmp_path, trust_clock="true")
    assert done.returncode == 1
    assert "nothing deleted: the clock leapt" in one_line(done)
    assert len(list(StoreReader(tmp_path / "edged.db").events())) == 1
