"""The thread that makes the daily report when a local day ends, makes up for missed days, and answers requests for one."""

import json
import logging
import queue
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config, config_sha256
from edged.errors import EdgedError
from edged.ports import Clock
from edged.report import build_report, canonical_json, report_sha256, stored_report
from edged.report.day import finished_days
from edged.store import ReportRow, StoreReader
from edged.store.worker import StoreWorker
from edged.worker import Worker

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 20.0
MOST_DAYS_MADE_UP = 31
EARLIEST_PLAUSIBLE_MS = 1_767_225_600_000
"""2026-01-01: an earlier present is a clock that was never set."""

GRACE_MS = 5 * 60_000
"""A day is closed this long after its midnight, when its last passages have ended; edged-report.timer comes later."""

Answer = Callable[[dict[str, Any]], None]


class Reporter(Worker):
    """Reads with its own connection; what it makes goes through the store's one writer."""

    def __init__(
        self,
        config: Config,
        reader: StoreReader,
        store: StoreWorker,
        clock: Clock,
        publish: Callable[[str], None],
        models: Callable[[], Mapping[str, str]],
    ) -> None:
        """`publish` gets the canonical JSON of the last finished day, at start and whenever there is a newer one.

        `models()` maps the name of each model in use to its SHA-256, for the report's footnotes.
        """
        super().__init__("reporter")
        self._config = config
        self._reader = reader
        self._store = store
        self._clock = clock
        self._publish = publish
        self._models = models
        self._config_sha256 = config_sha256(config)
        self._requests: queue.Queue[tuple[date, Answer]] = queue.Queue(maxsize=8)
        self._published: str | None = None

    def request(self, day: date, answer: Answer) -> bool:
        """Have the report of `day` made and given to `answer`; False when too many wait already."""
        try:
            self._requests.put_nowait((day, answer))
        except queue.Full:
            return False
        return True

    def work(self) -> None:
        next_check_s = 0.0
        while not self.stopping.is_set():
            self.beat()
            if self._clock.monotonic_s() >= next_check_s:
                next_check_s = self._clock.monotonic_s() + CHECK_INTERVAL_S
                self._make_due()
            try:
                self._answer(*self._requests.get(timeout=0.5))
            except queue.Empty:
                continue

    def _answer(self, day: date, answer: Answer) -> None:
        try:
            answer({"ok": True, "report": self._build(day)})
        except EdgedError as error:
            answer({"ok": False, "error": str(error)})

    def _build(self, day: date) -> dict[str, Any]:
        return stored_report(self._reader, day) or build_report(
            self._reader,
            self._config,
            day,
            self._clock.utc_ms(),
            models=self._models(),
            config_sha256=self._config_sha256,
        )

    def _make_due(self) -> None:
        """Store the report of every finished day that has none, and publish the newest."""
        try:
            for day in self._due():
                if self.stopping.is_set():
                    return
                self.beat()
                self._make(day)
            self._publish_newest()
        except EdgedError as error:
            log.warning("the daily report waits: %s", error)

    def _due(self) -> list[date]:
        first = self._reader.first_instant()
        # A clock that was never set, after a boot without network, would close days that are not over.
        if first is None or self._clock.utc_ms() < EARLIEST_PLAUSIBLE_MS:
            return []
        stored = set(self._reader.report_days())
        zone = ZoneInfo(self._config.report.timezone)
        finished = finished_days(first, self._clock.utc_ms() - GRACE_MS, zone)
        return [day for day in finished if day.isoformat() not in stored][-MOST_DAYS_MADE_UP:]

    def _make(self, day: date) -> None:
        report = self._build(day)
        text = canonical_json(report)
        row = ReportRow(
            day.isoformat(), self._config.report.timezone, self._clock.utc_ms(), text, report_sha256(report)
        )
        self._store.submit([row])
        log.info("daily report of %s made", day.isoformat())
        self._tell(day.isoformat(), text)

    def _publish_newest(self) -> None:
        days = self._reader.report_days()
        if days and (self._published is None or days[-1] > self._published):
            row = self._reader.report(days[-1])
            if row is not None:
                self._tell(days[-1], row["report"])

    def _tell(self, day: str, text: str) -> None:
        if self._published is None or day > self._published:
            self._published = day
            self._publish(json.dumps({"v": 1, **json.loads(text)}, separators=(",", ":"), ensure_ascii=False))
