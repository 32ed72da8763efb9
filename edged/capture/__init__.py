"""Takes pictures from cameras, streams and files by URI; the only rooms that know where pictures come from.

`camera` keeps one camera going and `inbox` hands the newest frames over. Live cameras are taken in processes of their own:
`feeds` starts the one that fits, `child_feed` and `pipe_feed` are the parent's ends, `child` is what runs in it (with
`opencv` and `picamera`), `gstreamer` says what GStreamer is to run. `sources` plays recordings in the camera's own thread.

Names are imported when they are asked for: the capture process starts without the config's libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edged.capture.camera import CameraWorker
    from edged.capture.inbox import FrameInbox
    from edged.capture.sources import PictureSource, open_source
    from edged.capture.state import CameraState

__all__ = ["CameraState", "CameraWorker", "FrameInbox", "PictureSource", "open_source"]

HOMES = {
    "CameraState": "state",
    "CameraWorker": "camera",
    "FrameInbox": "inbox",
    "PictureSource": "sources",
    "open_source": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
