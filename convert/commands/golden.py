"""The command of the golden pictures, which `edged selftest` and every engine's check run on."""

from pathlib import Path

import click

from convert.commands.options import engines_option


@click.command()
@engines_option("Where the models are; the pictures go into golden/ there.")
def golden(engines: Path) -> None:
    """Draw the golden pictures, and write down what the models say of them on this CPU."""
    from convert.golden import write_golden
    from edged.golden import FOLDER

    for line in write_golden(engines / FOLDER):
        click.echo(line)
