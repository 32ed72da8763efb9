"""`edged analyze`: pictures, folders and recordings, offline."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import cv2

from edged.assembly import EVERYTHING, MASK_ONLY, Models, load_models
from edged.capture.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, picture_files
from edged.cli.options import config_option, json_option, read_config_if_any
from edged.config import DETECTORS, Config
from edged.errors import Failed, SourceLost, UsageError
from edged.offline import Analysed, Recording, analyse_picture

# Offline there is time for smaller and weaker faces than a camera's daemon looks for; the score says how weak.
SMALLEST_FACE = 15.0
LEAST_SCORE = 0.05


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@config_option
@json_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write annotated copies into this folder."
)
@click.option(
    "--pad",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Widen pictures on every border by this share first, for tight crops.",
)
@click.option(
    "--field-of-view",
    type=click.FloatRange(10, 170),
    help="Degrees that the pictures span from left to right, for the head's pose; 60 when left out, or that of a tight"
    " crop with --pad.",
)
@click.option("--only", type=click.Choice(["mask"]), help="Find and judge masks, and leave the slower rest unread.")
@click.option("--detector", type=click.Choice(DETECTORS), help="Another detector than the config's.")
@click.option(
    "--smallest-face", type=click.FloatRange(12, 2000), default=SMALLEST_FACE, show_default=True, help="In pixels."
)
@click.option(
    "--least-score",
    type=click.FloatRange(0.02, 0.95),
    default=LEAST_SCORE,
    show_default=True,
    help="Drop weaker finds.",
)
def analyze(
    sources: tuple[Path, ...],
    config_file: Path | None,
    as_json: bool,
    out: Path | None,
    pad: float,
    field_of_view: float | None,
    only: str | None,
    detector: str | None,
    smallest_face: float,
    least_score: float,
) -> None:
    """Find, judge and read faces in SOURCES: pictures, folders of pictures, videos."""
    config = read_config_if_any(config_file)
    changes: dict[str, object] = {"smallest_face": smallest_face, "least_score": least_score}
    changes |= {"detector": detector} if detector else {}
    models = load_models(config.models.model_copy(update=changes), MASK_ONLY if only else EVERYTHING)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    pictures, videos = _sorted_out(sources)
    for analysed in _progress(
        _pictures(pictures, config, models, pad, field_of_view, problems), len(pictures), "pictures"
    ):
        _tell(analysed, as_json, str(analysed.source))
        if out is not None:
            _write_picture(out / f"{analysed.source.stem}.jpg", analysed)
    for video in videos:
        try:
            _analyse_video(Recording(video, config, models, field_of_view), as_json, out)
        except SourceLost as error:
            problems.append(str(error))
    if problems:
        raise Failed("\n".join(problems))


def _sorted_out(sources: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """Pictures and videos among `sources`, folders opened. Raise UsageError when there are none."""
    pictures: list[Path] = []
    videos: list[Path] = []
    for source in sources:
        if source.is_dir():
            pictures += picture_files(source)
            videos += sorted(f for f in source.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES)
        else:
            (videos if source.suffix.lower() in VIDEO_SUFFIXES else pictures).append(source)
    if not pictures and not videos:
        known = ", ".join(sorted(PICTURE_SUFFIXES | VIDEO_SUFFIXES))
        raise UsageError(f"{sources[0]}: holds no pictures or videos; known are {known}")
    return pictures, videos


def _pictures(
    paths: list[Path], config: Config, models: Models, pad: float, field_of_view: float | None, problems: list[str]
) -> Iterator[Analysed]:
    for path in paths:
        try:
            yield analyse_picture(path, config, models, pad, field_of_view)
        except SourceLost as error:
            problems.append(str(error))


def _analyse_video(recording: Recording, as_json: bool, out: Path | None) -> None:
    path = recording.path
    writer: cv2.VideoWriter | None = None
    frames = 0
    try:
        for analysed in _progress(recording.frames(), recording.frame_count, path.name):
            frames += 1
            if as_json or analysed.faces:
                _tell(analysed, as_json, f"{path} {analysed.time_s:.2f} s")
            if out is not None:
                height, width = analysed.image.shape[:2]
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(out / f"{path.stem}.mp4"), code, recording.fps, (width, height))
                writer.write(analysed.annotated())
    finally:
        if writer is not None:
            writer.release()
    if not frames:
        raise SourceLost(f"{path}: holds no frame that can be decoded; record it again")


def _progress(items: Iterator[Analysed], length: int | None, label: str) -> Iterator[Analysed]:
    """A bar on stderr, where somebody is looking at it and results do not run through the same screen."""
    terminal = sys.stderr.isatty() and not sys.stdout.isatty()
    if not terminal:
        yield from items
        return
    with click.progressbar(items, length=length, label=label, file=sys.stderr) as bar:
        yield from bar


def _tell(analysed: Analysed, as_json: bool, label: str) -> None:
    if as_json:
        click.echo(json.dumps(analysed.record(), separators=(",", ":")))
        return
    states = Counter(face.state.value for face in analysed.shown())
    found = ", ".join(f"{count} {state}" for state, count in states.items())
    click.echo(f"{label}: {states.total()} faces" + (f": {found}" if found else ""))


def _write_picture(path: Path, analysed: Analysed) -> None:
    if not cv2.imwrite(str(path), analysed.annotated(), [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise Failed(f"{path}: cannot be written; is the folder writable, the disk full?")
