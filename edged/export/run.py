"""Exports what is due: closed days that have no files yet, late changes of those that have, and whatever was not sent."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edged import __version__
from edged.config import Config
from edged.errors import EdgedError, Failed, UsageError
from edged.export.day import Origin, as_reported, day_rows, unasked_cameras
from edged.export.files import format_of
from edged.export.schema import KEYS, SCHEMA_V, VOID, Row
from edged.export.spool import Exported, Spool, read_manifest
from edged.export.targets import Target, target_of
from edged.host.clock import DAY_MS
from edged.host.device import device_id
from edged.report import stored_report
from edged.report.day import Span, day_of, day_span
from edged.report.stored import has_lost
from edged.store import StoreReader

RECHECKED_DAYS = 31
"""So long late changes are looked for, as long as the daemon makes up for reports."""

OPEN_WITHIN_MS = DAY_MS
"""What began in a closed day and still goes on holds its export up for so long at most."""

_NO_CHANGE = frozenset({"schema_v", "seq", "site", "entrance", "tz", "model_id", "policy_sha"})
"""Columns about the settings, which may be others by now: alone they make no row anew."""

Say = Callable[[str], None]


def spool_of(config: Config) -> Spool:
    """Beside the database."""
    return Spool(config.store.path.parent / "export", device_id(config.device.id))


@dataclass(frozen=True, slots=True)
class Exporter:
    """Which days are closed is known by the reports that the daemon stored. They also bound `now_ms`, by which files are old:
    this machine's clock may be wrong.
    """

    config: Config
    reader: StoreReader
    now_ms: int
    say: Say

    def export(self, day: date | None) -> None:
        """Make what is due, of `day` or of every day, and send it to `export.to`.

        Of `day` all is sent, again where it was sent before; otherwise what the place does not have by what is remembered.
        What cannot be sent is said once all that is due has been made. An export of which a file is damaged is set aside,
        and its day exported again where the store has all of it. Raise EdgedError.
        """
        if self.config.export.to is None:
            raise UsageError("nowhere to export to: set export.to in the config, or give --to")
        with spool_of(self.config).locked() as spool:
            progress = spool.progress()
            for damage in spool.set_damaged_aside(self._used(spool, progress, day)):
                self.say(damage)
            self._make(spool, progress, day)
            chosen = [one for one in spool.everything() if day is None or one.local_day == day.isoformat()]
            if day is not None and not chosen:
                raise Failed(f"{day}: {self._why_none(day)}")
            try:
                self._send(spool, progress, chosen, again=day is not None)
            finally:
                self._forget(spool)

    def _forget(self, spool: Spool) -> None:
        """Delete what is old. Where that fails it is said, and does not hide why nothing could be sent."""
        try:
            for gone in spool.forget_before(self._today() - timedelta(days=self.config.export.keep_days)):
                self.say(f"{gone}: its exported files were older than export.keep_days, and are deleted")
        except OSError as error:
            self.say(
                f"{error.filename or spool.folder}: is older than export.keep_days and cannot be deleted ({error.strerror});"
                " see that the user edged may write there, and that the disk is sound"
            )

    def _why_none(self, day: date) -> str:
        """Why a day that was asked for has no export."""
        closed = any(row["day"] == day.isoformat() for row in self.reader.reports())
        if closed and has_lost(self.reader, self._zone, day):
            return "the store does not have all of this day any more (store.retention_days), so it is not exported"
        if closed:
            return "is not exported: it is older than export.keep_days, or waits for something that still goes on"
        return (
            "the store has no report of this day yet, so it is not closed; `edged status` says whether the daemon runs and"
            " the clock is trusted"
        )

    def _used(self, spool: Spool, progress: Mapping[str, Mapping[str, int]], only: date | None) -> list[Exported]:
        """The exports that are read now: to be sent, compared with the store, or followed by the next."""
        newest, oldest_checked, place = spool.exported()[-1:], str(self._oldest_checked), self.config.export.to or ""
        return [
            one
            for one in spool.everything()
            if one in newest
            or one.local_day == str(only)
            or one.local_day >= oldest_checked
            or one.name.number > _done(progress["sent"], one, place)
        ]

    @property
    def _oldest_checked(self) -> date:
        return self._today() - timedelta(days=RECHECKED_DAYS)

    def _today(self) -> date:
        """By this machine's clock, but no later than after the newest closed day: a clock that leapt ages no file."""
        closed = [date.fromisoformat(row["day"]) + timedelta(days=1) for row in self.reader.reports()[-1:]]
        return min([day_of(self.now_ms, self._zone), *closed])

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.config.report.timezone)

    def _make(self, spool: Spool, progress: dict[str, dict[str, Any]], only: date | None) -> None:
        exported = spool.exported()
        under_others = [
            one for one in (*spool.everything(), *spool.set_aside()) if one.name.device_id != spool.device_id
        ]
        before = {one.local_day for one in under_others} - {one.local_day for one in exported}
        oldest, oldest_checked = self._today() - timedelta(days=self.config.export.keep_days), self._oldest_checked
        for row in self.reader.reports():
            day = date.fromisoformat(row["day"])
            own = [one for one in exported if one.local_day == row["day"]]
            if day < oldest or (own and day < oldest_checked) or only not in (None, day):
                continue
            if row["day"] in before:  # under the id that the device had then: under two it would count twice
                continue
            mark = self.reader.mark(*day_span(day, self._zone))
            if own and progress["seen"].get(row["day"]) == mark:
                continue
            if not own and has_lost(
                self.reader, self._zone, day
            ):  # half a day would say that the other half was not watched
                continue
            if (made := self._made(spool, progress, day, own, exported)) is None:
                continue
            exported += made
            progress["seen"] = {at: seen for at, seen in progress["seen"].items() if at >= str(oldest_checked)}
            progress["seen"][row["day"]] = mark
            spool.remember(progress)

    def _made(
        self,
        spool: Spool,
        progress: Mapping[str, Mapping[str, int]],
        day: date,
        own: Sequence[Exported],
        everything: Sequence[Exported],
    ) -> list[Exported] | None:
        """The manifest that the day needs, if any; None where the day waits for something that goes on."""
        report: Mapping[str, Any] = dict(stored_report(self.reader, day) or {})
        config = as_reported(self.config, report)
        whole = day_span(day, ZoneInfo(config.report.timezone))
        if self.now_ms < whole.end + OPEN_WITHIN_MS and self.reader.unfinished(*whole):
            self.say(f"{day}: waits, since something that began then still goes on")
            return None
        origin = Origin.of(report)
        tables: Mapping[str, Iterable[Row]] = day_rows(self.reader, config, day, origin, report)
        number = spool.next_number(progress["sent"])
        seq = read_manifest(own[-1].path).seq + 1 if own else 1
        if (
            spool.set_aside()
        ):  # it may have been of this day, and sent: a day has had no more exports than there are numbers
            seq = number
            tables = {name: _with_seq(rows, seq) for name, rows in tables.items()}
        if own:
            changed = {name: self._changed(spool, own, name, rows, seq, whole) for name, rows in tables.items()}
            if not any(changed.values()):
                return []
            tables = changed
        about = {
            "schema_v": SCHEMA_V,
            "site": self.config.report.site or self.config.device.name,
            "seq": seq,
            "tz": config.report.timezone,
            "created_ms": self.now_ms,
            "unasked": tuple(sorted(unasked_cameras(config, report))),
            "target_percent": config.report.target_percent,
            "edged": __version__,
            "models": dict(origin.models),
            "config_sha256": origin.config_sha256,
        }
        last = everything[-1] if everything else None
        form = format_of(self.config.export.format)
        made = spool.add(number, day, tables, form, about, last, self.config.export.sign_key_file)
        late = f", late changes number {seq - 1}" if own else ", exported again" if seq > 1 else ""
        rows = {file.table: file.rows for file in read_manifest(made.path).files}
        self.say(f"{day}: {rows['encounter']} rows, {rows['cover']} of cover{late}")
        return [made]

    def _changed(
        self, spool: Spool, own: Sequence[Exported], table: str, rows: Iterable[Row], seq: int, whole: Span
    ) -> list[Row]:
        """The rows that differ from what was exported; what has moved to another day is void."""
        known = spool.known(own, table)
        now = {tuple(row[key] for key in KEYS[table]): row for row in rows}
        changed = [row for key, row in now.items() if _differs(row, known.get(key)) and _adds(row, known.get(key))]
        gone = [row for key, row in known.items() if key not in now and row.get("outcome", VOID) != VOID]
        voids = [{**row, "outcome": VOID} for row in gone if self._is_elsewhere(row, whole)]
        return [{**row, "seq": seq} for row in (*changed, *voids)]

    def _is_elsewhere(self, row: Row, whole: Span) -> bool:
        """Whether the store has it at another time: a row that it lost, or deleted by its age, was true all the same."""
        at = self.reader.instant_of(str(row["event_id"]))
        return at is not None and not whole.start <= at < whole.end

    def _send(
        self, spool: Spool, progress: dict[str, dict[str, Any]], chosen: Sequence[Exported], *, again: bool
    ) -> None:
        place = self.config.export.to or ""
        waiting = [one for one in chosen if again or one.name.number > _done(progress["sent"], one, place)]
        target: Target | None = None
        for number, one in enumerate(waiting):
            try:
                target = target or target_of(self.config.export)
                for path in one.parts:
                    target.put(str(path.relative_to(spool.folder)), path)
            except EdgedError as error:
                left = f"{len(waiting) - number} exports wait, the oldest of {one.local_day}"
                raise type(error)(f"{error} ({left})") from None
            if not again:
                progress["sent"][_of(one, place)] = one.name.number
                spool.remember(progress)
        if waiting:
            self.say(f"{len(waiting)} exports are at {place}")


def _with_seq(rows: Iterable[Row], seq: int) -> Iterator[Row]:
    return ({**row, "seq": seq} for row in rows)


def _of(one: Exported, place: str) -> str:
    """Under which it is remembered what a place has: each id counts its manifests from 1."""
    return f"{one.name.device_id} {place}"


def _done(sent: Mapping[str, int], one: Exported, place: str) -> int:
    """The last number of this id that the place has. What earlier versions remember, without the id, is sent once more."""
    return sent.get(_of(one, place), 0)


def _differs(row: Row, known: Row | None) -> bool:
    return known is None or any(row[name] != known[name] for name in row if name not in _NO_CHANGE)


def _adds(row: Row, known: Row | None) -> bool:
    """What was watched can only become more: minutes that the store lost, or deleted by their age, were watched all the same."""
    if "watched_s" not in row:
        return True
    return bool(row["watched_s"] > (known["watched_s"] if known else 0))
