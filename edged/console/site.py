"""What the pages are about: the config as its files have it now, the record, and the daemon."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from edged.config import Config, config_sha256
from edged.config.layers import Layered, layer_files, layers_folder, load_layered
from edged.daemon.client import NoAnswer, request, socket_path
from edged.errors import ConfigError, Failed, Unavailable
from edged.files import Stamp, is_first_byte_locked, stamp_of
from edged.host.clock import SystemClock
from edged.payloads.report import ReportDocument
from edged.report import build_report, counted_anew, day_of, stored_report
from edged.report.day import wall_clock
from edged.report.words import MONTHS
from edged.store import StoreReader

log = logging.getLogger(__name__)

CLEAR_S, METRICS_S, GLIMPSES_S = 2.0, 1.0, 10.0
REPORT_S = 15.0
MOST_WARNED = 100
ANSWER_S = 4.0
"""A page waits no longer for a daemon that gives no sign of life."""
SILENT_S = 5.0
"""A daemon that did not answer is not asked again so soon: a page asks it several times."""
QUESTIONS = ("status", "metrics")
"""What it answers at once, whatever else it does."""
MOVED = (
    "store.path in the config was changed, which takes `systemctl restart edged edged-console`; until then nothing of it is"
    " in force"
)

T = TypeVar("T")


class Kept(Generic[T]):
    """What many ask for is made by one of them, and anew once it is `seconds` old. Thread-safe."""

    def __init__(self, seconds: float, make: Callable[[], T]) -> None:
        """What `make` raises is not kept."""
        self._seconds, self._make = seconds, make
        self._lock = threading.Lock()
        self._made: tuple[T, float] | None = None
        """And until when it serves."""

    def get(self) -> T:
        with self._lock:
            if self._made is None or time.monotonic() >= self._made[1]:
                self._made = self._make(), time.monotonic() + self._seconds
            return self._made[0]


class Site:
    """One device, as a page sees it; thread-safe. A config that is wrong later leaves the last good one in force."""

    def __init__(self, path: Path) -> None:
        """Raise ConfigError when the config is wrong from the start."""
        self.path = path
        self.clock = SystemClock()
        self.problem: str | None = None
        """Why the config's files as they are now cannot be taken up, one line; None when they are."""
        self._lock = threading.Lock()
        self.clear_views = Kept(CLEAR_S, self._clear_views)
        """Who sees faces unhidden; empty without a daemon. It may wait for one."""
        self.metrics = Kept(METRICS_S, self._metrics)
        """The daemon's figures, None without one: whoever reads them needs no login, and must not keep it from its work."""
        self.glimpses = Kept(GLIMPSES_S, lambda: self.question("glimpses")["glimpses"])
        """Pictures of attached cameras by URI. Raises Unavailable, with the reason, when the daemon gives none now."""
        self._silent: tuple[NoAnswer, float] | None = None
        """That the daemon did not answer, and until when it is not asked again."""
        self._counting = threading.Lock()
        self._counted: tuple[tuple[date, str], float, ReportDocument] | None = None
        self._warned: deque[str] = deque(maxlen=MOST_WARNED)
        self._layered = self._newest = load_layered(path)
        self._stamp = self._stamp_now()

    @property
    def layered(self) -> Layered:
        """The config with the files that it came from, read again when one of them has changed."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._newest, self.problem = load_layered(self.path), None
                except ConfigError as error:
                    self.problem = str(error).splitlines()[0]
                    log.warning("the config stays as it was: %s", self.problem)
            if self._newest is not self._layered:
                written = self._layered.config.store.path
                if self._newest.config.store.path != written and is_first_byte_locked(written):
                    self.problem = MOVED
                else:
                    self._layered = self._newest
                    self.problem = None if self.problem == MOVED else self.problem
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
        return name_in(self.config, camera)

    def ask(self, verb: str = "status", **arguments: Any) -> dict[str, Any]:
        """The running daemon's answer; see `edged.daemon.client.request`. Raise Unavailable, with the remedy, when none is.

        A command may take minutes: whether anybody is there who carries it out is asked before.
        """
        path = socket_path(self.config.store.path)
        if (silent := self._silent) and time.monotonic() < silent[1]:
            raise NoAnswer(str(silent[0]))
        try:
            if verb in QUESTIONS:
                return request(path, verb, within_s=ANSWER_S, **arguments)
            request(path, "status", within_s=ANSWER_S)
        except NoAnswer as error:
            self._silent = error, time.monotonic() + SILENT_S
            raise
        except Unavailable:
            if verb in QUESTIONS:
                raise
        return request(path, verb, **arguments)

    def question(self, verb: str) -> dict[str, Any]:
        """The answer to a question that is no command. Raise Unavailable, with the reason, also where it gives none now."""
        answer = self.ask(verb)
        if answer.get("ok") is False:
            raise Unavailable(str(answer.get("error") or f"the daemon does not answer {verb}"))
        return answer

    def order(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Have the daemon do something. Raise Unavailable when none answers, Failed when it refuses, both with the reason."""
        answer = self.ask(verb, **arguments)
        if not answer.get("ok"):
            raise Failed(str(answer.get("error") or f"the daemon refused {verb}"))
        return answer

    def status_if_any(self) -> tuple[dict[str, Any] | None, str]:
        """The status; None, and why, when no daemon answers."""
        try:
            return self.ask(), ""
        except Unavailable as error:
            return None, str(error)

    def _clear_views(self) -> list[dict[str, Any]]:
        status, _ = self.status_if_any()
        clear: list[dict[str, Any]] = (status or {}).get("live", {}).get("clear", [])
        return clear

    def _metrics(self) -> dict[str, Any] | None:
        try:
            return self.question("metrics")
        except Unavailable:
            return None

    def report_of(self, day: date) -> ReportDocument:
        """The day's report: as it was stored, else as it stands now, which is counted anew every REPORT_S at most.

        Raise Failed where neither what was stored nor what it counted is whole any more.
        """
        found = stored_report(self.reader, day)
        if found is not None:
            return found
        if line := counted_anew(self.reader, self.zone, day):
            self.warn(line)
        with self._counting:
            key, now_s = (day, config_sha256(self.config)), self.clock.monotonic_s()
            if self._counted is None or self._counted[0] != key or now_s - self._counted[1] >= REPORT_S:
                made = build_report(self.reader, self.config, day, self.clock.utc_ms())
                self._counted = key, now_s, made
            return self._counted[2]

    def warn(self, line: str) -> None:
        """Log once what every page of it would say again."""
        if line not in self._warned:
            self._warned.append(line)
            log.warning("%s", line)

    def wall_clock(self, utc_ms: int, seconds: bool = False) -> str:
        """The time of day there; of another day than today with its date."""
        return clock_in(self.zone, utc_ms, self.clock.utc_ms(), seconds)

    def _stamp_now(self) -> list[tuple[Path, Stamp | None]]:
        """What differs once a file has changed, may be read, or is gone; also one that was left out as it was."""
        folder = layers_folder(self._layered.config)
        return [(file, stamp_of(file)) for file in (self.path, folder, *layer_files(folder))]


def name_in(config: Config, camera: str) -> str:
    """The camera's name for people; also of one that the config does not name any more."""
    known = config.camera.get(camera)
    return (known.name if known else None) or camera


def clock_in(zone: ZoneInfo, utc_ms: int, now: int, seconds: bool = False) -> str:
    """The time of day in `zone`; of another day than that of `now` with its date."""
    day, clock = day_of(utc_ms, zone), wall_clock(utc_ms, zone, seconds)
    return clock if day == day_of(now, zone) else f"{day.day} {MONTHS[day.month - 1][:3]} {clock}"
