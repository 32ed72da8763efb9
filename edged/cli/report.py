"""`edged report`: one local day as a page, a table or JSON."""

from pathlib import Path
from zoneinfo import ZoneInfo

import click

from edged.cli.options import config_option, read_config
from edged.clock import SystemClock
from edged.config import config_path
from edged.files import write
from edged.report import (
    INCIDENTS,
    build_report,
    canonical_json,
    list_violations,
    parse_day,
    render_csv,
    render_html,
    stored_report,
)
from edged.store import StoreReader

FORMATS = ("html", "csv", "json")


@click.command()
@click.argument("day", metavar="[DATE]", default="yesterday")
@config_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="html", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file, or into this folder as DATE.FORMAT.")
def report(day: str, config_file: Path | None, form: str, out: Path | None) -> None:
    """The compliance report of DATE: 2026-11-19, yesterday or today."""
    config = read_config(config_file)
    now_ms = SystemClock().utc_ms()
    wanted = parse_day(day, ZoneInfo(config.report.timezone), now_ms)
    reader = StoreReader(config.store.path)
    found = stored_report(reader, wanted) or build_report(reader, config, wanted, now_ms)
    if form == "csv":
        incidents = {kind: list_violations(reader, config, wanted, kind) for kind in INCIDENTS}
        text = render_csv(found, list_violations(reader, config, wanted), incidents)
    else:
        text = render_html(found) if form == "html" else canonical_json(found)
    if out is None:
        click.echo(text.encode(), nl=not text.endswith("\n"))  # a document of UTF-8, whatever the terminal speaks
        return
    file = out / f"{wanted}.{form}" if out.is_dir() else out
    write(file, text.encode(), [config_path(config_file), config.store.path])
    click.echo(f"{file}: report of {wanted}", err=True)
