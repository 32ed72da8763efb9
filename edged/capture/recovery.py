"""What is done about a camera that fails: when it is opened again or reset, how, and what a person should do about it."""

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from edged.backoff import backoff_s
from edged.config.source import Source
from edged.processes.child import ChildProcess

STEADY_S = 2.0
"""A camera that gave pictures for this long is well again: its next loss begins with the shortest wait."""
FAILURES_BEFORE_RESET = 3
RESET_EVERY_S = 600.0
MOST_RESETS = 6
"""In a row, without a picture between them; then only opening goes on, and the reason says so."""


class ReopenPolicy:
    """Counts one camera's failures: how long to wait before it is opened again, in a new process, and when to reset it too."""

    def __init__(self, first_wait_s: float, longest_wait_s: float) -> None:
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._failures = 0
        self._last_reset_s = float("-inf")
        self.resets = 0
        """Since the last time that the camera was well."""

    def worked(self, for_s: float) -> None:
        """The camera gave pictures for this long, and is lost again."""
        if for_s >= STEADY_S:
            self._failures = self.resets = 0

    def next_wait_s(self) -> float:
        """How long to wait now; longer each time."""
        self._failures += 1
        return backoff_s(self._failures, self._first_wait_s, self._longest_wait_s)

    def reset_is_due(self, now_s: float) -> bool:
        """Whether opening has failed so often that a reset should be tried now; counts it when so."""
        if (
            self._failures < FAILURES_BEFORE_RESET
            or self.resets >= MOST_RESETS
            or now_s - self._last_reset_s < RESET_EVERY_S
        ):
            return False
        self._last_reset_s = now_s
        self.resets += 1
        return True


TIMEOUT_S = 20.0
POLL_S = 0.1
SERVICE = "nvargus-daemon.service"
SERVICE_EVERY_S = 300.0
"""All CSI cameras share the service: one camera's restart is the others' interruption."""
USB_RESET_CODE = """
import fcntl, os, sys
USBDEVFS_RESET = 0x5514
try:
    fcntl.ioctl(os.open(sys.argv[1], os.O_WRONLY), USBDEVFS_RESET, 0)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
"""
USB_RESET = (sys.executable, "-I", "-S", "-c", USB_RESET_CODE)
"""Resets the USB device of this node as if it were unplugged; in a process of its own, since it may hang."""

_service_lock = threading.Lock()
_service_last_s = float("-inf")


def try_reset(source: Source, stopping: threading.Event) -> str | None:
    """Reset the device or service behind this camera; return why that is not possible, or None. Takes `TIMEOUT_S` at most."""
    if source.scheme == "csi":
        return _restart_service(stopping)
    if source.scheme != "v4l2":
        return f"there is nothing to reset for {source.scheme}"
    node = usb_node(Path(source.path))
    if node is None:
        return f"{source.path} is no USB device"
    return _run([*USB_RESET, str(node)], "give edged's user write access to it by a udev rule", stopping)


def usb_node(device: Path, sysfs: Path = Path("/sys/class/video4linux")) -> Path | None:
    """The USB device node that a camera's device node belongs to, None when it belongs to none."""
    folder = (sysfs / device.resolve().name / "device").resolve()
    for parent in (folder, *folder.parents):
        try:
            bus, number = int((parent / "busnum").read_text()), int((parent / "devnum").read_text())
        except (OSError, ValueError):
            continue
        return Path(f"/dev/bus/usb/{bus:03}/{number:03}")
    return None


def _restart_service(stopping: threading.Event) -> str | None:
    global _service_last_s
    if shutil.which("systemctl") is None:
        return "systemctl is not there"
    with _service_lock:
        if time.monotonic() - _service_last_s < SERVICE_EVERY_S:
            return None  # another camera has just done it
        _service_last_s = time.monotonic()
    command = ["systemctl", "--no-ask-password", "restart", SERVICE]
    return _run(command, f"let edged's user restart {SERVICE} by a polkit rule", stopping)


