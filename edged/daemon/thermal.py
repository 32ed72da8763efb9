"""The thread that reads how hot the board is, and slows the cameras down before the board slows itself."""

import logging
from collections.abc import Callable, Mapping

from edged.capture import CameraWorker
from edged.config import CameraConfig, Config
from edged.ports import Clock
from edged.thermal import LAST_SHARE, Heat, SlowDown, read_heat
from edged.worker import Worker

log = logging.getLogger(__name__)

READ_EVERY_S = 5.0

Watched = Callable[[], tuple[Config, Mapping[str, CameraWorker]]]


class Cooling(Worker):
    """Reads the heat every few seconds; a reading may take two."""

    def __init__(self, clock: Clock, watched: Watched, read: Callable[[], Heat] = read_heat) -> None:
        """`watched()` gives the cameras of this moment, and their config."""
        super().__init__("cooling")
        self.heat = Heat(None)
        self.share = 1.0
        """Of the cameras' usual rates, at which they work now."""
        self._clock = clock
        self._watched = watched
        self._read = read
        self._slow_down = SlowDown()
        self._blind: list[str] = []
        """What cannot be told at the present rates, in words."""

    def work(self) -> None:
        while not self.stopping.wait(READ_EVERY_S):
            self.beat()
            self.look()

    def look(self) -> None:
        """Read the heat once, and set the cameras' rates by it."""
        self.heat = heat = self._read()
        share = self._slow_down.after(self._clock.monotonic_s(), heat)
        if share != self.share:
            log.warning(
                "the board has %s degrees: cameras run at %.0f %% of their rate", heat.temperature_c, 100 * share
            )
            self.share = share
        config, cameras = self._watched()
        blind = []
        for camera, worker in cameras.items():
            if camera in config.camera:  # a reload replaces the one a moment before the other
                settings = config.camera[camera]
                fps = slowed(settings, share)
                worker.limit_rate(fps if share < 1 else None)
                blind += [f"{name} of camera {camera}" for name in settings.wants.untold_at(fps)]
        self._blind = blind

    def problems(self) -> list[str]:
        """What the board suffers from now, one line each, the remedy in it."""
        found = []
        if self.share < 1 or self.heat.throttled:
            found.append(
                f"the board is hot ({self.heat.temperature_c or '?'} degrees): cameras run at {self.share:.0%} of their rate; "
                "give it air, a heat sink or a fan"
            )
        if self._blind:
            found.append(
                f"too hot to tell {', '.join(self._blind)}: too few pictures a second until the board has cooled"
            )
        if self.heat.under_voltage:
            found.append("the board gets too little power; use its own power supply and a short cable")
        return found


def slowed(camera: CameraConfig, share: float) -> float:
    """A camera's rate at this share of its usual one: not less than what it follows needs, but for a board's last resort."""
    if share <= LAST_SHARE:
        return camera.fps * share
    return max(camera.fps * share, camera.wants.least_fps)
