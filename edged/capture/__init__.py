"""Takes pictures from cameras, streams and files by URI; the only rooms that know where pictures come from.

`sources` opens one URI, `camera` keeps one camera going, `inbox` hands the newest frames over. CSI and Pi cameras, and
capture in a child process that can be killed, join here as further sources and another way to run `CameraWorker`.
"""

from edged.capture.camera import CameraState, CameraWorker
from edged.capture.inbox import FrameInbox
from edged.capture.sources import PictureSource, open_source

__all__ = ["CameraState", "CameraWorker", "FrameInbox", "PictureSource", "open_source"]
