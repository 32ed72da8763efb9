"""What offline analysis finds in one picture or frame: as a line of `edged analyze --json`, in words, and as it is drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from edged.assembly import EVERYTHING
from edged.config import Tasks
from edged.render.annotate import Portrait, annotate
from edged.types import Attention, Box, Drowsiness, DrowsinessLevel, HeadPose, Image, MaskScores, MaskState, Points


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
    counted: bool = True
    """Whether it is named in the text and drawn. The others stand in the JSON alone, for programs that weigh every score."""

    @property
    def words(self) -> tuple[str, ...]:
        """What is known of attention and drowsiness, for people."""
        return self.lines_for(EVERYTHING)

    def lines_for(self, asked: Tasks) -> tuple[str, ...]:
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
            "counted": self.counted,
            "mask": mask,
            "keypoints5": _rounded(self.points),
            "keypoints68": _rounded(self.landmarks),
            "pose": pose,
            "eyes": self.eyes and {"openness": round(self.eyes.openness, 4), "closed": self.eyes.closed},
        }

    def portrait(self, asked: Tasks) -> Portrait:
        """The face as it is drawn for somebody who asked for this."""
        return Portrait(
            self.box,
            self.state if asked.mask else None,
            note="" if self.track is None else f"#{self.track}",
            lines=self.lines_for(asked),
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

    def counted(self) -> list[Found]:
        """The faces that are named in the text."""
        return [face for face in self.faces if face.counted]

    def annotated(self, asked: Tasks = EVERYTHING) -> Image:
        """A copy of the picture with what was `asked` of the faces drawn on it."""
        return annotate(self.image, [face.portrait(asked) for face in self.counted()])


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
    level: DrowsinessLevel = "unknown"
    if attention is not None and attention.attentive is not None:
        level = "alert" if attention.attentive else "warning" if attention.distraction else "notice"
    return max(level, "unknown" if drowsiness is None else drowsiness.level, key=levels.index)


def _rounded(points: Points | None) -> list[list[float]] | None:
    return None if points is None else np.round(points.astype(np.float64), 2).tolist()
