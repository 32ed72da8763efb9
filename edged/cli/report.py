"""`edged report`: one local day as a page, a table or JSON."""

import os
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from edged.cli.options import config_option, read_config
from edged.clock import SystemClock
from edged.errors import Failed
from edged.report import build_report, canonical_json, parse_day, render_csv, render_html
from edged.store import StoreReader

RENDER = {"html": render_html, "csv": render_csv, "json": canonical_json}


@click.command()
@click.argument("day", metavar="[DATE]", default="yesterday")
@config_option
@click.option("--format", "form", type=click.Choice(sorted(RENDER)), default="html", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of to the screen.")
def report(day: str, config_file: Path | None, form: str, out: Path | None) -> None:
    """The compliance report of DATE: 2026-11-19, yesterday or today."""
    config = read_config(config_file)
    now_ms = SystemClock().utc_ms()
    wanted = parse_day(day, ZoneInfo(config.report.timezone), now_ms)
    text = RENDER[form](build_report(StoreReader(config.store.path), config, wanted, now_ms))
    if out is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        write_whole(out, text)
        click.echo(f"{out}: report of {wanted}", err=True)


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
