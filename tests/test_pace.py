"""A board so slow, or so hot, that it takes less than a picture a second is late by its own pace only: not silent, nor dead."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.output_scenes import EMPTY, Stage
from support.storing import HandClock

from edged.capture import CameraWorker, FrameInbox
from edged.config import CameraConfig, Config
from edged.daemon import analysis
from edged.daemon.pace import Pace
from edged.daemon.thermal import slowed
from edged.host.thermal import LAST_SHARE
from edged.pipeline import Outcome
from edged.records import Change, CoverageMinute
from edged.store.recorder import Recorder
from edged.types import Frame, Signals


class Analysis:
    """Two minutes of the analysis of one camera, by a clock that is moved by hand: which of its events ended, and why."""

    def __init__(self, patch: pytest.MonkeyPatch, pace: Pace, took_s: float) -> None:
        self.clock, self.took_s, self.ended, self.changes = HandClock(), took_s, list[str](), list[Change]()
        patch.setattr(analysis, "time", SimpleNamespace(monotonic=self.clock.monotonic_s))
        recorder = Recorder(self.clock, self.changes.extend, publishing=False)
        self.worker = analysis.AnalysisWorker(
            FrameInbox(["door"]),
            {"door": self},
            recorder,
            lambda: None,
            pace=pace,  # type: ignore[dict-item]
        )
        self.times = None

    def step(self, frame: Frame) -> Outcome:
        self.clock.pass_s(self.took_s)
        return Outcome([], [], Signals(), [], [])

    def finish(self, time_s: float, reason: str) -> Outcome:
        self.ended.append(reason)
        return Outcome([], [], Signals(), [], [])

    def see(self, every_s: float) -> None:
        for number in range(round(120 / every_s)):
            self.worker._analyse(Frame("door", number, self.clock.monotonic_s(), analysis.NO_PICTURE))
            self.wait(every_s - self.took_s)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            self.clock.pass_s(0.5)
            self.worker._let_time_pass(self.clock.monotonic_s())
        self.worker._let_time_pass(self.clock.monotonic_s())

    @property
    def watched_ms(self) -> int:
        self.worker._recorder.flush()
        return sum(row.watched_ms for row in self.changes if isinstance(row, CoverageMinute))


@pytest.mark.parametrize(
    ("rate", "took_s", "every_s"),
    [(0.125, 0.5, 8.0), (15, 6.0, 6.0), (0.5, 0.1, 2.1)],
    ids=[
        "the heat leaves a picture in eight seconds",
        "a picture takes six seconds",
        "set to a picture in two seconds",
    ],
)
def test_a_camera_is_silent_only_when_pictures_are_missed_at_its_own_pace(
    monkeypatch: pytest.MonkeyPatch, rate: float, took_s: float, every_s: float
) -> None:
    it = Analysis(monkeypatch, Pace({"door": lambda: rate}), took_s)
    it.see(every_s)
    assert it.ended == []
    assert it.watched_ms > 100_000
    it.wait(5 * every_s)
    assert it.ended == ["camera silent"]


def test_a_camera_of_usual_pace_is_silent_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Analysis(monkeypatch, Pace({"door": lambda: 15}), 0.0)
    it.see(1.0)
    it.wait(4)
    assert it.ended == []
    it.wait(3)
    assert it.ended == ["camera silent"]


def test_the_pace_is_that_of_the_rate_now_and_of_a_round_over_all_cameras() -> None:
    rate = [10.0]
    pace = Pace({"door": lambda: rate[0]})
    assert pace.interval_s("door") == pytest.approx(0.1)
    rate[0] = 0.25
    assert pace.interval_s("door") == 4.0
    for camera in ("door", "gate"):
        pace.took(camera, 3.0)
        assert pace.interval_s("door") == 4.0, "that may have been a hitch"
        pace.took(camera, 5.0)
    assert pace.interval_s("door") == 6.0


def test_the_rate_of_a_camera_is_what_the_heat_leaves() -> None:
    settings = CameraConfig.model_validate({"source": "csi://0", "fps": 1})
    camera = CameraWorker("door", settings, FrameInbox(["door"]))
    assert camera.rate == 1
    camera.limit_rate(slowed(settings, LAST_SHARE))
    assert camera.rate == 0.25
    camera.limit_rate(None)
    assert camera.rate == 1


@pytest.mark.parametrize("hot", [False, True])
def test_a_hot_device_is_alive_at_its_own_pace(hot: bool) -> None:
    lamp: dict[str, Any] = {"kind": "gpio", "line": "WELL", "when": ["alive"]}
    tables = {"camera": {"door": {"source": "csi://0", "fps": 1}}, "output": {"well": lamp}}
    stage = Stage(Config.model_validate(tables))
    if hot:
        stage.worker._interval_s = lambda _: 4.0
    stage.see(EMPTY)
    for _ in range(3):
        stage.pass_s(7)
        stage.see(EMPTY)
    stage.pass_s(20)
    changes = stage.lines["WELL"].changes
    assert [on for _, on in changes if on] == ([True] if hot else [True] * 4)
    assert changes[-1][1] is False
