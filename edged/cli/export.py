"""`edged export`: the files of closed days."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from edged.cli.options import config_option, read_config
from edged.config import Config
from edged.config.export import check_place
from edged.errors import UsageError
from edged.export import Exporter
from edged.host.clock import SystemClock
from edged.report import parse_day
from edged.store import StoreReader


@click.command()
@click.argument("day", metavar="[DAY]", required=False)
@config_option
@click.option(
    "--pending", is_flag=True, help="Every closed day that has not been exported and sent; so when DAY is left out."
)
@click.option("--to", "place", metavar="PLACE", help="A folder or an https address, instead of export.to.")
def export(day: str | None, config_file: Path | None, pending: bool, place: str | None) -> None:
    """Export closed days as files for a report over many devices.

    A day is closed once the daemon has stored its report. DAY, as 2026-11-19 or yesterday, is sent whether or not it has been.
    """
    if day is not None and pending:
        raise UsageError("DAY and --pending exclude each other: leave one out")
    config = _placed(read_config(config_file), place)
    now_ms = SystemClock().utc_ms()
    requested: date | None = None if day is None else parse_day(day, ZoneInfo(config.report.timezone), now_ms)
    Exporter(config, StoreReader(config.store.path), now_ms, lambda line: click.echo(line, err=True)).export(requested)


def _placed(config: Config, place: str | None) -> Config:
    """The config with `--to` in the place of `export.to`; a token goes to the configured address only."""
    if place is not None and place != config.export.to:
        try:
            to = check_place(place if "://" in place else str(Path(place).absolute()))
        except ValueError as error:
            raise UsageError(f"--to {place!r}: {error}") from None
        own = config.export.model_copy(update={"to": to, "token_file": None})
        return config.model_copy(update={"export": own})
    return config
