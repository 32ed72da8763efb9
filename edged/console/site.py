"""What the pages are about: the config as its files have it now, the record, and the daemon."""

import logging
import threading
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config, config_sha256
from edged.config.layers import Layered, layers_folder, load_layered
from edged.daemon.status import ask, socket_path
from edged.errors import ConfigError, Unavailable
from edged.host.clock import SystemClock
from edged.report import day_of
from edged.store import StoreReader

log = logging.getLogger(__name__)


class Site:
    """One device, as a page sees it; thread-safe. A config that is wrong later leaves the last good one in force."""

    def __init__(self, path: Path) -> None:
        """Raise ConfigError when the config is wrong from the start."""
        self.path = path
        self.clock = SystemClock()
        self.problem: str | None = None
        """Why the config's files as they are now cannot be taken up, one line; None when they are."""
        self._lock = threading.Lock()
        self._layered = load_layered(path)
        self._stamp = self._look()

    @property
    def layered(self) -> Layered:
        """The config with the files that it came from, read again when one of them has changed."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._layered, self.problem = load_layered(self.path), None
                except ConfigError as error:
                    self.problem = str(error).splitlines()[0]
                    log.warning("the config stays as it was: %s", self.problem)
            return self._layered

    @property
    def config(self) -> Config:
        return self.layered.config

    @property
    def reader(self) -> StoreReader:
        return StoreReader(self.config.store.path)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.config.report.timezone)

    def today(self) -> date:
        return day_of(self.clock.utc_ms(), self.zone)

    def camera_name(self, camera: str) -> str:
        """The camera's name for people."""
        known = self.config.camera.get(camera)
        return (known.name if known else None) or camera

    def status(self) -> dict[str, Any]:
        """What the running daemon says of itself. Raise Unavailable, with the remedy, when none answers."""
        return ask(socket_path(self.config.store.path))

    def status_if_any(self) -> tuple[dict[str, Any] | None, str]:
        """Like `status`; None, and why, when no daemon answers."""
        try:
            return self.status(), ""
        except Unavailable as error:
            return None, str(error)

    def daemon_is_current(self, status: dict[str, Any]) -> bool:
        """Whether the daemon runs with the settings that the files hold now."""
        return bool(status.get("config_sha256") == config_sha256(self.config))

    def _look(self) -> list[tuple[str, int, int]]:
        """What tells whether a file has changed."""
        folder = layers_folder(self._layered.config)
        found = []
        for file in (self.path, folder, *(layer.path for layer in self._layered.layers)):
            try:
                there = file.stat()
            except OSError:
                continue
            found.append((str(file), there.st_mtime_ns, there.st_ino))
        return found
