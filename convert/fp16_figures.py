"""Measures what half precision costs each model: its figure of merit in FP32 and in FP16, on data it has not seen."""

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.fp16 import rounded
from convert.record import HALF_PRECISION, record_tables
from edged.errors import UsageError
from edged.inference import Manifest, OnnxEngine
from edged.inference.half import FULL_PRECISION, to_half
from edged.ports import Engine, PoseReader

MOST_LOST = 0.005
"""The part of a figure that half precision may cost."""

OpenModel = Callable[[str], Engine]
Measure = Callable[[OpenModel], dict[str, float]]


@dataclass(frozen=True)
class Row:
    """One figure, in both precisions."""

    figure: str
    full: float
    half: float
    errors: bool
    """Whether the figure is an error, so that less is better."""

    @property
    def lost(self) -> float:
        """The part of the figure that half precision costs; negative where it is better by chance."""
        change = (self.half - self.full) / self.full
        return change if self.errors else 0.0 - change


@dataclass(frozen=True)
class Figures:
    """All rows of what is called `name`: one model, or the three of MTCNN; `models` are those that were halved."""

    name: str
    models: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _Subject:
    """What is measured under one name. `others` are models that it needs besides, in FP32 both times."""

    models: tuple[str, ...]
    others: tuple[str, ...]
    errors: bool
    take: Measure


def measure(
    data: Path, manifest: Manifest, only: Collection[str] = (), keep: Collection[str] = FULL_PRECISION
) -> Iterator[Figures]:
    """The figures of each model that is there; of those in `only`, if given, with operations of the types `keep` in FP32.

    Raise UsageError for a name in `only` that is not known, and ModelError when the model is not there.
    """

    @functools.cache
    def full(name: str) -> Engine:
        return OnnxEngine(name, manifest.verified_bytes(name), threads=1)

    @functools.cache
    def half(name: str) -> Engine:
        return OnnxEngine(name, rounded(to_half(manifest.verified_bytes(name), name, keep)), threads=1)

    subjects = _subjects(data, full)
    unknown = sorted(set(only) - subjects.keys())
    if unknown:
        raise UsageError(f"--model {unknown[0]}: known are {', '.join(subjects)}")
    for name, subject in subjects.items():
        if name in only or (not only and all(_is_there(manifest, model) for model in subject.models + subject.others)):
            one, other = subject.take(full), subject.take(half)
            rows = (Row(figure, value, other[figure], subject.errors) for figure, value in one.items())
            yield Figures(name, subject.models, tuple(rows))


def _is_there(manifest: Manifest, model: str) -> bool:
    return model in manifest.entries and (manifest.directory / manifest.entry(model).file).is_file()


def table(rows: Collection[Row]) -> str:
    """Markdown."""
    lines = ["| figure | FP32 | FP16 | lost |", "|---|---|---|---|"]
    lines += [f"| {row.figure} | {row.full:.4f} | {row.half:.4f} | {row.lost:+.2%} |" for row in rows]
    return "\n".join(lines)


def record(figures: Figures, manifest: Manifest) -> None:
    """Write the table into the model's card, with the files' hashes, by which one sees whether they are still those.

    Raise UsageError when the card has no place for it.
    """
    entries = [manifest.entry(model) for model in figures.models]
    hashes = ", ".join(f"`{entry.sha256[:12]}…`" for entry in entries)
    full = [entry.name for entry in entries if entry.precision == "fp32"]
    lines = [*HOW, f"Measured on the file with sha256 {hashes}:", "", table(figures.rows)]
    if full:
        lines += ["", f"edged's GPU engines of {', '.join(full)} compute in FP32 all the same: the manifest says so."]
    record_tables(manifest.directory / entries[0].card, "\n".join(lines), HALF_PRECISION)


HOW = (
    "`python -m convert fp16-figures` rounds weights and every activation to FP16, as a GPU has them, with sums in FP32;",
    "what `edged/inference/half.py` keeps in FP32 stays so. A figure may lose 0.5 % of itself.",
)


def _subjects(data: Path, full: OpenModel) -> dict[str, _Subject]:
    """What is measured, by name."""
    mtcnn = ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")
    found_by = ("detector", "landmarks")
    return {
        # Both networks are rounded in both: they only work together.
        "detector": _Subject(("detector",), ("rescorer",), False, functools.partial(_detection, data, "edged")),
        "rescorer": _Subject(("rescorer",), ("detector",), False, functools.partial(_detection, data, "edged")),
        "retinaface": _Subject(("retinaface",), (), False, functools.partial(_detection, data, "retinaface")),
        "mtcnn": _Subject(mtcnn, (), False, functools.partial(_detection, data, "mtcnn")),
        "mask": _Subject(("mask",), (), False, functools.partial(_mask, data)),
        "eyes": _Subject(("eyes",), (), False, functools.partial(_eyes, data)),
        "landmarks": _Subject(("landmarks",), ("detector",), True, functools.partial(_landmarks, data)),
        "pose": _Subject(("pose",), found_by, True, functools.partial(_pose, data, full)),
        "pose-heatmap": _Subject(("pose-heatmap",), found_by, True, functools.partial(_heatmap, data, full)),
    }


