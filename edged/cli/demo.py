"""`edged demo`: the whole job with no camera, broker or config."""

import sys
from pathlib import Path

import click

from edged.demo.play import make_week, play
from edged.types import MASK_WORDS


@click.command()
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Any video instead of the made-up scene.",
)
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop after this long.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default="demo-report.html",
    show_default=True,
    help="Where the report of what was played goes.",
)
@click.option(
    "--week",
    type=click.Path(path_type=Path, file_okay=False),
    default="demo-week",
    show_default=True,
    help="Folder for the reports of a full week, of made-up data.",
)
def demo(source: Path | None, seconds: float | None, report: Path, week: Path) -> None:
    """Play an entrance scene through the real daemon, print its alerts as a subscriber gets them, and make the reports.

    A scene of half a minute makes a poor report: those of a made-up week show what a site gets.
    """

    def say(line: str, colour: str) -> None:
        click.secho(line, fg=colour)
        sys.stdout.flush()

    violations = play(source, report, say, seconds)
    heard = (
        ", ".join(f"{count} {MASK_WORDS.get(state, state)}" for state, count in sorted(violations.items())) or "none"
    )
    click.echo(f"Alerts: {heard}. The report of what was played: {report}")
    click.echo(f"Making the reports of a made-up full week in {week}; this takes a minute or two on a small machine …")
    shown = make_week(week, say)
    click.echo(f"What a site gets, with made-up data of a full week: {shown}, and the other days beside it")
