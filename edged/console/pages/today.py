"""The first page: is the rule kept, how sure is that, and does everything work?"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edged.console.events import shown_events
from edged.console.live import old_after_ms
from edged.console.parts import alarms, backend_words
from edged.console.render import render
from edged.console.route import Entry, form_of, page, see, site_of, visitor_of
from edged.console.signs import MASK_ICONS
from edged.console.site import Site
from edged.console.working import CAMERA_ICONS, CAMERA_WORDS, span, working
from edged.errors import EdgedError, Failed, StoreError
from edged.payloads.report import ReportDocument
from edged.records import ALERTING
from edged.report import day_of, day_span
from edged.report.day import open_spans
from edged.report.words import masks_apart, number
from edged.store.disk_space import ADVISED_FREE_BYTES

REFRESH_S = 30
LEAST_OPEN_MS = 3_600_000
"""Of open time that has passed: less makes a percentage of it that swings with every minute."""
LAST = 10
WHOLE_DAY = 1440
"""Who may pause for so long may do it until tomorrow, also on the day that has 25 hours."""
PAUSES = {10: "10 minutes", 60: "1 hour"}
TOMORROW = "tomorrow"


@dataclass(frozen=True, slots=True)
class Watched:
    """How much was watched, for a person."""

    text: str
    partly_blind: bool
    first_day: bool
    """Nothing is wrong with what is missing: there was no device yet, or no time to count by."""


def today(request: Request) -> Response:
    site = site_of(request)
    status, why_dead = site.status_if_any()
    report, problem = _counted(site)
    yesterday = site.today() - timedelta(days=1)
    return render(
        request,
        "today.html",
        title="Today",
        refresh_s=REFRESH_S,
        working=working(site, status, why_dead),
        daemon=status,
        report=report,
        problem=problem,
        watched=_watched(site, status, report) if report else None,
        cameras=_cameras(site, status, report),
        icons=MASK_ICONS,
        last=_last(site),
        yesterday=yesterday,
        yesterdays=_stored(site, yesterday.isoformat()),
        device=device_facts(site, status),
        alarms=alarms(status),
        pauses=_pauses(site, status),
        now_ms=site.clock.utc_ms(),
    )


def pause(request: Request) -> Response:
    """Watch nobody for a while; it is booked as unwatched, with who asked."""
    asked = form_of(request).get("for", "")
    minutes = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else min(PAUSES)
    length: dict[str, Any] = {"until": TOMORROW} if asked == TOMORROW else {"minutes": minutes}
    site_of(request).order("pause", who=f"console ({_role(request)})", **length)
    return see("/")


def acknowledge(request: Request) -> Response:
    """Silence lamps and sounds until something new is true: one, or all."""
    output = form_of(request).get("output")
    site_of(request).order("acknowledge", who=f"console ({_role(request)})", **({"output": output} if output else {}))
    return see("/")


def resume(request: Request) -> Response:
    site_of(request).order("resume", who=f"console ({_role(request)})")
    return see("/")


def _pauses(site: Site, status: Mapping[str, Any] | None) -> dict[str, str]:
    """Those that the daemon would not refuse now."""
    midnight = day_span(site.today(), site.zone).end
    left = (midnight - site.clock.utc_ms()) / 60_000 if status and status["clock_synced"] else None
    return pauses(site.config.privacy.pause_longest_minutes, left)


def pauses(longest: int, to_midnight: float | None) -> dict[str, str]:
    """What to offer where a pause may have `longest` minutes: what is asked, and how it is called.

    `to_midnight`: the minutes until tomorrow, None where the device does not know.
    """
    offered = {str(minutes): label for minutes, label in PAUSES.items() if minutes <= longest}
    if not offered:
        offered = {str(longest): f"{longest} minute{'s' if longest > 1 else ''}"}
    if to_midnight is not None and (to_midnight <= longest or longest >= WHOLE_DAY):
        offered[TOMORROW] = "Until tomorrow"
    return offered


def _role(request: Request) -> str:
    visitor = visitor_of(request)
    return visitor.role if visitor else "nobody"


def _quietly(question: Any) -> Any:
    """Its answer; None when the record, or that report, cannot be read, which the page says elsewhere."""
    try:
        return question()
    except (StoreError, Failed):
        return None


def _counted(site: Site) -> tuple[ReportDocument | None, str]:
    """Today's report as it stands; None, and why, when the record cannot be read."""
    try:
        return site.report_of(site.today()), ""
    except EdgedError as error:
        return None, str(error)


