"""The report over many devices: an engine's whole numbers, and the statistics of one device's report."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Literal, cast

from edged import __version__
from edged.export.manifest import Manifest
from edged.fleet.engines import Counts, Engine, ask, report_sql_sha256
from edged.fleet.intake import Intake
from edged.fleet.place import Place
from edged.payloads.fleet import (
    FleetCamera,
    FleetDay,
    FleetDevice,
    FleetDevices,
    FleetDocument,
    FleetHour,
    FleetOrigin,
    FleetTrouble,
    FleetViolations,
)
from edged.payloads.report import Figure
from edged.report import days_of
from edged.report.build import GOOD_COVERAGE_PERCENT, verdict, worst_hours
from edged.report.statistics import LEAST_BLOCKS, BlockSums, DesignEffect, design_effect_of_sums
from edged.report.tally import (
    Tally,
    Watched,
    coverage,
    figure,
    hour_coverage,
    part_percent,
    percent,
    withhold_unwatched,
)

FleetPeriod = Literal["day", "week", "month"]

KINDS = ("silent", "two chains", "broken chain", "manifest", "file", "sums", "future", "later schema")
"""Of troubles, in the order of the report."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is to be reported, and how."""

    period: FleetPeriod
    day: date
    name: str = "Fleet"
    expected: frozenset[str] = frozenset()
    engine: Engine = "duckdb"
    master: str = "local[2]"

    @property
    def days(self) -> list[date]:
        return [self.day] if self.period == "day" else days_of(self.period, self.day)


def build_fleet_report(place: Place, request: ReportRequest, now_ms: int) -> FleetDocument:
    """The report of what lies in `place`: the same files give the same report, in whatever order and however often they came.

    Raise Failed where the engine is not installed, Unavailable where the place cannot be read.
    """
    first, last = request.days[0], request.days[-1]
    intake = place.read(first, last, now_ms, request.expected)
    rows = intake.settle(first, last, lambda question: ask(request.engine, question, request.master))
    return _Builder(request, intake, rows).document()


def _tally(row: Counts) -> Tally:
    return Tally(row["ok_sum"], row["inc_sum"], row["none_sum"], row["unc_sum"])


def _added(rows: Iterable[Counts]) -> Counter[str]:
    """The sums of all whole numbers of these rows."""
    several = list(rows)
    names = [name for name in several[0] if name.endswith("_sum")] if several else []
    return Counter({name: sum(row[name] for row in several) for name in names})


def _blocks(sums: Mapping[str, int], tally: Tally) -> BlockSums:
    return BlockSums(sums["block_sum"], tally.correct, tally.judged, sums["yy_sum"], sums["yn_sum"], sums["nn_sum"])


def _watched(cover: Iterable[Counts], unasked: Iterable[Counts], of_mixed: bool = False) -> Watched:
    """From the coverage of all cameras, and of those among them that followed no masks; `of_mixed` for part of a `mixed` one."""
    whole, without = _added(cover), _added(unasked)
    opened, seen = (whole[name] - without[name] for name in ("open_sum", "watched_sum"))
    mixed = of_mixed or 0 < opened < whole["open_sum"]
    by_all = percent(whole["watched_sum"], whole["open_sum"])
    return Watched(by_all, percent(seen, opened) if mixed else by_all, mixed)


def _device_counts(known: Set[str], reported: int, troubles: Sequence[FleetTrouble]) -> FleetDevices:
    """Each device once; a trouble of no single device is none of theirs."""
    silent = {one["device"] for one in troubles if one["kind"] == "silent"}
    troubled = {one["device"] for one in troubles if one["device"]} - silent
    return {
        "known": len(known | silent | troubled),
        "reported": reported,
        "silent": len(silent),
        "troubled": len(troubled),
    }


def _violations(whole: Mapping[str, int]) -> FleetViolations:
    incorrect, none = whole["vinc_sum"], whole["vnone_sum"]
    return {"count": incorrect + none, "incorrect": incorrect, "none": none, "held_back": whole["held_sum"]}


