"""`edged bench --clip`: recordings through the pipeline as a live camera has it: what a frame costs, and what comes of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edged.assembly import Models, Wrap, build_pipeline
from edged.capture.child_protocol import RateLimiter
from edged.capture.video import VideoFile
from edged.config import CameraConfig, Config
from edged.config.signals import Profile
from edged.config.source import parse_source
from edged.pipeline import STAGES, Outcome, Pipeline
from edged.ports import Arrays, Engine
from edged.readers import DETECTORS
from edged.types import Encounter, Event, Frame

FPS = 15.0
"""Pictures a second that are taken of a clip, as of a camera by default."""
PERCENTILES = (50, 95, 99)


@dataclass(slots=True)
class DetectorRuns:
    """Counts how often a detector's models are run, and on how many pixels; `names` are those models."""

    names: Sequence[str]
    runs: int = 0
    pixels: int = 0

    def wrap(self, engine: Engine) -> Engine:
        """The engine, counted if it is one of the detector's; others as they are."""
        return _Counted(engine, self) if engine.name in self.names else engine


@dataclass(frozen=True, slots=True)
class _Counted:
    """Implements `edged.ports.Engine` with another one, and counts."""

    engine: Engine
    counted: DetectorRuns

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def backend(self) -> str:
        return self.engine.backend

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.counted.runs += 1
        self.counted.pixels += sum(int(np.prod(array.shape[:3])) for array in inputs.values())
        return self.engine.run(inputs)


Load = Callable[[Wrap], Models]
"""Loads the models, each wrapped."""


def settings_for(config: Config, profile: Profile) -> CameraConfig:
    """A camera of that profile, with the config's own limits for when it alerts."""
    return CameraConfig(
        source="images:///bench",
        profile=profile,
        fps=FPS,
        mask=config.mask,
        attention=config.attention,
        drowsiness=config.drowsiness,
    )


