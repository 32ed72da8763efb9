"""Analyses pictures and recordings offline: one record per picture or frame, in the form the `eval` scripts read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edged.assembly import Models, build_pipeline
from edged.capture.sources import VideoFile, read_picture
from edged.config import CameraConfig, Config
from edged.config.source import parse_source
from edged.draw import annotate
from edged.types import Box, Detection, Frame, Image, MaskScores, MaskState, Points

LEAST_SCORE_SHOWN = 0.4
"""Weaker finds are wrong more often than not."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One face of one picture, in the original picture's pixels."""

    track: int | None
    box: Box
    score: float
    state: MaskState
    scores: MaskScores | None
    points: Points | None

    def record(self) -> dict[str, Any]:
        """The face as one line of JSON has it."""
        mask = None
        if self.scores is not None:
            scores = {name: round(value, 4) for name, value in self.scores._asdict().items()}
            mask = {"state": self.state.value, "scores": scores}
        return {
            "track": self.track,
            "box": [round(float(v), 2) for v in self.box],
            "score": round(float(self.score), 5),
            "mask": mask,
            "keypoints5": None if self.points is None else np.round(self.points.astype(np.float64), 2).tolist(),
            "keypoints68": None,
            "pose": None,
            "eyes": None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """One picture or frame, and the faces in it, best first."""

    source: Path
    frame: int
    time_s: float
    image: Image
    faces: list[Found]

    def record(self) -> dict[str, Any]:
        """The line of JSON."""
        height, width = self.image.shape[:2]
        return {
            "source": str(self.source),
            "frame": self.frame,
            "time_s": round(self.time_s, 4),
            "width": width,
            "height": height,
            "faces": [face.record() for face in self.faces],
        }

    def shown(self) -> list[Found]:
        """The faces that people are told of: finds weaker than these are in the JSON only."""
        return [face for face in self.faces if face.score >= LEAST_SCORE_SHOWN]

    def annotated(self) -> Image:
        """A copy of the picture with the faces drawn on it."""
        return annotate(self.image, [(f.box, f.state, "" if f.track is None else f"#{f.track}") for f in self.shown()])


def analyse_picture(path: Path, config: Config, models: Models, pad: float = 0.0) -> Analysed:
    """Analyse a picture file; `pad` adds that share of its longer side on every border first, for tight crops.

    Raise SourceLost when the file is not a picture.
    """
    image = read_picture(path)
    border = round(pad * max(image.shape[:2]))
    padded = image
    if border:
        padded = np.asarray(cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8)
    detections = models.detector.detect(padded)
    scores = models.judge.judge(padded, [d.box for d in detections]) if detections else []
    faces = [
        _found(_shifted(detection, border), score, config) for detection, score in zip(detections, scores, strict=True)
    ]
    return Analysed(path, 0, 0.0, image, faces)


class Recording:
    """A video file being analysed, every frame of it."""

    def __init__(self, path: Path, config: Config, models: Models) -> None:
        """Open `path`. Raise SourceLost when it is not a video."""
        self.path = path
        uri = path.absolute().as_uri()
        self._video = VideoFile(parse_source(uri))
        self.fps = self._video.fps
        self.frame_count = self._video.frame_count
        settings = CameraConfig(source=uri, mask=config.mask)
        self._pipeline = build_pipeline("offline", settings, config, models, every_frame=True)

    def frames(self) -> Iterator[Analysed]:
        """Analyse frame after frame. Raise SourceLost when the file cannot be read to its end."""
        scores: dict[int, MaskScores] = {}
        try:
            while (time_s := self._video.skip()) is not None:
                index = round(time_s * self.fps)
                image = self._video.picture()
                outcome = self._pipeline.step(Frame("offline", index, time_s, image))
                scores = {f.track.id: f.mask or scores.get(f.track.id, _UNKNOWN) for f in outcome.faces}
                faces = [
                    Found(
                        track=face.track.id,
                        box=face.track.detection.box,
                        score=face.track.detection.score,
                        state=vote.state,
                        scores=scores[face.track.id],
                        points=face.track.detection.points,
                    )
                    for face, vote in zip(outcome.faces, outcome.signals.masks, strict=True)
                    if face.track.detection is not None
                ]
                yield Analysed(self.path, index, time_s, image, sorted(faces, key=lambda face: -face.score))
        finally:
            self._video.close()


_UNKNOWN = MaskScores(1 / 3, 1 / 3, 1 / 3)


def _found(detection: Detection, scores: MaskScores, config: Config) -> Found:
    """A single look's verdict: certain only when the face is large enough and the score high enough."""
    sure = detection.box.side >= config.mask.smallest_face and max(scores) >= config.mask.leave_score
    state = scores.state if sure else MaskState.UNCERTAIN
    return Found(None, detection.box, detection.score, state, scores, detection.points)


def _shifted(detection: Detection, border: int) -> Detection:
    if not border:
        return detection
    box = Box(*(value - border for value in detection.box))
    points = None if detection.points is None else (detection.points - border).astype(np.float32)
    return Detection(box, detection.score, points, detection.mask)
