"""A Pi camera's pictures, from a double with picamera2's surface, through the real capture process."""

import time
from pathlib import Path

import numpy as np
import pytest
from support.cameras import goes, live_camera
from support.mosquitto import until

DOUBLES = Path(__file__).parent / "support" / "doubles_on_path"


@pytest.fixture
def pi(monkeypatch):
    """Makes picamera2's double importable in capture processes, with a fault."""

    def with_fault(fault=""):
        monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
        monkeypatch.setenv("PICAMERA_DOUBLE", fault)

    return with_fault


@pytest.mark.parametrize("fault", ["", "padded"])
def test_its_colours_and_size_arrive_and_the_time_is_the_sensors(pi, fault):
    pi(fault)
    with live_camera("picamera://0?width=320&height=240&fps=30") as (worker, inbox):
        assert goes(worker, "online")
        frame = inbox.take(30.0)
        age_s = time.monotonic() - frame.time_s
    assert frame.image.shape == (240, 320, 3)
    assert frame.image[5, 5].min() > 240
    assert np.abs(frame.image[200, 300].astype(int) - (255, 0, 0)).max() < 12
    assert age_s >= 0.02


def test_turned_by_90_degrees_the_corner_is_at_the_right(pi):
    pi()
    with live_camera("picamera://0?width=320&height=240", rotation=90) as (_, inbox):
        image = inbox.take(30.0).image
    assert image.shape == (320, 240, 3)
    assert image[5, -5].min() > 240
    assert image[5, 5].min() < 20


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("none", "check the ribbon"), ("busy", "is another program using it")],
)
def test_what_hinders_is_told_in_words(pi, fault, reason):
    pi(fault)
    with live_camera("picamera://0") as (worker, _):
        assert until(lambda: reason in worker.state().reason), worker.state()


def test_a_camera_whose_number_is_not_there_says_how_many_are(pi):
    pi()
    with live_camera("picamera://3") as (worker, _):
        assert until(lambda: "1 Pi cameras are attached" in worker.state().reason), worker.state()


def test_without_picamera2_its_package_is_named():
    with live_camera("picamera://0") as (worker, _):
        assert until(lambda: "apt install python3-picamera2" in worker.state().reason), worker.state()


def test_a_picamera2_built_for_another_numpy_names_the_package_that_helps(tmp_path, monkeypatch):
    why = (
        "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject"
    )
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({why!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with live_camera("picamera://0") as (worker, _):
        assert until(lambda: "simplejpeg>=1.8.1" in worker.state().reason), worker.state()


def test_capture_that_hangs_is_stalled_and_started_again(pi):
    pi("hangs")
    with live_camera("picamera://0?width=320&height=240&fps=60", stall_seconds=1) as (worker, _):
        assert goes(worker, "stalled")
        assert until(lambda: worker.state().reconnects >= 1)


def test_a_stop_that_hangs_is_not_waited_for(pi):
    pi("stop hangs")
    with live_camera("picamera://0?width=320&height=240") as (worker, _):
        assert goes(worker, "online")
        assert worker.stop(60)


def test_it_is_let_go_in_order(pi, caplog):
    caplog.set_level("DEBUG")
    pi()
    with live_camera("picamera://0?width=320&height=240") as (worker, _):
        assert goes(worker, "online")
    assert "closed in order" in caplog.text
