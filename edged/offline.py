"""Analyses pictures and recordings offline: one record per picture or frame, in the form the `eval` scripts read."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from edged.analyse.analyser import Reading, is_cut_below, is_masked, read_faces
from edged.assembly import EVERYTHING, Models, build_pipeline
from edged.capture.sources import read_picture
from edged.capture.video import VideoFile
from edged.config import CameraConfig, Config, Wants
from edged.config.source import parse_source
from edged.pipeline import Outcome
from edged.readers import SURE_SCORES
from edged.render.annotate import Portrait, annotate
from edged.signals.drowsiness import LOOKING_DOWN
from edged.types import (
    Attention,
    Box,
    Detection,
    Drowsiness,
    DrowsinessLevel,
    EyeReading,
    Face,
    Frame,
    HeadPose,
    Image,
    Lens,
    MaskScores,
    MaskState,
    Points,
)

LEAST_SCORE_READ = 0.3
"""Landmarks, pose and eyes of weaker finds would be inventions: they stay null."""

TIGHT_CROP_FOCAL = 4.7
"""Focal length of what shows little more than one face, in units of its longer side: such pictures are cut out of
larger ones, or taken from near with a long lens; either way they span few degrees (about 12)."""

TIGHT_CROP_BELOW = 4.0
"""Degrees from the axis down to a face cut out of a picture that is not at hand: cameras hang above the people they watch. The
mean over the recordings that the pose was trained on; where it is wrong, pitch is wrong by the difference."""

MOST_FPS = 120.0
"""Every frame of a recording is analysed, however fast they come."""

FIELD_OF_VIEW = 60.0
"""Degrees from left to right, where it is not given."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """How open a face's eyes are, 0 to 1, and whether that counts as closed."""

    openness: float
    closed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One face of one picture, in the original picture's pixels. What was not read, or could not be, is None."""

    track: int | None
    box: Box
    score: float
    state: MaskState
    scores: MaskScores | None
    points: Points | None
    landmarks: Points | None = None
    pose: HeadPose | None = None
    eyes: Eyes | None = None
    attention: Attention | None = None
    drowsiness: Drowsiness | None = None
    """Signals of a tracked face."""

    @property
    def words(self) -> tuple[str, ...]:
        """What is known of attention and drowsiness, for people."""
        return self.told(EVERYTHING)

    def told(self, asked: Wants) -> tuple[str, ...]:
        """A line for each thing `asked` that is known. Whose eyes are shut is not called attentive, wherever the head points."""
        shut = asked.drowsiness and self.eyes is not None and self.eyes.closed
        lines = (
            _attention_words(self.attention, shut=shut) if asked.attention else "",
            _eye_words(self.eyes, self.drowsiness) if asked.drowsiness else "",
            _level_words(self.drowsiness) if asked.drowsiness else "",
        )
        return tuple(filter(None, lines))

    def record(self) -> dict[str, Any]:
        """The face as one line of JSON has it."""
        mask = None
        if self.scores is not None:
            scores = {name: round(value, 4) for name, value in self.scores._asdict().items()}
            mask = {"state": self.state.value, "scores": scores}
        pose = self.pose and {name: round(getattr(self.pose, name), 2) for name in ("yaw", "pitch", "roll")}
        return {
            "track": self.track,
            "box": [round(float(v), 2) for v in self.box],
            "score": round(float(self.score), 5),
            "mask": mask,
            "keypoints5": _rounded(self.points),
            "keypoints68": _rounded(self.landmarks),
            "pose": pose,
            "eyes": self.eyes and {"openness": round(self.eyes.openness, 4), "closed": self.eyes.closed},
        }

    def portrait(self, asked: Wants) -> Portrait:
        """The face as it is drawn for somebody who asked for this."""
        return Portrait(
            self.box,
            self.state if asked.mask else None,
            note="" if self.track is None else f"#{self.track}",
            lines=self.told(asked),
            points=self.landmarks if asked.landmarks else None,
            pose=self.pose if asked.landmarks else None,
            eyes_shut=self.eyes.closed if asked.drowsiness and self.eyes is not None else None,
            level=_gravest(self.attention if asked.attention else None, self.drowsiness if asked.drowsiness else None),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """One picture or frame, and the faces in it, best first."""

    source: Path
    frame: int
    time_s: float
    image: Image
    faces: list[Found]
    sure_score: float = 0.0
    """From this score on a detection that is not tracked counts as a face."""

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
        """The faces that the daemon would report: weaker detections are in the JSON only."""
        return [face for face in self.faces if face.track is not None or face.score >= self.sure_score]

    def annotated(self, asked: Wants = EVERYTHING) -> Image:
        """A copy of the picture with what was `asked` of the faces drawn on it."""
        return annotate(self.image, [face.portrait(asked) for face in self.shown()])


def analyse_picture(
    path: Path, config: Config, models: Models, pad: float = 0.0, field_of_view: float | None = None
) -> Analysed:
    """Analyse a picture file; `pad` adds that share of its longer side on every border first, for tight crops.

    `field_of_view` is the picture's own, from left to right in degrees; 60 when left out, or that of a tight crop where
    there is a pad. Raise SourceLost when the file is not a picture.
    """
    image = read_picture(path)
    border = round(pad * max(image.shape[:2]))
    padded = image
    if border:
        padded = np.asarray(cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8)
    lens = _lens(image, border, field_of_view)
    detections = models.detector.detect(padded)
    scores = models.judge.judge(padded, [d.box for d in detections]) if detections else []
    # Best first, so those worth reading come first; what is hardly a face has no eyes.
    worth = sum(detection.score >= LEAST_SCORE_READ for detection in detections)
    readings = _readings(models, padded, detections[:worth], scores[:worth], lens)
    rows = zip(detections, scores, [*readings, *([None] * (len(detections) - worth))], strict=True)
    faces = [_found(*row, config, border, image.shape[0]) for row in rows]
    return Analysed(path, 0, 0.0, image, faces, SURE_SCORES[config.models.detector])


def _lens(image: Image, border: int, field_of_view: float | None) -> Lens:
    """The lens of a picture that was widened by `border`, in pixels of the widened one."""
    height, width = image.shape[:2]
    if border and field_of_view is None:
        return tight_crop_lens(width, height, border)
    plain = Lens.of(width, height, field_of_view or FIELD_OF_VIEW)
    return Lens(plain.focal, plain.centre_x + border, plain.centre_y + border)


def tight_crop_lens(width: int, height: int, border: int) -> Lens:
    """What is assumed of a face cut out of a picture that is not at hand: `width` x `height`, then widened by `border`."""
    focal = TIGHT_CROP_FOCAL * max(height, width)
    above = focal * math.tan(math.radians(TIGHT_CROP_BELOW))
    return Lens(focal, width / 2 + border, height / 2 + border - above)


def _readings(
    models: Models, image: Image, detections: list[Detection], scores: list[MaskScores], lens: Lens
) -> list[Reading] | list[None]:
    """Everything the loaded models can read, of every face."""
    readers = models.readers(EVERYTHING)
    if readers is None or not detections:
        return [None] * len(detections)
    return read_faces(readers, image, detections, [is_masked(score) for score in scores], lens)


def _found(
    detection: Detection, scores: MaskScores, reading: Reading | None, config: Config, border: int, height: int
) -> Found:
    """A single look's verdict on a face in a picture `height` pixels high without its border: certain only when the face is
    large enough, all of it is there, and the score is high enough.
    """
    box = Box(*(value - border for value in detection.box))
    seen = detection.box.side >= config.mask.smallest_face and not is_cut_below(box, height)
    state = scores.state if seen and max(scores) >= config.mask.leave_score else MaskState.UNCERTAIN
    eyes = None if reading is None else _eyes(None, reading.eyes)
    return Found(
        track=None,
        box=box,
        score=detection.score,
        state=state,
        scores=scores,
        points=_shifted(detection.points, border),
        landmarks=None if reading is None else _shifted(reading.landmarks.points, border),
        pose=None if reading is None else reading.pose,
        eyes=eyes,
    )


class Recording:
    """A video file being analysed, every frame of it."""

    def __init__(
        self,
        path: Path,
        config: Config,
        models: Models,
        field_of_view: float | None = None,
        fps: float | None = None,
    ) -> None:
        """Open `path`; `field_of_view` as in `analyse_picture`. `fps` goes before the file's own time stamps.

        Raise SourceLost when it is not a video.
        """
        self.path = path
        uri = path.absolute().as_uri()
        self._video = VideoFile(parse_source(uri), fps)
        self.fps = self._video.fps
        self.frame_count = self._video.frame_count
        self.assumption = self._video.assumption
        settings = _settings(uri, config, models, field_of_view or FIELD_OF_VIEW)
        self._pipeline = build_pipeline("offline", settings, config, models, every_frame=True)

    @property
    def flaw(self) -> str | None:
        """What was wrong with the file, for people, once all that can be read was: cut off, damaged."""
        return self._video.flaw

    def frames(self) -> Iterator[Analysed]:
        """Analyse frame after frame, as far as the file can be read. Raise SourceLost when it holds none."""
        scores: dict[int, MaskScores] = {}
        try:
            for index in itertools.count():
                if (time_s := self._video.skip()) is None:
                    return
                image = self._video.picture()
                outcome = self._pipeline.step(Frame("offline", index, time_s, image))
                scores = {f.track.id: f.mask or scores.get(f.track.id, _UNKNOWN) for f in outcome.faces}
                faces = [
                    _followed(detection, face, scores[face.track.id], _Smoothed.of(outcome, face.track.id))
                    for face in outcome.faces
                    if (detection := face.track.detection) is not None
                ]
                yield Analysed(self.path, index, time_s, image, sorted(faces, key=lambda face: -face.score))
        finally:
            self._video.close()


_UNKNOWN = MaskScores(1 / 3, 1 / 3, 1 / 3)


def _settings(uri: str, config: Config, models: Models, field_of_view: float) -> CameraConfig:
    """A camera that wants all that the loaded models can tell."""
    enabled = {
        "mask": True,
        "attention": models.landmarks is not None,
        "drowsiness": models.landmarks is not None and models.eyes is not None,
    }
    parts = {name: getattr(config, name).model_copy(update={"enabled": value}) for name, value in enabled.items()}
    return CameraConfig(source=uri, fps=MOST_FPS, field_of_view=field_of_view, **parts)


@dataclass(frozen=True, slots=True)
class _Smoothed:
    """What the signals say of one track."""

    state: MaskState
    attention: Attention | None
    drowsiness: Drowsiness | None

    @classmethod
    def of(cls, outcome: Outcome, track: int) -> "_Smoothed":
        signals = outcome.signals
        return cls(
            next((vote.state for vote in signals.masks if vote.track == track), MaskState.UNCERTAIN),
            next((attention for attention in signals.attention if attention.track == track), None),
            next((drowsiness for drowsiness in signals.drowsiness if drowsiness.track == track), None),
        )


def _followed(detection: Detection, face: Face, scores: MaskScores, smoothed: _Smoothed) -> Found:
    return Found(
        track=face.track.id,
        box=detection.box,
        score=detection.score,
        state=smoothed.state,
        scores=scores,
        points=detection.points,
        landmarks=None if face.landmarks is None else face.landmarks.points,
        pose=face.pose,
        eyes=_eyes(smoothed.drowsiness, face.eyes),
        attention=smoothed.attention,
        drowsiness=smoothed.drowsiness,
    )


def _eyes(drowsiness: Drowsiness | None, look: EyeReading | None) -> Eyes | None:
    """The smoothed signal where there is one, else what this one look shows; None where neither can tell.

    Eyes that are shut in a yawn are shut, though the signal does not count it. Lids that went down with the head look shut
    and are not: there the one look knows no better than the signal.
    """
    if drowsiness is not None and drowsiness.openness is not None and drowsiness.closed is not None:
        return Eyes(drowsiness.openness, drowsiness.closed)
    looks_down = drowsiness is not None and f"eyes: {LOOKING_DOWN}" in drowsiness.unavailable
    if looks_down or look is None or look.open_probability is None:
        return None
    return Eyes(look.open_probability, look.open_probability < 0.5)


def _attention_words(attention: Attention | None, *, shut: bool) -> str:
    """Nothing of what is not known; `shut` are the eyes."""
    if attention is None or attention.attentive is None:
        return ""
    distracted = ", distracted" if attention.distraction else ""
    if attention.attentive:
        return "" if shut else "attentive"
    return f"away {attention.away_s:.1f} s{distracted}"


def _eye_words(eyes: Eyes | None, drowsiness: Drowsiness | None) -> str:
    """Whether the eyes are open, and PERCLOS, as far as either is known."""
    words = []
    if eyes is not None:
        lasts = f" {drowsiness.closure_s:.1f} s" if drowsiness is not None and drowsiness.closed else ""
        words.append(f"eyes closed{lasts}" if eyes.closed else "eyes open")
    if drowsiness is not None and drowsiness.perclos is not None:
        words.append(f"PERCLOS {100 * drowsiness.perclos:.0f} %")
    return ", ".join(words)


def _level_words(drowsiness: Drowsiness | None) -> str:
    if drowsiness is None or drowsiness.level == "unknown":
        return ""
    return f"{drowsiness.level}: {', '.join(drowsiness.reasons)}".removesuffix(": ")


def _gravest(attention: Attention | None, drowsiness: Drowsiness | None) -> DrowsinessLevel:
    """One level for both: a look away is worth a notice, a distraction a warning."""
    levels = get_args(DrowsinessLevel)
    looks: DrowsinessLevel = "unknown"
    if attention is not None and attention.attentive is not None:
        looks = "alert" if attention.attentive else "warning" if attention.distraction else "notice"
    return max(looks, "unknown" if drowsiness is None else drowsiness.level, key=levels.index)


def _rounded(points: Points | None) -> list[list[float]] | None:
    return None if points is None else np.round(points.astype(np.float64), 2).tolist()


def _shifted(points: Points | None, border: int) -> Points | None:
    return points if points is None or not border else (points - border).astype(np.float32)
