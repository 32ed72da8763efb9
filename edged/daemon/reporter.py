"""The thread that makes the daily report when a local day ends, makes up for missed days, and answers requests for one."""

import logging
import queue
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from edged import messages
from edged.config import Config, config_sha256
from edged.deliver import report_channels
from edged.errors import EdgedError
from edged.host.clock import DAY_MS, WatchedClock
from edged.payloads.report import ReportDocument
from edged.report import build_report, canonical_json, counted_anew, day_span, report_sha256, stored_report
from edged.report.day import finished_days, is_finished, utc_offsets
from edged.report.stored import has_lost, is_damaged
from edged.store import LocalTime, ReportRow, ReportWithdrawn, StoreReader
from edged.store.worker import StoreWorker
from edged.worker import Worker

log = logging.getLogger(__name__)

CHECK_INTERVAL_S, STORED_WITHIN_S = 20.0, 2.0
MOST_DAYS_MADE_UP = 31
"""Older days get no report any more."""

RECOUNT_INTERVAL_S = 600.0
"""How often the days that have a report are counted again."""

RETRY_S = 600.0
"""A report that was not stored, since the disk was full, is made again after this long."""

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
        clock: WatchedClock,
        publish: Callable[[str], None],
        models: Mapping[str, str],
        submitted: dict[tuple[str, int], float] | None = None,
    ) -> None:
        """`publish` gets the canonical JSON of the last finished day, at start and whenever there is another; "" when what
        was published is to be withdrawn.

        `models` maps the name of each model in use to its SHA-256, for the report's footnotes. `submitted` is that of the
        predecessor: what it has had stored is not made, and mailed, once more.
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
        """The SHA-256 of the report that was published last, "" when there was none."""
        self.submitted: dict[tuple[str, int], float] = {} if submitted is None else submitted
        """When each report, by day and revision, went to the store that is not seen there yet."""
        self._next_recount_s = 0.0
        self._waits_for: str | None = None
        """Why no report is made, as it was said last."""

    def request(self, day: date, answer: Answer) -> bool:
        """Have the report of `day` made and given to `answer`; False when too many wait already."""
        try:
            self._requests.put_nowait((day, answer))
        except queue.Full:
            return False
        return True

    def work(self) -> None:
        self._store.submit([LocalTime(self._zone.key, utc_offsets(self._zone))])
        next_check_s = 0.0
        while not self.stopping.is_set():
            self.beat()
            if self._clock.monotonic_s() >= next_check_s:
                self.check()
                next_check_s = self._clock.monotonic_s() + (STORED_WITHIN_S if self.submitted else CHECK_INTERVAL_S)
            try:
                self._answer(*self._requests.get(timeout=0.5))
            except queue.Empty:
                continue

    def _answer(self, day: date, answer: Answer) -> None:
        try:
            answer({"ok": True, "report": self._build(day)})
        except EdgedError as error:
            answer({"ok": False, "error": str(error)})

    def _build(self, day: date) -> ReportDocument:
        stored = stored_report(self._reader, day)
        if stored is None:
            counted_anew(self._reader, self._zone, day)
        return stored or self._built(day, 1)

    def _built(self, day: date, revision: int) -> ReportDocument:
        return build_report(
            self._reader,
            self._config,
            day,
            self._clock.utc_ms(),
            models=self._models,
            config_sha256=self._config_sha256,
            revision=revision,
        )

    def check(self) -> None:
        """Close the days that are over, put right the reports that are not, and publish the newest.

        Days are closed by a clock that is settled only: by any other they may not be over.
        """
        try:
            if self._clock.settled():
                self._close_days()
            if self._clock.trusted():
                self._publish_newest()
            self._report_waiting(None if self._clock.trusted() else self._clock.doubt() or "the clock has not been set")
        except EdgedError as error:
            self._report_waiting(str(error))

    def _report_waiting(self, why: str | None) -> None:
        """Log once why no report is made."""
        if why is not None and why != self._waits_for:
            log.warning("the daily report waits: %s", why)
        self._waits_for = why

    def _close_days(self) -> None:
        now, now_s = self._clock.utc_ms(), self._clock.monotonic_s()
        stored = {row["day"]: row for row in self._reader.reports()}
        self._confirm_stored(stored)
        for day in [day for day in stored if not self._is_over(day, now)]:
            log.warning("the stored report of %s is withdrawn: that day is not over, a wrong clock had closed it", day)
            self._store.submit([ReportWithdrawn(day)])
            del stored[day]
        recounts = now_s >= self._next_recount_s
        if recounts:
            self._next_recount_s = now_s + RECOUNT_INTERVAL_S
        for finished in self._days(now):
            if self.stopping.is_set():
                return
            self.beat()
            row = stored.get(finished.isoformat())
            if row is None:
                self._make(finished, 1)
            elif recounts and (why := self._why_again(finished, row)):
                self._make(finished, int(row["revision"]) + 1, why)

    def _days(self, now: int) -> list[date]:
        """The days that are over and should have a report."""
        first = self._reader.first_instant()
        if first is None:
            return []
        earliest = max(first, now - MOST_DAYS_MADE_UP * DAY_MS)
        return list(finished_days(earliest, now - GRACE_MS, self._zone))

    def _why_again(self, day: date, row: Mapping[str, Any]) -> str | None:
        """Why a day's stored report is to be made again; one of an earlier version is not, nor where rows are gone."""
        if more := self._gained(day, row["counted"]):
            return f"the day has {more} rows more than when it was made"
        stored = self._reader.report(day.isoformat())
        if stored is not None and is_damaged(stored) and not has_lost(self._reader, self._zone, day):
            return "the stored one is damaged"
        return None

    def _gained(self, day: date, counted: Mapping[str, int] | None) -> int:
        """How many rows the day has gained since its report; what retention deletes is no gain. 0 when that is not known."""
        if not isinstance(counted, dict):
            return 0
        now = self._reader.counted(*day_span(day, self._zone))
        return sum(max(0, count - counted.get(table, count)) for table, count in now.items())

    def _make(self, day: date, revision: int, why: str | None = None) -> None:
        """Have the report stored; it is published once it is."""
        key = (day.isoformat(), revision)
        if key in self.submitted and self._store.problem is not None:
            return  # it waits there: a second time it would be mailed twice
        if self._clock.monotonic_s() - self.submitted.get(key, float("-inf")) < RETRY_S:
            return
        counted = self._reader.counted(
            *day_span(day, self._zone)
        )  # first: what comes while it is made, it may have missed
        report = self._built(day, revision)
        row = ReportRow(
            day=key[0],
            timezone=self._config.report.timezone,
            created=self._clock.utc_ms(),
            report=canonical_json(report),
            sha256=report_sha256(report),
            revision=revision,
            counted=counted,
        )
        self.submitted[key] = self._clock.monotonic_s()
        letters = [
            messages.REPORT_DAILY.text(row.report, channel=channel, created=row.created)
            for channel in report_channels(self._config)
        ]
        self._store.submit([row, *letters])
        if why:
            log.warning("daily report of %s is made again, as revision %d: %s", day, revision, why)

    def _confirm_stored(self, stored: Mapping[str, Mapping[str, Any]]) -> None:
        """Say which reports have reached the store."""
        for day, revision in list(self.submitted):
            if day in stored and stored[day]["revision"] >= revision:
                del self.submitted[day, revision]
                log.info("daily report of %s stored, revision %d", day, revision)

    def _publish_newest(self) -> None:
        """Publish the newest report of a day that is over, when it differs from the last one published."""
        now = self._clock.utc_ms()
        stored = self._reader.reports()
        newest = next((row for row in reversed(stored) if self._is_over(row["day"], now)), None)
        if newest is None:
            if stored and self._published != "":  # all of them are a wrong clock's, and may stand at the broker
                self._published = ""
                self._publish("")
            return
        if newest["sha256"] == self._published:
            return
        row = self._reader.report(newest["day"])
        if row is not None and not is_damaged(row):  # else it is made again
            self._published = row["sha256"]
            self._publish(row["report"])

    def _is_over(self, day: str, now: int) -> bool:
        return is_finished(date.fromisoformat(day), self._zone, now)

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._config.report.timezone)
