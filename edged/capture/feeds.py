"""Opens the live camera of a config in the process that fits its kind, and says when a lost one may be back."""

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from edged.capture import gstreamer
from edged.capture.child_feed import ChildFeed
from edged.capture.feed import Feed
from edged.capture.order import Order
from edged.capture.pipe_feed import PipeFeed
from edged.config import CameraConfig
from edged.config.source import STREAMS, parse_source, redact, with_credentials
from edged.errors import SourceLost
from edged.files import open_regular
from edged.streams import USUAL_PORTS

RECORDINGS = ("file", "images")
KNOCK_TIMEOUT_S = 0.5
MOST_BYTES_OF_CREDENTIALS = 1000


def is_recording(config: CameraConfig) -> bool:
    """Whether pictures are of a recording's time line, as against of this very moment."""
    return parse_source(config.source).scheme in RECORDINGS


def open_feed(config: CameraConfig) -> Feed:
    """Start the process of a live camera. Raise SourceLost, naming the remedy, when that is known to be in vain."""
    order, hide = order_of(config)
    if order.scheme == "v4l2":
        _check_device(Path(order.path))
    if order.scheme in ("csi", "gst"):
        if shutil.which(gstreamer.PROGRAM) is None:
            raise SourceLost(f"{order.name}: {gstreamer.MISSING}")
        build = gstreamer.camera_elements if order.scheme == "csi" else gstreamer.pipeline_elements
        elements = build(order)
        return PipeFeed(order, lambda descriptor: gstreamer.command(elements, descriptor), hide)
    return ChildFeed(order, hide=hide)


def order_of(config: CameraConfig) -> tuple[Order, Callable[[str], str]]:
    """What the capture process is told, and what takes this camera's password out of a text.

    Raise SourceLost when the credentials cannot be read.
    """
    source = parse_source(config.source)
    uri, secret = source.uri, ""
    if config.credentials_file is not None:
        secret = _credentials(config.credentials_file)
        uri = with_credentials(uri, secret)
    password = secret.partition(":")[2]

    def hide(text: str) -> str:
        return redact(text.replace(password, "***") if password else text)

    order = Order(
        name="the pipeline" if source.scheme == "gst" else redact(config.source),
        uri=uri,
        scheme=source.scheme,
        path=source.path,
        fps=config.fps,
        options=source.options,
        rotation=config.rotation,
        flip=config.flip,
        transport=config.transport,
    )
    return order, hide


class Absence:
    """A camera that could not be opened: knows whether it is worth trying again before the wait is over."""

    def __init__(self, uri: str) -> None:
        """Note whether the camera is to be seen now; only its coming back counts."""
        source = parse_source(uri)
        self._device = Path(source.path) if source.scheme == "v4l2" else None
        self._address = _numeric_address(uri) if source.scheme in STREAMS else None
        self._was_there = self._is_there()

    def is_over(self) -> bool:
        """Whether the device, or the stream's host, was away and is there again; takes half a second at most."""
        there = self._is_there()
        returned = there and not self._was_there
        self._was_there = there
        return returned

    def _is_there(self) -> bool:
        if self._device is not None:
            return self._device.exists()
        if self._address is None:
            return True  # nothing tells: wait
        try:
            socket.create_connection(self._address, KNOCK_TIMEOUT_S).close()
        except OSError:
            return False
        return True


def _numeric_address(uri: str) -> tuple[str, int] | None:
    """Host and port of a stream, None where asking for the host's name might take long."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or USUAL_PORTS[parts.scheme]
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return host, port


def _check_device(path: Path) -> None:
    """Raise SourceLost, naming the remedy, when a device cannot even be opened."""
    if not path.exists():
        raise SourceLost(f"{path}: no such camera; `edged cameras` lists what is attached")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceLost(f"{path}: no permission; add edged's user to the group `video`")


def _credentials(path: Path) -> str:
    """The line `user:password` of a file. Raise SourceLost when there is none."""
    try:
        with open_regular(path) as file:
            # An editor's byte order mark is not part of the user's name.
            line = file.read(MOST_BYTES_OF_CREDENTIALS).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SourceLost(f"{path}: the camera's credentials cannot be read ({reason})") from None
    if ":" not in line or "\n" in line:
        raise SourceLost(f"{path}: must hold one line, user:password")
    return line
