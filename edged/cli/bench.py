"""`edged bench`: the performance table of this machine."""

import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from edged.analyse.analyser import Readers, is_masked
from edged.assembly import EVERYTHING, Models, build_pipeline, load_models
from edged.capture.file_kinds import kind_by_content, kind_of
from edged.capture.recordings import read_picture
from edged.capture.video import VideoFile
from edged.cli.bench_clip import over_all, play, print_clip, print_total, settings_for
from edged.cli.bench_stack import compare, named_files, print_stacks
from edged.cli.options import config_option, json_object_option, print_json, read_config_if_any
from edged.config import Config
from edged.config.signals import PROFILES, Profile
from edged.config.source import parse_source
from edged.errors import Failed, UsageError
from edged.files import write
from edged.host.device import resident_mb
from edged.pipeline import STAGES, Pipeline
from edged.processes.program import run
from edged.types import Frame, Image, Lens

NEAR = 120.0
"""Side of a face, in pixels, of which everything can be read."""

A_FACE = 0.55
"""Detections with a lower score are wrong more often than not."""

FIRST_FRAME_S = 120.0
MOST_BYTES = 128 * 1024 * 1024
"""Of decoded frames, which are all held: a small device has no more. What is timed goes through them again and again."""
MOST_READINGS = 30
"""Each reader is timed so often: they take much the same time on every face."""


@click.command()
@config_option
@json_object_option
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A picture or video; a made-up picture of five faces, 960x506, when left out.",
)
@click.option(
    "--frames", type=click.IntRange(5, 100_000), default=100, show_default=True, help="How many frames are timed."
)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="entrance",
    show_default=True,
    help="The simulated camera's profile.",
)
@click.option(
    "--clip",
    "clips",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Play this recording as a live camera has it, 15 frames a second: cost, events and passages; may be repeated.",
)
@click.option(
    "--stack",
    type=click.Choice(["baselines", "seeds"]),  # the second: its name in 0.2.0
    help="Time MTCNN and RetinaFace with other mask classifiers beside those of edged.",
)
@click.option(
    "--classifier",
    "classifiers",
    metavar="NAME=FILE",
    multiple=True,
    help="For --stack: the ONNX file of a classifier.",
)
@click.option("--first-frame", is_flag=True, hidden=True)
def bench(
    config_file: Path | None,
    as_json: bool,
    source: Path | None,
    frames: int,
    profile: Profile,
    clips: tuple[Path, ...],
    stack: str | None,
    classifiers: tuple[str, ...],
    first_frame: bool,
) -> None:
    """Time each stage on this machine, one camera, every face judged in every frame; then each reader of faces alone."""
    config = read_config_if_any(config_file)
    if classifiers and not stack:
        raise UsageError("--classifier names a file for --stack baselines; give both")
    if clips and source:
        raise UsageError("--clip and --source are two ways of timing; leave one of them out")
    if stack:
        files = named_files(classifiers)
        result = compare(config, [] if clips else _pictures(source, frames), frames, clips, files)
        _print_result(result, as_json, print_stacks)
        return
    if clips:
        _print_result(_clips(clips, config, profile), as_json, _print_clips)
        return
    pictures = _pictures(source, 1 if first_frame else frames)
    settings = settings_for(config, profile)
    models = load_models(config.models, settings.tasks)
    pipeline = build_pipeline("bench", settings, config, models, every_frame=True)
    if first_frame:
        pipeline.step(Frame("bench", 0, 0.0, pictures[0]))
        return
    times = np.zeros((frames, len(STAGES)))
    faces = 0
    for index in range(-3, frames):  # the first runs warm caches and allocators up
        image = pictures[index % len(pictures)]
        outcome = pipeline.step(Frame("bench", index, (index + 3) / 15, image))
        faces += len(outcome.faces) if index >= 0 else 0
        if index >= 0:
            times[index] = [getattr(pipeline.times, stage) * 1000 for stage in STAGES]
    result = _summary(times, faces / frames, pictures[0], config) | {"profile": profile}
    result["readers_ms_a_face"] = _readers(load_models(config.models, EVERYTHING), pictures[0])
    result["unchanged_ms"] = _unchanged_ms(build_pipeline("bench", settings, config, models), pictures[0])
    result["first_frame_s"] = _first_frame_s(config_file, profile, pictures[0])
    _print_result(result, as_json, _print)


def _unchanged_ms(pipeline: Pipeline, image: Image) -> float:
    """Median milliseconds of a frame in which nobody is, and nothing has changed since the last one."""
    empty, numbers = np.full_like(image, 128), count()
    return round(_median_ms(lambda: pipeline.step(Frame("bench", 0, next(numbers) / 100, empty))), 2)


def _pictures(source: Path | None, count: int) -> list[Image]:
    """Frames to time, decoded beforehand: decoding belongs to the camera's own process."""
    if source is None:
        from edged.demo.scene import portrait_crowd  # needs the demo's extra, which a device may lack

        return [portrait_crowd()]
    kind = kind_of(source)
    if (kind_by_content(source) if kind == "other" else kind) != "video":
        return [read_picture(source)]
    pictures: list[Image] = []
    held = 0
    with closing(VideoFile(parse_source(source.absolute().as_uri()))) as video:
        while len(pictures) < count and held < MOST_BYTES and video.skip() is not None:
            pictures.append(video.picture())
            held += pictures[-1].nbytes
    return pictures


