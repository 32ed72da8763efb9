"""A capture process that does anything at all harms neither its parent nor the other cameras, and leaves nothing behind."""

import gc
import subprocess
import sys
import time
import weakref

import pytest
from support.cameras import PLAY, QuickLiveCamera, Weather, goes, live_camera
from support.mosquitto import until

from edged.errors import SourceLost

SOURCE = "rtsp://127.0.0.1:9/door"
"""Only its kind counts: the scripted process opens nothing."""
FAULTS = {
    "die": "has ended",
    "unplug": "the cable is out",
    "garbage": "not valid",
    "wrong_json": "not valid",
    "flood": "messages in a second",
    "nothing": "0x0",
    "huge": "16000x16000",
    "half": "cannot be decoded",
}


@pytest.fixture
def weather(tmp_path):
    return Weather(tmp_path / "weather")


def test_pictures_cross_whole_read_only_and_newest_first(weather):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        assert goes(worker, "online")
        seen = [inbox.take(30.0) for _ in range(20)]
        levels = [int(frame.image[-1, 0, 0]) for frame in seen]
        assert all((frame.image[-1] == level).all() for frame, level in zip(seen, levels, strict=True))
        assert seen[0].image.shape == (48, 64, 3)
        assert not seen[0].image.flags.writeable
        assert len(set(levels)) == 20  # held all along, and none was written over
        assert 0 <= time.monotonic() - seen[-1].time_s < 60
        assert [frame.index for frame in seen] == sorted({frame.index for frame in seen})


def test_a_picture_that_is_held_is_not_written_over_and_the_others_go_on(weather):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        held = [inbox.take(30.0) for _ in range(8)]
        before = [frame.image.copy() for frame in held]
        more = [inbox.take(30.0) for _ in range(20)]
        assert all((frame.image == copy).all() for frame, copy in zip(held, before, strict=True))
        assert more[-1].index >= held[-1].index + 20
        assert worker.state().reconnects == 0


def test_pictures_stay_readable_when_their_camera_is_gone(weather):
    with live_camera(SOURCE, weather.open) as (_, inbox):
        frame = inbox.take(30.0)
        before = frame.image.copy()
    assert (frame.image == before).all()


def test_the_size_may_change_at_any_moment(weather):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        for size in ("64x48", "640x480", "16x16", "64x48"):
            weather.becomes(f"play {size}")
            height, width = map(int, reversed(size.split("x")))
            assert until(lambda: (f := inbox.take(1.0)) and f.image.shape == (height, width, 3))  # noqa: B023
        assert worker.state().reconnects == 0


def test_the_memory_cannot_be_taken_away_under_the_parents_feet(weather):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        assert goes(worker, "online")
        weather.becomes("shrink")
        assert all(inbox.take(30.0).image.mean() > 0 for _ in range(20))


def test_a_time_that_cannot_be_is_taken_for_now(weather):
    weather.becomes("lie_about_time")
    with live_camera(SOURCE, weather.open) as (_, inbox):
        frames = [inbox.take(30.0) for _ in range(10)]
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    assert abs(times[-1] - time.monotonic()) < 60


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_words_and_the_camera_comes_back(weather, fault):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        assert goes(worker, "online")
        weather.becomes(fault)
        assert until(lambda: FAULTS[fault] in (worker.state().reason or "")), worker.state()
        assert worker.state().status in ("reconnecting", "offline")
        weather.becomes(PLAY)
        assert goes(worker, "online")
        assert inbox.take(30.0) is not None
        assert worker.state().reconnects >= 1


@pytest.mark.parametrize("fault", ["hang", "hang_deaf"])
def test_a_camera_that_hangs_is_stalled_and_started_again(weather, fault):
    with live_camera(SOURCE, weather.open, stall_seconds=1) as (worker, _):
        assert goes(worker, "online")
        weather.becomes(fault)
        assert goes(worker, "stalled")
        assert "no picture for 1 s" in worker.state().reason
        weather.becomes(PLAY)
        assert goes(worker, "online")


