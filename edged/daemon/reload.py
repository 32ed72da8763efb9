"""The runtime in force, and how another takes its place: whole by a reload, its cameras alone by a pause."""

import logging
from dataclasses import replace
from pathlib import Path

from edged.config import Config, Layered, exposures, load_layered
from edged.config.trial import SERVED_S, Trial
from edged.daemon.core import Core
from edged.daemon.runtime import Runtime, build_cameras, build_runtime, changed_sections
from edged.errors import ConfigError, EdgedError
from edged.publish import check_mqtt

log = logging.getLogger(__name__)

NO_CAMERA = "no camera is configured"
RELOADABLE = {
    "camera",
    "mask",
    "attention",
    "drowsiness",
    "events",
    "models",
    "mqtt",
    "report",
    "privacy",
    "console",
    "output",
    "webhook",
    "mail",
    "export",  # nothing of the daemon reads it: the exporting command does
}


def check_servable(path: Path, config: Config, *, wait_for_camera: bool) -> None:
    """Raise ConfigError when the daemon could not serve under `config`."""
    if not config.camera and not wait_for_camera:
        raise ConfigError(
            f"{path}: {NO_CAMERA}; add a table like [camera.door] with a source, or start "
            "with `--wait-for-camera`, and let the console's setup add one"
        )
    check_mqtt(config.mqtt)


class Reloader:
    """Used by the main thread; others read `runtime`, which one assignment swaps, and `problem`."""

    def __init__(self, path: Path, core: Core, config: Config, trial: Trial | None, *, wait_for_camera: bool) -> None:
        """Nothing runs yet. `trial` hears when the daemon has come up. Raise ConfigError or ModelError."""
        self.runtime: Runtime = build_runtime(core, config)
        self.problem: str | None = None
        """Why the last reload was refused; None when it was not."""
        self.count = 0
        """Of reloads, refused ones included."""
        self.path, self._core, self._wait_for_camera = path, core, wait_for_camera
        self._trial, self._trial_due_s = trial, float("inf")

    @property
    def left_out(self) -> tuple[str, ...]:
        """Layers of settings that are not in force, one line each."""
        return tuple(self._trial.left_out) if self._trial else ()

    def begin_trial(self) -> None:
        """From now on the daemon serves under this config."""
        self._trial_due_s = self._core.clock.monotonic_s() + SERVED_S

    def check_trial(self, *, ended: bool = False) -> None:
        """The config in force is good once the daemon has served under it for a while, or has `ended` well; call often."""
        if ended or self._core.clock.monotonic_s() >= self._trial_due_s:
            self._trial_due_s = float("inf")
            if self._trial:
                self._trial.passed()

    def reload(self) -> None:
        """Put the file in force if it is valid; keep the config as it is, and say why, if it is not."""
        try:
            layered = load_layered(self.path)
            for line in (*layered.left_out, *exposures(self.path, layered.config)):
                log.warning("%s", line)
            self._apply(layered.config)
            self.follow(layered)
        except EdgedError as error:
            self.problem = f"the config was not reloaded: {error}"
            log.error("%s", self.problem)
        else:
            self.problem = None
        self.count += 1

    def apply(self, config: Config) -> bool:
        """Put a changed `config` in force; give False where that takes a restart. Raise as `_apply`."""
        if changed_sections(self.runtime.config, config) - RELOADABLE:
            check_servable(self.path, config, wait_for_camera=self._wait_for_camera)
            return False
        self._apply(config)
        return True

    def follow(self, layered: Layered) -> None:
        """These files are what the daemon serves under; if it comes up with them, they are good."""
        if self._trial:
            self._trial.follow(layered)
        self.begin_trial()

    def change_cameras(self, reason: str) -> None:
        """Other ones, at rest or not as the pause has it, with other outputs; everything else goes on."""
        core, old = self._core, self.runtime
        cameras, outputs = build_cameras(core, old.config, old.inference, None)
        new = replace(old, cameras=cameras, outputs=outputs)
        old.end_cameras(core, reason)
        old.end_outputs()
        self.runtime = new
        new.start_cameras(core)

    def _apply(self, config: Config) -> None:
        """Swap the runtime for one of `config`. Raise ConfigError or ModelError, and change nothing, when that cannot be."""
        core, old = self._core, self.runtime
        changed = changed_sections(old.config, config)
        if fixed := changed - RELOADABLE:
            raise ConfigError(f"[{'], ['.join(sorted(fixed))}] changed, which needs `systemctl restart edged`")
        check_servable(self.path, config, wait_for_camera=self._wait_for_camera)
        if changed:
            new = build_runtime(core, config, before=old)
            old.end_capture(core, "reload", successor=new)
            old.close(successor=new)
            self.runtime = new
            new.start(core)
        log.info("config reloaded; changed: %s", ", ".join(sorted(changed)) or "nothing")
