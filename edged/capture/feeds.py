"""Opens a live camera in the capture process of its kind, and detects that a lost one is back."""

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from edged.capture import gstreamer
from edged.capture.child_feed import ChildFeed
from edged.capture.child_protocol import CaptureSettings, Feed
from edged.capture.gstreamer import PipeFeed
from edged.config import CameraConfig
from edged.config.source import STREAMS, parse_source, redact, with_credentials
from edged.errors import SourceLost
from edged.files import open_regular
from edged.rtsp_ports import USUAL_PORTS

RECORDINGS = ("file", "images")
PROBE_TIMEOUT_S = 0.5
MOST_BYTES_OF_CREDENTIALS = 1000


def is_recording(config: CameraConfig) -> bool:
    """Whether pictures are of a recording's time line, as against of this very moment."""
    return parse_source(config.source).scheme in RECORDINGS


def open_feed(config: CameraConfig) -> Feed:
    """Start the process of a live camera. Raise SourceLost, naming the remedy, when it is known that it cannot be opened."""
    settings, hide = capture_settings(config)
    if settings.scheme == "v4l2":
        _check_device(Path(settings.path))
    if settings.scheme in ("csi", "gst"):
        if shutil.which(gstreamer.PROGRAM) is None:
            raise SourceLost(f"{settings.name}: {gstreamer.MISSING}")
        build = gstreamer.camera_elements if settings.scheme == "csi" else gstreamer.pipeline_elements
        elements = build(settings)
        return PipeFeed(settings, lambda descriptor: gstreamer.command(elements, descriptor), hide)
    return ChildFeed(settings, hide=hide)


def capture_settings(config: CameraConfig) -> tuple[CaptureSettings, Callable[[str], str]]:
    """The settings of the capture process, and a function that removes this camera's password from a text.

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

    settings = CaptureSettings(
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
    return settings, hide


class Absence:
    """A camera that could not be opened: detects its return before the wait is over."""

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
            return True  # it cannot be known: wait
        try:
            socket.create_connection(self._address, PROBE_TIMEOUT_S).close()
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
        raise SourceLost(
            f"{path}: the camera's credentials cannot be read ({reason}); camera.<id>.credentials_file must be a"
            " text file that edged's user may read"
        ) from None
    if ":" not in line or "\n" in line:
        raise SourceLost(f"{path}: must hold one line, user:password")
    return line
