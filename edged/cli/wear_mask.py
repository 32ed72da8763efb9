"""`edged wear-mask`: draw a mask on every face of a picture."""

import os
from itertools import chain, count
from pathlib import Path

import click
import cv2
import numpy as np

from edged.assembly import load_models
from edged.capture.recordings import read_picture
from edged.cli.options import config_option, read_config_if_any
from edged.config import Config, config_path
from edged.errors import Failed, UsageError
from edged.files import is_stdout, write
from edged.render import STYLES, Wear, contact_sheet, face_crop, wear_mask
from edged.types import Detection, Image

LIST = "list"
SMALLEST_FACE = 24.0


@click.command("wear-mask")
@click.argument("image", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@click.option(
    "--mask",
    type=click.Choice([*map(str, range(1, len(STYLES) + 1)), LIST]),
    default="1",
    show_default=True,
    help='Which mask; "list" draws all seven as a contact sheet.',
)
@click.option(
    "--wear",
    type=click.Choice([w.value for w in Wear]),
    default="correct",
    show_default=True,
    help="What it leaves bare.",
)
@click.option("--crop", is_flag=True, help="Keep the largest face only.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Where exactly the mask sits; the same seed draws the same picture.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here; under a new name in the current folder when left out.",
)
def wear_mask_command(
    image: Path | None, config_file: Path | None, mask: str, wear: str, crop: bool, seed: int, out: Path | None
) -> None:
    """Draw mask 1 to 7 on the faces in IMAGE."""
    if mask == LIST:
        drawn = contact_sheet(_first_face(image, config_file) if image else None, Wear(wear), seed)
        for number, style in enumerate(STYLES, 1):
            click.echo(f"{number}  {style.name}")
        _write(out or _free("masks"), drawn, [path for path in (image, config_path(config_file)) if path])
        return
    if image is None:
        raise UsageError("IMAGE is missing; name a picture, or use --mask list")
    picture, faces = _faces(image, read_config_if_any(config_file))
    for number, face in enumerate(faces):
        if face.points is not None:
            rng = np.random.default_rng(seed + number)
            picture = wear_mask(picture, face.points, STYLES[int(mask) - 1], Wear(wear), rng).image
    drawn = face_crop(picture, max(faces, key=lambda face: face.box.side).box) if crop else picture
    _write(out or _free(f"{image.stem}-mask{mask}"), drawn, [image, config_path(config_file)])


def _faces(path: Path, config: Config) -> tuple[Image, list[Detection]]:
    """The picture and its faces. Raise Failed when there is none to put a mask on."""
    models = load_models(config.models.model_copy(update={"smallest_face": SMALLEST_FACE}))
    picture = read_picture(path)
    faces = [face for face in models.detector.detect(picture) if face.points is not None and face.score >= 0.5]
    if not faces:
        raise Failed(
            f"{path}: no face found; use a picture with a face of at least {SMALLEST_FACE:.0f} px, seen from the front"
        )
    return picture, faces


def _first_face(path: Path, config_file: Path | None) -> tuple[Image, Detection]:
    picture, faces = _faces(path, read_config_if_any(config_file))
    return picture, max(faces, key=lambda face: face.box.side)


def _free(stem: str) -> Path:
    """A name of ours in the current folder: with a number where there is such a file, which may be somebody's own."""
    names = (Path(f"{stem}{number}.png") for number in chain([""], (f"-{again}" for again in count(2))))
    return next(name for name in names if not os.path.lexists(name))


def _write(path: Path, picture: Image, inputs: list[Path]) -> None:
    """Write `picture` as its name's ending says, as PNG into what is no file. Raise UsageError for unknown endings."""
    kind = ".png" if path.exists() and not path.is_file() else path.suffix
    try:
        good, data = cv2.imencode(kind, picture)
    except cv2.error:
        good = False
    if not good:
        raise UsageError(f"{path}: not a kind of picture; end the name in .png or .jpg")
    write(path, data.tobytes(), inputs)
    click.echo(f"{path}: {picture.shape[1]}x{picture.shape[0]}", err=is_stdout(path))
