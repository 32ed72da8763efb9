"""What is tried when opening a camera again does not help: the camera service is restarted, or the USB device is reset."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edged.config.source import Source

TIMEOUT_S = 20.0
POLL_S = 0.1
SERVICE = "nvargus-daemon.service"
SERVICE_EVERY_S = 300.0
"""All CSI cameras share the service: one camera's restart is the others' interruption."""
USB_RESET = (sys.executable, "-I", "-S", str(Path(__file__).with_name("usb_reset.py")))

_service_lock = threading.Lock()
_service_last_s = float("-inf")


def try_reset(source: Source, stopping: threading.Event) -> str | None:
    """Reset what this camera hangs on; return why that is not possible, or None. Takes `TIMEOUT_S` at most."""
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
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline and not stopping.wait(POLL_S):
        pass
    if process.poll() is None:
        process.kill()
        return "it takes too long"
    said = process.communicate()[0].decode(errors="replace").strip().splitlines()
    return f"{said[-1] if said else 'refused'}; {remedy}" if process.returncode else None
