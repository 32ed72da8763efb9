"""The running daemon pauses: no picture is taken, what is open ends, and that outlives kill -9; MQTT and the socket are one."""

import json
from pathlib import Path

import pytest
from support.daemon import Daemon, needs_models, write_pictures
from support.live_socket import look
from support.mosquitto import PATIENCE_S, Mosquitto, Subscriber, needs_mosquitto, publish, until

from edged.daemon.client import request, socket_path
from edged.live import live_path

pytestmark = [needs_models, needs_mosquitto]


@pytest.fixture(scope="module")
def somebody(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A camera before which somebody without a mask stands still."""
    folder, still = tmp_path_factory.mktemp("somebody") / "pictures", tmp_path_factory.mktemp("still")
    picture = write_pictures(folder) / "0012.jpg"
    for number in range(4):
        (still / f"{number}.jpg").write_bytes(picture.read_bytes())
    return f"images://{still}?loop=1&fps=10"


def door(daemon: Daemon) -> dict[str, object]:
    return dict(daemon.status().get("cameras", {}).get("door", {}))


def test_a_pause_from_its_command_to_its_end(tmp_path: Path, somebody: str) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Subscriber(broker.port, "edged/dev1/#") as subscriber,
        Daemon(tmp_path / "daemon", {"door": somebody}, port=broker.port) as daemon,
    ):
        daemon.start()
        assert daemon.serves(), daemon.log
        open_events = "SELECT count(*) FROM events WHERE kind = 'mask' AND ended_at IS NULL"
        assert until(lambda: daemon.status()["broker"]["connected"])
        assert until(lambda: daemon.count(open_events), PATIENCE_S), "somebody is seen without a mask"
        publish(broker.port, "edged/dev1/cmd/pause", '{"minutes": 30, "who": "Ada", "request_id": "7"}')
        assert until(lambda: subscriber.payloads("edged/dev1/cmd/pause/result"))
        result = json.loads(subscriber.payloads("edged/dev1/cmd/pause/result")[0])
        assert (result["ok"], result["request_id"]) == (True, "7")
        assert until(lambda: daemon.count(open_events) == 0)
        assert until(lambda: door(daemon).get("status") == "paused")
        seen = door(daemon)["frames_seen"]
        assert daemon.status()["paused"]["who"] == "Ada"
        assert daemon.status()["paused_until"] == result["until"]
        assert daemon.status()["errors"] == [], "nothing is wrong"
        assert until(lambda: "paused" in subscriber.payloads("edged/dev1/camera/door/status")[-1])
        assert until(lambda: '"present":0' in subscriber.payloads("edged/dev1/camera/door/counts")[-1])
        header, picture = look(live_path(daemon.database), "door")
        assert (header["camera_state"], picture) == ("paused", b"")
        assert daemon.count("SELECT count(*) FROM events WHERE kind = 'camera'") == 0, "no camera is lost"

        daemon.kill()
        daemon.start()
        assert until(lambda: daemon.status().get("paused")), daemon.log
        assert daemon.status()["paused_until"][:16] == result["until"][:16]
        assert (door(daemon)["status"], door(daemon)["frames_seen"], seen) == ("paused", 0, 0)

        daemon.write_config({"door": somebody, "hall": somebody}, port=broker.port)
        assert request(socket_path(daemon.database), "reload")["ok"]
        assert daemon.status()["cameras"]["hall"]["status"] == "paused", "a reload opens no camera either"

        assert request(socket_path(daemon.database), "resume", who="Grace") == {"v": 1, "ok": True, "error": None}
        assert until(lambda: door(daemon).get("frames_analysed", 0) > 5), daemon.log
        assert daemon.status()["paused"] is None
        assert until(lambda: daemon.count("SELECT count(*) FROM events WHERE state = 'resumed'") == 1)
        told = daemon.rows("SELECT state, details FROM events WHERE state IN ('paused', 'resumed') ORDER BY started_at")
        assert [(state, json.loads(details)["who"]) for state, details in told] == [
            ("paused", "Ada"),
            ("resumed", "Grace"),
        ]
        assert daemon.stop() == 0
        assert daemon.count("SELECT count(*) FROM events WHERE end_reason = 'paused'") == 1
        assert daemon.count("SELECT count(*) FROM coverage WHERE camera_state = 'paused'") >= 1
