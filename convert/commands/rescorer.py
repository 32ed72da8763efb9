"""The commands of the network that scores detections anew."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import ExistingFile, Folder, export_options, start_option, training_options
from convert.record import record_export


@click.command("train-rescorer")
@training_options
@click.option("--pictures", type=Folder, required=True, help="The pictures of train-detector: pictures-0 in its --out.")
@click.option(
    "--detector",
    type=ExistingFile,
    default=Path("engines/detector.onnx"),
    show_default=True,
    help="The detector whose detections are to be scored.",
)
@start_option
@click.option("--steps", default=8000, show_default=True, help="Batches of 96 detections.")
def train_rescorer(**choice: Any) -> None:
    """Train the network that scores the detector's detections anew."""
    from convert.rescorer.train import RescorerTraining, train

    train(RescorerTraining(**choice))


@click.command("export-rescorer")
@export_options
def export_rescorer(data: Path, run: Path, engines: Path) -> None:
    """Write the network that scores detections anew, and record its hash and figures."""
    from convert.rescorer import export

    target = engines / "rescorer.onnx"
    written = export.export_rescorer(run, target)
    click.echo(f"step {written.step}, parity {written.parity:.1e}\n")
    record_export(engines, "rescorer", written.sha256, export.report(data, engines))
