"""V4L2 devices and network streams through OpenCV, in the capture process."""

import os
import re
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from edged.capture.child_protocol import CaptureSettings, Transport, capture_s
from edged.errors import SourceLost
from edged.rtsp_ports import USUAL_PORTS
from edged.types import Image

OPEN_TIMEOUT_MS = 8000
READ_TIMEOUT_MS = 5000
TRANSPORTS: dict[Transport, str] = {
    "auto": "rtsp_transport;tcp+udp|rtsp_flags;prefer_tcp",
    "tcp": "rtsp_transport;tcp",
    "udp": "rtsp_transport;udp",
}
"""FFmpeg's options. With both it asks for TCP first, and for UDP when the camera answers 461 to that."""
MJPEG_FROM_PIXELS = 1280 * 720
"""From this size on a USB camera is asked for MJPEG: raw pictures would not fit through the cable at full rate."""


class LiveSource(Protocol):
    """A camera, as the capture process sees it."""

    def grab(self) -> float:
        """Wait for the next picture; its monotonic time in seconds. Raise SourceLost when there is none."""

    def picture(self, into: Image | None) -> Image | None:
        """The picture just grabbed, in `into` where it fits and in memory of its own otherwise; None: cannot be decoded."""

    def close(self) -> None:
        """Release the camera."""


class CaptureDevice:
    """Implements `LiveSource` for `v4l2`, `rtsp` and `rtsps`."""

    def __init__(self, settings: CaptureSettings) -> None:
        self._name = settings.name
        self._is_device = settings.scheme == "v4l2"
        self._capture = _open_device(settings) if self._is_device else _open_stream(settings)

    def grab(self) -> float:
        if not self._capture.grab():
            raise SourceLost(f"{self._name}: gives no more pictures; check cable, power and network")
        now = time.monotonic()
        if not self._is_device:
            return now
        return capture_s(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, now)

    def picture(self, into: Image | None) -> Image | None:
        good, image = self._capture.retrieve(into)
        if not good or image is None or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            return None
        return np.asarray(image, dtype=np.uint8)

    def close(self) -> None:
        self._capture.release()


def _open_device(settings: CaptureSettings) -> cv2.VideoCapture:
    path = Path(settings.path)
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceLost(f"{path}: cannot be opened; is another program using it?")
    options = settings.options
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


def _open_stream(settings: CaptureSettings) -> cv2.VideoCapture:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = TRANSPORTS[settings.transport]  # read at each opening
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    capture = cv2.VideoCapture(settings.uri, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        if algorithms := unsupported_algorithms(settings.uri):  # the parent derives the remedy from it
            print("digest algorithms:", ", ".join(algorithms), file=sys.stderr, flush=True)
        raise SourceLost(f"{settings.name}: does not answer; check address, user, password and network")
    return capture


SUPPORTED = ("MD5", "MD5-SESS")
"""FFmpeg's; of several it takes the camera's last."""
PATIENCE_S = 2.0
MOST_BYTES = 16_384


def unsupported_algorithms(uri: str) -> list[str]:
    """The digest algorithms that the camera at `uri` offers, when FFmpeg does not support the one it would take; else none.

    No password is sent. Takes a few seconds at most. A camera that does not answer offers none.
    """
    try:
        offered = digest_algorithms(_answer(uri))
    except (OSError, ValueError):
        return []
    return offered if offered and offered[-1].upper() not in SUPPORTED else []


def digest_algorithms(answer: str) -> list[str]:
    """The algorithms of the digest challenges in an RTSP answer, in their order; one that names none is MD5."""
    challenges = re.findall(r"(?im)^www-authenticate:[ \t]*digest[ \t](.*)$", answer)
    named = [re.search(r'(?i)\balgorithm="?([\w-]{1,32})', challenge) for challenge in challenges]
    return [found[1] if found else "MD5" for found in named]


def _answer(uri: str) -> str:
    """The head of the camera's answer to a request without a password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path}{'?' if parts.query else ''}{parts.query}"
    with socket.create_connection((parts.hostname or "", parts.port or USUAL_PORTS[parts.scheme]), PATIENCE_S) as plain:
        peer = _encrypted(plain) if parts.scheme == "rtsps" else plain
        peer.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        said, deadline = b"", time.monotonic() + PATIENCE_S
        while b"\r\n\r\n" not in said and len(said) < MOST_BYTES and (part := peer.recv(4096)):
            said += part
            peer.settimeout(max(0.001, deadline - time.monotonic()))  # one that sends a letter at a time has no longer
    return said.decode(errors="replace").replace("\r", "")


def _encrypted(plain: socket.socket) -> ssl.SSLSocket:
    """Without checking the certificate, since cameras sign their own; nothing secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)
