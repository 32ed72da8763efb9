"""Live cameras for tests: a scripted capture process, GStreamer's test picture, a real RTSP server; and their traces."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pytest

from edged.capture import CameraWorker, FrameInbox
from edged.capture.child_feed import ChildFeed
from edged.capture.child_protocol import Feed
from edged.capture.feeds import capture_settings
from edged.config import CameraConfig
from support.mosquitto import PATIENCE_S, free_port, until

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
PATIENT_S = 20
"""So long a busy machine may keep a camera of a test from giving pictures."""
PLAY = "play 64x48"
TEST_PICTURE = "gst:videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1"

needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None,
    reason="GStreamer is not installed: apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
)


def rtsp_server_is_there() -> bool:
    look = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", look], capture_output=True).returncode == 0
    except OSError:
        return False


needs_rtsp_server = pytest.mark.skipif(
    not rtsp_server_is_there(),
    reason="no RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly",
)


class QuickLiveCamera(CameraWorker):
    """Tries again after a moment instead of a second."""

    first_wait_s = 0.02
    longest_wait_s = 0.1
    first_picture_s = PATIENCE_S


class Weather:
    """What a scripted camera does from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.becomes(PLAY)

    def becomes(self, word: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(word)
        new.replace(self.path)

    def open(self, config: CameraConfig) -> Feed:
        order, hide = capture_settings(config)
        return ChildFeed(order, [sys.executable, str(HERE / "scripted_camera.py"), str(self.path)], hide)


@contextmanager
def live_camera(
    source: str,
    open_live: Callable[[CameraConfig], Feed] | None = None,
    kind: type[CameraWorker] = QuickLiveCamera,
    **settings: object,
) -> Iterator[tuple[CameraWorker, FrameInbox]]:
    """A running live camera called door, and its inbox; it must stop, whatever its camera does."""
    inbox = FrameInbox(["door"])
    config = CameraConfig(source=source, **{"stall_seconds": PATIENT_S, "fps": 60, **settings})
    worker = kind("door", config, inbox, open_live) if open_live else kind("door", config, inbox)
    worker.start()
    try:
        yield worker, inbox
    finally:
        assert worker.stop(PATIENCE_S)
        assert worker.failure is None


SHARED_MEMORY = ("psm_", "sem.", "shm")
"""As Python and GStreamer name theirs; what other programs keep in /dev/shm is not ours."""


class Traces(NamedTuple):
    """What grows when something is not tidied away."""

    processes: int
    descriptors: int
    shared_memory: int

    @classmethod
    def now(cls) -> "Traces":
        return cls(
            len(children(os.getpid())),
            len(list(Path("/proc/self/fd").iterdir())),
            sum(path.name.startswith(SHARED_MEMORY) for path in Path("/dev/shm").glob("*")),
        )

    def exceeds(self, before: "Traces") -> bool:
        """Whether any has grown. What other tests have left may go meanwhile, and says nothing."""
        return any(now > then for now, then in zip(self, before, strict=True))


def children(pid: int) -> list[int]:
    """The processes started by `pid` that are alive, zombies too."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


class RtspServer:
    """A network camera on this machine: `start`, `kill`, `start` again on the same port."""

    def __init__(self, credentials: str | None = None, pictures: Path | None = None) -> None:
        """`pictures`: a folder of JPEG files named 0000.jpg and so on, to show instead of GStreamer's test picture."""
        self.port = free_port()
        self._options = ["--credentials", credentials] if credentials else []
        self._options += ["--pictures", str(pictures)] if pictures else []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}/door"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(HERE / "rtsp_server.py"), str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def goes(worker: CameraWorker, status: str, timeout_s: float = PATIENCE_S) -> bool:
    """Wait until the camera has a status."""
    return until(lambda: worker.state().status == status, timeout_s)
