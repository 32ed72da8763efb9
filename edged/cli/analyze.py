"""`edged analyze`: pictures, folders and recordings, offline."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import cv2

from edged.assembly import EVERYTHING, MASK_ONLY, Models, load_models, wanted
from edged.capture.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, picture_files
from edged.cli.options import config_option, json_option, read_config_if_any
from edged.config import DETECTORS, Config, Wants
from edged.config.people import PROFILES, Profile
from edged.detect import Wanted, make_detector
from edged.errors import Failed, SourceLost, UsageError
from edged.offline import Analysed, Recording, analyse_picture
from edged.types import Image

# In pictures there is time for smaller and weaker faces than a camera's daemon looks for: they stand in the JSON, where the
# score says how weak, and the weak ones are not drawn. Recordings are looked at as the daemon would: it follows what it finds.
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
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    help="Draw and tell what such a camera's faces are asked; what the config's cameras ask, else everything, when left out.",
)
@click.option("--detector", type=click.Choice(DETECTORS), help="Another detector than the config's.")
@click.option(
    "--smallest-face",
    type=click.FloatRange(12, 2000),
    help=f"In pixels; {SMALLEST_FACE:.0f} in pictures, in videos the config's models.smallest_face when left out.",
)
@click.option(
    "--least-score",
    type=click.FloatRange(0.02, 0.95),
    help=f"Drop weaker finds; {LEAST_SCORE} in pictures, in videos the config's models.least_score when left out.",
)
def analyze(
    sources: tuple[Path, ...],
    config_file: Path | None,
    as_json: bool,
    out: Path | None,
    pad: float,
    field_of_view: float | None,
    only: str | None,
    profile: Profile | None,
    detector: str | None,
    smallest_face: float | None,
    least_score: float | None,
) -> None:
    """Find, judge and read faces in SOURCES: pictures, folders of pictures, videos."""
    if only and profile:
        raise UsageError("--only and --profile both say what is asked; leave one of them out")
    config = read_config_if_any(config_file)
    given = {"detector": detector, "smallest_face": smallest_face, "least_score": least_score}
    changes = {key: value for key, value in given.items() if value is not None}
    config = config.model_copy(update={"models": config.models.model_copy(update=changes)})
    read = MASK_ONLY if only else PROFILES[profile] if profile else EVERYTHING
    asked = wanted(config) if config.camera and read is EVERYTHING else read
    models = load_models(config.models, read)
    thorough = replace(
        models,
        detector=make_detector(
            config.models.detector,
            models.engines.__getitem__,
            Wanted(smallest_face or SMALLEST_FACE, least_score or LEAST_SCORE),
        ),
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    pictures, videos = _sorted_out(sources)
    for analysed in _progress(
        _pictures(pictures, config, thorough, pad, field_of_view, problems), len(pictures), "pictures"
    ):
        _tell(analysed, as_json, str(analysed.source), asked)
        if out is not None:
            _write_picture(out / f"{analysed.source.stem}.jpg", analysed.annotated(asked))
    for video in videos:
        try:
            _analyse_video(Recording(video, config, models, field_of_view), as_json, out, asked)
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


def _analyse_video(recording: Recording, as_json: bool, out: Path | None, asked: Wants) -> None:
    path = recording.path
    writer: cv2.VideoWriter | None = None
    frames = 0
    try:
        for analysed in _progress(recording.frames(), recording.frame_count, path.name):
            frames += 1
            if as_json or analysed.faces:
                _tell(analysed, as_json, f"{path} {analysed.time_s:.2f} s", asked)
            if out is not None:
                height, width = analysed.image.shape[:2]
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(out / f"{path.stem}.mp4"), code, recording.fps, (width, height))
                writer.write(analysed.annotated(asked))
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


def _tell(analysed: Analysed, as_json: bool, label: str, asked: Wants) -> None:
    if as_json:
        click.echo(json.dumps(analysed.record(), separators=(",", ":")))
        return
    faces = analysed.shown()
    states = Counter(face.state.value for face in faces if asked.mask)
    found = [f"{count} {state}" for state, count in states.items()]
    found += [] if asked.mask else ["; ".join(words) for face in faces if (words := face.told(asked))]
    click.echo(f"{label}: {len(faces)} faces" + (f": {', '.join(found)}" if found else ""))


def _write_picture(path: Path, picture: Image) -> None:
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise Failed(f"{path}: cannot be written; is the folder writable, the disk full?")
