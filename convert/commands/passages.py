"""The command that scores passages and alerts on recordings whose truth was written down by eye."""

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
@click.argument("names", nargs=-1)
def passages(clips: Path, shared: Path, names: tuple[str, ...]) -> None:
    """Count false, missed and doubled passages, and false and missed alerts; of NAMES only, where there are any.

    Each recording goes through the stages as the daemon has them, at the pictures a second that a camera has by default.
    """
    from convert.passages.report import Row, header, play_all

    click.echo(header())
    total = Row("all", ())
    for row in play_all(clips, shared, names):
        total = total.with_(row)
        click.echo(row.line())
        for remark in row.remarks:
            click.echo(f"    {remark}")
    click.echo(total.line())