def _watched(site: Site, status: Mapping[str, Any] | None, report: ReportDocument) -> Watched:
    """How much of today's open time was watched."""
    config, now = site.config.report, site.clock.utc_ms()
    open_ms = sum(
        max(0, min(span.end, now) - span.start)
        for span in open_spans(site.today(), site.zone, config.open_from, config.open_until)
    )
    first = _quietly(site.reader.first_instant)
    began = first if first is not None and day_of(first, site.zone) == site.today() else None
    clock_set = status is None or bool(status["clock_synced"])
    return watched_words(report, open_ms, clock_set, site.wall_clock(began) if began else None)


def watched_words(report: ReportDocument, open_ms: int, clock_set: bool, began: str | None) -> Watched:
    """`open_ms`: of today's open time, what has passed; `began`: when the record began, where that is today."""
    percent = report["coverage_percent"]
    if percent is None:
        return Watched("No open time yet today.", False, began is not None)
    if began:
        return Watched(f"Watching since {began}, which is when this device began.", False, True)
    if not clock_set and not percent:
        return Watched("The clock is not set yet: the time that is watched now cannot be counted.", False, True)
    if open_ms < LEAST_OPEN_MS:
        return Watched(f"Open since {report['open_from']}: it is too early to say how much was watched.", False, False)
    return Watched(
        f"Watched {number(percent)} % of the open hours so far{masks_apart(report)}.", report["coverage_partial"], False
    )


def _stored(site: Site, day: str) -> Any:
    return _quietly(lambda: site.reader.report(day)) and _quietly(
        lambda: site.report_of(site.today() - timedelta(days=1))
    )


def _cameras(site: Site, status: Mapping[str, Any] | None, report: ReportDocument | None) -> list[dict[str, Any]]:
    """A tile for each camera of the config, and of the running daemon."""
    rows = {row["camera"]: row for row in report["by_camera"]} if report else {}
    states: Mapping[str, Any] = status["cameras"] if status else {}
    tiles = []
    for camera in dict.fromkeys((*site.config.camera, *states)):
        state = states.get(camera)
        is_watched = state is not None and state["status"] == "online"
        tiles.append(
            {
                "id": camera,
                "name": site.camera_name(camera),
                "watched": is_watched,
                "icon": CAMERA_ICONS.get(state["status"], "!") if state else "✗",
                "words": CAMERA_WORDS.get(state["status"], state["status"]) if state else "Not watched",
                "since": span(state["since_s"]) if state else "",
                "reason": (state["reason"] or "") if state else "",
                "age_s": round(state["frame_age_ms"] / 1000)
                if state and state.get("frame_age_ms") is not None
                else None,
                "old_ms": old_after_ms(site.config.camera.get(camera)),
                "present": state["counts"] if state else None,
                "row": rows.get(camera),
            }
        )
    return tiles


def _last(site: Site) -> list[Any]:
    start = day_span(day_of(site.clock.utc_ms(), site.zone), site.zone).start
    rows = _quietly(lambda: site.reader.latest_events(LAST, since=start, kinds=tuple(ALERTING)))
    return shown_events(site, rows or [])


def device_facts(site: Site, status: Mapping[str, Any] | None) -> list[tuple[str, str, bool]]:
    """What is to be said of the board: label, value, and whether that is well."""
    facts: list[tuple[str, str, bool]] = []
    try:
        free = shutil.disk_usage(site.config.store.path.parent).free
        facts.append(("Free disk", f"{free / 1e9:.1f} GB", free >= ADVISED_FREE_BYTES))
    except OSError:
        facts.append(("Free disk", "not known", False))
    if status is None:
        return facts
    heat = status["temperature_c"]
    hot = "throttled by heat" if status["throttled"] else "under-voltage" if status["under_voltage"] else ""
    facts.append(
        ("Temperature", " – ".join(filter(None, ["not measured" if heat is None else f"{heat:.0f} °C", hot])), not hot)
    )
    broker = status["broker"]
    waiting = status["outbox"]
    if broker["configured"]:
        connected = "connected" if broker["connected"] else "not connected"
        facts.append(
            ("MQTT broker", f"{connected}, {'–' if waiting is None else waiting} waiting", broker["connected"])
        )
    else:
        facts.append(("MQTT broker", "none set up", True))
    facts.append(
        ("Clock", "set" if status["clock_synced"] else "not set: no daily report is made", status["clock_synced"])
    )
    preparing = status["preparing"]
    models = (
        f"being prepared for this board, {preparing['percent']} %"
        if preparing
        else f"{len(status['models'])}, {backend_words(status['backend'])}"
    )
    facts.append(("Models", models, True))
    facts.append(("Running for", span(status["uptime_s"]), True))
    return facts


ROUTES = [
    page("/", today),
    page("/acknowledge", acknowledge, role="admin", methods=("POST",)),
    page("/pause", pause, role="admin", methods=("POST",)),
    page("/resume", resume, role="admin", methods=("POST",)),
]
ENTRY = Entry("Today", "/")
