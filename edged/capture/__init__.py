"""Takes pictures from cameras, streams and files by URI; the only room that knows where pictures come from.

`camera` keeps one camera going, `state` holds what is known of it, and `inbox` hands the newest frames over. Live cameras are
taken in capture processes: `feeds` starts the one that fits, `child_feed` and `gstreamer` are the parent's ends, `child` is
what runs in one (with `opencv` and `picamera`), and `child_protocol` and `ring` are shared by both ends. `recordings` and
`video` play recordings in the camera's own thread. `attached` and `examine` serve `edged cameras` and `edged doctor`.

Names are imported on first use: the capture process starts without the config's libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edged.capture.camera import CameraWorker
    from edged.capture.inbox import FrameInbox
    from edged.capture.recordings import PictureSource, open_source
    from edged.capture.state import CameraState

__all__ = ["CameraState", "CameraWorker", "FrameInbox", "PictureSource", "open_source"]

HOMES = {
    "CameraState": "state",
    "CameraWorker": "camera",
    "FrameInbox": "inbox",
    "PictureSource": "recordings",
    "open_source": "recordings",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
