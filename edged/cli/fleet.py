"""`edged fleet`: reports over many devices, from the files that they exported. Needs no config, and no device."""

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from edged.cli.options import print_document
from edged.config.address import PORTS
from edged.errors import Failed, UsageError
from edged.export.files import FORMATS
from edged.files import read_regular, write
from edged.fleet.compact import compact as compact_day
from edged.fleet.engines import ENGINES, Engine
from edged.fleet.place import Place
from edged.fleet.report import FleetPeriod, ReportRequest, build_fleet_report
from edged.fleet.simulate import simulate as made_up
from edged.fleet.simulate_broker import publish_devices
from edged.host.clock import SystemClock
from edged.report import canonical_json, days_of, parse_day, render_fleet_csv
from edged.report.page import render_fleet_html

UTC = ZoneInfo("UTC")
LONGEST_LIST = 4 * 1024 * 1024
RENDERERS = {"html": render_fleet_html, "csv": render_fleet_csv, "json": canonical_json}

place_option = click.option(
    "--from",
    "place",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PLACE",
    help="The folder that holds record/v=1: a disk, a mounted bucket.",
)


@click.group()
def fleet() -> None:
    """Reports over many devices, from what `edged export` sent."""


@fleet.command()
@place_option
@click.argument("day", metavar="[DATE]", default="yesterday")
@click.option("--day", "period", flag_value="day", default=True, help="Of DATE; so when left out.")
@click.option("--week", "period", flag_value="week", help="Of the week from Monday to Sunday that holds DATE.")
@click.option("--month", "period", flag_value="month", help="Of the month that holds DATE.")
@click.option("--engine", type=click.Choice(ENGINES), default="duckdb", show_default=True, help="What runs report.sql.")
@click.option("--master", default="local[2]", show_default=True, help="Of Spark: where its cluster is.")
@click.option("--name", default="Fleet", show_default=True, help="Heading of the report.")
@click.option(
    "--devices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The ids of all devices, one a line: who is missed.",
)
@click.option("--format", "form", type=click.Choice(sorted(RENDERERS)), default="html", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.")
def report(
    place: Path,
    day: str,
    period: FleetPeriod,
    engine: Engine,
    master: str,
    name: str,
    devices: Path | None,
    form: str,
    out: Path | None,
) -> None:
    """The report of DATE, yesterday when left out: 2026-11-19, yesterday or today; or of its week or month."""
    now_ms = SystemClock().utc_ms()
    request = ReportRequest(period, parse_day(day, UTC, now_ms), name, _listed(devices), engine, master)
    text = RENDERERS[form](build_fleet_report(Place(place), request, now_ms))
    if out is None:
        print_document(text)
        return
    write(out, text.encode())
    click.echo(f"{out}: report of {request.days[0]}, {period}", err=True)


@fleet.command()
@place_option
@click.argument("day", metavar="[DATE]", default="yesterday")
@click.option("--month", is_flag=True, help="Every day of the month that holds DATE.")
def compact(place: Path, day: str, month: bool) -> None:
    """Put the small files of DATE together: reports then open few files, and say the same. Needs DuckDB."""
    now_ms = SystemClock().utc_ms()
    requested = parse_day(day, UTC, now_ms)
    days: list[date] = days_of("month", requested) if month else [requested]
    for one in days:
        count = compact_day(Place(place), one, now_ms)
        click.echo(
            f"{one}: " + ("nothing to put together" if count is None else f"{count} files put together"), err=True
        )


@fleet.command()
@click.option("--to", "place", type=click.Path(path_type=Path), metavar="PLACE", help="An empty folder.")
@click.option("--devices", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many.")
@click.option("--days", type=click.IntRange(1, 400), default=1, show_default=True, help="How many days of each.")
@click.option("--until", "last", default="yesterday", show_default=True, metavar="DATE", help="The last of them.")
@click.option(
    "--busy", type=click.FloatRange(0.01, 100), default=1.0, show_default=True, help="Times 400 passages a day."
)
@click.option("--seed", type=int, default=17, show_default=True, help="Another one makes up other people.")
@click.option("--form", type=click.Choice(FORMATS), default="jsonl.gz", show_default=True, help="Of the files.")
@click.option("--mqtt", "broker", metavar="HOST:PORT", help="Publish the events to this broker, instead of files.")
@click.option(
    "--connections", type=click.IntRange(1, 1000), default=50, show_default=True, help="To the broker, at a time."
)
@click.option(
    "--shards", type=click.IntRange(1, 256), default=1, show_default=True, help="Of topics; see docs/fleet.md."
)
def simulate(
    place: Path | None,
    devices: int,
    days: int,
    last: str,
    busy: float,
    seed: int,
    form: str,
    broker: str | None,
    connections: int,
    shards: int,
) -> None:
    """Make up devices that export through the code that real ones run, with their troubles: to try and to size a server."""
    end = parse_day(last, UTC, SystemClock().utc_ms())
    requested = [end - timedelta(days=number) for number in reversed(range(days))]
    if (place is None) == (broker is None):
        raise UsageError("give --to for files, or --mqtt for messages")
    if broker is not None:
        count = publish_devices(*_address(broker), devices, requested, seed, busy, shards, connections)
        click.echo(f"{broker}: {devices} devices, {count} messages acknowledged", err=True)
    if place is not None:
        _write(place, devices, requested, seed, busy, form)


def _address(broker: str) -> tuple[str, int]:
    host, colon, port = broker.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        raise UsageError(f"--mqtt {broker!r}: write it like broker.example.org:1883")
    if int(port) not in PORTS:
        raise UsageError(f"--mqtt {broker!r}: a port is a number from 1 to {PORTS[-1]}")
    return host, int(port)


def _write(place: Path, devices: int, requested: list[date], seed: int, busy: float, form: str) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{place}: cannot be made ({error.strerror}); choose another --to") from None
    if any(place.iterdir()):
        raise UsageError(f"{place}: is not empty; made-up devices do not belong beside real ones")
    truth = made_up(place.absolute(), devices, requested, seed, busy, form, lambda line: click.echo(line, err=True))
    passages = sum(counts.total() for counts in truth.passages.values())
    click.echo(f"{place}: {devices} devices, {len(requested)} days, {passages} passages", err=True)


def _listed(path: Path | None) -> frozenset[str]:
    """The ids in a file, one a line; what follows a # is a remark."""
    if path is None:
        return frozenset()
    try:
        lines = read_regular(path, LONGEST_LIST).decode().splitlines()
    except OSError as error:
        raise Failed(f"{path}: cannot be read ({error.strerror}); choose another --devices") from None
    except ValueError as error:
        raise UsageError(f"{path}: is no list of ids ({error})") from None
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip()))
