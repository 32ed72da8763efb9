"""The head poses' commands: the learned pose, the baseline's heatmaps, and the head shape that both rest on."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import ExistingFolder, data_option, engines_option, export_options, training_options
from convert.record import record_export


@click.command("fit-head-shape")
@data_option
@engines_option("Where our models are.")
def fit_head_shape(data: Path, engines: Path) -> None:
    """Fit the 68-point head to annotated faces and heads of known pose, and write edged/analyse/pose/shape.py."""
    from convert.pose.sightings import fit

    click.echo(f"wrote {fit(data, engines)}")


@click.command("train-pose")
@training_options
@click.option("--steps", default=6000, show_default=True, help="Batches of 96 heads of 64 x 64 pixels.")
@click.option("--held-out", multiple=True, help="A sequence to keep back instead of the usual five; may be repeated.")
@engines_option("Where the detector is.")
def train_pose(engines: Path, held_out: tuple[str, ...], **choice: Any) -> None:
    """Train the learned head pose."""
    from convert.pose.evaluate import open_service
    from convert.pose.heads import HELD_OUT
    from convert.pose.train import PoseTraining, train

    train(PoseTraining(detector=open_service(engines).detector, held_out=held_out or HELD_OUT, **choice))


@click.command("train-pose-heatmap")
@training_options
@click.option("--steps", default=1600, show_default=True, help="Batches of 64 drawn heads.")
def train_pose_heatmap(data: Path, **choice: Any) -> None:
    """Train the baseline's heatmap pose, on projections of our head shape; no picture is needed."""
    from convert.pose.heatmap_train import train
    from convert.training.loop import TrainingChoice

    train(TrainingChoice(**choice))


@click.command("export-pose")
@export_options
@click.option(
    "--heatmap-run", type=ExistingFolder, help="The --out folder of train-pose-heatmap; none keeps that model."
)
def export_pose(data: Path, run: Path, heatmap_run: Path | None, engines: Path) -> None:
    """Write the learned poses, and record their hashes and figures."""
    from convert.pose import export

    for name, sha256, report in export.export_both(data, run, heatmap_run, engines):
        record_export(engines, name, sha256, report)


@click.command("compare-pose")
@data_option
@engines_option("Where our models are.")
def compare_pose(data: Path, engines: Path) -> None:
    """Measure all head poses side by side on the sequences kept back, bare and with drawn masks."""
    from convert.pose.evaluate import report

    click.echo(report(data, engines)[0])
