"""Counts the figures for Prometheus: since the start, through all reloads and pauses, and never backwards."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from edged.config import Config, ReportConfig
from edged.daemon.cameras import Cameras
from edged.pipeline import Outcome
from edged.ports import Clock
from edged.records import ALERTING, Change, EncounterRow
from edged.report.day import wall_clock
from edged.report.tally import STATES
from edged.types import Frame

BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
"""Upper ends of the histogram's buckets; there is one more, without an end."""
LONGEST_STEP_S = 5.0
"""Of the time between two samples no more is counted: what was in between is not known."""


@dataclass(slots=True)
class _Camera:
    """One camera's counts. Analysis writes those of the first block, the main thread the others."""

    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    latency_s: float = 0.0
    encounters: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, str, bool]] = field(default_factory=Counter)

    seen: int = 0
    faulty: int = 0
    open_s: float = 0.0
    monitored_s: float = 0.0
    last: tuple[int, int, int] = (0, 0, 0)
    """Frames seen, analysed and faulty of the cameras that run now, at the last sample."""


class Meters:
    """`observe` and `submit` stand in the way of analysis, and never wait; `sample` is the main thread's; any thread may read."""

    def __init__(self, clock: Clock, submit: Callable[[Sequence[Change]], None]) -> None:
        """What goes to `Meters.submit` goes on to `submit`."""
        self._clock, self._submit = clock, submit
        self._cameras: dict[str, _Camera] = {}
        self._sampled_s: float | None = None

    def observe(self, frame: Frame, outcome: Outcome) -> None:
        """Count how old a frame is when it has been analysed, and the events that begin with it."""
        camera = self._of(frame.camera)
        age_s = max(0.0, time.monotonic() - frame.time_s)
        camera.latency[bisect_left(BUCKETS_S, age_s)] += 1
        camera.latency_s += age_s
        for event in outcome.events:
            if event.phase == "start" and event.kind in ALERTING:
                camera.events[event.kind, event.state, event.violation] += 1

    def submit(self, changes: Sequence[Change]) -> None:
        """Count passages as they end, on their way to the store."""
        for change in changes:
            if isinstance(change, EncounterRow) and change.closed:
                self._of(change.camera).encounters[change.state] += 1
        self._submit(changes)

    def sample(self, config: Config, cameras: Cameras) -> None:
        """Count frames, and the time that cameras were to be watched, and were; call about once a second."""
        now_s, was_s = self._clock.monotonic_s(), self._sampled_s
        self._sampled_s = now_s
        passed_s = 0.0 if was_s is None else min(max(now_s - was_s, 0.0), LONGEST_STEP_S)
        is_open = self._is_open(config.report)
        for name in [name for name in self._cameras if name not in config.camera]:
            del self._cameras[name]
        activity = cameras.analysis.activity()
        for name, worker in cameras.workers.items():
            camera, done = self._of(name), activity[name]
            now = worker.state().frames, done.frames, done.faulty
            gained = [new - old if new >= old else new for new, old in zip(now, camera.last, strict=True)]
            camera.last = now
            camera.seen += gained[0]
            camera.faulty += gained[2]
            if is_open:
                camera.open_s += passed_s
                camera.monitored_s += passed_s if gained[1] else 0.0

    def figures(self) -> dict[str, dict[str, Any]]:
        """By camera."""
        return {name: _figures(camera) for name, camera in list(self._cameras.items())}

    def _of(self, name: str) -> _Camera:
        return self._cameras.get(name) or self._cameras.setdefault(name, _Camera())

    def _is_open(self, report: ReportConfig) -> bool:
        return report.open_from <= wall_clock(self._clock.utc_ms(), ZoneInfo(report.timezone))[:5] < report.open_until


def _figures(camera: _Camera) -> dict[str, Any]:
    latency = list(camera.latency)
    return {
        "frames_seen": camera.seen,
        "frames_analysed": sum(latency),
        "frames_faulty": camera.faulty,
        "encounters": {state: camera.encounters[state] for state in STATES},
        "events": [
            {"kind": kind, "state": state, "alerted": alerted, "count": count}
            for (kind, state, alerted), count in sorted(camera.events.items())
        ],
        "open_s": round(camera.open_s, 1),
        "monitored_s": round(camera.monitored_s, 1),
        "latency": {"ends_s": BUCKETS_S, "counts": latency, "sum_s": round(camera.latency_s, 3)},
    }


def metrics_document(
    status: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, Any]],
    waiting_rows: int,
    dropped_rows: int,
    clear_s: float,
) -> dict[str, Any]:
    """The answer to `metrics`: plain numbers, none of which names a person. `status` is the answer to `status`."""
    live = status["live"]
    return {
        "v": 1,
        "version": status["version"],
        "uptime_s": status["uptime_s"],
        "cameras": {
            name: {
                **figures.get(name, _figures(_Camera())),
                "status": camera["status"],
                "present": camera["counts"],
                "stages_ms": camera["stages_ms"],
                "viewers": live["viewers"].get(name, 0),
            }
            for name, camera in status["cameras"].items()
        },
        "models": status["models"],
        "queues": {"outbox": status["outbox"], "store": waiting_rows},
        "rows_dropped": dropped_rows,
        "broker": status["broker"],
        "errors": len(status["errors"]),
        "clock_synced": status["clock_synced"],
        "paused": status["paused"] is not None,
        "resident_bytes": round(status["resident_mb"] * 1e6),
        "temperature_c": status["temperature_c"],
        "throttled": status["throttled"],
        "under_voltage": status["under_voltage"],
        "pictures_encoded": live["encoded"],
        "pictures_withheld": live["withheld"],
        "clear_view_s": round(clear_s, 1),
    }
