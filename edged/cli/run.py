"""`edged run`: the daemon."""

import logging
import signal
import sys
from pathlib import Path

import click

from edged.cli.options import config_option
from edged.clock import SystemClock
from edged.config import config_path, exposures, load_config
from edged.logs import configure_logging


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
    for line in exposures(path, config):
        logging.getLogger(__name__).warning("%s", line)
    from edged.daemon.app import App  # the model runtimes load only now: a wrong config is told at once

    app = App(path, config, SystemClock(config.device.trust_clock), until_played=until_played)
    sys.exit(app.run())
