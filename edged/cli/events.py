"""`edged events`: what was recorded, now or as it happens."""

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from edged.cli.options import config_option, json_lines_option, print_json, read_config
from edged.errors import StoreError, UsageError
from edged.messages import iso
from edged.report.day import parse_day
from edged.store import StoreReader, lasted_ms
from edged.store.follower import Follower
from edged.types import MASK_WORDS

UNITS_S = {"m": 60, "h": 3600, "d": 86_400}
POLL_S = 0.5
LEAST_SHOWN_MS = 50


@click.command()
@config_option
@json_lines_option
@click.option(
    "--since",
    default="24h",
    show_default=True,
    help="How far back: 30m, 24h, 7d, or, in report.timezone, the start of yesterday, today or a day like 2026-11-19, or an"
    " instant like 2026-11-19T08:00; with Z at its end it is UTC.",
)
@click.option(
    "--kind", type=click.Choice(["mask", "inattention", "drowsiness", "camera", "system"]), help="Only this kind."
)
@click.option("--follow", "-f", is_flag=True, help="Go on printing as events happen.")
def events(config_file: Path | None, as_json: bool, since: str, kind: str | None, follow: bool) -> None:
    """Print recorded events, oldest first; the times are those of report.timezone, in JSON UTC."""
    config = read_config(config_file)
    zone = ZoneInfo(config.report.timezone)
    follower = Follower(StoreReader(config.store.path), kind)
    for row in follower.begin(parse_since(since, zone)):
        _print(row, as_json, zone)
    if follow:
        _follow(follower, as_json, zone)


def parse_since(text: str, zone: ZoneInfo) -> int:
    """UTC milliseconds of "24h" ago, of the start of a day, or of an ISO instant, in `zone` unless it says where.

    Raise UsageError for anything else.
    """
    now_ms = time.time_ns() // 1_000_000
    if text in ("today", "yesterday"):
        text = parse_day(text, zone, now_ms).isoformat()
    if match := re.fullmatch(r"([0-9]{1,5})([mhd])", text):
        return now_ms - int(match[1]) * UNITS_S[match[2]] * 1000
    try:
        if "W" in text:
            raise ValueError("a week's date, which Python reads since 3.11 and a person hardly means")
        if day := re.fullmatch(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})", text):
            text = "-".join(day.group(1, 3, 4))  # Python 3.10 reads no 20261119
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(
            f"--since {text!r}: write 30m, 24h, 7d, yesterday, today, a day like 2026-11-19, or an instant like"
            " 2026-11-19T08:00"
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return int(instant.timestamp() * 1000)


def _follow(follower: Follower, as_json: bool, zone: ZoneInfo) -> None:
    """Print each event when it starts and at each further step until it has ended, until interrupted."""
    is_away = False
    while True:
        time.sleep(POLL_S)
        try:
            rows, is_away = follower.changes(), False
        except StoreError as error:
            if not is_away:
                click.echo(f"edged: {error}; waiting for it", err=True)
            rows, is_away = [], True
        for row in rows:
            _print(row, as_json, zone)


def _print(row: dict[str, Any], as_json: bool, zone: ZoneInfo) -> None:
    lasted = lasted_ms(row)
    if as_json:
        instants = {name: iso(row.get(name)) for name in ("began_at", "started_at", "ended_at")}
        row = {**row, **instants, "lasted_s": None if lasted is None else lasted / 1000}
        print_json(row)
        return
    ended = "still going" if lasted is None else f"lasted {lasted / 1000:.1f} s, {row['end_reason']}"
    began = row.get("began_at")
    earlier = 0 if began is None else row["started_at"] - began
    if earlier >= LEAST_SHOWN_MS:
        ended = f"began {earlier / 1000:.1f} s earlier, {ended}"
    score = "" if row["score"] is None else f" {row['score']:.2f}"
    state = MASK_WORDS.get(row["state"], row["state"]) if row["kind"] == "mask" else row["state"]
    place = f" {row['camera']}" if row["camera"] else ""
    unsure = "" if row["clock_ok"] else " (clock not set)"
    started = datetime.fromtimestamp(row["started_at"] / 1000, zone).isoformat(timespec="milliseconds")
    click.echo(f"{started.replace('+00:00', 'Z')}{unsure} {row['kind']}{place} {state}{score} ({ended})")