def test_a_path_that_may_be_another_camera_is_told_once_when_it_is_one(weather, caplog):
    with live_camera("v4l2:///dev/video979", weather.open) as (worker, inbox):
        assert inbox.take(30.0) is not None
        weather.becomes("unplug")
        assert until(lambda: worker.state().status != "online")
        weather.becomes(PLAY)
        assert goes(worker, "online")
    assert len([line for line in caplog.messages if "may be another camera after a reboot" in line]) == 1


def test_a_camera_that_never_shows_a_picture_is_offline(weather):
    class Impatient(QuickLiveCamera):
        first_picture_s = 1.0

    weather.becomes("hang")
    with live_camera(SOURCE, weather.open, kind=Impatient) as (worker, _):
        assert until(lambda: "gives no picture" in worker.state().reason)
        assert worker.state().status == "offline"


def test_a_camera_that_comes_and_goes_for_weeks_leaves_nothing_in_memory(weather):
    """Without Python's collector, which does not know how large a picture is."""
    feeds: list[weakref.ref[object]] = []

    def open_live(config):
        feed = weather.open(config)
        feeds.append(weakref.ref(feed))
        return feed

    gc.disable()
    try:
        with live_camera(SOURCE, open_live) as (_, inbox):
            for count in range(3):
                assert until(lambda: inbox.take(1.0) is not None)
                weather.becomes("unplug")
                assert until(lambda: len(feeds) > count + 1)  # noqa: B023
                weather.becomes(PLAY)
        assert [feed for feed in feeds if feed() is not None] == []
    finally:
        gc.enable()


def test_a_camera_that_hangs_stops_within_a_second(weather):
    weather.becomes("hang_deaf")
    with live_camera(SOURCE, weather.open) as (worker, _):
        time.sleep(1.0)
        assert worker.stop(60)


def test_processes_that_cannot_be_killed_are_counted_and_never_more_than_three():
    class Wedged:
        """A feed whose process sleeps in its driver."""

        started = 0
        buried = False

        def __init__(self, config):
            Wedged.started += 1

        def next(self, timeout_s):
            raise SourceLost("the driver is wedged")

        def close(self):
            return False

        def gone(self):
            return Wedged.buried

    with live_camera(SOURCE, Wedged) as (worker, _):
        assert until(lambda: "3 capture processes hang in its driver" in worker.state().reason)
        time.sleep(0.5)
        assert Wedged.started == 3
        Wedged.buried = True
        assert until(lambda: Wedged.started > 3)


def test_a_machine_out_of_descriptors_is_no_end_of_the_daemon():
    def open_live(config):
        raise OSError(24, "Too many open files")

    with live_camera(SOURCE, open_live) as (worker, _):
        assert until(lambda: "Too many open files" in worker.state().reason)
        assert worker.is_alive()


def test_the_very_same_picture_is_told_as_frozen(weather, monkeypatch):
    monkeypatch.setattr("edged.capture.state.FROZEN_AFTER_S", 1.0)
    weather.becomes("still")
    with live_camera(SOURCE, weather.open) as (worker, _):
        assert until(lambda: worker.state().trouble == "frozen")
        assert until(lambda: worker.state().reconnects == 1)  # opened anew, once
        assert until(lambda: worker.state().trouble == "frozen")
        weather.becomes(PLAY)
        assert until(lambda: worker.state().trouble is None)


def test_the_rate_can_be_lowered_while_it_runs(weather):
    with live_camera(SOURCE, weather.open) as (worker, inbox):
        assert goes(worker, "online")
        worker.limit_rate(2)
        inbox.take(1.0)
        first, second = inbox.take(30.0), inbox.take(30.0)
        assert second.time_s - first.time_s > 0.4
        worker.limit_rate(None)


def test_the_capture_process_loads_no_config_and_no_models():
    look = "import edged.capture.child, sys; print(sorted({'pydantic', 'onnxruntime', 'click', 'paho'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"
