"""The command that compares everything that reads a found face: landmarks and head poses, ours and the baselines'."""

from pathlib import Path

import click

from convert.commands.options import ExistingFolder, data_option, engines_option


@click.command("compare-faces")
@data_option
@engines_option("Where our models are.")
@click.option(
    "--efficientnet-run",
    type=ExistingFolder,
    help="The --out folder of EfficientNet-B0's training, to have it take part.",
)
@click.option("--faces", type=click.IntRange(1), help="At most so many faces of each set.")
def compare_faces(data: Path, engines: Path, efficientnet_run: Path | None, faces: int | None) -> None:
    """Measure landmark regressors and head poses, ours and the baselines', on faces that no training saw: both tables.

    compare-landmarks and compare-pose print one each.
    """
    from convert.tables import face_tables

    click.echo(face_tables(data, engines, efficientnet_run, faces))
