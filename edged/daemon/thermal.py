"""The thread that reads the board's temperature, and decides by how much cameras slow down before the board slows itself."""

import logging
from collections.abc import Callable, Mapping

from edged.capture import CameraWorker
from edged.config import CameraConfig, Config
from edged.host.thermal import LAST_SHARE, ThermalState, Throttle, read_thermal_state
from edged.ports import Clock
from edged.worker import Worker

log = logging.getLogger(__name__)

READ_EVERY_S = 5.0


class ThermalMonitor(Worker):
    """Reads the thermal state every few seconds; a reading may take two. It knows no camera: see `limit_rates`."""

    def __init__(self, clock: Clock, read: Callable[[], ThermalState] = read_thermal_state) -> None:
        super().__init__("thermal")
        self.state = ThermalState(None)
        self.share = 1.0
        """Of the cameras' usual rates, at which they should work now."""
        self._clock = clock
        self._read = read
        self._throttle = Throttle()

    def work(self) -> None:
        while not self.stopping.wait(READ_EVERY_S):
            self.beat()
            self.sample()

    def sample(self) -> None:
        """Read the thermal state once, and set the share by it."""
        self.state = state = self._read()
        share = self._throttle.after(self._clock.monotonic_s(), state)
        if share != self.share:
            log.warning(
                "the board has %s degrees: cameras run at %.0f %% of their rate", state.temperature_c, 100 * share
            )
            self.share = share

    def problems(self) -> list[str]:
        """What the board suffers from now, one line each, the remedy in it."""
        found = []
        if self.share < 1 or self.state.throttled:
            found.append(
                # Not how hot: the state is published anew whenever this line is another, and has `temperature_c`.
                f"the board is hot: cameras run at {self.share:.0%} of their rate; give it air, a heat sink or a fan"
            )
        if self.state.under_voltage:
            found.append("the board gets too little power; use its own power supply and a short cable")
        return found


def limit_rates(config: Config, workers: Mapping[str, CameraWorker], share: float) -> list[str]:
    """Set every camera's rate to `share` of its usual one; return as problems what cannot be followed at those rates."""
    lost = []
    for camera, worker in workers.items():
        settings = config.camera[camera]
        fps = slowed(settings, share)
        worker.limit_rate(fps if share < 1 else None)
        lost += [f"{name} of camera {camera}" for name in settings.tasks.lost_at(fps)]
    if not lost:
        return []
    return [f"too hot to follow {', '.join(lost)}: too few pictures a second until the board has cooled"]


def slowed(camera: CameraConfig, share: float) -> float:
    """A camera's rate at this share of its usual one: not below what its profile needs, except at the last step."""
    if share <= LAST_SHARE:
        return camera.fps * share
    return max(camera.fps * share, camera.tasks.least_fps)