def _readers(models: Models, image: Image) -> dict[str, float] | None:
    """Median milliseconds a face that each reader takes alone, all faces of one picture at once; None without faces.

    Smaller faces than NEAR are enlarged to it: eyes of few pixels are not read at all, and would seem to cost nothing.
    """
    image = _near(models, image)
    detections = [found for found in models.detector.detect(image) if found.score >= A_FACE]
    readers = models.readers(EVERYTHING)
    if not detections or not isinstance(readers, Readers) or readers.pose is None or readers.eyes is None:
        return None
    pose, eyes = readers.pose, readers.eyes
    height, width = image.shape[:2]
    lens = Lens.of(width, height)
    masked = [is_masked(scores) for scores in models.judge.judge(image, [found.box for found in detections])]
    landmarks = readers.landmarks.read(image, detections)
    poses = pose.read(image, detections, landmarks, masked, lens)
    runs: dict[str, Callable[[], object]] = {
        "mask": lambda: models.judge.judge(image, [found.box for found in detections]),
        "landmarks": lambda: readers.landmarks.read(image, detections),
        "pose": lambda: pose.read(image, detections, landmarks, masked, lens),
        "eyes": lambda: eyes.read(image, landmarks, poses),
    }
    return {name: round(_median_ms(run) / len(detections), 2) for name, run in runs.items()}


def _near(models: Models, image: Image) -> Image:
    sides = [found.box.side for found in models.detector.detect(image) if found.score >= A_FACE]
    scale = NEAR / float(np.median(sides)) if sides else 1.0
    return image if scale <= 1 else np.asarray(cv2.resize(image, None, fx=scale, fy=scale), np.uint8)


def _median_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(MOST_READINGS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times))


def _summary(
    times: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", faces: float, image: Image, config: Config
) -> dict[str, object]:
    total = times.sum(axis=1)
    height, width = image.shape[:2]
    stages = {
        stage: {"mean_ms": round(float(column.mean()), 2), "p95_ms": round(float(np.percentile(column, 95)), 2)}
        for stage, column in zip(STAGES, times.T, strict=True)
    }
    return {
        "picture": f"{width}x{height}",
        "detector": config.models.detector,
        "faces_a_frame": round(faces, 1),
        "stages": stages,
        "frame_mean_ms": round(float(total.mean()), 2),
        "frame_p50_ms": round(float(np.percentile(total, 50)), 2),
        "frame_p99_ms": round(float(np.percentile(total, 99)), 2),
        "frames_a_second": round(1000 / float(total.mean()), 1),
        "resident_mb": round(resident_mb(), 1),
    }


def _first_frame_s(config_file: Path | None, profile: Profile, picture: Image) -> float:
    """From the start of a fresh process to its first analysed frame."""
    command = [sys.executable, "-m", "edged", "bench", "--first-frame", "--profile", profile]
    command += ["--config", str(config_file)] if config_file else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        write(file, cv2.imencode(".png", picture)[1].tobytes())
        start = time.perf_counter()
        try:
            done = run([*command, "--source", str(file)], FIRST_FRAME_S)
        except subprocess.TimeoutExpired:
            raise Failed(
                f"a fresh process has analysed no frame within {FIRST_FRAME_S:g} s; see what else the machine is busy with"
            ) from None
        elapsed = time.perf_counter() - start
    if done.returncode:
        raise Failed(done.stderr.decode(errors="replace").strip().removeprefix("edged: "))
    return round(elapsed, 2)


def _clips(clips: Sequence[Path], config: Config, profile: Profile) -> dict[str, Any]:
    settings = settings_for(config, profile)
    load = functools.partial(load_models, config.models, settings.tasks)
    played = [play(clip, settings, config, load) for clip in clips]
    return {"clips": played, "total": over_all(played)}


def _print_clips(result: dict[str, Any]) -> None:
    for one in result["clips"]:
        print_clip(one)
    if len(result["clips"]) > 1:
        print_total(result["total"])


def _print_result(result: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        print_json(result)
    else:
        show(result)


def _print(result: dict[str, Any]) -> None:
    stages = result["stages"]
    click.echo(f"{result['picture']}, {result['faces_a_frame']} faces a frame, detector {result['detector']}")
    if isinstance(stages, dict):
        for stage, value in stages.items():
            click.echo(f"  {stage:<8} {value['mean_ms']:>8.2f} ms   p95 {value['p95_ms']:>8.2f} ms")
    click.echo(
        f"  a frame  {result['frame_mean_ms']:>8.2f} ms   p50 {result['frame_p50_ms']} ms, p99 {result['frame_p99_ms']} ms"
    )
    click.echo(f"  nobody   {result['unchanged_ms']:>8.2f} ms   while the scene is empty and unchanged")
    readers = result["readers_ms_a_face"]
    if isinstance(readers, dict):
        parts = ", ".join(f"{name} {value:.2f}" for name, value in readers.items())
        click.echo(f"  a face   {sum(readers.values()):>8.2f} ms when everything is read: {parts}")
    click.echo(f"  {result['frames_a_second']} frames a second, {result['resident_mb']} MB resident")
    click.echo(f"  {result['first_frame_s']} s from start to the first analysed frame")
