"""The mask classifier's commands."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import data_option, export_options, training_options
from convert.record import record_export


@click.command("train-mask")
@training_options
@click.option("--epochs", default=8, show_default=True, help="Rounds of 200 batches of 128 faces.")
def train_mask(epochs: int, **choice: Any) -> None:
    """Train the mask classifier."""
    from convert.mask.train import STEPS_PER_EPOCH, MaskTraining, train

    train(MaskTraining(steps=epochs * STEPS_PER_EPOCH, **choice))


@click.command("export-mask")
@export_options
def export_mask(data: Path, run: Path, engines: Path) -> None:
    """Calibrate and write the mask classifier, and record its hash and figures."""
    from convert.mask import export

    target = engines / "mask.onnx"
    written = export.export_mask(data, run, target)
    click.echo(f"temperature {written.temperature:.3f}, parity {written.parity:.1e}\n")
    record_export(engines, "mask", written.sha256, export.report(data, target))


@click.command("decide-mask")
@data_option
def decide_mask(data: Path) -> None:
    """Measure who should decide the mask state, by face size: the detector's branch, the classifier, or both."""
    from convert.mask.decide import decision_table, find_faces
    from edged.assembly import load_models
    from edged.config import ModelsConfig

    models = load_models(ModelsConfig(detector="edged", smallest_face=15, least_score=0.1))
    click.echo(decision_table(find_faces(data, models.detector, models.judge)))
