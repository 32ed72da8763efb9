"""The eye classifier's commands."""

from pathlib import Path
from typing import Any

import click

from convert.commands.options import data_option, export_options, training_options
from convert.record import record_export


@click.command("train-eyes")
@training_options
@click.option("--steps", default=2000, show_default=True, help="Batches of 128 eyes.")
@click.option("--fold", type=click.IntRange(0, 6), default=0, show_default=True, help="The seventh that is held out.")
def train_eyes(**choice: Any) -> None:
    """Train the eye classifier."""
    from convert.eyes.train import EyeTraining, train

    train(EyeTraining(**choice))


@click.command("export-eyes")
@export_options
def export_eyes(data: Path, run: Path, engines: Path) -> None:
    """Calibrate and write the eye classifier, and record its hash and figures."""
    from convert.eyes import export

    target = engines / "eyes.onnx"
    written = export.export_eyes(data, run, target)
    click.echo(f"step {written.step}, temperature {written.temperature:.3f}, parity {written.parity:.1e}\n")
    record_export(engines, "eyes", written.sha256, export.report(data, target))


@click.command("measure-eyes")
@data_option
def measure_eyes(data: Path) -> None:
    """Measure the eye reader and the aspect ratio by eye width: detector, landmarks and eyes together."""
    from convert.eyes.measure import size_table
    from edged.analyse.eyes import EyeClassifier
    from edged.analyse.landmarks import LandmarkRegressor
    from edged.inference import default_engines_dir, load_manifest, open_engine
    from edged.readers import DetectionLimits, make_detector

    manifest = load_manifest(default_engines_dir())
    detector = make_detector("edged", lambda name: open_engine(manifest, name, 1), DetectionLimits(15, 0.3))
    landmarks = LandmarkRegressor(open_engine(manifest, "landmarks", 1))
    eyes = EyeClassifier(open_engine(manifest, "eyes", 1), smallest_eye=1.0)
    click.echo(size_table(data, detector, landmarks, eyes))
