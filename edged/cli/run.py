"""`edged run`: the daemon."""

import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import click

from edged.cli.options import config_option
from edged.clock import SystemClock
from edged.config import config_path, load_config
from edged.processes.home import live_in


@click.command()
@config_option
@click.option("--until-played", is_flag=True, help="Stop when every camera is a recording that has ended.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def run(config_file: Path | None, until_played: bool, verbose: bool) -> None:
    """Watch the configured cameras until stopped."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload asked for while all is still being loaded has no use yet
    configure_logging(verbose)
    path = config_path(config_file)
    config = load_config(path)
    keep_to_ourselves(config.store.path.parent)
    from edged.daemon.app import App  # the model runtimes load only now: a wrong config is told at once

    app = App(path, config, SystemClock(config.device.trust_clock), until_played=until_played)
    sys.exit(app.run())


def keep_to_ourselves(state: Path) -> None:
    """Let neither a crash nor a library write outside `state`; child processes inherit all of it.

    A core dump would hold the cameras' pictures and the broker's password.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # of a kernel without core dumps
        # A program that the kernel pipes dumps into is started whatever the limit; like this it gets no memory.
        Path("/proc/self/coredump_filter").write_text("0")
    live_in(state)


def configure_logging(verbose: bool = False) -> None:
    """Lines on stderr; under systemd the journal adds the time itself."""
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format=f"{stamp}%(levelname)s %(name)s: %(message)s"
    )
