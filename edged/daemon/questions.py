"""What clients may ask of the daemon at any time: status, figures for Prometheus, local outputs, pictures for the setup."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from edged.assembly import load_detector
from edged.capture.attached import attached
from edged.config import config_sha256
from edged.daemon.core import Core
from edged.daemon.meters import metrics_document
from edged.daemon.pause_commands import Pausing
from edged.daemon.reload import Reloader
from edged.daemon.requests import Exclusive, Question
from edged.daemon.state import Health
from edged.daemon.supervisor import Supervisor
from edged.live.glimpse import glimpses
from edged.readers import SURE_SCORES


@dataclass(frozen=True, slots=True)
class Questions:
    """Reads only, and does not wait for the main thread; from any thread."""

    core: Core
    reloader: Reloader
    health: Health
    supervisor: Supervisor
    pausing: Pausing

    @property
    def verbs(self) -> dict[str, Question]:
        answers = {"status": self.status, "metrics": self.metrics, "outputs": self.outputs}
        return {**answers, "glimpses": Exclusive(self.glimpses)}

    def status(self) -> dict[str, Any]:
        """The answer to `edged status --json`."""
        core, runtime = self.core, self.reloader.runtime  # read once: a reload may swap it meanwhile
        broker = {"configured": runtime.publisher is not None, "connected": core.outbound.connected}
        return {
            **self.health.status(runtime.config, runtime.cameras, self.supervisor.state, broker),
            "pid": os.getpid(),
            "config_sha256": config_sha256(runtime.config),
            "reload": {"count": self.reloader.count, "problem": self.reloader.problem},
            "channels": core.outbound.status(core.reader),
            "paused": self.pausing.status(),
            "live": core.live.status(),
            "outputs": self.outputs()["outputs"],
            "workers": {worker.name: worker.last_beat_s for worker in self.supervisor.workers},
        }

    def outputs(self) -> dict[str, Any]:
        """Every local output as it is now."""
        states = self.reloader.runtime.outputs.states()
        return {"v": 1, "outputs": {name: asdict(state) for name, state in states.items()}}

    def glimpses(self) -> dict[str, Any]:
        """What each attached camera sees that is not configured; nothing while nobody may be watched. Takes seconds."""
        if self._paused():
            return {"v": 1, "glimpses": {}}
        config = self.reloader.runtime.config
        in_use, models = [camera.source for camera in config.camera.values()], config.models
        sure = SURE_SCORES[models.detector]
        return {"v": 1, "glimpses": glimpses(attached(), in_use, lambda: load_detector(models), sure, self._paused)}

    def _paused(self) -> bool:
        return self.pausing.status() is not None

    def metrics(self) -> dict[str, Any]:
        """Plain numbers; see `metrics_document`."""
        core = self.core
        rows = core.store.waiting, core.store.dropped
        return metrics_document(self.status(), core.meters.figures(), *rows, core.live.clear.seconds)
