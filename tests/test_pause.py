"""A pause ends when it was to end, whatever the clock does and however often the device starts; the report says who asked."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_days import MINUTE, span, watched
from support.storing import HandClock

from edged.config import Config, PrivacyConfig, ReportConfig
from edged.daemon.pause import Pauses
from edged.errors import UsageError
from edged.records import EventRecord
from edged.report import build_report
from edged.report.screen import render_text
from edged.store import Store, StoreReader
from edged.store.recorder import Recorder

HOUR_MS = 3_600_000
BERLIN = Config(report=ReportConfig(timezone="Europe/Berlin"))


class Device:
    """Its clock, and what it remembers."""

    def __init__(self) -> None:
        self.clock, self.stored, self.boot = HandClock(), None, "one"
        self.pauses = self.start()

    def start(self) -> Pauses:
        """The daemon starts."""
        self.pauses = Pauses(self.clock, self.stored, self._remember, self.boot)
        return self.pauses

    def reboot(self, off_s: float, *, trusted: bool = True) -> Pauses:
        """The machine is off for a while; its monotonic time begins anew."""
        self.clock.pass_s(off_s)
        self.clock.monotonic, self.clock.is_trusted, self.boot = 5.0, trusted, self.boot + "+"
        return self.start()

    def _remember(self, text: str) -> None:
        self.stored = text

    def over_after(self) -> int:
        """So many seconds pass until it is over."""
        for second in range(100_000):
            if self.pauses.check():
                return second
            self.clock.pass_s(1)
        raise AssertionError("it never ends")


@pytest.fixture
def device() -> Device:
    one = Device()
    one.pauses.begin({"minutes": 10, "who": "Ada"}, BERLIN)
    return one


def test_it_ends_by_itself_and_is_forgotten_when_a_person_ends_it(device: Device) -> None:
    assert device.over_after() == 600
    device.pauses.end()
    assert device.start().stands is None
    assert not device.pauses.check()


def test_a_clock_that_is_set_moves_nothing_but_what_is_shown(device: Device) -> None:
    shown = device.pauses.stands and device.pauses.stands.ends_ms
    device.clock.set_by(-5 * HOUR_MS)
    device.pauses.check()
    assert device.pauses.stands
    assert device.pauses.stands.ends_ms == shown - 5 * HOUR_MS
    assert device.over_after() == 600


def test_what_is_shown_stands_still_while_time_passes(device: Device) -> None:
    until = set()
    for _ in range(50):
        device.clock.pass_s(0.2503)
        device.pauses.check()
        until.add(device.pauses.stands and device.pauses.stands.until)
    assert len(until) == 1


def test_a_restart_of_the_daemon_changes_nothing(device: Device) -> None:
    device.clock.pass_s(240)
    device.clock.set_by(9 * HOUR_MS)
    device.start()
    assert device.pauses.stands
    assert device.pauses.stands.who == "Ada"
    assert device.over_after() == 360
    device.start()
    assert device.pauses.check(), "one that ended while nothing ran is still to be ended, and said to be"


def test_a_restart_of_the_machine_leaves_what_the_clock_says_is_left(device: Device) -> None:
    device.reboot(240)
    assert device.over_after() == 360
    device.reboot(1)
    assert device.pauses.check()


def test_without_a_clock_it_lasts_anew_until_there_is_one(device: Device) -> None:
    device.reboot(120, trusted=False)
    device.clock.pass_s(100)
    assert not device.pauses.check()
    device.clock.is_trusted = True
    assert device.over_after() == 600 - 220
    device.pauses.begin({"minutes": 10}, BERLIN)
    device.reboot(120, trusted=False)
    assert device.over_after() == 600, "and never longer than it was asked for"


def test_what_was_asked_by_a_clock_that_was_not_set_is_not_measured_by_one_that_is() -> None:
    device = Device()
    device.clock.is_trusted = False
    device.pauses.begin({"minutes": 10}, BERLIN)
    device.clock.set_by(400 * 24 * HOUR_MS)
    device.reboot(60)
    assert device.over_after() == 600


def test_a_clock_that_leapt_back_does_not_make_it_longer(device: Device) -> None:
    device.clock.set_by(-50 * HOUR_MS)
    device.reboot(60)
    assert device.over_after() == 600


def test_until_tomorrow_is_until_the_next_local_midnight() -> None:
    device = Device()
    device.clock.utc = 1_780_000_000_000  # 2026-05-28T20:26:40Z, 22:26:40 in Berlin
    pause = device.pauses.begin({"until": "tomorrow", "who": "Ada"}, BERLIN)
    assert pause.until == "2026-05-28T22:00:00.000Z"
    device.clock.is_trusted = False
    with pytest.raises(UsageError, match="the clock is not set"):
        device.pauses.begin({"until": "tomorrow"}, BERLIN)
    device.clock.is_trusted = True
    hour = BERLIN.model_copy(update={"privacy": PrivacyConfig(pause_longest_minutes=60)})
    with pytest.raises(UsageError, match="pause_longest_minutes = 60"):
        device.pauses.begin({"until": "tomorrow"}, hour)


@pytest.mark.parametrize(
    "asked",
    [{}, {"minutes": 0}, {"minutes": 1441}, {"minutes": True}, {"minutes": "10"}, {"minutes": 1.5}, {"until": "noon"},
     {"until": "tomorrow", "minutes": 5}, {"minutes": 5, "who": 7}, {"minutes": 5, "who": "x" * 101}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_what_stands_stays(device: Device, asked: dict[str, Any]) -> None:
    before = device.stored
    with pytest.raises(UsageError, match=r"minutes|until|who"):
        device.pauses.begin(asked, BERLIN)
    assert device.stored == before


FIELDS = {"who": "Ada", "minutes": 5, "ends_s": 1.0, "ends_ms": 1, "clock_ok": True, "boot": "one"}
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(st.text() | st.dictionaries(st.sampled_from([*FIELDS, "x"]), JUNK).map(lambda some: json.dumps(FIELDS | some)))
def test_whatever_is_remembered_the_daemon_starts_and_a_pause_is_bounded(stored: str) -> None:
    clock = HandClock()
    pauses = Pauses(clock, stored, lambda _: None, "two")
    clock.pass_s(27 * 3600)
    assert pauses.stands is None or pauses.check()


def test_a_minute_of_a_pause_stays_one_when_the_camera_opens_again() -> None:
    kept: list[Any] = []
    recorder = Recorder(HandClock(), kept.extend, publishing=False)
    for state in ("online", "paused", "offline", "online"):
        recorder.seen("door", 1, 0, state)
    recorder.flush()
    assert [row.camera_state for row in kept] == ["paused"]


def test_the_report_names_a_pause_and_who_asked_for_it(tmp_path: Path) -> None:
    begin, end = span(date(2026, 6, 2), "UTC")
    first, last = begin + 10 * 60 * MINUTE, begin + 11 * 60 * MINUTE
    rows: list[Any] = [*watched(begin, first), *watched(first, last, state="paused", watched_ms=0), *watched(last, end)]
    for number, (at, who) in enumerate(
        [(first - 20_000, "Ada"), (first + 30 * MINUTE, "Grace"), (last + MINUTE, "Eve")]
    ):
        rows.append(
            EventRecord(
                f"event-{number}", "system", "", None, "paused", None, None, at, True, {"who": who}, 1, at, "instant"
            )
        )
    with Store(tmp_path / "edged.db") as store:
        store.write(rows)
        report = build_report(StoreReader(store.path), Config(), date(2026, 6, 2), end)
    gaps = report["gaps"]
    assert [(gap["reason"], gap["who"], gap["minutes"]) for gap in gaps["listed"]] == [("paused", "Ada, Grace", 60)]
    assert report["coverage_percent"] == 95.8
    assert "Paused by Ada, Grace" in render_text(report)
