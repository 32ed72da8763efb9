"""The command of the golden pictures, which `edged selftest` and every engine's check run on."""

from pathlib import Path

import click

from convert.commands.options import ExistingFolder, engines_option


@click.command()
@engines_option("Where the models are; the pictures go into golden/ there.")
@click.option("--people", type=ExistingFolder, help="Draw the tests' pictures of people into this folder instead.")
def golden(engines: Path, people: Path | None) -> None:
    """Draw the golden pictures, and write down what the models say of them on this CPU.

    Of the pictures of people (tests/golden_people) a person has written down what is to be said.
    """
    from convert.golden import write_golden
    from convert.golden_people import write_people
    from edged.selftest.golden import FOLDER

    if people is not None:
        for line in write_people(people):
            click.echo(line)
        return
    for line in write_golden(engines / FOLDER):
        click.echo(line)