@dataclass(slots=True)
class Results:
    """What came of one clip: events' starts, alerts and ends, and the passages that ended."""

    events: list[dict[str, object]] = field(default_factory=list)
    passages: list[dict[str, object]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take down what came of one frame."""
        self.events += [_event(event) for event in outcome.events if event.phase != "update" or event.violation]
        self.passages += [_passage(one) for one in outcome.encounters if one.closed and not one.static]


def _event(event: Event) -> dict[str, object]:
    return {
        "time_s": round(event.time_s, 2),
        "kind": event.kind,
        "state": event.state,
        "phase": event.phase,
        "track": event.track,
        "alert": event.violation,
    }


def _passage(one: Encounter) -> dict[str, object]:
    return {
        "from_s": round(one.first_seen_s, 2),
        "to_s": round(one.last_seen_s, 2),
        "track": one.track,
        "state": one.state.value,
        "largest_face": one.largest_face,
    }


@dataclass(slots=True)
class _Costs:
    """A row for each frame: milliseconds of each stage, the processor's of all, faces, and whether the detector ran."""

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def step(self, pipeline: Pipeline, frame: Frame, detector_runs: DetectorRuns) -> Outcome:
        """Analyse one frame, and take down what it cost."""
        runs, started = detector_runs.runs, time.process_time()
        outcome = pipeline.step(frame)
        spent = time.process_time() - started
        stages = [getattr(pipeline.times, stage) * 1000 for stage in STAGES]
        self.rows.append((*stages, spent * 1000, float(len(outcome.faces)), float(detector_runs.runs > runs)))
        return outcome

    def summary(self) -> dict[str, object]:
        """Means and percentiles."""
        table = np.array(self.rows)
        total, spent, faces, detected = table[:, :4].sum(axis=1), table[:, 4], table[:, 5], table[:, 6]
        return {
            "frames": len(table),
            "frame_mean_ms": _two(total.mean()),
            **{f"frame_p{percent}_ms": _two(np.percentile(total, percent)) for percent in PERCENTILES},
            "frame_most_ms": _two(total.max()),
            "processor_mean_ms": _two(spent.mean()),
            "stages_mean_ms": dict(zip(STAGES, (_two(value) for value in table[:, :4].mean(axis=0)), strict=True)),
            "faces_a_frame": _two(faces.mean()),
            "frames_looked_at": int(detected.sum()),
        }


def _two(value: "np.floating[Any]") -> float:
    return round(float(value), 2)


def play(clip: Path, settings: CameraConfig, config: Config, load: Load) -> dict[str, object]:
    """Play `clip`, FPS pictures of it a second, through a camera's pipeline; decoding is not timed.

    Standard error gets a line about a clip that was cut off or is damaged. Raise SourceLost when it is not a video.
    """
    detector = config.models.detector
    detector_runs = DetectorRuns(DETECTORS[detector].models)
    models = load(detector_runs.wrap)
    pipeline = build_pipeline("clip", settings, config, models)
    video, rate, costs, results = (
        VideoFile(parse_source(clip.absolute().as_uri())),
        RateLimiter(FPS),
        _Costs(),
        Results(),
    )
    width = height = 0
    last_s = 0.0
    try:
        while (time_s := video.skip()) is not None:
            if not rate.due(time_s):
                continue
            image = video.picture()
            if not costs.rows:  # the first run warms caches and allocators up, and counts for none
                height, width = image.shape[:2]
                models.detector.detect(image)
                detector_runs.runs = detector_runs.pixels = 0
            results.add(costs.step(pipeline, Frame("clip", len(costs.rows), time_s, image), detector_runs))
            last_s = time_s
        if video.flaw:
            click.echo(f"edged: {video.flaw}", err=True)
    finally:
        video.close()
    results.add(pipeline.finish(last_s, "stopped"))
    summary = costs.summary()
    return {
        "clip": str(clip),
        "picture": f"{width}x{height}",
        "seconds": round(last_s, 2),
        "detector": detector,
        "profile": settings.profile,
        **summary,
        "detector_runs": detector_runs.runs,
        "megapixels_a_frame": round(detector_runs.pixels / len(costs.rows) / 1e6, 3),
        "passages": results.passages,
        "events": results.events,
    }


def over_all(played: Sequence[dict[str, Any]]) -> dict[str, object]:
    """The cost of a frame over several clips, each frame counting once, and how much came of them."""
    frames = sum(one["frames"] for one in played)
    means = {
        key: round(sum(one[key] * one["frames"] for one in played) / frames, 2)
        for key in ("frame_mean_ms", "processor_mean_ms", "faces_a_frame")
    }
    counts = {key: sum(one[key] for one in played) for key in ("frames_looked_at", "detector_runs")}
    results = {key: sum(len(one[key]) for one in played) for key in ("passages", "events")}
    return {"clips": len(played), "frames": frames, **means, **counts, **results}


def print_clip(one: dict[str, Any]) -> None:
    """One clip, for people."""
    click.echo(
        f"{one['clip']}: {one['picture']}, {one['seconds']} s, {one['frames']} frames at {FPS:g} a second or less, "
        f"profile {one['profile']}, detector {one['detector']}"
    )
    percentiles = ", ".join(f"p{percent} {one[f'frame_p{percent}_ms']}" for percent in PERCENTILES)
    click.echo(f"  a frame  {one['frame_mean_ms']:>8.2f} ms   {percentiles}, most {one['frame_most_ms']} ms")
    parts = ", ".join(f"{stage} {value:.2f}" for stage, value in one["stages_mean_ms"].items())
    click.echo(f"           {one['processor_mean_ms']:>8.2f} ms of the processor's time; {parts}")
    click.echo(
        f"  {one['faces_a_frame']} faces a frame; the detector ran on {one['frames_looked_at']} of {one['frames']} frames, "
        f"{one['detector_runs']} runs, {one['megapixels_a_frame']} megapixels a frame"
    )
    for passage in one["passages"]:
        click.echo(
            f"  passage  {passage['from_s']:>8.2f} to {passage['to_s']:.2f} s, #{passage['track']} {passage['state']}, "
            f"face up to {passage['largest_face']:.0f} px"
        )
    for event in one["events"]:
        alert = ", alert" if event["alert"] else ""
        click.echo(
            f"  event    {event['time_s']:>8.2f} s {event['kind']} {event['state']} {event['phase']}, "
            f"#{event['track']}{alert}"
        )


def print_total(total: dict[str, Any]) -> None:
    """All clips together, for people."""
    click.echo(
        f"{total['clips']} clips, {total['frames']} frames: {total['frame_mean_ms']} ms a frame, "
        f"{total['processor_mean_ms']} ms of the processor's time; it ran on {total['frames_looked_at']} frames; "
        f"{total['passages']} passages, {total['events']} events"
    )
