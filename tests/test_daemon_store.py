"""The daemon whose database is deleted or emptied while it runs says so, records it, and goes on alerting."""

import json
import os
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

pytestmark = [needs_models, needs_mosquitto]


def delete_it(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def empty_it(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [delete_it, empty_it])
def test_a_lost_database_is_noticed_and_alerts_go_on(tmp_path: Path, harm) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "edged/#") as subscriber:
        heard = lambda: subscriber.payloads("edged/dev1/camera/door/violation")  # noqa: E731
        with Daemon(tmp_path / "daemon", {"door": looped(clip)}, port=broker.port) as daemon:
            daemon.start()
            assert until(heard), daemon.log
            harm(daemon.database)
            recovered = "SELECT count(*) FROM events WHERE kind = 'system' AND state = 'recovered'"
            assert until(lambda: daemon.count(recovered) == 1), daemon.log
            before = len(heard())
            assert until(lambda: len(heard()) >= before + 2), daemon.log
            assert until(lambda: daemon.status().get("errors") == []), daemon.status()
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.log
            assert daemon.rows("PRAGMA integrity_check") == [("ok",)]
            event = json.loads(daemon.rows("SELECT details FROM events WHERE state = 'recovered'")[0][0])
            assert "edged.db" in json.dumps(event)
