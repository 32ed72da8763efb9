"""The verbs `pause` and `resume`, and the end of a pause whose time is over."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edged.config import Config
from edged.daemon.core import Core
from edged.daemon.pause import named
from edged.errors import UsageError
from edged.records import PAUSED

log = logging.getLogger(__name__)

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pausing:
    """Used by the main thread. `change_cameras` puts others in place of those that run, at rest or not as the pause has it."""

    core: Core
    config: Callable[[], Config]
    change_cameras: Callable[[str], None]
    """Takes why what is open ends."""

    @property
    def verbs(self) -> dict[str, Callable[[Mapping[str, Any]], Answer]]:
        return {"pause": self.pause, "resume": self.resume}

    def pause(self, asked: Mapping[str, Any]) -> Answer:
        """From now on no camera is open."""
        try:
            pause = self.core.pauses.begin(asked, self.config())
        except UsageError as error:
            return {"ok": False, "error": str(error)}
        log.warning("no camera is watched until %s: paused by %s", pause.until, pause.who)
        self.core.recorder.system_event(PAUSED, {"who": pause.who, "minutes": pause.minutes, "until": pause.until})
        self.change_cameras(PAUSED)
        return {"ok": True, "error": None, "until": pause.until}

    def resume(self, asked: Mapping[str, Any]) -> Answer:
        """The cameras are opened again; where nothing is paused nothing happens."""
        if self.core.pauses.stands is not None:
            self._watch_again({"who": named(asked.get("who"))})
        return {"ok": True, "error": None}

    def check(self) -> None:
        """End a pause whose time is over; call often."""
        if self.core.pauses.check():
            self._watch_again({"reason": "its time is over"})

    def status(self) -> Mapping[str, Any] | None:
        """The pause that stands; from any thread."""
        pause, now_s = self.core.pauses.stands, self.core.clock.monotonic_s()
        if pause is None:
            return None
        return {"who": pause.who, "until": pause.until, "left_s": round(pause.ends_s - now_s)}

    def _watch_again(self, details: Mapping[str, str]) -> None:
        log.warning("watching goes on after a pause: %s", " ".join(f"{key} {value}" for key, value in details.items()))
        self.core.pauses.end()
        self.core.recorder.system_event("resumed", details)
        self.change_cameras("resumed")
