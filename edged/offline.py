"""Analyses pictures and recordings offline, face by face."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edged.analyse.analyser import Reading, is_cut_below, is_masked, read_faces
from edged.assembly import EVERYTHING, Models, build_pipeline
from edged.capture.child_protocol import MOST_PIXELS
from edged.capture.recordings import read_picture
from edged.capture.video import VideoFile
from edged.config import CameraConfig, Config
from edged.config.source import parse_source
from edged.errors import Failed, UsageError
from edged.offline_result import Analysed, Eyes, Found
from edged.pipeline import Outcome
from edged.readers import SURE_SCORES
from edged.signals.driver import DriverFinder
from edged.signals.drowsiness import LOOKING_DOWN
from edged.types import (
    FIELD_OF_VIEW,
    Attention,
    Box,
    Detection,
    Drowsiness,
    EyeReading,
    Face,
    Frame,
    Image,
    Lens,
    MaskScores,
    MaskState,
    Points,
)

LEAST_SCORE_READ = 0.3
"""Landmarks, pose and eyes of weaker detections would be guesses: they stay null."""

TIGHT_CROP_FOCAL = 4.7
"""Focal length of what shows little more than one face, in units of its longer side: such pictures are cut out of
larger ones, or taken from near with a long lens; either way they span few degrees (about 12)."""

TIGHT_CROP_BELOW = 4.0
"""Degrees from the axis down to a face cut out of a picture that is not at hand: cameras hang above the people they watch. The
mean over the recordings that the pose was trained on; where it is wrong, pitch is wrong by the difference."""

MOST_FPS = 120.0
"""Every frame of a recording is analysed, however fast they come."""


def analyse_picture(
    path: Path,
    config: Config,
    models: Models,
    pad: float = 0.0,
    field_of_view: float | None = None,
    *,
    one_person: bool = False,
) -> Analysed:
    """Analyse a picture file; `pad` adds that share of its longer side on every border first, for tight crops.

    `field_of_view` is the picture's own, from left to right in degrees; 60 when left out, or that of a tight crop where
    there is a pad. Faces are counted from the score on that begins a track in a recording; of these the largest alone where
    `one_person` is asked, who drives. Raise SourceLost when the file is not a picture,
    Failed when it is too large for the detector, or with its pad for memory.
    """
    image = read_picture(path)
    border = round(pad * max(image.shape[:2]))
    pixels = (image.shape[0] + 2 * border) * (image.shape[1] + 2 * border)
    if border and pixels > MOST_PIXELS:
        raise Failed(
            f"{path}: widened by {pad:g} of its longer side it has {pixels / 1e6:.0f} megapixels, and"
            f" {MOST_PIXELS // 1_000_000} at most can be analysed; choose a smaller --pad"
        )
    padded = image
    if border:
        padded = np.asarray(cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8)
    lens = _lens(image, border, field_of_view)
    try:
        detections = models.detector.detect(padded)
    except UsageError as error:
        raise Failed(f"{path}: {error}") from None
    scores = models.judge.judge(padded, [d.box for d in detections]) if detections else []
    # Best first, so those worth reading come first; what is hardly a face has no eyes.
    worth = sum(detection.score >= LEAST_SCORE_READ for detection in detections)
    readings = _readings(models, padded, detections[:worth], scores[:worth], lens)
    rows = zip(detections, scores, [*readings, *([None] * (len(detections) - worth))], strict=True)
    sure = [detection for detection in detections if detection.score >= SURE_SCORES[config.models.detector]]
    if one_person and sure:
        sure = [max(sure, key=lambda detection: detection.box.side)]
    faces = [_found(*row, config, border, image.shape[0], counted=any(row[0] is one for one in sure)) for row in rows]
    return Analysed(path, 0, 0.0, image, faces)


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
    detection: Detection,
    scores: MaskScores,
    reading: Reading | None,
    config: Config,
    border: int,
    height: int,
    *,
    counted: bool,
) -> Found:
    """A verdict from a single judgement of a face in a picture `height` pixels high without its border: certain only when it is
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
        counted=counted,
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
        *,
        one_person: bool = False,
    ) -> None:
        """Open `path`; `field_of_view` as in `analyse_picture`. `fps` goes before the file's own time stamps.

        Every face that is followed is counted; the driver's alone where `one_person` is asked. Raise SourceLost when it is
        not a video.
        """
        self.path = path
        uri = path.absolute().as_uri()
        self._video = VideoFile(parse_source(uri), fps)
        self.fps = self._video.fps
        self.frame_count = self._video.frame_count
        self.assumption = self._video.assumption
        settings = _settings(uri, config, models, field_of_view or FIELD_OF_VIEW)
        self._pipeline = build_pipeline("offline", settings, config, models, every_frame=True)
        self._driver = DriverFinder() if one_person else None

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
                driver = self._driver and self._driver.among(time_s, outcome.faces)
                faces = [
                    _followed(
                        detection,
                        face,
                        scores[face.track.id],
                        _Smoothed.of(outcome, face.track.id),
                        counted=self._driver is None or face is driver,
                    )
                    for face in outcome.faces
                    if (detection := face.track.detection) is not None
                ]
                yield Analysed(self.path, index, time_s, image, sorted(faces, key=lambda face: -face.score))
        finally:
            self._video.close()


_UNKNOWN = MaskScores(1 / 3, 1 / 3, 1 / 3)


def _settings(uri: str, config: Config, models: Models, field_of_view: float) -> CameraConfig:
    """A camera whose tasks are all that the loaded models can do."""
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


def _followed(detection: Detection, face: Face, scores: MaskScores, smoothed: _Smoothed, *, counted: bool) -> Found:
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
        counted=counted,
    )


def _eyes(drowsiness: Drowsiness | None, reading: EyeReading | None) -> Eyes | None:
    """The smoothed signal where there is one, else what this one reading shows; None where neither says anything.

    Eyes that are shut in a yawn are shut, though the signal does not count it. Lids that went down with the head look shut
    and are not: there the one reading knows no better than the signal.
    """
    if drowsiness is not None and drowsiness.openness is not None and drowsiness.closed is not None:
        return Eyes(drowsiness.openness, drowsiness.closed)
    head_is_down = drowsiness is not None and f"eyes: {LOOKING_DOWN}" in drowsiness.unavailable
    if head_is_down or reading is None or reading.open_probability is None:
        return None
    return Eyes(reading.open_probability, reading.open_probability < 0.5)


def _shifted(points: Points | None, border: int) -> Points | None:
    return points if points is None or not border else (points - border).astype(np.float32)
