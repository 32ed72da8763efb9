"""The landmark regressors' commands."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import (
    ExistingFolder,
    File,
    data_option,
    engines_option,
    export_options,
    start_option,
    training_options,
)
from convert.record import deliver_locally, record_export
from edged.readers import LANDMARK_READERS

architecture_option = click.option(
    "--architecture", type=click.Choice(["edged", "efficientnet-b0"]), default="edged", show_default=True
)


@click.command("train-landmarks")
@training_options
@click.option("--steps", default=25000, show_default=True, help="Batches of 32 faces of 112 x 112 pixels.")
@architecture_option
@start_option
@click.option("--prepared", type=ExistingFolder, help="Another training's --out folder, to share its prepared faces.")
def train_landmarks(**choice: Any) -> None:
    """Train a regressor of 68 landmarks: ours, or EfficientNet-B0 to compare with."""
    from convert.landmarks.train import LandmarkTraining, train

    train(LandmarkTraining(**choice))


@click.command("export-landmarks")
@export_options
@architecture_option
def export_landmarks(data: Path, run: Path, engines: Path, architecture: str) -> None:
    """Write the landmark regressor, and record its hash and figures.

    EfficientNet-B0 goes to the --run folder, and from there to where `models.landmarks = "efficientnet"` looks for it.
    """
    from convert.landmarks import export

    ours = architecture == "edged"
    target = engines / "landmarks.onnx" if ours else run / f"{architecture}.onnx"
    written = export.export_landmarks(run, target, architecture)
    click.echo(f"wrote {target}: step {written.step}, parity {written.parity:.1e}\n")
    if ours:
        record_export(engines, "landmarks", written.sha256, export.report(data, target))
    else:
        click.echo(f"wrote {deliver_locally(target, engines, LANDMARK_READERS['efficientnet'].models[0])}")


@click.command("compare-landmarks")
@data_option
@engines_option("Where our model is.")
@click.option("--efficientnet", type=File, help="EfficientNet-B0's ONNX file.")
@click.option("--faces", type=click.IntRange(1), help="At most so many faces of each set.")
def compare_landmarks(data: Path, engines: Path, efficientnet: Path | None, faces: int | None) -> None:
    """Measure landmark regressors side by side on HELEN's and the videos' test faces, in our detector's boxes."""
    from convert.landmarks.compare import compared_sets, comparison, contestants

    rows = contestants(engines, efficientnet)
    click.echo(comparison(rows, compared_sets(data, faces)))
