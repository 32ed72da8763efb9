"""`edged demo`: the whole job with no camera, broker or config."""

import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import click

from edged.demo.play import make_week, play, refuse_others
from edged.types import MASK_WORDS

STAY_S = 0.5
"""Between two checks for Ctrl-C: one that comes just before a wait without end would be lost."""


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

    A scene of half a minute makes a poor report: those of a made-up week show what a site gets. At a terminal the scene then
    begins again, so that it can be looked at in a browser, until Ctrl-C.
    """

    def say(line: str, colour: str) -> None:
        click.secho(line, fg=colour)
        sys.stdout.flush()

    def finish(violations: Counter[str]) -> None:
        """Say what was heard, and make the week."""
        heard = ", ".join(f"{count} {MASK_WORDS.get(state, state)}" for state, count in sorted(violations.items()))
        click.echo(f"Alerts: {heard or 'none'}. The report of what was played: {report}")
        click.echo(
            f"Making the reports of a made-up full week in {week}; this takes a minute or two on a small machine …"
        )
        shown = make_week(week, say)
        click.echo(f"What a site gets, with made-up data of a full week: {shown}, and the other days beside it")

    def stay(violations: Counter[str]) -> None:
        finish(violations)
        with suppress(KeyboardInterrupt):
            click.echo("The scene has ended. It begins again in the browser until you press Ctrl-C.")
            while True:
                time.sleep(STAY_S)

    for ending in (signal.SIGHUP, signal.SIGTERM):
        # A terminal that is closed ends it as Ctrl-C does: nothing that it started goes on alone.
        if signal.getsignal(ending) is not signal.SIG_IGN:  # nohup
            signal.signal(ending, signal.default_int_handler)
    refuse_others(report, week)
    is_shown = source is None and seconds is None and sys.stdout.isatty()
    violations = play(source, report, say, seconds, stay if is_shown else None)
    if not is_shown:
        finish(violations)
