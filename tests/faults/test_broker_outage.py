"""The broker goes and comes back under a running daemon: nothing is lost, and each event's steps arrive in order."""

import time
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.ledger import check_all_was_heard, check_books, deliver_the_rest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

pytestmark = [needs_models, needs_mosquitto]

EVENTS = "SELECT count(*) FROM events WHERE kind = 'mask'"
BACK_WITHIN_S = 90.0
"""The publisher waits up to a minute between two attempts."""


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        pytest.param("stop", 10, marks=pytest.mark.slow),
        pytest.param("stop", 60, marks=pytest.mark.long),
        pytest.param("kill", 60, marks=pytest.mark.long),
    ],
)
def test_nothing_is_lost_while_the_broker_is_away(tmp_path: Path, how: str, seconds: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    saved_at_once = ["autosave_interval 1", "autosave_on_changes true"]
    with (
        Mosquitto(tmp_path / "broker", settings=saved_at_once) as broker,
        Subscriber(broker.port, "edged/dev1/events") as subscriber,
        Daemon(tmp_path, {"door": looped(clip)}, port=broker.port) as daemon,
    ):
        daemon.start()
        assert until(lambda: daemon.count(EVENTS) >= 2), daemon.log
        before = daemon.count(EVENTS)
        getattr(broker, how)()
        assert until(lambda: daemon.status().get("broker") == {"configured": True, "connected": False})
        time.sleep(seconds)
        assert daemon.count(EVENTS) >= before + seconds // 3
        assert daemon.status()["outbox"] > 0
        assert daemon.status()["mode"] == "degraded"
        broker.start()
        assert until(lambda: daemon.status()["broker"]["connected"], BACK_WITHIN_S)
        assert until(lambda: daemon.status()["mode"] == "normal")
        assert daemon.stop() == 0
        deliver_the_rest(daemon, broker.port)
        check_books(daemon)
        assert check_all_was_heard(daemon, subscriber) > before
        assert "Traceback" not in daemon.log
