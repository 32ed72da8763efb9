"""The command that scores passages and alerts on recordings whose truth was written down by eye."""

import math
from pathlib import Path

import click


@click.command()
@click.option(
    "--clips",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="tests/clips",
    show_default=True,
    help="Folder of truths, one TOML file a recording.",
)
@click.option(
    "--shared",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="../shared",
    show_default=True,
    help="Folder that the recordings' paths begin in.",
)
@click.option(
    "--fps",
    "rates",
    type=click.FloatRange(5, 60),
    multiple=True,
    help="Pictures a second, instead of those that a camera has by default; a recording's own rate is the limit. Give it several "
    "times: which pictures are seen is chance, and one rate tells little.",
)
@click.argument("names", nargs=-1)
def passages(clips: Path, shared: Path, rates: tuple[float, ...], names: tuple[str, ...]) -> None:
    """Count false, missed and doubled passages, and false and missed alerts; of NAMES only, where there are any.

    Each recording goes through the stages as the daemon has them.
    """
    from convert.passages.report import header, play_all, totals

    if not all(math.isfinite(fps) for fps in rates):
        raise click.BadParameter("it must be a finite number", param_hint="--fps")
    click.echo(header())
    rows = []
    for row in play_all(clips, shared, names, list(dict.fromkeys(rates)) or (None,)):
        click.echo(row.line())
        for remark in row.remarks:
            click.echo(f"    {remark}")
        rows.append(row)
    for total in totals(rows):
        click.echo(total.line())
