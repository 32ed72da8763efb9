"""The daemon whose database is deleted or emptied while it runs says so, records it, and goes on alerting."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from support.storing import started

from edged.store import Store

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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "daemon" / "store"
    folder.mkdir(parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_is_full_at_the_start_stops_nothing_but_storing(
    tmp_path: Path, small_disk: Path, is_there: bool
) -> None:
    clip, database = write_clip(tmp_path / "clip.mp4"), small_disk / "edged.db"
    if is_there:
        with Store(database) as store:
            store.write([started("E1")])
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "edged/#") as subscriber:
        with Daemon(tmp_path / "daemon", {"door": looped(clip)}, port=broker.port) as daemon:
            (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))
            daemon.start()
            assert until(lambda: "the disk is full" in "".join(subscriber.payloads("edged/dev1/state")[-1:])), (
                daemon.log
            )
            assert until(lambda: subscriber.payloads("edged/dev1/camera/door/counts")), daemon.log
            assert "the disk is full" in str(daemon.status()["errors"])
            assert daemon.log.count("nothing can be stored") == 1
            (small_disk / "other").unlink()
            assert until(lambda: subscriber.payloads("edged/dev1/camera/door/violation")), daemon.log
            assert until(lambda: daemon.status().get("errors") == []), daemon.status()
            assert daemon.stop() == 0
        assert "Traceback" not in daemon.log
        assert daemon.count("SELECT count(*) FROM events WHERE state = 'started'") == 1
        restarted = "SELECT count(*) FROM events WHERE event_id = 'E1' AND end_reason = 'restart'"
        assert daemon.count(restarted) == int(is_there)


def test_what_a_slow_disk_has_not_taken_yet_when_it_is_stopped_is_waited_for(tmp_path: Path) -> None:
    """An old card takes seconds for a commit; systemd waits for longer than the daemon does."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; apt install strace")
    clip = write_clip(tmp_path / "clip.mp4")
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        daemon.start()
        assert until(lambda: daemon.count("SELECT count(*) FROM events WHERE kind = 'mask'")), daemon.log
        slow = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=3000000"]
        strace = ["strace", "-f", "-p", str(daemon.pid), "-o", str(tmp_path / "traced"), *slow]
        with subprocess.Popen(strace, stderr=subprocess.PIPE, text=True) as tracer:
            attached = tracer.stderr.readline()
            if "attached" not in attached:
                tracer.kill()
                pytest.skip(f"strace may not trace here: {attached.strip()}")
            assert until(lambda: daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL AND kind = 'mask'"))
            assert daemon.stop() == 0
            tracer.wait(60)
    assert "the store did not finish" not in daemon.log
    assert daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL") == 0
