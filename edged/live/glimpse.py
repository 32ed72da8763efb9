"""One picture of each attached camera that is not in use, faces hidden as everywhere: to tell cameras apart by sight."""

import base64
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from edged.capture.attached import Attached
from edged.capture.feeds import open_feed
from edged.config import CameraConfig
from edged.errors import EdgedError, SourceLost
from edged.live.hide import NOT_HIDDEN, hidden_jpeg, small_copy
from edged.ports import Detector
from edged.types import Image

AT_ONCE = 4
MOST = 8
LONGEST_S = 12.0
CHECK_EVERY_S = 0.25
SETTLE_S = 1.0
"""A camera's first pictures are too dark or too bright."""
FPS = 5.0


def glimpses(
    cameras: Sequence[Attached],
    in_use: Collection[str],
    load: Callable[[], Detector],
    sure: float,
    forbidden: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, Any]]:
    """By URI: a JPEG in base64 as `picture`, or as `problem` why there is none. Those `in_use`, or with a problem, are left out.

    `load` gives a detector that nobody else uses, `sure` is the score from which on what it finds may be a face. Once it is
    `forbidden` no camera is opened any more, those that are open are closed, and nothing is given.
    """
    requested = [camera.uri for camera in cameras if camera.problem is None and camera.uri not in in_use][:MOST]
    if not requested:
        return {}
    seen: dict[str, Image | str] = {}
    waiting = deque(requested)

    def take() -> None:
        while waiting and not forbidden():
            try:
                uri = waiting.popleft()
            except IndexError:
                return  # another thread has the last one
            seen[uri] = _one_picture(uri, forbidden)

    # No pool: the interpreter's exit would wait for its threads, and so the daemon's stop for cameras that give nothing.
    threads = [threading.Thread(target=take, name="glimpse", daemon=True) for _ in requested[:AT_ONCE]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if forbidden():
        return {}
    detector = load()
    found = {uri: _hidden(seen[uri], detector, sure) for uri in requested if uri in seen}
    return {} if forbidden() else found


def _one_picture(uri: str, forbidden: Callable[[], bool]) -> Image | str:
    """A picture, or why there is none."""
    try:
        feed = open_feed(CameraConfig(source=uri, fps=FPS))
    except EdgedError as error:
        return str(error)
    try:
        return _settled(feed.next, forbidden)
    except SourceLost as error:
        return str(error)
    finally:
        feed.close()


def _settled(following: Callable[[float], Any], forbidden: Callable[[], bool]) -> Image | str:
    """The newest picture once the camera has settled."""
    deadline, first_s, image = time.monotonic() + LONGEST_S, None, None
    while (now_s := time.monotonic()) < deadline and not forbidden():
        shot = following(min(deadline - now_s, CHECK_EVERY_S))
        if shot is not None and shot.image is not None:
            image, first_s = shot.image, first_s or now_s
            if now_s - first_s >= SETTLE_S:
                break
    return "opens, but gives no picture; check cable and power" if image is None else image.copy()


def _hidden(picture: Image | str, detector: Detector, sure: float) -> dict[str, Any]:
    if isinstance(picture, str):
        return {"picture": None, "problem": picture}
    image = small_copy(picture)
    try:
        data = hidden_jpeg(image, [face.box for face in detector.detect(image)], detector, sure)
    except EdgedError as error:
        return {"picture": None, "problem": f"the picture cannot be looked at for faces: {error}"}
    return {"picture": data and base64.b64encode(data).decode(), "problem": None if data else NOT_HIDDEN}
