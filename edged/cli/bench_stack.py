"""`edged bench --stack baselines`: the older systems that edged can run, in the same pipeline beside ours."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

from edged.analyse.mask import MaskClassifier
from edged.assembly import MASK_ONLY, Models, Wrap, build_pipeline, load_models
from edged.cli.bench_clip import play, settings_for
from edged.config import Config
from edged.errors import EdgedError, Unavailable, UsageError
from edged.files import read_regular
from edged.inference import OnnxEngine, default_engines_dir, load_manifest
from edged.inference.manifest import MAX_MODEL_BYTES
from edged.pipeline import STAGES
from edged.readers import MASK_CLASSIFIERS
from edged.types import Frame, Image

DETECTORS = ("mtcnn", "retinaface")
OURS = "edged"
CLASSIFIERS = tuple(name for name in MASK_CLASSIFIERS if name != OURS)
WARM_UP = 3
"""Frames that are not timed."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A detector and a mask classifier, by name; `classifier` is the model's file, None for edged's own."""

    detector: str
    judge: str
    classifier: bytes | None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.detector} + {self.judge}"

    def load(self, config: Config, wrap: Wrap | None = None) -> Models:
        """Its models. Raise ModelError, naming the remedy, when one cannot be used."""
        models = load_models(config.models.model_copy(update={"detector": self.detector}), MASK_ONLY, wrap)
        if self.classifier is None:
            return models
        return replace(models, judge=MaskClassifier(OnnxEngine(self.judge, self.classifier, config.models.threads)))


def named_files(given: Sequence[str]) -> dict[str, Path]:
    """What `--classifier NAME=FILE` says. Raise UsageError where it says nothing that makes sense."""
    named = {}
    for text in given:
        name, _, file = text.partition("=")
        if name not in CLASSIFIERS or not file:
            raise UsageError(f"--classifier {text}: write NAME=FILE, the name being one of {', '.join(CLASSIFIERS)}")
        named[name] = Path(file)
    return named


def stacks(files: Mapping[str, Path]) -> tuple[list[Stack], list[str]]:
    """Ours and every older stack whose models are at hand, and a line for each model that is not, with the remedy."""
    manifest = load_manifest(default_engines_dir())
    missing, detectors, classifiers = [], [], {}
    for name in DETECTORS:
        try:
            load_models(Config().models.model_copy(update={"detector": name}), MASK_ONLY)
        except EdgedError as error:
            missing.append(f"{name}: {error}")
        else:
            detectors.append(name)
    for name in CLASSIFIERS:
        try:
            classifiers[name] = (
                _read(files[name]) if name in files else manifest.verified_bytes(MASK_CLASSIFIERS[name].models[0])
            )
        except EdgedError as error:
            missing.append(f"{name}: {error}")
    older = [Stack(detector, name, model) for detector, (name, model) in product(detectors, classifiers.items())]
    return [Stack(OURS, OURS, None), *older], missing


def _read(file: Path) -> bytes:
    try:
        return read_regular(file, MAX_MODEL_BYTES)
    except ValueError as error:
        raise UsageError(f"{file}: {error}, which is more than a classifier can have; name another file") from None
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}); name the ONNX file of a trained classifier"
        ) from None


def compare(
    config: Config, pictures: Sequence[Image], frames: int, clips: Sequence[Path], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The table's rows, ours first, and the lines about what is missing: over `clips` where there are some, as live cameras
    have them, else over the pictures, every face judged in every frame.

    Raise Unavailable when nothing is at hand to compare with.
    """
    found, missing = stacks(files)
    if len(found) == 1:
        raise Unavailable("\n".join(["no older stack can be run; what is missing:", *missing]))
    rows = list(_over_clips(found, config, clips) if clips else _over_pictures(found, config, pictures, frames))
    for row in rows:
        row["times_ours"] = round(row["frame_mean_ms"] / rows[0]["frame_mean_ms"], 1)
    return {"stacks": rows, "missing": missing}


def _over_clips(found: Sequence[Stack], config: Config, clips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    settings = settings_for(config, "entrance")
    for stack in found:
        own, load = _with_detector(config, stack), partial(stack.load, config)
        played: list[dict[str, Any]] = [play(clip, settings, own, load) for clip in clips]
        shares = [one["frames"] / sum(each["frames"] for each in played) for one in played]
        stages = {stage: _mean([one["stages_mean_ms"][stage] for one in played], shares) for stage in STAGES}
        yield {
            "stack": stack.name,
            "frames": sum(one["frames"] for one in played),
            "faces_a_frame": _mean([one["faces_a_frame"] for one in played], shares),
            **stages,
            "frame_mean_ms": _mean([one["frame_mean_ms"] for one in played], shares),
            "processor_ms": _mean([one["processor_mean_ms"] for one in played], shares),
            "passages": sum(len(one["passages"]) for one in played),
            "alerts": sum(event["alert"] for one in played for event in one["events"]),
        }


def _mean(values: Sequence[float], shares: Sequence[float]) -> float:
    return round(sum(value * share for value, share in zip(values, shares, strict=True)), 2)


def _over_pictures(
    found: Sequence[Stack], config: Config, pictures: Sequence[Image], frames: int
) -> Iterator[dict[str, Any]]:
    settings = settings_for(config, "entrance")
    for stack in found:
        models = stack.load(config)
        pipeline = build_pipeline("bench", settings, _with_detector(config, stack), models, every_frame=True)
        times, faces, spent = np.zeros((frames, len(STAGES))), 0, 0.0
        for index in range(-WARM_UP, frames):
            started = time.process_time()
            outcome = pipeline.step(Frame("bench", index, (index + WARM_UP) / 15, pictures[index % len(pictures)]))
            if index >= 0:
                spent += time.process_time() - started
                times[index] = [getattr(pipeline.times, stage) * 1000 for stage in STAGES]
                faces += len(outcome.faces)
        means = times.mean(axis=0)
        yield {
            "stack": stack.name,
            "frames": frames,
            "faces_a_frame": round(faces / frames, 2),
            **{stage: round(float(value), 2) for stage, value in zip(STAGES, means, strict=True)},
            "frame_mean_ms": round(float(means.sum()), 2),
            "processor_ms": round(spent / frames * 1000, 2),
        }


def _with_detector(config: Config, stack: Stack) -> Config:
    """The config with the stack's detector: what counts as a sure find differs."""
    return config.model_copy(update={"models": config.models.model_copy(update={"detector": stack.detector})})


def print_stacks(result: Mapping[str, Any]) -> None:
    """The table, and what is missing, for people."""
    rows: list[dict[str, Any]] = result["stacks"]
    heads = [key for key in rows[0] if key != "stack"]
    click.echo(" ".join([f"{'stack':<24}", *(f"{head.removesuffix('_ms'):>13}" for head in heads)]))
    for row in rows:
        click.echo(" ".join([f"{row['stack']:<24}", *(f"{row[head]:>13}" for head in heads)]))
    click.echo("Mean milliseconds a frame; processor: of its time, on all threads.")
    click.echo("How well each finds and judges: `python -m convert evaluate`.")
    for line in result["missing"]:
        click.echo(f"missing: {line}")
