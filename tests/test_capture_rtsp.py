"""A real RTSP server on this machine: pictures, passwords that are nowhere to be seen, and streams that come and go."""

import itertools
import os
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.cameras import QuickLiveCamera, RtspServer, children, goes, live_camera, needs_rtsp_server
from support.mosquitto import free_port, until

from edged.capture import CameraWorker
from edged.capture.feeds import Absence
from edged.config import CameraConfig
from edged.errors import SourceLost

SECRET = "s3cret p@ss/w0rd"  # noqa: S105
CREDENTIALS = f"viewer:{SECRET}"

pytestmark = needs_rtsp_server


@pytest.fixture
def credentials_file(tmp_path):
    path = tmp_path / "credentials"
    path.write_text(CREDENTIALS + "\n")
    return path


@pytest.fixture(scope="module")
def server():
    with RtspServer(CREDENTIALS) as running:
        yield running


def seen_by_everybody() -> str:
    """The command lines and environments of all processes that this test has started, and its own environment."""
    mine = [os.getpid(), *children(os.getpid())]
    for pid in mine[1:]:
        mine += children(pid)
    texts = []
    for pid in mine:
        with suppress(ProcessLookupError, FileNotFoundError):  # one that has ended shows nothing any more
            texts.append(Path(f"/proc/{pid}/environ").read_bytes())
            texts.append(Path(f"/proc/{pid}/cmdline").read_bytes() if pid != mine[0] else b"")
    return b"\n".join(texts).decode(errors="replace")


def test_a_stream_is_shown_and_its_password_is_nowhere_to_be_seen(server, credentials_file, caplog):
    caplog.set_level("DEBUG")
    with live_camera(f"rtsp://{server.address}", credentials_file=credentials_file) as (worker, inbox):
        assert goes(worker, "online")
        frame = inbox.take(30.0)
        assert frame.image.shape == (360, 640, 3)
        assert 100 < frame.image.mean() < 160
        seen = seen_by_everybody()
        assert "edged.capture.child" in seen
    for form in (SECRET, "s3cret", "%40ss"):
        assert form not in seen.replace(f"rtsp_server.py\0{server.port}\0--credentials\0{CREDENTIALS}", "")
        assert form not in caplog.text
    assert "rtsp://" in caplog.text


@pytest.mark.parametrize(
    ("credentials", "path", "reason"),
    [
        ("viewer:wrong", "door", "wrong user or password"),
        (CREDENTIALS, "cellar", "no such stream"),
    ],
)
def test_what_a_camera_refuses_is_told_in_words(server, tmp_path, credentials, path, reason, caplog):
    (tmp_path / "credentials").write_text(credentials)
    source = f"rtsp://127.0.0.1:{server.port}/{path}"
    with live_camera(source, credentials_file=tmp_path / "credentials") as (worker, _):
        assert until(lambda: reason in worker.state().reason), worker.state()
        assert worker.state().status == "offline"
    assert credentials not in caplog.text


def test_an_address_where_nothing_listens_is_told_in_words():
    with live_camera(f"rtsp://127.0.0.1:{free_port()}/door") as (worker, _):
        assert until(lambda: "nothing listens" in worker.state().reason), worker.state()


def test_a_name_that_nobody_knows_is_told_in_words_and_asked_for_ever_less_often():
    waits: list[float] = []

    class Noting(CameraWorker):
        def _waited(self, wait_s: float) -> bool:
            waits.append(wait_s)
            return super()._waited(0.01)

    with live_camera("rtsp://no-such-camera.invalid/door", kind=Noting) as (worker, _):
        assert until(lambda: "not known in the network" in worker.state().reason), worker.state()
        assert until(lambda: len(waits) >= 4)
        assert worker.state().status == "offline"
    assert all(later > 1.3 * earlier for earlier, later in itertools.pairwise(waits[:4])), waits


def test_a_server_that_takes_the_call_and_says_nothing_is_offline(tmp_path):
    import socket

    class Impatient(QuickLiveCamera):
        first_picture_s = 3.0

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        source = f"rtsp://127.0.0.1:{deaf.getsockname()[1]}/door"
        with live_camera(source, kind=Impatient) as (worker, _):
            assert until(lambda: "gives no picture in 3 s" in worker.state().reason), worker.state()


@pytest.mark.slow
def test_a_stream_whose_server_dies_comes_back_with_it(monkeypatch):
    away = threading.Event()

    class Patient(QuickLiveCamera):
        first_wait_s = longest_wait_s = 600.0  # only because somebody listens again it tries in time

    class Watched(Absence):
        def _is_there(self):
            there = super()._is_there()
            if not there:
                away.set()
            return there

    monkeypatch.setattr("edged.capture.camera.Absence", Watched)
    with RtspServer() as server, live_camera(f"rtsp://{server.address}", kind=Patient) as (worker, inbox):
        for _ in range(2):
            assert goes(worker, "online")
            away.clear()
            server.kill()
            assert until(away.is_set), worker.state()  # on a busy machine the server could be back before anybody looks
            assert worker.state().status in ("stalled", "reconnecting", "offline")
            server.start()
            assert goes(worker, "online")
            assert inbox.take(30.0) is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "one line"),
        (b"justaname", "one line"),
        (b"a:b\nc:d", "one line"),
        (b"\xff:a", "text"),
    ],
)
def test_a_wrong_credentials_file_is_told_by_its_name_and_not_its_content(tmp_path, content, reason):
    path = tmp_path / "credentials"
    if content is not None:
        path.write_bytes(content)
    from edged.capture.feeds import capture_settings

    with pytest.raises(SourceLost, match=rf"credentials: .*{reason}") as caught:
        capture_settings(CameraConfig(source="rtsp://h/door", credentials_file=path))
    assert "justaname" not in str(caught.value)


def test_the_system_lists_no_process_of_ours_when_all_is_stopped(server, credentials_file):
    with live_camera(f"rtsp://{server.address}", credentials_file=credentials_file) as (worker, _):
        assert goes(worker, "online")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    ours = f" {os.getpid()}"  # a capture process is told whose it is
    assert [line for line in listed.splitlines() if "edged.capture.child" in line and line.endswith(ours)] == []