def _run(command: Sequence[str], remedy: str, stopping: threading.Event) -> str | None:
    """Why the command failed, None when it did not; killed when it takes too long or the daemon stops."""
    try:
        process = ChildProcess(command)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    deadline = time.monotonic() + TIMEOUT_S
    while not process.has_ended() and time.monotonic() < deadline and not stopping.wait(POLL_S):
        process.listen()
    in_time = process.has_ended()
    process.end(0.0)
    if not in_time:
        return f"it takes longer than {TIMEOUT_S:g} s"
    said = process.said
    return f"{said[-1] if said else 'refused'}; {remedy}" if process.exit_code else None


GSTREAMER = (
    (r'no element "?(nv\w+)', r"GStreamer has no {0}: this is no Jetson, or `apt install nvidia-l4t-gstreamer` is needed"),
    (r'no element "?(\w+)', r"GStreamer has no {0}; `gst-inspect-1.0 {0}` and `apt search gstreamer1.0-plugins`"),
    (r"No cameras available", "no CSI camera is found; switch the board off and push the ribbon in again, contacts to the board"),
    (r"(?i)invalid camera device specified", "there is no CSI camera of this number; `edged cameras` lists what is attached"),
    (r"(?i)failed to create capturesession", "the camera service opens no session: another program uses the camera, or "
     "`systemctl restart nvargus-daemon` is needed"),
    (r"(?i)cannot connect to|argus.*socket|nvargus-daemon", "the camera service does not answer; "
     "`systemctl restart nvargus-daemon`"),
    (r"(?i)device or resource busy|is busy", "the camera is in use by another program"),
    (r"(?i)permission denied", "no permission; add edged's user to the group `video`"),
    (r"(?i)not.negotiated|could not link|can.t handle caps", "the camera gives no such size or rate; `edged cameras` lists them"),
    (r"(?i)erroneous pipeline|syntax error", "the pipeline is not one that GStreamer understands; try it with gst-launch-1.0"),
    (r"(?i)no such file|cannot identify device|could not open", "no such camera; `edged cameras` lists what is attached"),
)  # fmt: skip
STREAM = (
    (r"digest algorithms: (.+)", "asks for a digest algorithm that edged does not support (it offers {0}); allow only MD5, or "
     "basic, in the camera's settings"),
    (r"401 ", "wrong user or password; see credentials_file"),
    (r"403 ", "this user may not see the stream"),
    (r"404 |45[14] ", "no such stream at this address; check the part after the host"),
    (r"Connection refused", "nothing listens at this address and port; check both, and that RTSP is on"),
    (r"(?i)no route to host|network is unreachable|timed out", "the address does not answer; check power, cable and network"),
    (r"(?i)failed to resolve hostname", "this name is not known in the network; use the camera's address"),
    (r"(?i)invalid data found|could not find codec", "sends no video that can be decoded; set the camera to H.264"),
)  # fmt: skip

REFUSED = r"method SETUP failed: 461 "
STREAM_TRANSPORT = {
    "auto": (
        (
            rf"{REFUSED}[\s\S]*{REFUSED}",
            "the camera gives its pictures neither over TCP nor over UDP; see its settings",
        ),
    ),
    "tcp": ((REFUSED, 'the camera refuses TCP; set transport = "auto" or "udp"'),),
    "udp": ((REFUSED, 'the camera refuses UDP; set transport = "auto" or "tcp"'),),
}
"""By what was asked for, after those of `STREAM`: with "auto" one refusal is followed by the other way, and means nothing."""

Remedies = tuple[tuple[str, str], ...]


def advice(remedies: Remedies, said: Iterable[str]) -> str | None:
    """The remedy of the first pattern that is found in what was said."""
    text = "\n".join(said)
    for pattern, remedy in remedies:
        found = re.search(pattern, text)
        if found:
            return remedy.format(*found.groups())
    return None
