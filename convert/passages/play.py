"""Plays a recording through the stages as the daemon has them, and keeps who was told to have passed and what alerted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.assembly import Models, build_pipeline
from edged.capture.child_protocol import RateLimiter
from edged.capture.video import VideoFile
from edged.config import CameraConfig, Config
from edged.config.signals import Profile
from edged.config.source import parse_source
from edged.pipeline import Outcome, Pipeline
from edged.types import Box, Encounter, Event, Frame

Watcher = Callable[[Frame, Outcome], None]


@dataclass(frozen=True, slots=True)
class Played:
    """What one recording told. `passages` are closed encounters; `alerts` the steps of events that alert people."""

    passages: tuple[Encounter, ...]
    alerts: tuple[Event, ...]
    sightings: dict[int, list[tuple[float, Box]]]
    """By track: when it was seen, and where."""


def play(
    clip: Path,
    profile: Profile,
    config: Config,
    models: Models,
    watch: Watcher | None = None,
    fps: float | None = None,
) -> Played:
    """Play the whole of `clip`, at most `fps` pictures a second; None: as many as a camera has by default. Raise SourceLost when
    it cannot be read.
    """
    uri = clip.absolute().as_uri()
    settings = CameraConfig(source=uri, profile=profile)
    pipeline = build_pipeline("clip", settings, config, models)
    passages: list[Encounter] = []
    alerts: list[Event] = []
    sightings: dict[int, list[tuple[float, Box]]] = {}

    def take(outcome: Outcome) -> None:
        passages.extend(one for one in outcome.encounters if one.closed and not one.static)
        alerts.extend(event for event in outcome.events if event.violation)
        for face in outcome.faces:
            if face.track.detection is not None:
                sightings.setdefault(face.track.id, []).append((face.track.last_seen_s, face.track.box))

    _run(VideoFile(parse_source(uri)), pipeline, fps or settings.fps, take, watch)
    return Played(tuple(passages), tuple(alerts), sightings)


def _run(
    video: VideoFile, pipeline: Pipeline, fps: float, take: Callable[[Outcome], None], watch: Watcher | None
) -> None:
    pace, last_s, index = RateLimiter(fps), 0.0, 0
    try:
        while (time_s := video.skip()) is not None:
            if not pace.due(time_s):
                continue
            frame = Frame("clip", index, time_s, video.picture())
            outcome = pipeline.step(frame)
            take(outcome)
            if watch is not None:
                watch(frame, outcome)
            last_s, index = time_s, index + 1
    finally:
        video.close()
    take(pipeline.finish(last_s, "end"))
