"""The command line of training and conversion: `python -m convert --help`."""

import sys
from pathlib import Path
from typing import Any, Protocol

import click

from edged.errors import EdgedError

Folder = click.Path(file_okay=False, path_type=Path)
DataFolder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train, check and export edged's models. Libraries are imported only by the command that needs them."""


def data_option(command: "click.decorators.FC") -> "click.decorators.FC":
    """The folder of data sets."""
    text = "Folder that holds the data sets (masks853/, landmarks68/, …)."
    return click.option("--data", type=DataFolder, envvar="EDGED_DATA", required=True, help=text)(command)


def training_options(command: "click.decorators.FC") -> "click.decorators.FC":
    """What every training asks."""
    command = click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")(command)
    text = "Threads to compute with; fewer are faster on a busy machine.  [default: PyTorch's choice]"
    command = click.option("--threads", default=0, help=text)(command)
    command = click.option("--seed", default=0, show_default=True)(command)
    text = "Where checkpoints, the log and cached pictures go."
    return data_option(click.option("--out", type=Folder, required=True, help=text)(command))


def export_options(command: "click.decorators.FC") -> "click.decorators.FC":
    """What every export asks."""
    text = "Where the model, its card and the manifest are."
    command = click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help=text)(command)
    return data_option(
        click.option("--run", type=DataFolder, required=True, help="The training's --out folder.")(command)
    )


class Report(Protocol):
    """What an export prints and records."""

    @property
    def tables(self) -> str:
        """Markdown for the card."""

    @property
    def figures(self) -> dict[str, float]:
        """Numbers for the manifest."""


def _record(name: str, engines: Path, sha256: str, report: Report) -> None:
    from convert.record import record_model, record_tables

    click.echo(report.tables)
    record_tables(engines / f"{name}.md", report.tables)
    record_model(engines / "manifest.toml", name, sha256, report.figures)


@main.command("train-mask")
@training_options
@click.option("--epochs", default=8, show_default=True, help="Rounds of 200 batches of 128 faces.")
def train_mask(data: Path, out: Path, epochs: int, seed: int, resume: bool, threads: int) -> None:
    """Train the mask classifier."""
    from convert.mask.train import MaskTraining, train

    train(MaskTraining(data, out, epochs, seed, resume, threads))


@main.command()
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX files go.")
@click.option(
    "--wheel", type=click.Path(dir_okay=False, path_type=Path), help="The wheel of mtcnn 1.0.0, when offline."
)
@click.option("--package", type=Folder, help="Or the directory of the installed package.")
def mtcnn(out: Path, wheel: Path | None, package: Path | None) -> None:
    """Build MTCNN's three networks from the weights in the PyPI package; nothing to do when they are there."""
    from convert.mtcnn import write_networks
    from edged.inference import default_engines_dir, load_manifest

    for path in write_networks(out, load_manifest(default_engines_dir()), wheel, package):
        click.echo(f"wrote {path}")


@main.command()
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX file goes.")
def retinaface(weights: Path, out: Path) -> None:
    """Build RetinaFace from WEIGHTS, a PyTorch state dict; engines/retinaface.md says which."""
    from convert.retinaface import write_network
    from edged.inference import default_engines_dir, load_manifest

    click.echo(f"wrote {write_network(weights, out, load_manifest(default_engines_dir()))}")


@main.command("export-mask")
@export_options
def export_mask(data: Path, run: Path, engines: Path) -> None:
    """Calibrate and write the mask classifier, and record its hash and figures."""
    from convert.mask import export

    target = engines / "mask.onnx"
    written = export.export_mask(data, run, target)
    click.echo(f"temperature {written.temperature:.3f}, parity {written.parity:.1e}\n")
    _record("mask", engines, written.sha256, export.report(data, target))


@main.command("train-detector")
@training_options
@click.option("--steps", default=12000, show_default=True, help="Batches of 16 windows of 320 x 320 pixels.")
def train_detector(data: Path, out: Path, steps: int, seed: int, resume: bool, threads: int) -> None:
    """Train the face detector with its points and mask branch."""
    from convert.detector.train import DetectorTraining, train

    train(DetectorTraining(data, out, steps, seed, resume, threads))


@main.command("export-detector")
@export_options
def export_detector(data: Path, run: Path, engines: Path) -> None:
    """Write the face detector, and record its hash and figures."""
    from convert.detector import export

    target = engines / "detector.onnx"
    written = export.export_detector(run, target)
    click.echo(f"step {written.step}, parity {written.parity:.1e}\n")
    _record("detector", engines, written.sha256, export.report(data, target))


@main.command("decide-mask")
@data_option
def decide_mask(data: Path) -> None:
    """Measure who should decide the mask state, by face size: the detector's branch, the classifier, or both."""
    from convert.mask.decide import decision_table, find_faces
    from edged.assembly import load_models
    from edged.config import ModelsConfig

    models = load_models(ModelsConfig(detector="edged", smallest_face=15, least_score=0.1))
    click.echo(decision_table(find_faces(data, models.detector, models.judge)))


@main.command()
@data_option
@click.option("--all", "everything", is_flag=True, help="All of masks853, not only the part held out from training.")
@click.option("--pictures", type=click.IntRange(1), help="At most so many pictures.")
@click.option("--only", multiple=True, metavar="NAME", help="Only detectors whose name begins so; may be repeated.")
@click.option("--smallest-face", default=15.0, show_default=True, help="What edged's detectors look for, in pixels.")
@click.option("--threads", default=1, show_default=True, help="Threads of each detector.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
def compare(data: Path, everything: bool, pictures: int | None, as_json: bool, **choice: Any) -> None:
    """Measure all detectors that are there, ours and others', side by side on masks853."""
    from convert.compare import Choice, compare, contestants, pictures_of, report

    chosen = pictures_of(data, everything, pictures)
    rivals = contestants(data, Choice(**choice))
    click.echo(report(compare(rivals, chosen), chosen, as_json))


def run() -> None:
    """Start, turning errors raised on purpose into one line."""
    try:
        main(standalone_mode=True)
    except EdgedError as error:
        print(f"convert: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    run()
