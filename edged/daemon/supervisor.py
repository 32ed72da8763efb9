"""Supervises the parts of the daemon once a second: cameras, counts, rates, the state document; feeds systemd's watchdog."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from edged import messages
from edged.daemon.core import Core
from edged.daemon.outbound import waiting
from edged.daemon.reload import NO_CAMERA, Reloader
from edged.daemon.runtime import Runtime
from edged.daemon.state import Health
from edged.daemon.thermal import ThermalMonitor, limit_rates
from edged.host.systemd import Notifier
from edged.payloads.mqtt import StatePayload
from edged.worker import Worker

log = logging.getLogger(__name__)

STATE_INTERVAL_S = 60.0
RECHECK_S = 2.0
"""After a worker was found stuck, before systemd is asked to end the daemon."""


class Supervisor:
    """Used by the main thread; others read `state` and `workers`."""

    def __init__(self, core: Core, reloader: Reloader, health: Health, notifier: Notifier) -> None:
        self.servers: Sequence[Worker] = ()
        """Those of the sockets; they live as long as the process."""
        self.state: Mapping[str, Any] = {}
        """The state document as it was last made."""
        self.thermal = ThermalMonitor(core.clock)
        self._core, self._reloader, self._health, self._notifier = core, reloader, health, notifier
        self._published: Mapping[str, Any] = {}
        self._published_s = float("-inf")
        self._published_by: Runtime | None = None
        self._was_stuck = False

    @property
    def workers(self) -> list[Worker]:
        """The threads whose failure ends the daemon."""
        return [self._core.store, *self.servers, self.thermal, *self._reloader.runtime.threads]

    @property
    def failed(self) -> Worker | None:
        return next((worker for worker in self.workers if worker.failure is not None), None)

    def supervise(self) -> None:
        """Call about once a second, and after every swap of the runtime."""
        core, runtime = self._core, self._reloader.runtime
        config, cameras, outbound = runtime.config, runtime.cameras, core.outbound
        core.watch.supervise(config, cameras)
        core.live.drop_unused()
        core.meters.sample(config, cameras)
        core.watch.publish_outputs(runtime.outputs.states())
        too_slow = limit_rates(config, cameras.workers, self.thermal.share)
        connected, broker = outbound.connected, outbound.problem  # in this order: connecting ends the problem first
        was, self.state = self.state, self._document(broker, too_slow)
        # Whoever receives the state has a broker: that there was none a moment ago is over.
        state = self.state if connected or broker is None else self._document(None, too_slow)
        now_s = core.clock.monotonic_s()
        due = runtime is not self._published_by or now_s - self._published_s >= STATE_INTERVAL_S
        if due or _steady(self.state) != _steady(was):
            errors, until = self.state["errors"], self.state["paused_until"]
            doing = f"paused until {until}" if until else f"watching {', '.join(config.camera)}"
            self._notifier.status(errors[0] if errors else doing)
        if due or _steady(state) != _steady(self._published):
            self._published, self._published_s, self._published_by = state, now_s, runtime
            outbound.retain(messages.STATE.message(state))

    def _document(self, broker_problem: str | None, too_slow: list[str]) -> StatePayload:
        """The daemon's state now."""
        core, runtime = self._core, self._reloader.runtime
        inference = runtime.inference
        errors = self._health.errors(runtime.cameras, broker_problem, self._reloader.problem)
        errors += runtime.outputs.problems()
        errors += self.thermal.problems() + too_slow + inference.backends.problems()
        errors += self._reloader.left_out
        if not runtime.config.camera:
            errors.append(
                f"{NO_CAMERA}; open the console, or add a table like [camera.door] with a source to {self._reloader.path}"
            )
        errors += [channel.problem for channel in runtime.channels if channel.problem]
        if doubt := core.clock.problem():
            errors.append(doubt)
        outbox = waiting(core.reader, "mqtt")
        pause = core.pauses.stands
        return self._health.state(
            inference.models.backends,
            errors,
            outbox,
            self.thermal.state,
            inference.backends.building,
            None if pause is None else pause.until,
        )

    def feed_watchdog(self, interval_s: float) -> float:
        """Tell systemd whether every worker makes progress; return after how many seconds to do so again.

        A process that was frozen as a whole finds every worker late: they get a moment to show that they go on.
        """
        if self._all_progress():
            self._was_stuck = False
            self._notifier.alive()
            return interval_s / 2
        if self._was_stuck:
            self._notifier.trigger_watchdog()
        self._was_stuck = True
        return RECHECK_S

    def _all_progress(self) -> bool:
        """Whether every worker makes progress; only then does systemd hear that the daemon is alive."""
        stuck = [worker.name for worker in self.workers if worker.is_stuck()]
        if stuck:
            log.error("no progress in: %s", ", ".join(stuck))
        return not stuck


def _steady(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state document without what changes all the time by itself."""
    return {key: value for key, value in state.items() if key not in ("ts", "uptime_s", "outbox", "temperature_c")}
