"""Keeps one camera going: opens it, supervises it, opens it again with backoff, and reports its state.

A live camera is taken in a process of its own, which may hang and is then killed. A recording is played in this thread:
a file cannot wedge a driver, and none of its pictures may be lost.
"""

import logging
import time
from collections.abc import Callable

from edged.capture.child_protocol import Feed, Orientation, RateLimiter, Shot
from edged.capture.feeds import Absence, is_recording, open_feed
from edged.capture.inbox import FrameInbox
from edged.capture.recordings import PictureSource, open_source
from edged.capture.recovery import STEADY_S, ReopenPolicy, try_reset
from edged.capture.state import CameraState, PictureMonitor, StateKeeper
from edged.config import CameraConfig
from edged.config.source import has_password, parse_source, redact
from edged.errors import SourceLost
from edged.types import CameraStatus, Frame, Image
from edged.worker import Worker

log = logging.getLogger(__name__)

MOST_BROKEN = 25
"""Pictures in a row that cannot be decoded before the source is opened anew: a cable's crackle is no loss."""
LISTEN_S = 0.1
"""Longest wait for a picture before the thread checks whether it should stop."""
FIRST_PICTURE_S = 15.0
"""A camera that is opened has this long for its first picture: drivers, exposure and handshakes take seconds."""
PROBE_EVERY_S = 1.0
ENDED = "the recording has ended"
MOST_HUNG = 3
"""Processes that cannot be killed, in uninterruptible sleep in a driver; with so many of them no new one is started."""
REOPEN_FROZEN_EVERY_S = 600.0


