"""What the store holds of one closed local day, as the rows of its files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.export.schema import PASSAGE, SCHEMA_V, UNASKED, Row
from edged.host.clock import MINUTE_MS
from edged.host.device import device_id
from edged.records import ALERTING, PAUSED
from edged.report.counts import BLOCK_MS, ReportedDay, reported_day, was_judged
from edged.report.coverage import Minutes, read_coverage, unwatched_reason
from edged.report.day import Span
from edged.report.tally import STATES
from edged.store import StoreReader


@dataclass(frozen=True, slots=True)
class Origin:
    """What judged a day, by the report that the daemon stored of it: short hashes of the mask model and of the config."""

    model_id: str
    policy_sha: str
    models: Mapping[str, str]
    config_sha256: str | None

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> "Origin":
        found = report.get("origin", {})
        models, config = found.get("models") or {}, found.get("config_sha256")
        return cls(str(models.get("mask", ""))[:16], str(config or "")[:16], models, config)


def as_reported(config: Config, report: Mapping[str, Any]) -> Config:
    """With the time zone, the open hours and the target that the day's `report` has: they may be others by now."""
    keys = {"timezone": "tz", "open_from": "open_from", "open_until": "open_until", "target_percent": "target_percent"}
    then = {name: report[key] for name, key in keys.items() if key in report}
    return config.model_copy(update={"report": config.report.model_copy(update=then)})


def unasked_cameras(config: Config, report: Mapping[str, Any]) -> frozenset[str]:
    """The cameras that followed no masks on the day of `report`, as it says; those of `config` where it names no camera."""
    if rows := report.get("by_camera"):
        return frozenset(row["camera"] for row in rows if not row.get("masks_followed", True))
    return frozenset(name for name, camera in config.camera.items() if not camera.tasks.mask)


def day_rows(
    reader: StoreReader, config: Config, day: date, origin: Origin, report: Mapping[str, Any]
) -> dict[str, Iterator[Row]]:
    """All that the store holds of `day` in `report.timezone`, by table; `seq` is 1 in all rows.

    The cameras are those of the day's `report`: one that was added since was not there to watch. Read as the rows are
    asked for: a busy day takes little memory. Raise StoreError when the database cannot be read.
    """
    reported = reported_day(config, day, 1 << 52)
    reported = replace(reported, maskless=reported.maskless | unasked_cameras(config, report))
    known = [row["camera"] for row in report.get("by_camera", ())] or list(config.camera)
    names = {camera: settings.name or camera for camera, settings in config.camera.items()}
    head = {"site": config.report.site or config.device.name, "device_id": device_id(config.device.id)}
    maker = _Maker(reported, {**report.get("camera_names", {}), **names}, head, origin)
    return {"encounter": _encounters(reader, maker), "cover": _cover(reader, maker, known)}


def _encounters(reader: StoreReader, maker: "_Maker") -> Iterator[Row]:
    for hour in maker.reported.hours:
        for one in reader.encounters(*hour.span):
            yield maker.passage(one)
        for one in reader.events(*hour.span):
            if one["kind"] in ALERTING:
                yield maker.event(one)


def _cover(reader: StoreReader, maker: "_Maker", known: Iterable[str]) -> Iterator[Row]:
    cameras = read_coverage(reader, [hour.span for hour in maker.reported.hours])
    for name in sorted({*known, *cameras}):
        yield from maker.cover(name, cameras.get(name, {}))


@dataclass(frozen=True, slots=True)
class _Maker:
    reported: ReportedDay
    names: Mapping[str, str]
    head: Mapping[str, str]
    origin: Origin

    def passage(self, one: Mapping[str, Any]) -> Row:
        state = one["state"] if one["state"] in STATES else "uncertain"
        votes = {name: count for name, count in (one["votes"] or {}).items() if name != "uncertain"}
        return self._row(
            one,
            event_id=one["encounter_id"],
            kind=PASSAGE,
            outcome=state if was_judged(one, self.reported) else UNASKED,
            started=one["first_seen"],
            ended=one["last_seen"],
            votes=sum(votes.values()),
            face_px=round(one["largest_face"] or 0),
        )

    def event(self, one: Mapping[str, Any]) -> Row:
        return self._row(
            one,
            event_id=one["event_id"],
            kind=one["kind"],
            outcome=one["state"],
            started=one["started_at"],
            ended=one["ended_at"] or one["started_at"],
            votes=sum(one["votes"].values()) if isinstance(one["votes"], dict) else 0,
            suppressed=int("held_back" in (one["details"] or {})),
            end_reason=one["end_reason"] or "",
        )

    def _row(self, one: Mapping[str, Any], *, started: int, ended: int, **own: Any) -> Row:
        return {
            "schema_v": SCHEMA_V,
            **self._place(one["camera"]),
            "event_id": own["event_id"],
            "seq": 1,
            "kind": own["kind"],
            "outcome": own["outcome"],
            "started_ms": started,
            "ended_ms": ended,
            "local_day": self.reported.day.isoformat(),
            "local_hour": _wall_hour(started, self.reported.zone),
            "tz": self.reported.zone.key,
            "votes": own["votes"],
            "score_milli": round(1000 * (one["score"] or 0)),
            "face_px": own.get("face_px", 0),
            "merged": 0,
            "suppressed": own.get("suppressed", 0),
            "clock_ok": int(bool(one["clock_ok"])),
            "end_reason": own.get("end_reason", ""),
            "model_id": self.origin.model_id,
            "policy_sha": self.origin.policy_sha,
            "in_open": int(self.reported.is_open(started)),
            "quarter": (started - self.reported.whole.start) // BLOCK_MS,
        }

    def _place(self, camera: str) -> Row:
        return {**self.head, "camera": camera, "entrance": self.names.get(camera, camera)}

    def cover(self, camera: str, minutes: Minutes) -> Iterator[Row]:
        """A row for each hour of the wall clock; one that comes twice in autumn is one row with both."""
        found: dict[int, Counter[str]] = {}
        reasons: dict[int, Counter[str]] = {}
        for span in self._open_hours():
            hour = _wall_hour(span.start, self.reported.zone)
            sums, why = found.setdefault(hour, Counter()), reasons.setdefault(hour, Counter())
            for start in range(span.start, span.end, MINUTE_MS):
                minute = minutes.get(start)
                watched = min(minute.watched_ms, MINUTE_MS) if minute else 0
                sums.update(open=MINUTE_MS, watched=watched)
                if (reason := unwatched_reason(minute)) is not None:
                    why[reason] += 1
                    sums["paused"] += (MINUTE_MS - watched) * (reason == PAUSED)
        for hour, sums in sorted(found.items()):
            seconds = {f"{name}_s": sums[name] // 1000 for name in ("open", "watched", "paused")}
            leading = max(sorted(reasons[hour]), key=reasons[hour].__getitem__, default="")
            day = {"local_day": self.reported.day.isoformat(), "local_hour": hour}
            yield {**self._place(camera), **day, **seconds, "reason": leading, "seq": 1}

    def _open_hours(self) -> Iterator[Span]:
        for hour in self.reported.hours:
            for span in self.reported.opened:
                if (part := span.overlap(hour.span)).length:
                    yield part


def _wall_hour(utc_ms: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(utc_ms // 1000, zone).hour
