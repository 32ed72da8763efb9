"""What a daemon tells of itself while the database or the clock is not ready, and of its cameras: what it knows, and no more."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.mosquitto import until
from support.storing import HandClock, ended, minute, started

from edged.cli.status import _camera_line
from edged.config.load import parse_config
from edged.daemon import analysis, core, database
from edged.errors import ConfigError
from edged.host.clock import UNSET_S, WatchedClock
from edged.pipeline import Outcome
from edged.store import Store, StoreReader
from edged.store.recorder import Recorder
from edged.store.recovery import StoreFull
from edged.store.worker import MOST_WAITING
from edged.types import Frame, Signals


def opened_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[core.Core, list[bool]]:
    """A core whose database cannot be opened until something stands in the list."""
    path, room = folder / "edged.db", []
    really = database._first_opened

    def first_opened(where: Path) -> Store:
        if not room:
            raise StoreFull(f"{where}: the disk is full")
        return really(where)

    monkeypatch.setattr(database, "_first_opened", first_opened)
    config = parse_config({"store": {"path": str(path)}, "device": {"id": "hall"}}, folder / "edged.toml")
    return core.open_core(config, HandClock()), room


def test_the_last_runs_events_end_however_much_waits_while_the_store_cannot_be_opened(tmp_path, monkeypatch) -> None:
    with Store(tmp_path / "edged.db") as store:
        store.write([started("LEFT"), minute()])
    shared, room = opened_later(tmp_path, monkeypatch)
    shared.store.submit([minute(at=60_000 * n) for n in range(MOST_WAITING)])
    shared.store.submit([ended("LOST")])
    assert shared.store.dropped == 1
    room.append(True)
    shared.store.start()
    assert until(shared.store.is_idle)
    shared.store.stop(10)
    shared.store.close()
    rows = {row["event_id"]: row for row in StoreReader(tmp_path / "edged.db").events()}
    assert rows["LEFT"]["end_reason"] == "restart"
    (start,) = [row for row in rows.values() if row["state"] == "started"]
    assert "left_open" not in start["details"], "nobody knew at that moment"


def test_how_many_events_were_left_open_is_told_where_it_is_known(tmp_path, monkeypatch) -> None:
    with Store(tmp_path / "edged.db") as store:
        store.write([started("LEFT")])
    config = parse_config({"store": {"path": str(tmp_path / "edged.db")}}, tmp_path / "edged.toml")
    shared = core.open_core(config, HandClock())
    shared.store.start()
    shared.store.stop(10)
    shared.store.close()
    (start,) = [row for row in StoreReader(tmp_path / "edged.db").events() if row["state"] == "started"]
    assert start["details"]["left_open"] == 1


def test_two_cameras_whose_names_differ_in_capitals_only_are_refused(tmp_path) -> None:
    cameras = {
        "Door": {"source": "file:///a.mp4"},
        "gate": {"source": "file:///b.mp4"},
        "door": {"source": "file:///c.mp4"},
    }
    with pytest.raises(ConfigError, match="names Door and door differ in capitals only"):
        parse_config({"camera": cameras}, tmp_path / "edged.toml")


def test_a_clock_that_was_not_set_for_minutes_is_a_problem_with_a_remedy() -> None:
    clock = HandClock(is_trusted=False)
    watched = WatchedClock(clock)
    clock.pass_s(UNSET_S - 1)
    assert watched.problem() is None
    clock.pass_s(2)
    assert "has not been set: no daily report is made" in str(watched.problem())
    assert watched.doubt() is None
    clock.is_trusted = True
    assert watched.problem() is None


def test_the_status_tells_how_many_pictures_a_second_are_analysed(monkeypatch) -> None:
    class Nothing:
        times = None

        def step(self, frame: Frame) -> Outcome:
            return Outcome([], [], Signals(), [], [])

    now = [1000.0]
    monkeypatch.setattr(analysis, "time", SimpleNamespace(monotonic=lambda: now[0]))
    recorder = Recorder(HandClock(), lambda _: None, publishing=False)
    worker = analysis.AnalysisWorker(None, {"door": Nothing()}, recorder, lambda: None)  # type: ignore[arg-type, dict-item]

    def rate() -> float:
        return round(worker.activity()["door"].per_second, 1)

    assert rate() == 0.0
    for number in range(180):
        now[0] += 1 / 12
        worker._analyse(Frame("door", number, now[0], analysis.NO_PICTURE))
    assert rate() == pytest.approx(12.0, abs=0.2)
    now[0] += 5
    assert rate() == pytest.approx(6.0, abs=0.2)
    now[0] += 6
    assert rate() == 0.0
    camera = {
        "profile": "entrance", "status": "online", "frames_analysed": 180, "frames_seen": 200, "fps": 15,
        "analysed_per_second": 11.96, "stages_ms": None, "counts": None, "attention": None,
    }  # fmt: skip
    assert "180 of 200 pictures analysed, 12.0 a second of 15 at most (fps)" in _camera_line(camera)
