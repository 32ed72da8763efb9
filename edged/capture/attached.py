"""Finds the cameras that are attached to this machine, each with the URI that opens it."""

import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edged.capture import gstreamer, v4l2

DEV = Path("/dev")
ANSWER_S = 5.0
"""A wedged driver may keep whoever asks it for ever."""
LASTING = ("v4l/by-id", "v4l/by-path")
"""Folders of names that stay the same: the first follows the camera, the second the socket it is plugged into."""
ARGUS_DRIVERS = ("tegra-video", "tegra-capture")
PI_DRIVERS = ("unicam", "rp1-cfe", "bcm2835-isp", "bcm2835-codec", "pispbe", "rpi-hevc-dec", "rpivid")
PICAMERA = "import json, picamera2; print(json.dumps(picamera2.Picamera2.global_camera_info(), default=str))"
MOST_MODES = 64


@dataclass(frozen=True, slots=True)
class Attached:
    """One camera. `uri` goes into the config as it is; `problem` says why the camera could not be asked."""

    uri: str
    device: str
    name: str
    modes: tuple[v4l2.Mode, ...] = ()
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def attached(dev: Path = DEV) -> list[Attached]:
    """Every camera there is, by URI: CSI cameras of a Jetson, Pi cameras, V4L2 devices by the most lasting name."""
    found, argus = [], 0
    for node in sorted(dev.glob("video*"), key=lambda node: (len(node.name), node.name)):
        try:
            device = _asked(node)
        except OSError as error:
            problem = (
                "no permission; add this user to the group `video`"
                if isinstance(error, PermissionError)
                else str(error)
            )
            found.append(Attached(_lasting_uri(node, dev), str(node), node.name, problem=problem))
            continue
        if device is None or device.driver in PI_DRIVERS:
            continue
        if device.driver in ARGUS_DRIVERS:
            lacking = None if shutil.which(gstreamer.PROGRAM) else gstreamer.MISSING
            found.append(Attached(f"csi://{argus}", str(node), device.name, device.modes[:MOST_MODES], lacking))
            argus += 1
        else:
            found.append(Attached(_lasting_uri(node, dev), str(node), device.name, device.modes[:MOST_MODES]))
    return sorted([*found, *_pi_cameras()], key=lambda camera: camera.uri)


def _asked(node: Path) -> v4l2.Device | None:
    """Ask in a thread that nobody waits for. Raise OSError when the device cannot be asked, or does not answer."""
    answers: list[v4l2.Device | OSError | None] = []

    def ask() -> None:
        try:
            answers.append(v4l2.query(node))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not answers:
        raise OSError("it does not answer; unplug it and plug it in again")
    if isinstance(answers[0], OSError):
        raise answers[0]
    return answers[0]


def _lasting_uri(node: Path, dev: Path) -> str:
    for folder in LASTING:
        for link in sorted((dev / folder).glob("*")) if (dev / folder).is_dir() else []:
            if link.resolve() == node.resolve():
                return f"v4l2://{link}"
    return f"v4l2://{node}"


def _pi_cameras() -> list[Attached]:
    """Cameras on a Raspberry Pi's ribbon, asked in a process of its own."""
    if importlib.util.find_spec("picamera2") is None:
        return []
    try:
        said = subprocess.run(
            [sys.executable, "-c", PICAMERA], capture_output=True, timeout=ANSWER_S * 2, check=True, text=True
        )
        listed = json.loads(said.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return [Attached("picamera://0", "", "Pi camera", problem="picamera2 does not answer; try `rpicam-hello`")]
    return [
        Attached(f"picamera://{camera['Num']}", str(camera.get("Id", "")), str(camera.get("Model", "Pi camera")))
        for camera in listed
        if "/usb" not in str(camera.get("Id", ""))  # those are V4L2 devices, too
    ]