class CameraWorker(Worker):
    """One capture thread. Its pictures go into the inbox; it never waits for whoever takes them, unless it plays a recording."""

    first_wait_s = 1.0
    longest_wait_s = 30.0
    """From one try to open a lost source to the next."""
    first_picture_s = FIRST_PICTURE_S

    def __init__(
        self,
        camera: str,
        config: CameraConfig,
        inbox: FrameInbox,
        open_live: Callable[[CameraConfig], Feed] = open_feed,
    ) -> None:
        super().__init__(f"camera-{camera}")
        self.camera = camera
        self.ended = False
        """True once a recording that does not loop has played to its end."""
        self.inbox = inbox
        """Where the pictures go; a reload sets another, whose owner takes them from then on."""
        self._config = config
        self._open_live = open_live
        self._keeper = StateKeeper(camera, redact(config.source), config.stall_seconds)
        self._hung: list[Feed] = []
        self._limit_fps: float | None = None
        self._extra_limit: RateLimiter | None = None
        self._last_time_s = float("-inf")
        self._frozen_again_s = float("-inf")
        self._index = 0
        self._broken = 0
        self._opened = self._path_warned = False
        self._worked_s = 0.0
        """How long the present opening has given pictures."""

    def state(self) -> CameraState:
        """The present state; a camera that is open but silent for `stall_seconds` is stalled."""
        return self._keeper.state()

    def rest(self, reason: str) -> None:
        """It is not opened while watching is paused; instead of `start`."""
        self._keeper.became("paused", reason)

    def is_stuck(self) -> bool:
        """A silent camera is its own matter: reported as stalled, and no reason to restart the daemon."""
        return False

    @property
    def rate(self) -> float:
        """How many pictures a second it hands over at most now."""
        limit = self._limit_fps
        return self._config.fps if limit is None else limit

    def limit_rate(self, fps: float | None) -> None:
        """Hand over at most so many pictures a second of a live camera from now on; None, or more than its rate, lifts that."""
        limit = None if fps is None or fps >= self._config.fps else fps
        if limit != self._limit_fps:
            self._limit_fps, self._extra_limit = limit, None if limit is None else RateLimiter(limit)

    def work(self) -> None:
        """Open, play, and open again until stopped."""
        policy = ReopenPolicy(self.first_wait_s, self.longest_wait_s)
        if is_recording(self._config):
            self._work(policy, self._play)
        else:
            self._warn()
            self._work(policy, self._watch)

    def _work(self, policy: ReopenPolicy, take: Callable[[], None]) -> None:
        while not self.stopping.is_set() and not self.ended:
            self._opened, self._worked_s = False, 0.0
            try:
                take()
            except SourceLost as error:
                policy.worked(self._worked_s)
                lost: CameraStatus = "stalled" if isinstance(error, Silent) else "reconnecting"
                self._keeper.became(lost if self._opened else "offline", _with_resets(str(error), policy.resets))
            if self.ended or self._waited(policy.next_wait_s()):
                break
            self._reset_if_due(policy)

    def _waited(self, wait_s: float) -> bool:
        """Wait for the next try, less long when the camera comes back by itself; return whether to stop."""
        deadline = time.monotonic() + wait_s
        absence = None if is_recording(self._config) or wait_s <= PROBE_EVERY_S else Absence(self._config.source)
        while (left := deadline - time.monotonic()) > 0:
            if self.stopping.wait(min(left, PROBE_EVERY_S)):
                return True
            if absence is not None and absence.is_over():
                return False
        return self.stopping.is_set()

    def _reset_if_due(self, policy: ReopenPolicy) -> None:
        if not self._config.reset or is_recording(self._config) or not policy.reset_is_due(time.monotonic()):
            return
        problem = try_reset(parse_source(self._config.source), self.stopping)
        said = f"it cannot be reset: {problem}" if problem else "it was reset, since opening it again did not help"
        log.warning("camera %s: %s", self.camera, said)

    # --- live cameras

    def _warn(self) -> None:
        """Log what will cause trouble later."""
        if has_password(self._config.source):
            log.warning("camera %s: its password stands in the config; put it in a credentials_file", self.camera)

    def _warn_of_path(self) -> None:
        """Log once, of a camera that is there, that another one may be there later."""
        uri = self._config.source
        if uri.startswith("v4l2:///dev/video") and not self._path_warned:
            log.warning("camera %s: %s may be another camera after a reboot; see `edged cameras`", self.camera, uri)
        self._path_warned = True

    def _watch(self) -> None:
        """Take pictures until stopped. Raise SourceLost when there are no more."""
        self._hung = [feed for feed in self._hung if not feed.gone()]
        if len(self._hung) >= MOST_HUNG:
            raise SourceLost(
                f"{len(self._hung)} capture processes hang in its driver and cannot be killed; restart the device"
            )
        try:
            feed = self._open_live(self._config)
        except OSError as error:  # out of descriptors or memory: other cameras, and the record, go on
            raise SourceLost(f"no capture process can be started ({error.strerror}); restart edged") from None
        try:
            self._take_from(feed)
        except OSError as error:
            raise SourceLost(f"the connection to its capture process broke ({error.strerror})") from None
        finally:
            if not feed.close():
                self._hung.append(feed)
                log.error(
                    "camera %s: its capture process hangs in the driver and cannot be killed; restart the device",
                    self.camera,
                )

    def _take_from(self, feed: Feed) -> None:
        monitor = PictureMonitor()
        last_s = first_s = time.monotonic()
        patience_s = self.first_picture_s
        while not self.stopping.is_set():
            left_s = last_s + patience_s - time.monotonic()
            if left_s <= 0:
                raise Silent(self._silence(patience_s))
            shot = feed.next(min(LISTEN_S, left_s))
            if shot is None or self._is_broken(shot):
                continue
            if shot.image is not None and not self._opened:
                self._opened, patience_s, first_s = True, self._config.stall_seconds, time.monotonic()
                self._keeper.became("online", None)
                self._warn_of_path()
            if self._opened:
                last_s = time.monotonic()
                self._worked_s = last_s - first_s
                self._keeper.seen()
            if shot.image is not None:
                self._show(shot.image, shot.time_s, monitor)

    def _silence(self, patience_s: float) -> str:
        if self._opened:
            return f"no picture for {patience_s:g} s; it is started again"
        return f"opens, but gives no picture in {patience_s:g} s; check cable and power"

    def _is_broken(self, shot: Shot) -> bool:
        if shot.broken:
            self._broken += 1
        elif shot.image is not None:  # one over the rate was not decoded
            self._broken = 0
        if self._broken >= MOST_BROKEN:
            self._broken = 0
            raise SourceLost(f"{redact(self._config.source)}: sends pictures that cannot be decoded; check the cable")
        return shot.broken

    def _show(self, image: Image, time_s: float, monitor: PictureMonitor) -> None:
        trouble = monitor.check(time_s, image)
        self._keeper.troubled(trouble)
        if trouble == "frozen" and time_s >= self._frozen_again_s:
            self._frozen_again_s = time_s + REOPEN_FROZEN_EVERY_S
            raise SourceLost("the very same picture again and again; it is started again")
        time_s = self._last_time_s = max(time_s, self._last_time_s)
        extra_limit = self._extra_limit  # another thread may lift it
        if extra_limit is None or extra_limit.due(time_s):
            self.inbox.offer(Frame(self.camera, self._index, time_s, self._cut(image)))
            self._index += 1

    # --- recordings

    def _play(self) -> None:
        """Play to the end, or until stopped. Raise SourceLost when the recording cannot be read."""
        source = open_source(self._config.source)
        self._opened = True
        if source.assumption:
            log.warning("camera %s: %s", self.camera, source.assumption)
        try:
            if self._play_to_end(source):
                self.ended = True
                self._keeper.became("offline", f"the recording has ended; {source.flaw}" if source.flaw else ENDED)
        finally:
            source.close()

    def _play_to_end(self, source: PictureSource) -> bool:
        start_s = max(time.monotonic(), self._last_time_s)  # a recording opened again may have been ahead of the clock
        limiter, orientation = RateLimiter(self._config.fps), Orientation(self._config.rotation, self._config.flip)
        while not self.stopping.is_set():
            at = source.skip()
            if at is None:
                return True
            time_s = start_s + at
            if source.live and self.stopping.wait(max(0.0, time_s - time.monotonic())):
                return False
            if self._keeper.state().status != "online":  # not before: a source that shows nothing is no use
                self._keeper.became("online", None)
            self._keeper.seen()
            self._last_time_s, self._worked_s = time_s, STEADY_S
            if limiter.due(time_s):
                self._hand_over(source, time_s, orientation)
        return False

    def _hand_over(self, source: PictureSource, time_s: float, orientation: Orientation) -> None:
        try:
            picture = source.picture()
        except SourceLost:
            self._broken += 1
            if self._broken >= MOST_BROKEN:
                self._broken = 0
                raise
            return
        self._broken = 0
        frame = Frame(self.camera, self._index, time_s, self._cut(orientation.apply(picture)))
        self._index += 1
        if source.live:
            self.inbox.offer(frame)
        else:
            while not self.inbox.offer_patiently(frame, 0.5) and not self.stopping.is_set():
                self._keeper.seen(0)

    def _cut(self, image: Image) -> Image:
        """The region to watch; a view, not a copy. Of a picture of a few pixels at least one."""
        height, width = image.shape[:2]
        left, top, right, bottom = self._config.region
        return image[_span(top, bottom, height), _span(left, right, width)]


def _span(first: float, last: float, length: int) -> slice:
    """That part of so many pixels."""
    start = min(round(first * length), length - 1)
    return slice(start, max(round(last * length), start + 1))


class Silent(SourceLost):
    """A camera that is open gives no picture."""


def _with_resets(reason: str, resets: int) -> str:
    return f"{reason} (reset {resets} times without success: check ribbon, cable and power)" if resets else reason
