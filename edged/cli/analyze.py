"""`edged analyze`: pictures, folders and recordings, offline."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from edged.assembly import EVERYTHING, MASK_ONLY, Models, load_models, tasks_of
from edged.capture.file_kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Kind, kind_by_content, kind_of
from edged.capture.video_writer import VideoWriter
from edged.cli.annotated import copy_names, write_picture
from edged.cli.options import config_option, json_lines_option, print_json, read_config_if_any
from edged.cli.summary import Summary, count_of
from edged.config import DETECTORS, Config, Tasks
from edged.config.signals import PROFILES, Profile
from edged.errors import Failed, SourceLost, UsageError
from edged.files import writing
from edged.offline import Recording, analyse_picture
from edged.offline_result import Analysed
from edged.readers import SURE_SCORES, DetectionLimits, make_detector

# In pictures there is time for smaller and weaker faces than the daemon searches for: they stand in the JSON, where the
# score says how weak, and the weak ones are not drawn. Recordings are looked at as the daemon would: it follows what it finds.
SMALLEST_FACE = 12.0
LEAST_SCORE = 0.05
SURE_SCORE = min(SURE_SCORES.values())
MOST_SHOWN = 5


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@config_option
@json_lines_option
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
@click.option(
    "--fps",
    type=click.FloatRange(0.001, 1000),
    help="Pictures a second of videos, in place of their own time stamps or where they have none.",
)
@click.option("--only", type=click.Choice(["mask"]), help="Find and judge masks, and leave the slower rest unread.")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    help="Draw and print what a camera of this profile follows, with driver of the driver only; that of the config's cameras,"
    " else everything, when left out.",
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
    help=f"Drop weaker detections; {LEAST_SCORE} in pictures, in videos the config's models.least_score when left out. Only"
    f" `counted` faces are named in the text and drawn: in pictures those that score {SURE_SCORE} or more, in videos those that"
    " are followed.",
)
def analyze(
    sources: tuple[Path, ...],
    config_file: Path | None,
    as_json: bool,
    out: Path | None,
    pad: float,
    field_of_view: float | None,
    fps: float | None,
    only: str | None,
    profile: Profile | None,
    detector: str | None,
    smallest_face: float | None,
    least_score: float | None,
) -> None:
    """Find, judge and read faces in SOURCES: pictures, folders of pictures, videos.

    With --json a line holds weak detections too; `counted` marks the faces that the text names and the copies show.
    """
    if only and profile:
        raise UsageError("--only and --profile both say what is asked; leave one of them out")
    config = read_config_if_any(config_file)
    given = {"detector": detector, "smallest_face": smallest_face, "least_score": least_score}
    changes = {key: value for key, value in given.items() if value is not None}
    config = config.model_copy(update={"models": config.models.model_copy(update=changes)})
    read = MASK_ONLY if only else PROFILES[profile] if profile else EVERYTHING
    asked = tasks_of(config) if config.camera and read is EVERYTHING else read
    problems: list[str] = []
    pictures, videos = _sorted_out(sources, problems)
    copies = {} if out is None else copy_names(pictures, videos, out)
    models = load_models(config.models, read)
    thorough = replace(
        models,
        detector=make_detector(
            config.models.detector,
            models.engines.__getitem__,
            DetectionLimits(smallest_face or SMALLEST_FACE, least_score or LEAST_SCORE, still=True),
        ),
    )
    made = 0
    for analysed in _progress(
        _pictures(pictures, config, thorough, pad, field_of_view, asked, problems), len(pictures), "pictures"
    ):
        _print_faces(analysed, as_json, str(analysed.source), asked)
        if out is not None:
            with _going_on(problems):
                write_picture(copies[analysed.source], analysed.annotated(asked), analysed.source)
                made += 1
    for video in videos:
        with _going_on(problems):
            recording = Recording(video, config, models, field_of_view, fps, one_person=asked.one_person)
            _analyse_video(recording, as_json, copies.get(video), asked)
            made += 1
            problems += [recording.flaw] if recording.flaw else []
    if out is not None and not as_json:
        click.echo(f"edged: {count_of(made, 'annotated file')} in {out}", err=True)
    if problems:
        raise Failed("\n".join(problems))


def _sorted_out(sources: tuple[Path, ...], problems: list[str]) -> tuple[list[Path], list[Path]]:
    """Pictures and videos among `sources`, folders opened. Raise UsageError when there are none.

    What cannot be read goes to `problems`; what else a folder holds is named.
    """
    found: dict[Kind, list[Path]] = {"picture": [], "video": [], "unreadable": [], "other": []}
    for source in sources:
        with _going_on(problems):
            if source.is_dir():
                _open_folder(source, found)
                continue
            kind = kind_of(source)
            found[kind_by_content(source) if kind == "other" else kind].append(source)
    problems += [f"{path}: this kind of file is not read; convert it to JPEG or MP4" for path in found["unreadable"]]
    if not found["picture"] and not found["video"] and not problems:
        known = ", ".join(sorted(PICTURE_SUFFIXES | VIDEO_SUFFIXES))
        raise UsageError(f"{sources[0]}: holds no pictures or videos; known are {known}")
    return found["picture"], found["video"]


def _open_folder(folder: Path, found: dict[Kind, list[Path]]) -> None:
    """Add the files of a folder, by name, and name those left out. Raise Failed when it cannot be listed."""
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
        kinds = {file: "other" if file.is_dir() else kind_of(file) for file in files}
    except OSError as error:
        raise Failed(f"{folder}: cannot be listed ({error.strerror}); let this user read it") from None
    for file, kind in kinds.items():
        if kind != "other":
            found[kind].append(file)
    left_out = [file.name for file, kind in kinds.items() if kind == "other"]
    if left_out and len(left_out) < len(files):
        shown = ", ".join(left_out[:MOST_SHOWN]) + (", …" if len(left_out) > MOST_SHOWN else "")
        click.echo(f"edged: {folder}: left out: {shown} (by their names neither pictures nor videos)", err=True)


@contextmanager
def _going_on(problems: list[str]) -> Iterator[None]:
    """What fails for one source or its copy is kept for the end, and the others go on."""
    try:
        yield
    except (Failed, SourceLost) as error:
        problems.append(str(error))


def _pictures(
    paths: list[Path],
    config: Config,
    models: Models,
    pad: float,
    field_of_view: float | None,
    asked: Tasks,
    problems: list[str],
) -> Iterator[Analysed]:
    for path in paths:
        analysed = None
        with _going_on(problems):
            analysed = analyse_picture(path, config, models, pad, field_of_view, one_person=asked.one_person)
        if analysed is not None:
            yield analysed


def _analyse_video(recording: Recording, as_json: bool, copy: Path | None, asked: Tasks) -> None:
    path = recording.path
    if recording.assumption:
        click.echo(f"edged: {recording.assumption.replace('unless fps says', 'unless --fps says')}", err=True)
    summary = Summary(asked)
    with ExitStack() as stack:
        writer = None
        if copy is not None:
            writer = stack.enter_context(VideoWriter(stack.enter_context(writing(copy, [path])), recording.fps))
        for analysed in _progress(recording.frames(), recording.frame_count, path.name):
            summary.add(analysed)
            if as_json or analysed.counted():
                _print_faces(analysed, as_json, f"{path} {analysed.time_s:.2f} s", asked)
            if writer is not None:
                try:
                    writer.write(analysed.annotated(asked), analysed.time_s)
                except Failed as error:
                    raise Failed(f"{path}: {error}; leave --out away") from None
    if not as_json:
        click.echo(f"{path}: {summary.line()}")


def _progress(items: Iterator[Analysed], length: int | None, label: str) -> Iterator[Analysed]:
    """A bar on stderr, where somebody is looking at it and results do not run through the same screen."""
    if length == 0 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield from items
        return
    with click.progressbar(items, length=length, label=label, file=sys.stderr) as bar:
        yield from bar


def _print_faces(analysed: Analysed, as_json: bool, label: str, asked: Tasks) -> None:
    if as_json:
        print_json(analysed.record())
        return
    faces = analysed.counted()
    states = Counter(face.state.words for face in faces if asked.mask)
    found = [f"{count} {state}" for state, count in states.items()]
    found += [] if asked.mask else ["; ".join(words) for face in faces if (words := face.lines_for(asked))]
    click.echo(f"{label}: {count_of(len(faces), 'face')}" + (f": {', '.join(found)}" if found else ""))
