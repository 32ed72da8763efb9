"""A portrait on the wall before the whole daemon: one alert, then nobody, and a number of its own for subscribers."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.daemon import Daemon, looped, needs_models
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

from edged.demo.scene import make_portrait
from edged.errors import Unavailable

pytestmark = [needs_models, needs_mosquitto, pytest.mark.slow]

FPS = 10


def write_wall(path: Path) -> Path:
    """Two seconds of a portrait that hangs on a wall, in a camera's noise; again and again, it hangs there for ever."""
    try:
        portrait = cv2.resize(make_portrait(), (200, 200), interpolation=cv2.INTER_AREA)
    except Unavailable as error:
        pytest.skip(str(error))
    wall = np.full((270, 480, 3), 170, np.uint8)
    wall[40:240, 140:340] = portrait
    random = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (480, 270))
    for _ in range(2 * FPS):
        writer.write(np.clip(wall + random.normal(0, 4, wall.shape), 0, 255).astype(np.uint8))
    writer.release()
    return path


def test_a_portrait_alerts_once_and_is_then_counted_apart(tmp_path):
    clip = write_wall(tmp_path / "wall.mp4")
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "edged/dev1/#") as subscriber:
        # The [events] table is there already: static_seconds goes into it.
        daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port)
        daemon.config.write_text(daemon.config.read_text().replace("[events]", "[events]\nstatic_seconds = 5"))
        with daemon:
            daemon.start()

            def counts() -> list[dict[str, int]]:
                """All that was told: on a busy machine the first is over before it is looked at."""
                told = map(json.loads, subscriber.payloads("edged/dev1/camera/door/counts"))
                return [{key: one.get(key) for key in ("present", "none", "static")} for one in told]

            assert until(lambda: {"present": 1, "none": 1, "static": 0} in counts()), daemon.log
            assert until(lambda: counts()[-1] == {"present": 0, "none": 0, "static": 1}), daemon.log
            assert until(lambda: daemon.status()["cameras"]["door"]["static_faces"] == 1)
            analysed = daemon.status()["cameras"]["door"]["frames_analysed"]
            assert until(lambda: daemon.status()["cameras"]["door"]["frames_analysed"] > analysed + 50)
            assert daemon.stop() == 0, daemon.log
            assert len(subscriber.payloads("edged/dev1/camera/door/violation")) == 1
    assert daemon.rows("SELECT end_reason FROM events WHERE kind = 'mask'") == [("static",)]
    assert daemon.rows("SELECT state FROM encounters") == []
