"""CSI cameras and pipelines of one's own: a GStreamer process writes YUV4MPEG2 into a pipe, and `PipeFeed` reads the pictures.

GStreamer's own program serves: OpenCV from the package index has no GStreamer in it. Element and property names are those
of GStreamer 1.16 to 1.26 and of JetPack's nvarguscamerasrc and nvvidconv.
"""

import fcntl
import math
import os
import re
import select
import shlex
import signal
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edged.capture.child_protocol import USUAL_FPS, CaptureSettings, Orientation, RateLimiter, Shot
from edged.capture.recovery import GSTREAMER, advice
from edged.capture.ring import MOST_LENT, SLOTS, BufferPool, ring_fits
from edged.config.source import SIZE_STEP
from edged.errors import SourceLost
from edged.processes.child import ChildProcess, die_with_us
from edged.types import Image

PROGRAM = "gst-launch-1.0"
MISSING = (
    "gst-launch-1.0 is not installed; "
    "`apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good`"
)
RAW = f"video/x-raw,format=I420,width=[{SIZE_STEP},16384,{SIZE_STEP}],height=[2,16384,2]"
"""Planes without padding: rows are a multiple of eight pixels."""


def camera_elements(settings: CaptureSettings) -> str:
    """The elements of a CSI camera up to I420 in main memory; the picture stays in the graphics memory until then."""
    width, height = settings.size
    fps = settings.options.get("fps", USUAL_FPS)
    exposure = ""
    if "exposure" in settings.options:
        nanoseconds = settings.options["exposure"] * 1000
        exposure = f' exposuretimerange="{nanoseconds} {nanoseconds}"'
    return (
        f"nvarguscamerasrc sensor-id={settings.path}{exposure} "
        f"! video/x-raw(memory:NVMM),format=NV12,width={width},height={height},framerate={fps}/1 "
        f"! {_rate(settings)} ! nvvidconv ! video/x-raw,format=I420,width={width},height={height}"
    )


def pipeline_elements(settings: CaptureSettings) -> str:
    """The elements of a pipeline of one's own, up to I420 in main memory at its own size."""
    return f"{settings.path} ! {_rate(settings)} ! videoconvert ! videoscale add-borders=false ! {RAW}"


def command(elements: str, descriptor: int) -> list[str]:
    """The command that runs `elements` and writes YUV4MPEG2 to `descriptor`; the newest picture wins in it, too.

    stdout stays free for the messages of nvarguscamerasrc.
    """
    sink = (
        "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 "
        f"! y4menc ! fdsink fd={descriptor} sync=false"  # after the queue: the header must not be dropped
    )
    return [PROGRAM, "-q", *shlex.split(f"{elements} ! {sink}")]


def _rate(settings: CaptureSettings) -> str:
    """Pictures over the rate are dropped before they cost a conversion."""
    return f"videorate drop-only=true max-rate={math.ceil(settings.fps)}"


PIPE_BYTES = 1 << 20
"""As much as Linux gives to everybody: two reads for a picture of 1280x720 instead of twenty."""
MOST_BYTES_OF_A_HEADER = 256
GRACE_S = 0.5
"""A CSI camera's service expects its sessions to be closed; after this it is killed all the same."""
STREAM_MAGIC, PICTURE_MAGIC = b"YUV4MPEG2 ", b"FRAME"
SHORTEST_HEADER = b"FRAME\n"


