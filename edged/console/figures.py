"""The figures for Prometheus: what the daemon counts, under names and units by Prometheus's rules; nothing about people."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edged import __version__
from edged.types import CameraStatus

CAMERA_STATES = get_args(CameraStatus)


def exposition(document: Mapping[str, Any] | None) -> bytes:
    """The text of `/metrics` for the daemon's answer to `metrics`; None where none answers."""
    registry = CollectorRegistry()
    registry.register(Figures(document))
    return generate_latest(registry)


class Figures(Collector):
    """All metrics of one answer."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self._document = document

    def collect(self) -> Iterator[Metric]:
        document = self._document
        yield GaugeMetricFamily("edged_up", "Whether the daemon answers", document is not None)
        yield InfoMetricFamily("edged_console", "Version of the console", {"version": __version__})
        if document is None:
            return
        yield InfoMetricFamily("edged", "Version of the daemon", {"version": document["version"]})
        yield from _device(document)
        yield from _counts(document["cameras"])
        yield from _states(document["cameras"])


def _device(document: Mapping[str, Any]) -> Iterator[Metric]:
    gauges = {
        "uptime_seconds": ("Since the daemon was started", document["uptime_s"]),
        "resident_memory_bytes": ("Of the daemon", document["resident_bytes"]),
        "temperature_celsius": ("Of the hottest part of the board", document["temperature_c"]),
        "throttled": ("Whether heat or power slow the board down", document["throttled"]),
        "under_voltage": ("Whether the supply is too weak", document["under_voltage"]),
        "clock_synced": ("Whether the clock can be believed", document["clock_synced"]),
        "paused": ("Whether watching is paused, since somebody asked for that", document["paused"]),
        "problems": ("What is wrong now, in lines of `edged status`", document["errors"]),
        "broker_connected": ("Whether the broker is connected", document["broker"]["connected"]),
        "outbox_messages": ("Messages that wait for the broker", document["queues"]["outbox"]),
        "store_queue_rows": ("Rows that wait to be stored", document["queues"]["store"]),
    }
    for name, (text, value) in gauges.items():
        if value is not None:
            yield GaugeMetricFamily(f"edged_{name}", text, float(value))
    counters = {
        "rows_dropped": ("Rows lost while nothing could be stored", document["rows_dropped"]),
        "pictures_encoded": ("Live pictures made", document["pictures_encoded"]),
        "pictures_withheld": ("Live pictures in which faces could not be hidden", document["pictures_withheld"]),
        "clear_view_seconds": ("For how long faces were shown unhidden", document["clear_view_s"]),
    }
    for name, (text, value) in counters.items():
        yield CounterMetricFamily(f"edged_{name}", text, float(value))


def _counts(cameras: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """What only grows, by camera."""
    encounters = CounterMetricFamily("edged_encounters", "Passages that have ended", labels=("camera", "outcome"))
    events = CounterMetricFamily("edged_events", "Events about people", labels=("camera", "kind", "state", "alerted"))
    latency = HistogramMetricFamily("edged_latency_seconds", "From a picture to its analysis", labels=("camera",))
    plain = {
        "frames_seen": CounterMetricFamily("edged_camera_frames", "Pictures that came", labels=("camera",)),
        "frames_analysed": CounterMetricFamily("edged_camera_frames_analysed", "Pictures analysed", labels=("camera",)),
        "frames_faulty": CounterMetricFamily("edged_camera_frames_faulty", "Pictures of no use", labels=("camera",)),
        "open_s": CounterMetricFamily("edged_camera_open_seconds", "Time to be watched", labels=("camera",)),
        "monitored_s": CounterMetricFamily("edged_camera_monitored_seconds", "Time watched of it", labels=("camera",)),
    }
    for name, camera in cameras.items():
        for state, count in camera["encounters"].items():
            encounters.add_metric((name, state), count)
        for event in camera["events"]:
            labels = (name, event["kind"], event["state"], str(event["alerted"]).lower())
            events.add_metric(labels, event["count"])
        for key, family in plain.items():
            family.add_metric((name,), camera[key])
        latency.add_metric((name,), _buckets(camera["latency"]), camera["latency"]["sum_s"])
    yield from (encounters, events, latency, *plain.values())


def _buckets(latency: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus expects them."""
    total, found = 0, []
    for end, count in zip([*map(str, latency["ends_s"]), "+Inf"], latency["counts"], strict=True):
        total += count
        found.append((end, float(total)))
    return found


def _states(cameras: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """What stands now, by camera."""
    state = GaugeMetricFamily("edged_camera_state", "1 for the state that the camera is in", labels=("camera", "state"))
    viewers = GaugeMetricFamily("edged_live_viewers", "Viewers of the live picture", labels=("camera",))
    stages = GaugeMetricFamily("edged_stage_seconds", "Time of the last picture by stage", labels=("camera", "stage"))
    for name, camera in cameras.items():
        for one in CAMERA_STATES:
            state.add_metric((name, one), camera["status"] == one)
        viewers.add_metric((name,), camera["viewers"])
        for stage, milliseconds in (camera["stages_ms"] or {}).items():
            stages.add_metric((name, stage), milliseconds / 1000)
    yield from (state, viewers, stages)
