"""`edged demo`: the whole job with no camera, broker or config."""

import sys
from pathlib import Path

import click

from edged.demo.play import play


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
    help="Where the day's report goes.",
)
def demo(source: Path | None, seconds: float | None, report: Path) -> None:
    """Play an entrance scene through the real daemon, print its alerts as a subscriber gets them, and make the report."""

    def say(line: str, colour: str) -> None:
        click.secho(line, fg=colour)
        sys.stdout.flush()

    violations = play(source, report, say, seconds)
    heard = ", ".join(f"{count} {state}" for state, count in sorted(violations.items())) or "none"
    click.echo(f"Alerts: {heard}. The day's report: {report}")
