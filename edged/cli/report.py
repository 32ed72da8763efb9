"""`edged report`: one local day, week or month as text, a page, a table or JSON."""

import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from ulid import ULID

from edged.cli.options import config_option, print_document, read_config
from edged.config import Config, config_path
from edged.errors import ConfigError, Failed, UsageError
from edged.files import write
from edged.host.clock import SystemClock
from edged.host.device import device_id
from edged.report import (
    Period,
    build_period,
    build_report,
    canonical_json,
    counted_anew,
    day_csv,
    days_of,
    parse_day,
    render_period_csv,
    render_text,
    stored_report,
)
from edged.report.page import render_html, render_period_html
from edged.store import StoreReader

SUFFIXES = {"text": "txt"}
FORMATS = ("text", "html", "csv", "json")


@click.command()
@click.argument("day", metavar="[DATE]", default="yesterday")
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="text on a terminal, html into a file or another program, when left out.",
)
@click.option("--week", "period", flag_value="week", help="Of the week from Monday to Sunday that holds DATE.")
@click.option("--month", "period", flag_value="month", help="Of the month that holds DATE.")
@click.option(
    "--out",
    type=click.Path(),
    help="Write to this file, or into this folder as DATE.FORMAT; what ends with / is a folder.",
)
@click.option("--mail", is_flag=True, help="Mail it now, as [mail] says, and say what the mail server answered.")
def report(
    day: str, config_file: Path | None, form: str | None, period: Period | None, out: str | None, mail: bool
) -> None:
    """The report of DATE, yesterday when left out: 2026-11-19, yesterday or today; or of its week or month."""
    if mail and (form or out):
        raise UsageError("--mail sends text, page and table: leave --format and --out out")
    form = form or ("text" if out is None and sys.stdout.isatty() else "html")
    config = read_config(config_file)
    now_ms = SystemClock().utc_ms()
    requested = parse_day(day, ZoneInfo(config.report.timezone), now_ms)
    reader = StoreReader(config.store.path)
    name = str(requested) if period is None else f"{days_of(period, requested)[0]}-{period}"

    def made(form: str) -> str:
        if period is None:
            return _of_day(reader, config, requested, now_ms, form)
        return _of_period(reader, config, period, requested, now_ms, form)

    if mail:
        _mail(config, reader, name, made)
        return
    text = made(form)
    if out is None and form == "text":
        click.echo(text, nl=False)
        return
    if out is None:
        print_document(text)
        return
    file = _file_in(out, f"{name}.{SUFFIXES.get(form, form)}")
    write(file, text.encode(), [config_path(config_file), config.store.path])
    click.echo(f"{file}: report of {name}", err=True)


def _mail(config: Config, reader: StoreReader, name: str, made: Callable[[str], str]) -> None:
    """Send it now, beside what the daemon sends. Raise ConfigError, Unavailable or Failed with what went wrong."""
    from edged.deliver.letters import letter  # here, since other reports need no mail
    from edged.deliver.mail import Mail

    if config.mail.host is None:
        raise ConfigError("no mail server is configured: set mail.host, mail.to and mail.sender")
    device = device_id(config.device.id)
    sender = Mail(config, device, reader, SystemClock())
    heading = f"{config.report.site or config.device.name}: report of {name}"
    written = letter(heading, made("text"), {f"{name}.html": made("html"), f"{name}.csv": made("csv")})
    for line in sender.deliver(written, [f"{device}/{name}/{ULID()}"]):
        click.echo(line, err=True)
    click.echo(f"report of {name}: {sender.peer.where} took it for {', '.join(config.mail.to or ())}", err=True)


def _file_in(out: str, name: str) -> Path:
    """The file that `out` means: itself, or `name` in the folder that it is. One that ends with a slash is made where missing."""
    target = Path(out)
    if out.endswith(os.sep):
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    return target / name if target.is_dir() else target


def _of_day(reader: StoreReader, config: Config, day: date, now_ms: int, form: str) -> str:
    found = stored_report(reader, day)
    if found is None:
        if line := counted_anew(reader, ZoneInfo(config.report.timezone), day):
            _say(line)
        found = build_report(reader, config, day, now_ms)
    if form == "csv":
        return day_csv(reader, config, day, found)
    renderers = {"html": render_html, "text": render_text, "json": canonical_json}
    return renderers[form](found)


def _of_period(reader: StoreReader, config: Config, period: Period, day: date, now_ms: int, form: str) -> str:
    found = build_period(reader, config, period, day, now_ms, _say)
    if form == "csv":
        return render_period_csv(found)
    renderers = {"html": render_period_html, "text": render_text, "json": canonical_json}
    return renderers[form](found)


def _say(line: str) -> None:
    click.echo(f"edged: {line}", err=True)
