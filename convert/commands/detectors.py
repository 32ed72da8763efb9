"""The face detectors' commands: ours, those of others that are converted, and both side by side."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import (
    ExistingFile,
    ExistingFolder,
    File,
    Folder,
    data_option,
    engines_option,
    export_options,
    start_option,
    training_options,
)
from convert.record import record_export


@click.command("train-detector")
@training_options
@click.option("--steps", default=22000, show_default=True, help="Batches of 16 windows of 320 x 320 pixels.")
@start_option
@click.option("--objects", type=ExistingFolder, help="Pictures of things, fetched by `gather-objects`.")
@click.option(
    "--people", type=ExistingFolder, multiple=True, help="More people, labelled by `label-people`; may be repeated."
)
@click.option("--nobody", type=ExistingFolder, multiple=True, help="More pictures that show nobody; may be repeated.")
@click.option(
    "--errors-of", type=ExistingFile, help="A detector: pictures in which it errs are drawn three times as often."
)
def train_detector(**choice: Any) -> None:
    """Train the face detector with its points and mask branch."""
    from convert.detector.train import DetectorTraining, train

    train(DetectorTraining(**choice))


@click.command("gather-objects")
@click.option("--out", type=Folder, required=True, help="Where they go.")
def gather_objects(out: Path) -> None:
    """Fetch pictures of animals, fruit, tools and buildings from Debian: what the detector must not take for faces."""
    from convert.data.objects import fetch

    fetch(out)


@click.command("label-people")
@data_option
@engines_option("Where RetinaFace is; `retinaface` builds it.")
@click.option(
    "--out", type=Folder, required=True, help="Where the labelled pictures go: a folder for `train-detector --people`."
)
@click.argument("pictures", type=ExistingFolder)
def label_people(data: Path, engines: Path, out: Path, pictures: Path) -> None:
    """Label the photographs of people without masks in PICTURES, on whose faces YuNet and RetinaFace must agree."""
    from convert.data.coco import pictures_in
    from convert.data.pseudo_labels import Teachers, label_pictures

    teachers = Teachers.open(data / "peers", engines)
    click.echo(f"{label_pictures(pictures_in(pictures), teachers, out)} faces")


@click.command("export-detector")
@export_options
def export_detector(data: Path, run: Path, engines: Path) -> None:
    """Write the face detector, and record its hash and figures."""
    from convert.detector import export

    target = engines / "detector.onnx"
    written = export.export_detector(run, target)
    click.echo(f"step {written.step}, parity {written.parity:.1e}\n")
    record_export(engines, "detector", written.sha256, export.report(data, target))


@click.command("mtcnn")
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX files go.")
@click.option("--wheel", type=File, help="The wheel of mtcnn 1.0.0, when offline.")
@click.option("--package", type=Folder, help="Or the directory of the installed package.")
def mtcnn(out: Path, wheel: Path | None, package: Path | None) -> None:
    """Build MTCNN's three networks from the weights in the PyPI package; nothing to do when they are there."""
    from convert.mtcnn import write_networks
    from edged.inference import default_engines_dir, load_manifest

    for path in write_networks(out, load_manifest(default_engines_dir()), wheel, package):
        click.echo(f"wrote {path}")


@click.command("retinaface")
@click.argument("weights", type=File)
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX file goes.")
def retinaface(weights: Path, out: Path) -> None:
    """Build RetinaFace from WEIGHTS, a PyTorch state dict; engines/retinaface.md says which."""
    from convert.retinaface import write_network
    from edged.inference import default_engines_dir, load_manifest

    click.echo(f"wrote {write_network(weights, out, load_manifest(default_engines_dir()))}")


@click.command("compare")
@data_option
@click.option("--all", "everything", is_flag=True, help="All of masks853, not only the part held out from training.")
@click.option("--pictures", type=click.IntRange(1), help="At most so many pictures.")
@click.option("--only", multiple=True, metavar="NAME", help="Only detectors whose name begins so; may be repeated.")
@click.option("--smallest-face", default=12.0, show_default=True, help="What edged's detectors look for, in pixels.")
@click.option("--threads", default=1, show_default=True, help="Threads of each detector.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
def compare(data: Path, everything: bool, pictures: int | None, as_json: bool, **choice: Any) -> None:
    """Measure all detectors that are there, ours and others', side by side on masks853."""
    from convert.compare import Choice, compare, contestants, pictures_of, report

    chosen = pictures_of(data, everything, pictures)
    rivals = contestants(data, Choice(**choice))
    click.echo(report(compare(rivals, chosen), chosen, as_json))
