"""The whole evaluation: reads, runs, scores, writes sheets; what `python -m convert evaluate` does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.evaluation import readers, report, sheets
from convert.evaluation.detection import match_all
from convert.evaluation.report import Section
from convert.evaluation.run import Run, detectors, run
from convert.evaluation.sources import Part, read_all
from convert.evaluation.tasks import TASKS, Task
from edged.errors import UsageError
from edged.inference import Manifest

FOLDERS: dict[Task, str] = {"landmarks": "landmarks68/helen_test", "pose": "headpose_biwi", "eyes": "eyes"}
"""What readers are scored on, below the data's folder."""


def at_hand(data: Path) -> frozenset[Task]:
    """What can be scored on the data that is there; scenes are looked for when they are read."""
    return frozenset(task for task in TASKS if task not in FOLDERS or (data / FOLDERS[task]).is_dir())


@dataclass(frozen=True)
class Request:
    """What is to be scored, on which part of the data, and where sheets go (nowhere: None)."""

    data: Path
    tasks: frozenset[Task] = frozenset(TASKS)
    part: Part = field(default_factory=Part)
    sheets: Path | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that was found out."""

    sections: list[Section]
    pictures: int
    near_copies: int
    sheets: list[Path]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "pictures": self.pictures,
            "left_out_as_near_copies": self.near_copies,
            "sheets": [str(path) for path in self.sheets],
            **{section.key: section.record for section in self.sections},
        }


def evaluate(request: Request, manifest: Manifest) -> Evaluation:
    """Raise UsageError where the data lacks what was asked for, and ModelError for a model that cannot be used."""
    for task in sorted(request.tasks - at_hand(request.data)):
        remedy = f"--data must name the folder that holds it, or --only leave {task} out"
        raise UsageError(f"{request.data / FOLDERS[task]}: not found; {remedy}")
    sections: list[Section] = []
    written: list[Path] = []
    pictures = copies = 0
    if request.tasks & {"detector", "mask"}:
        truths, copies = read_all(request.data, request.part)
        pictures = len(truths)
        rows = detectors(request.data, manifest, peers="detector" in request.tasks)
        done = run(truths, rows, manifest, masks="mask" in request.tasks)
        sections += report.detector_sections(done) if "detector" in request.tasks else []
        sections += report.mask_sections(done) if "mask" in request.tasks else []
        if request.sheets is not None:
            written = list(_sheets(request.sheets, done, request.tasks))
    sections += _readers(request, manifest)
    return Evaluation(sections, pictures, copies, written)


def _sheets(folder: Path, done: Run, tasks: frozenset[Task]) -> Iterator[Path]:
    """The worst cases of what was scored."""
    if "detector" in tasks:
        finds = done.finds[done.live]
        outcomes = match_all(done.truths, finds)
        yield sheets.write_sheet(folder, "misses", sheets.misses(done.truths, outcomes))
        yield sheets.write_sheet(folder, "false-alarms", sheets.false_alarms(done.truths, outcomes, finds))
    if done.judged is not None:
        yield sheets.write_sheet(folder, "mask-confusions", sheets.mask_confusions(done.truths, done.judged))


def _readers(request: Request, manifest: Manifest) -> Iterator[Section]:
    """Landmarks, pose and eyes, as far as they were asked for."""
    data, most = request.data, request.part.sample
    if "landmarks" in request.tasks:
        figures = list(readers.landmark_figures(data, manifest, most))
        yield report.reader_section("landmarks", "68 landmarks, in our detector's boxes", figures, ("landmarks.md",))
    if "pose" in request.tasks:
        figures = list(readers.pose_figures(data, manifest, most))
        cards = ("pose.md", "pose-heatmap.md")
        yield report.reader_section("pose", "Head pose, mean of the three mean absolute errors", figures, cards)
    if "eyes" in request.tasks:
        figures = list(readers.eye_figures(data, manifest, most))
        yield report.reader_section("eyes", "Eyes open, shut or hidden, cut as in service", figures, ("eyes.md",))