class PipeFeed:
    """Implements `edged.capture.child_protocol.Feed` with a program that writes I420 pictures of YUV4MPEG2 to a descriptor."""

    def __init__(
        self,
        settings: CaptureSettings,
        command: Callable[[int], Sequence[str]],
        hide: Callable[[str], str] = str,
    ) -> None:
        """Start `command(descriptor)`. Raise SourceLost when it cannot be started."""
        self._settings = settings
        self._orientation = Orientation(settings.rotation, settings.flip)
        self._limiter = RateLimiter(settings.fps)
        self._header = bytearray()
        self._size = (0, 0)
        self._planes = np.empty(0, np.uint8)
        self._filled = 0
        self._in_picture = False
        self._time_s = 0.0
        self._pool: BufferPool | None = None
        self._scratch: Image | None = None
        self._ended: bool | None = None
        self._pipe, theirs = os.pipe()
        try:
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(self._pipe, False)
            self._process = ChildProcess(die_with_us(command(theirs)), [theirs], hide, signal.SIGINT)
        except OSError as error:
            os.close(self._pipe)
            raise SourceLost(
                f"{settings.name}: no capture process can be started ({error.strerror}); free memory, or restart edged"
            ) from None
        finally:
            os.close(theirs)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._poll.register(self._process, select.POLLIN)

    def next(self, timeout_s: float) -> Shot | None:
        deadline = time.monotonic() + timeout_s
        while True:
            if self._advance():
                return self._take()
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                return None
            if any(descriptor == self._process.fileno() for descriptor, _ in ready) and not self._process.listen():
                self._poll.unregister(self._process)

    def close(self) -> bool:
        if self._ended is None:
            os.close(self._pipe)
            self._pool = None  # the memory goes with the last picture of it
            self._ended = self._process.end(GRACE_S)
        return self._ended

    def gone(self) -> bool:
        return self._process.has_ended()

    def _advance(self) -> bool:
        """Read what there is, up to the end of the next picture; whether it is whole."""
        while True:
            if not self._in_picture:
                if not self._read_header():
                    return False
                continue
            got = self._read_into(self._planes.data[self._filled :])
            if got is None:
                return False
            self._filled += got
            if self._filled == self._planes.size:
                self._in_picture = False
                return True

    def _read_header(self) -> bool:
        """Read one line: of the stream, or of the next picture. False while it is not all there."""
        while not self._header.endswith(b"\n"):
            some = bytearray(max(1, len(SHORTEST_HEADER) - len(self._header)))
            got = self._read_into(memoryview(some))
            if got is None:
                return False
            if not self._header:
                self._time_s = time.monotonic()
            self._header += some[:got]
            if len(self._header) > MOST_BYTES_OF_A_HEADER:
                raise self._invalid()
        line = bytes(self._header[:-1])
        self._header.clear()
        if line.startswith(STREAM_MAGIC):
            self._begin_stream(line)
        elif line.startswith(PICTURE_MAGIC) and self._planes.size:
            self._in_picture, self._filled = True, 0
        else:
            raise self._invalid()
        return True

    def _read_into(self, buffer: memoryview) -> int | None:
        """How many bytes were read, None when there are none now. Raise SourceLost at the end."""
        try:
            got = os.readv(self._pipe, [buffer])
        except BlockingIOError:
            return None
        if got == 0:
            self._process.has_ended()
            self._process.listen()
            said = self._process.said[-1] if self._process.said else "without a word"
            remedy = advice(GSTREAMER, self._process.said) or f"the camera process has ended ({said})"
            raise SourceLost(f"{self._settings.name}: {remedy}")
        return got

    def _begin_stream(self, line: bytes) -> None:
        """Take up the size of the pictures to come."""
        tags = {word[:1]: word[1:] for word in line.split()[1:]}
        sides = [tags.get(b"W", b""), tags.get(b"H", b"")]
        if not all(re.fullmatch(rb"\d{1,5}", side) for side in sides) or not tags.get(b"C", b"420").startswith(b"420"):
            raise self._invalid()
        width, height = int(sides[0]), int(sides[1])
        if not ring_fits(width, height) or width % 2 or height % 2:
            raise SourceLost(
                f"{self._settings.name}: gives pictures of {width}x{height}, which cannot be taken; set width and height"
            )
        self._size = (width, height)
        self._planes = np.empty(width * height * 3 // 2, np.uint8)
        self._pool = BufferPool.private(width * height * 3, SLOTS)

    def _take(self) -> Shot:
        """Convert the picture just read, when it falls due."""
        if not self._limiter.due(self._time_s) or self._pool is None:
            return Shot(self._time_s, None)
        width, height = self._size
        planes = self._planes.reshape(height * 3 // 2, width)
        shape = self._orientation.shape(height, width)
        slot = self._pool.free()
        if slot is None or len(self._pool.lent) > MOST_LENT:
            slot, buffer = None, np.empty((*shape, 3), np.uint8)
        else:
            buffer = self._pool.view(slot, *shape)
        if self._orientation.changes:
            self._scratch = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=self._scratch), dtype=np.uint8)
            self._orientation.apply(self._scratch, buffer)
        else:
            cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=buffer)
        return Shot(self._time_s, buffer if slot is None else self._pool.lend(slot, *shape))

    def _invalid(self) -> SourceLost:
        return SourceLost(
            f"{self._settings.name}: sent data that is not YUV4MPEG2; check the pipeline, or restart the camera"
        )
