"""What Prometheus is told is counted in the daemon, through reloads and pauses, and only while a site is open to be watched."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_days import encounter
from support.daemon import Daemon, looped, needs_models, write_clip
from support.doubles import BLACK
from support.live_socket import look
from support.mosquitto import PATIENCE_S, until
from support.storing import HandClock

from edged.config import CameraConfig, Config, ReportConfig
from edged.daemon.client import request, socket_path
from edged.daemon.meters import BUCKETS_S, Meters
from edged.live import live_path
from edged.pipeline import Outcome
from edged.types import Event, Frame, Signals

NOBODY = Outcome([], [], Signals(), [], [])
DOOR = Config(camera={"door": CameraConfig(source="file:///a.mp4")})


class Bench:
    """Meters, and cameras whose counts are the test's."""

    def __init__(self) -> None:
        self.clock, self.kept = HandClock(), []
        self.meters = Meters(self.clock, self.kept.append)
        self.seen = self.analysed = 0

    def look(self, config: Config = DOOR, passed_s: float = 1.0) -> dict[str, Any]:
        self.clock.pass_s(passed_s)
        worker = SimpleNamespace(state=lambda: SimpleNamespace(frames=self.seen))
        activity = {"door": SimpleNamespace(frames=self.analysed, faulty=0)}
        analysis = SimpleNamespace(activity=lambda: activity)
        self.meters.sample(config, SimpleNamespace(workers={"door": worker}, analysis=analysis))  # type: ignore[arg-type]
        return self.meters.figures()["door"]


@pytest.fixture
def bench() -> Bench:
    one = Bench()
    one.look()
    return one


def test_monitored_time_is_time_in_which_pictures_were_analysed(bench: Bench) -> None:
    for second in range(10):
        bench.analysed += second % 2
        found = bench.look()
    assert (found["open_s"], found["monitored_s"]) == (10.0, 5.0)
    assert bench.look(passed_s=3600)["open_s"] == 15.0, "nobody knows what was in an hour without a look"


def test_outside_open_hours_no_time_counts(bench: Bench) -> None:
    bench.clock.utc = 1_780_000_000_000  # 20:26:40 UTC
    closed = DOOR.model_copy(update={"report": ReportConfig(open_from="08:00", open_until="20:00")})
    bench.analysed += 1
    assert bench.look(closed)["open_s"] == 0.0
    bench.analysed += 1
    berlin = DOOR.model_copy(update={"report": ReportConfig(open_from="22:00", timezone="Europe/Berlin")})
    assert bench.look(berlin)["monitored_s"] == 1.0


def test_counts_never_fall_when_a_reload_begins_anew(bench: Bench) -> None:
    bench.seen, bench.analysed = 100, 90
    assert bench.look()["frames_seen"] == 100
    bench.seen, bench.analysed = 7, 5
    assert bench.look()["frames_seen"] == 107
    assert bench.meters.figures().keys() == {"door"}
    bench.look(Config(camera={"hall": DOOR.camera["door"]}))
    assert bench.meters._cameras["door"].seen == 7, "what is no longer there is forgotten, and would begin anew"


def test_passages_are_counted_once_by_their_outcome_and_go_on_to_the_store(bench: Bench) -> None:
    rows = [encounter(1, 0, "none"), encounter(1, 0, "correct"), encounter(2, 0, "none")]
    bench.meters.submit([replace(rows[0], closed=False), replace(rows[1], closed=True), replace(rows[2], closed=True)])
    assert bench.look()["encounters"] == {"correct": 1, "incorrect": 0, "none": 1, "uncertain": 0}
    assert len(bench.kept[0]) == 3


def test_latency_falls_into_fixed_buckets_and_events_count_as_they_begin(bench: Bench) -> None:
    start = Event("k", "mask", "start", "door", 1, 0.0, "none", violation=True)
    outcome = replace(NOBODY, events=[start, replace(start, phase="end"), replace(start, kind="system")])
    for age_s in (0.0, 5.0, -9.0):
        bench.meters.observe(Frame("door", 1, time.monotonic() - age_s, BLACK), outcome)
    found = bench.look()
    assert found["events"] == [{"kind": "mask", "state": "none", "alerted": True, "count": 3}]
    latency = found["latency"]
    assert latency["ends_s"] == BUCKETS_S
    assert (len(latency["counts"]), sum(latency["counts"]), latency["counts"][-1]) == (len(BUCKETS_S) + 1, 3, 1)
    assert latency["sum_s"] >= 5.0
    assert found["frames_analysed"] == 3


@needs_models
def test_a_running_daemon_answers_with_plain_numbers(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        daemon.start()
        assert daemon.serves(), daemon.log
        path = socket_path(daemon.database)
        assert until(lambda: request(path, "metrics")["cameras"]["door"]["encounters"]["none"], PATIENCE_S), daemon.log
        found = request(path, "metrics")
        door = found["cameras"]["door"]
        assert found["pictures_encoded"] == 0
        assert min(door["frames_seen"], door["frames_analysed"]) > 0
        assert 0 < door["monitored_s"] <= door["open_s"]
        assert [event["kind"] for event in door["events"]] == ["mask"]
        assert (found["queues"].keys(), found["paused"]) == ({"outbox", "store"}, False)
        assert until(lambda: look(live_path(daemon.database), "door")[1])
        assert request(path, "metrics")["cameras"]["door"]["viewers"] == 1
        before = door["frames_analysed"]
        assert request(path, "pause", minutes=5)["ok"]
        paused = request(path, "metrics")
        assert (paused["paused"], paused["cameras"]["door"]["frames_analysed"] >= before) == (True, True)
        assert request(path, "resume")["ok"]
        assert daemon.stop() == 0
