"""`edged db`: back the database up, check it, delete what is old."""

from datetime import datetime, timezone
from pathlib import Path

import click

from edged.cli.options import config_option, read_config
from edged.config import config_path
from edged.daemon.client import ask, socket_path
from edged.errors import Failed, Unavailable
from edged.files import is_stdout, scratch
from edged.host.clock import DAY_MS, SystemClock, WatchedClock
from edged.store import Store
from edged.store.files import backups, lock_of, require_database, require_ours
from edged.store.recovery import copy_while_open, is_sound
from edged.store.upkeep import known_reckoning

MOST_DAYS = 36_500


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@config_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the copy goes; the current folder when left out.",
)
def backup(config_file: Path | None, out: Path | None) -> None:
    """Copy the database, consistent also while the daemon writes."""
    path = read_config(config_file).store.path
    stamp = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    target = out or Path(f"{path.stem}-{stamp}.db")
    beside = [lock_of(path), *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")), *backups(path)]
    with scratch(target, [path, *beside, config_path(config_file)]) as copy:
        copy_while_open(path, copy)
        size = copy.stat().st_size
    click.echo(f"{target}: {size} bytes", err=is_stdout(target))


@db.command()
@config_option
def check(config_file: Path | None) -> None:
    """Have SQLite check every page."""
    path = read_config(config_file).store.path
    require_database(path)
    require_ours(path)
    if not is_sound(path):
        raise Failed(f"{path}: damaged; restart the daemon: it sets the file aside and restores the newest backup")
    click.echo(f"{path}: ok")


@db.command()
@config_option
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), help="Keep this many days; store.retention_days when left out."
)
@click.option("--believe-clock", is_flag=True, help="Delete even if this machine's clock is not synchronised.")
def prune(config_file: Path | None, days: int | None, believe_clock: bool) -> None:
    """Delete events and encounters older than the retention. The daemon does this daily by itself."""
    config = read_config(config_file)
    path = config.store.path
    require_database(path)
    _refuse_while_running(path)
    keep_ms = (days or config.store.retention_days) * DAY_MS
    with Store(path) as store:
        clock = WatchedClock(SystemClock(config.device.trust_clock), known_reckoning(store))
        if not (clock.trusted() or believe_clock):
            why = (
                clock.doubt()
                or "the clock is not known to be set; wait for systemd-timesyncd, or set device.trust_clock"
            )
            raise Failed(f"nothing deleted: {why}; --believe-clock deletes by it all the same")
        gone = store.prune(clock.utc_ms() - keep_ms)
    click.echo(f"{path}: {gone} rows deleted")


def _refuse_while_running(path: Path) -> None:
    """Two writing connections at once are what SQLite's WAL must be spared."""
    try:
        ask(socket_path(path))
    except Unavailable:
        return
    raise Failed("the daemon is running, and prunes by itself; lower store.retention_days and reload, or stop it first")
