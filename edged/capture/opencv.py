"""V4L2 devices and network streams through OpenCV, in the capture process."""

import os
import sys
import time
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edged.capture.challenge import unspoken_algorithms
from edged.capture.opencv_settings import CV2_IS_SET
from edged.capture.order import Order, Transport
from edged.errors import SourceLost
from edged.types import Image

assert CV2_IS_SET  # noqa: S101  the import sets what OpenCV reads once

OPEN_TIMEOUT_MS = 8000
READ_TIMEOUT_MS = 5000
TRANSPORTS: dict[Transport, str] = {
    "auto": "rtsp_transport;tcp+udp|rtsp_flags;prefer_tcp",
    "tcp": "rtsp_transport;tcp",
    "udp": "rtsp_transport;udp",
}
"""FFmpeg's options. With both it asks for TCP first, and for UDP when the camera answers 461 to that."""
MOST_LATE_S = 1.0
MJPEG_FROM_PIXELS = 1280 * 720
"""From this size on a USB camera is asked for MJPEG: raw pictures would not fit through the cable at full rate."""


class LiveSource(Protocol):
    """A camera, as the capture process sees it."""

    def grab(self) -> float:
        """Wait for the next picture; its monotonic time in seconds. Raise SourceLost when there is none."""

    def picture(self, into: Image | None) -> Image | None:
        """The picture just grabbed, in `into` where it fits and in a place of its own otherwise; None: cannot be decoded."""

    def close(self) -> None:
        """Let the camera go."""


class CaptureDevice:
    """Implements `LiveSource` for `v4l2`, `rtsp` and `rtsps`."""

    def __init__(self, order: Order) -> None:
        self._name = order.name
        self._is_device = order.scheme == "v4l2"
        self._capture = _open_device(order) if self._is_device else _open_stream(order)

    def grab(self) -> float:
        if not self._capture.grab():
            raise SourceLost(f"{self._name}: gives no more pictures; check cable, power and network")
        now = time.monotonic()
        if not self._is_device:
            return now
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # the driver's own, for most cameras monotonic too
        return stamp if now - MOST_LATE_S <= stamp <= now else now

    def picture(self, into: Image | None) -> Image | None:
        good, image = self._capture.retrieve(into)
        if not good or image is None or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            return None
        return np.asarray(image, dtype=np.uint8)

    def close(self) -> None:
        self._capture.release()


def _open_device(order: Order) -> cv2.VideoCapture:
    path = Path(order.path)
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceLost(f"{path}: cannot be opened; is another program using it?")
    options = order.options
    large = options.get("width", 0) * options.get("height", 0) >= MJPEG_FROM_PIXELS
    if options.get("mjpeg", large):
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    elif "mjpeg" in options:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"YUYV"))
    for key, name in (
        ("width", cv2.CAP_PROP_FRAME_WIDTH),
        ("height", cv2.CAP_PROP_FRAME_HEIGHT),
        ("fps", cv2.CAP_PROP_FPS),
    ):
        if key in options:
            capture.set(name, options[key])
    if "exposure" in options:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, 1)  # V4L2_EXPOSURE_MANUAL
        capture.set(cv2.CAP_PROP_EXPOSURE, options["exposure"] / 100)  # V4L2 counts in 100 microseconds
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
    return capture


def _open_stream(order: Order) -> cv2.VideoCapture:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = TRANSPORTS[order.transport]  # read at each opening
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    capture = cv2.VideoCapture(order.uri, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        if algorithms := unspoken_algorithms(order.uri):  # the parent makes a remedy of it
            print("digest algorithms:", ", ".join(algorithms), file=sys.stderr, flush=True)
        raise SourceLost(f"{order.name}: does not answer; check address, user, password and network")
    return capture
