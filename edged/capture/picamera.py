"""A Raspberry Pi camera through picamera2, in the capture process. Calls as of picamera2 0.3.38.

The main stream is asked for in the size that analysis uses, straight from the image processor: a second, smaller stream
would only be one more buffer to move.
"""

import importlib
import time
from typing import Any

import cv2
import numpy as np

from edged.capture.child_protocol import USUAL_FPS, CaptureSettings, capture_s
from edged.errors import SourceLost
from edged.types import Image

BUFFERS = 4
MISSING = (
    "picamera2 is not installed for this Python; `apt install python3-picamera2`, and make the environment with "
    "`--system-site-packages`"
)

OTHER_NUMPY = (
    "picamera2 cannot be loaded beside edged's NumPy ({error}); Debian's simplejpeg is built for an older one: install a newer "
    "one beside edged, `/opt/edged/bin/pip install 'simplejpeg>=1.8.1'`"
)


class PiCamera:
    """Implements `edged.capture.opencv.LiveSource` for `picamera`."""

    def __init__(self, settings: CaptureSettings) -> None:
        """Open, configure and start. Raise SourceLost, naming the remedy."""
        self._name = settings.name
        self._request: Any = None
        picamera2 = _library(settings.name)
        number = int(settings.path)
        attached = picamera2.Picamera2.global_camera_info()
        if number >= len(attached):
            raise SourceLost(
                f"{settings.name}: {len(attached)} Pi cameras are attached; check the ribbon cable, and try "
                "`rpicam-hello --list-cameras`"
            )
        try:
            self._camera = picamera2.Picamera2(number)
            self._start(settings)
        except (RuntimeError, IndexError) as error:
            raise SourceLost(f"{settings.name}: cannot be opened ({error}); is another program using it?") from None

    def grab(self) -> float:
        self._let_go()
        self._request = self._camera.capture_request()
        if self._request is None:
            raise SourceLost(f"{self._name}: gives no more pictures; check the ribbon")
        now = time.monotonic()
        return capture_s((self._request.get_metadata() or {}).get("SensorTimestamp", 0) / 1e9, now)

    def picture(self, into: Image | None) -> Image | None:
        width, height = self._size
        with self._mapped(self._request, "main", write=False) as mapped:
            planes = mapped.array  # height * 3/2 rows of `stride` bytes: Y, then U, then V
            if planes is None or planes.ndim != 2 or planes.shape[0] * 2 != height * 3:
                return None
            fits = planes.shape[1] == width
            whole = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=into if fits else None)
        return np.asarray(whole if fits else whole[:, :width], dtype=np.uint8)

    def close(self) -> None:
        self._let_go()
        self._camera.stop()
        self._camera.close()

    def _start(self, settings: CaptureSettings) -> None:
        picamera2 = _library(settings.name)
        self._mapped = picamera2.MappedArray
        microseconds = round(1e6 / settings.options.get("fps", USUAL_FPS))
        controls: dict[str, Any] = {"FrameDurationLimits": (microseconds, microseconds)}
        if "exposure" in settings.options:
            controls |= {"AeEnable": False, "ExposureTime": settings.options["exposure"]}
        configuration = self._camera.create_video_configuration(
            main={"size": settings.size, "format": "YUV420"}, buffer_count=BUFFERS, controls=controls
        )
        self._camera.configure(configuration)
        self._size: tuple[int, int] = tuple(self._camera.camera_configuration()["main"]["size"])
        self._camera.start()

    def _let_go(self) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None


def _library(name: str) -> Any:
    try:
        return importlib.import_module("picamera2")
    except ImportError:
        raise SourceLost(f"{name}: {MISSING}") from None
    except ValueError as error:  # "numpy.dtype size changed": a compiled part of it was made for another NumPy
        raise SourceLost(f"{name}: {OTHER_NUMPY.format(error=error)}") from None
