"""`edged report`: one local day as a page, a table or JSON."""

import os
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from edged.cli.options import config_option, read_config
from edged.clock import SystemClock
from edged.errors import Failed
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
        click.echo(text, nl=not text.endswith("\n"))
        return
    file = out / f"{wanted}.{form}" if out.is_dir() else out
    write_whole(file, text)
    click.echo(f"{file}: report of {wanted}", err=True)


def write_whole(path: Path, text: str) -> None:
    """Write `path` so that it is there whole or not at all. Raise Failed when it cannot be written."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8", newline="") as file:
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Failed(f"{path}: cannot be written ({error.strerror}); choose another --out") from None
