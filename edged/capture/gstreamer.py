"""CSI cameras and pipelines of one's own through GStreamer, as a process that writes YUV4MPEG2 into a pipe.

GStreamer's own program serves: OpenCV from the package index has no GStreamer in it. Element and property names are those
of GStreamer 1.16 to 1.26 and of JetPack's nvarguscamerasrc and nvvidconv.
"""

import math
import shlex

from edged.capture.order import USUAL_FPS, Order
from edged.config.source import SIZE_STEP

PROGRAM = "gst-launch-1.0"
MISSING = (
    "gst-launch-1.0 is not installed; "
    "`apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good`"
)
RAW = f"video/x-raw,format=I420,width=[{SIZE_STEP},16384,{SIZE_STEP}],height=[2,16384,2]"
"""Planes without padding: rows are a multiple of eight pixels."""


def camera_elements(order: Order) -> str:
    """The elements of a CSI camera up to I420 in main memory; the picture stays in the graphics memory until then."""
    width, height = order.size
    fps = order.options.get("fps", USUAL_FPS)
    exposure = ""
    if "exposure" in order.options:
        nanoseconds = order.options["exposure"] * 1000
        exposure = f' exposuretimerange="{nanoseconds} {nanoseconds}"'
    return (
        f"nvarguscamerasrc sensor-id={order.path}{exposure} "
        f"! video/x-raw(memory:NVMM),format=NV12,width={width},height={height},framerate={fps}/1 "
        f"! {_rate(order)} ! nvvidconv ! video/x-raw,format=I420,width={width},height={height}"
    )


def pipeline_elements(order: Order) -> str:
    """The elements of a pipeline of one's own, up to I420 in main memory at its own size."""
    return f"{order.path} ! {_rate(order)} ! videoconvert ! videoscale add-borders=false ! {RAW}"


def command(elements: str, descriptor: int) -> list[str]:
    """The command that runs `elements` and writes YUV4MPEG2 to `descriptor`; the newest picture wins in it, too.

    stdout stays free for what nvarguscamerasrc has to say.
    """
    sink = (
        "y4menc ! queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 "
        f"! fdsink fd={descriptor} sync=false"
    )
    return [PROGRAM, "-q", *shlex.split(f"{elements} ! {sink}")]


def _rate(order: Order) -> str:
    """Pictures that nobody wants are dropped before they cost a conversion."""
    return f"videorate drop-only=true max-rate={math.ceil(order.fps)}"
