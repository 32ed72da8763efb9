"""Prints what capture costs: `PYTHONPATH=tests python -m support.measure_capture [SECONDS]`, best on an idle machine.

* Transport of 1280x720 at 30 a second: processor time of the parent and of the child, as shares of one core, less what
  the same pictures cost without a transport.
* Age of a picture when the detector takes it.
* Four cameras, one of which hangs: the rate of the others before and meanwhile.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edged.capture import CameraWorker, FrameInbox
from edged.capture.child_feed import ChildFeed
from edged.capture.child_protocol import Feed
from edged.capture.feeds import capture_settings
from edged.config import CameraConfig
from support.cameras import HERE, Weather, children, live_camera
from support.mosquitto import until
from support.synthetic_camera import FPS, Noise

TICKS = os.sysconf("SC_CLK_TCK")
PICTURE = "videotestsrc pattern=snow is-live=true ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1"


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def synthetic(config: CameraConfig) -> Feed:
    order, hide = capture_settings(config)
    return ChildFeed(order, [sys.executable, str(HERE / "synthetic_camera.py")], hide)


def transport(source: str, open_live: Callable[[CameraConfig], Feed] | None, seconds: float) -> tuple[float, float]:
    """Shares of one core that parent and child take; prints the pictures' ages."""
    inbox = FrameInbox(["door"])
    config = CameraConfig(source=source, fps=60)
    worker = CameraWorker("door", config, inbox, open_live) if open_live else CameraWorker("door", config, inbox)
    worker.start()
    assert until(lambda: worker.state().status == "online")
    (child,) = children(os.getpid())
    time.sleep(1.0)
    inbox.take(0)
    inbox.take_dropped("door")
    parent_s, child_s, began, frames = time.process_time(), cpu_s(child), time.monotonic(), worker.state().frames
    ages, end = [], began + seconds
    while time.monotonic() < end:
        frame = inbox.take(0.5)
        if frame is not None:
            ages.append((time.monotonic() - frame.time_s) * 1000)
    took = time.monotonic() - began
    parent, of_child = (time.process_time() - parent_s) / took, (cpu_s(child) - child_s) / took
    rate, lost = (worker.state().frames - frames) / took, inbox.take_dropped("door")
    worker.stop(2.0)
    middle, late = statistics.median(ages), float(np.percentile(ages, 99))
    print(f"  {rate:.1f} pictures a second, {lost} dropped; age when taken: median {middle:.1f} ms, 99 % {late:.1f} ms")
    return parent, of_child


def without_transport(seconds: float) -> float:
    """Share of one core that the synthetic camera itself takes."""
    source, place = Noise(), np.empty((720, 1280, 3), np.uint8)
    began, before = time.monotonic(), time.process_time()
    while time.monotonic() < began + seconds:
        source.grab()
        source.picture(place)
    return (time.process_time() - before) / (time.monotonic() - began)


def gstreamer_alone(seconds: float) -> float:
    """Share of one core of the same pipeline into nothing."""
    process = subprocess.Popen(["gst-launch-1.0", "-q", *PICTURE.split(), "!", "fakesink", "sync=false"])
    time.sleep(1.5)
    before, began = cpu_s(process.pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_s(process.pid) - before) / (time.monotonic() - began)
    process.terminate()
    process.wait()
    return share


def tell_shares(parent: float, child: float, alone: float) -> None:
    transport = parent + child - alone
    print(
        f"  parent {parent:.1%}, child {child:.1%}, of which the pictures {alone:.1%}: transport {transport:.1%} of one core"
    )


def others_rates(seconds: float) -> None:
    """Four cameras, one of which hangs."""
    with ExitStack() as running:
        weather = Weather(Path(running.enter_context(tempfile.TemporaryDirectory())) / "weather")
        bad, _ = running.enter_context(live_camera("rtsp://127.0.0.1:9/x", weather.open))
        good = [running.enter_context(live_camera("rtsp://127.0.0.1:9/x", synthetic))[0] for _ in range(3)]
        assert until(lambda: all(worker.state().status == "online" for worker in [bad, *good]))

        def rates() -> list[float]:
            before = [worker.state().frames for worker in good]
            time.sleep(seconds)
            return [(worker.state().frames - then) / seconds for worker, then in zip(good, before, strict=True)]

        calm = rates()
        weather.becomes("hang_deaf")
        meanwhile = rates()
    shares = [f"{now / then:.0%}" for now, then in zip(meanwhile, calm, strict=True)]
    print(f"four cameras, one hangs: the others keep {', '.join(shares)} of their {statistics.mean(calm):.1f} a second")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    print(
        f"1280x720 at {FPS:.0f} a second, {seconds:.0f} s each; load now {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    alone = without_transport(seconds)
    print("through a child and shared memory:")
    parent, child = transport("rtsp://127.0.0.1:9/x", synthetic, seconds)
    tell_shares(parent, child, alone)
    alone = gstreamer_alone(seconds)
    print("through GStreamer and a pipe, with the conversion to BGR in the parent:")
    parent, child = transport(f"gst:{PICTURE}", None, seconds)
    tell_shares(parent, child, alone)
    others_rates(seconds)


if __name__ == "__main__":
    main()