def _detection(data: Path, name: str, open_model: OpenModel) -> dict[str, float]:
    """AP, and the macro-F1 of the mask branch where there is one, on the held-out part of masks853."""
    from convert.classification import macro_f1
    from convert.compare import LOWEST_SCORE, pictures_of
    from convert.detector.evaluate import score
    from edged.readers import DetectionLimits, make_detector

    figures = score(make_detector(name, open_model, DetectionLimits(15, LOWEST_SCORE)), pictures_of(data, False, None))
    branch = {"mask branch, macro-F1": macro_f1(figures.masks)} if figures.masks.sum() else {}
    return {"AP at IoU 0.4": figures.ap, **branch}


def _mask(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On the held-out faces of masks853 that count, and on drawn masks."""
    from convert.classification import answers, confusion, macro_f1
    from convert.mask.evaluate import SMALLEST_SCORED

    def scored(name: str) -> float:
        examples = _mask_examples(data)[name]
        seen = examples.sides >= SMALLEST_SCORED
        return macro_f1(confusion(answers(open_model("mask"), examples.images[seen]), examples.states[seen]))

    return {"macro-F1": scored("held out"), "macro-F1, drawn masks": scored("drawn")}


def _eyes(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On the held-out crops, and on HELEN's test eyes, framed as in service."""
    from convert.classification import accuracy, answers

    examples = _eye_examples(data)
    return {
        f"accuracy, {name}": accuracy(answers(open_model("eyes"), eyes.images, "eyes"), eyes.states)
        for name, eyes in examples.items()
    }


def _landmarks(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On HELEN's test faces, bare and with drawn masks, and the videos', in our own detector's boxes."""
    from convert.landmarks.evaluate import score
    from edged.analyse.landmarks import LandmarkRegressor

    regressor = LandmarkRegressor(open_model("landmarks"))
    return {f"NME %, {name}": score(regressor, faces).mean for name, faces in _landmark_faces(data).items()}


def _pose(data: Path, full: OpenModel, open_model: OpenModel) -> dict[str, float]:
    """The default reader and its learned half; the detector and the landmarks are in FP32 both times."""
    from convert.pose.evaluate import LearnedAlone
    from edged.analyse.pose.fused import FusedPose

    engine = open_model("pose")
    return _pose_errors("fused", FusedPose(engine), data, full) | _pose_errors(
        "learned", LearnedAlone(engine), data, full
    )


def _heatmap(data: Path, full: OpenModel, open_model: OpenModel) -> dict[str, float]:
    """Likewise."""
    from edged.baselines.heatmap_pose import HeatmapPose

    return _pose_errors("heatmap", HeatmapPose(open_model("pose-heatmap")), data, full)


def _pose_errors(name: str, reader: PoseReader, data: Path, full: OpenModel) -> dict[str, float]:
    """On BIWI's sequences kept back, bare and with drawn masks: mean of the three mean absolute errors."""
    from convert.pose.evaluate import mean_errors, score

    heads = _posed_heads(data, full)
    return {
        f"{name}, mean error in degrees, {kind}": float(mean_errors(score(reader, found).errors).mean())
        for kind, found in heads.items()
    }


# Examples are made once: both precisions must see the same, whatever happens to other models' files meanwhile.


@functools.cache
def _mask_examples(data: Path) -> dict[str, Any]:
    from convert.mask.evaluate import drawn_examples, held_out_examples

    return {"held out": held_out_examples(data), "drawn": drawn_examples(data, 0)}


@functools.cache
def _eye_examples(data: Path) -> dict[str, Any]:
    from convert.eyes.evaluate import held_out_crops, held_out_faces, in_service
    from convert.eyes.export import FOLD

    return {"crops": in_service(held_out_crops(data, FOLD)), "HELEN": in_service(held_out_faces(data))}


@functools.cache
def _landmark_faces(data: Path) -> dict[str, Any]:
    from convert.landmarks.compare import compared_sets

    return compared_sets(data, None)


@functools.cache
def _posed_heads(data: Path, full: OpenModel) -> dict[str, Any]:
    from convert.pose.evaluate import SMALLEST_FACE, Service, read_all
    from convert.pose.heads import LEAST_SCORE, read_heads, split
    from edged.readers import DetectionLimits, make_detector

    service = Service(full, make_detector("edged", full, DetectionLimits(SMALLEST_FACE, LEAST_SCORE)))
    _, kept = split(read_heads(data / "headpose_biwi"))
    return {
        kind: list(read_all(kept, service.detector, service.landmarks, 0, hidden=kind == "masked"))
        for kind in ("bare", "masked")
    }