class _Builder:
    """Puts the engine's rows together, by device, day and hour."""

    def __init__(self, request: ReportRequest, intake: Intake, rows: Sequence[Counts]) -> None:
        self._request, self._intake = request, intake
        self._by_record: defaultdict[str, list[Counts]] = defaultdict(list)
        self._by_device: defaultdict[tuple[str, str], list[Counts]] = defaultdict(list)
        for row in rows:
            self._by_record[row["record"]].append(row)
            self._by_device[row["record"], row["device_id"]].append(row)
        self._manifests: defaultdict[str, list[Manifest]] = defaultdict(list)
        for sent in sorted(intake.counted, key=lambda sent: (sent.name.device_id, sent.manifest.local_day, sent.name)):
            self._manifests[sent.name.device_id].append(sent.manifest)

    def document(self) -> FleetDocument:
        request, whole = self._request, _added(self._by_record["device"])
        watched = _watched(self._by_record["cover"], self._by_record["unasked"])
        devices = [self._device(device) for device in sorted(self._manifests)]
        of_masks = withhold_unwatched(self._figure(whole, devices), watched.for_masks)
        by_hour = self._by_hour(watched.mixed)
        targets = {manifest.target_percent for manifests in self._manifests.values() for manifest in manifests}
        target = targets.pop() if len(targets) == 1 else None
        troubles = self._troubles()
        return {
            "v": 1,
            "period": request.period,
            "first_day": str(request.days[0]),
            "last_day": str(request.days[-1]),
            "days": len(request.days),
            "site": request.name,
            "devices": _device_counts(self._intake.known, len(devices), troubles),
            "complete": not troubles,
            "troubles": troubles,
            **of_masks,
            "target_percent": target,
            "verdict": verdict(target, of_masks["interval"]),
            **coverage(watched),
            "coverage_partial": watched.by_all is not None and watched.by_all < GOOD_COVERAGE_PERCENT,
            "by_hour": by_hour,
            "worst_hours": [] if of_masks["withheld"] == "coverage" else worst_hours(by_hour),
            "by_day": self._by_day(),
            "by_device": devices,
            "violations": _violations(whole),
            "distractions": whole["att_sum"],
            "drowsiness_events": whole["drw_sum"],
            "outside_open_hours": {
                **Tally(
                    whole["out_ok_sum"], whole["out_inc_sum"], whole["out_none_sum"], whole["out_unc_sum"]
                ).counts(),
                "violations": whole["vout_sum"],
            },
            "clock_unsynced_rows": whole["clock_sum"],
            "origin": self._origin(),
        }

    def _figure(self, whole: Mapping[str, int], devices: Sequence[FleetDevice]) -> Figure:
        """On blocks of a quarter of an hour at a device, or on devices where these show more resemblance."""
        tally = _tally(whole)
        effects = [design_effect_of_sums(_blocks(_added(self._by_record["block"]), tally))]
        between = BlockSums.of((device["correct"], device["judged"]) for device in devices)
        if between.blocks >= LEAST_BLOCKS:
            effects.append(design_effect_of_sums(between))
        known = [effect for effect in effects if not effect.assumed]
        effect: DesignEffect = max(known or effects, key=lambda effect: effect.value)
        return figure(tally, tally.judged / effect.value, effect)

    def _device(self, device: str) -> FleetDevice:
        manifests = self._manifests[device]
        whole = _added(self._by_device["device", device])
        tally, watched = _tally(whole), _watched(self._by_device["cover", device], self._by_device["unasked", device])
        effect = design_effect_of_sums(_blocks(_added(self._by_device["block", device]), tally))
        return {
            "device": device,
            "site": manifests[-1].site,
            "tz": manifests[-1].tz,
            "days_reported": len({manifest.local_day for manifest in manifests}),
            **withhold_unwatched(figure(tally, tally.judged / effect.value, effect), watched.for_masks),
            **coverage(watched),
            "violations": whole["vinc_sum"] + whole["vnone_sum"],
            "distractions": whole["att_sum"],
            "drowsiness_events": whole["drw_sum"],
            "by_camera": self._cameras(device),
        }

    def _cameras(self, device: str) -> list[FleetCamera]:
        counts = {row["camera"]: row for row in self._by_device["camera", device]}
        cover: defaultdict[str, list[Counts]] = defaultdict(list)
        unasked: defaultdict[str, list[Counts]] = defaultdict(list)
        for record, rows in (("cover", cover), ("unasked", unasked)):
            for row in self._by_device[record, device]:
                rows[row["camera"]].append(row)
        found: list[FleetCamera] = []
        for camera in sorted({*counts, *cover}):
            seconds, sums = _added(cover[camera]), Counter(_added([counts[camera]] if camera in counts else []))
            tally, watched = _tally(sums), _watched(cover[camera], unasked[camera])
            effect = design_effect_of_sums(_blocks(sums, tally))
            found.append(
                {
                    "camera": camera,
                    "entrance": max(cover[camera], key=itemgetter("local_day"))["entrance"]
                    if cover[camera]
                    else camera,
                    **withhold_unwatched(figure(tally, tally.judged / effect.value, effect), watched.for_masks),
                    **coverage(watched),
                    "open_s": seconds["open_sum"],
                    "watched_s": seconds["watched_sum"],
                    "paused_s": seconds["paused_sum"],
                }
            )
        return found

    def _by_hour(self, mixed: bool) -> list[FleetHour]:
        """24 hours, each with the passages and the coverage of all devices by their own wall clocks; `mixed` as the whole is."""
        counts = {row["local_hour"]: row for row in self._by_record["hour"]}
        cover, unasked = (
            {row["local_hour"]: row for row in self._by_record[record]} for record in ("cover hour", "unasked hour")
        )
        rows: list[FleetHour] = []
        for hour in range(24):
            tally = _tally(counts[hour]) if hour in counts else Tally()
            watched = _watched(
                [cover[hour]] if hour in cover else [], [unasked[hour]] if hour in unasked else [], mixed
            )
            rows.append(
                {
                    "label": f"{hour:02d}:00",
                    **tally.counts(),
                    "compliance_percent": part_percent(tally, watched.for_masks),
                    "open": watched.by_all is not None,
                    **hour_coverage(watched),
                }
            )
        return rows

    def _by_day(self) -> list[FleetDay]:
        counts: defaultdict[str, list[Counts]] = defaultdict(list)
        cover: defaultdict[str, list[Counts]] = defaultdict(list)
        unasked: defaultdict[str, list[Counts]] = defaultdict(list)
        for record, found in (("device", counts), ("cover", cover), ("unasked", unasked)):
            for row in self._by_record[record]:
                found[row["local_day"]].append(row)
        reporting = Counter(
            day for manifests in self._manifests.values() for day in {manifest.local_day for manifest in manifests}
        )
        rows: list[FleetDay] = []
        for day in map(str, self._request.days):
            whole, watched = _added(counts[day]), _watched(cover[day], unasked[day])
            tally = _tally(whole)
            rows.append(
                {
                    "date": day,
                    "devices": reporting[day],
                    **tally.counts(),
                    "compliance_percent": part_percent(tally, watched.for_masks),
                    **coverage(watched),
                    "violations": whole["vinc_sum"] + whole["vnone_sum"],
                }
            )
        return rows

    def _troubles(self) -> list[FleetTrouble]:
        ordered = sorted(self._intake.troubles, key=lambda one: (KINDS.index(one.kind), one))
        return [
            cast(FleetTrouble, {"device": one.device_id, "day": one.local_day, "kind": one.kind, "text": one.text})
            for one in ordered
        ]

    def _origin(self) -> FleetOrigin:
        models = Counter(
            manifest.models.get("mask", "") for manifests in self._manifests.values() for manifest in manifests
        )
        configs = {manifest.config_sha256 for manifests in self._manifests.values() for manifest in manifests}
        return {
            "edged": __version__,
            "report_sql_sha256": report_sql_sha256(),
            "models": {model: count for model, count in sorted(models.items()) if model},
            "configs": len(configs - {None}),
        }
