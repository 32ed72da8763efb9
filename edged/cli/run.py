"""`edged run`: the daemon."""

import logging
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import click

from edged.cli.options import config_option
from edged.config import Config, config_path, exposures, load_config, load_layered
from edged.config.trial import Trial
from edged.errors import ConfigError, Failed, ModelError
from edged.host.clock import SystemClock
from edged.logs import configure_logging
from edged.processes.home import live_in

log = logging.getLogger(__name__)


@click.command()
@config_option
@click.option("--until-played", is_flag=True, help="Stop when every camera is a recording that has ended.")
@click.option("--wait-for-camera", is_flag=True, help="Serve also while no camera is configured: the console adds one.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def run(config_file: Path | None, until_played: bool, wait_for_camera: bool, verbose: bool) -> None:
    """Watch the configured cameras until stopped."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload asked for while all is still being loaded has no use yet
    configure_logging(verbose)
    path = config_path(config_file)
    config, trial = load_on_trial(path)
    for line in exposures(path, config):
        log.warning("%s", line)
    keep_to_ourselves(config.store.path.parent)
    from edged.daemon.app import App  # the model runtimes load only now: a wrong config is reported at once

    try:
        clock = SystemClock(config.device.trust_clock)
        app = App(path, config, clock, trial=trial, until_played=until_played, wait_for_camera=wait_for_camera)
    except (ConfigError, ModelError) as error:
        if trial.is_open:  # a new layer may be why: started again, the daemon sets that aside
            raise Failed(str(error)) from None
        raise
    sys.exit(app.run())


def load_on_trial(path: Path) -> tuple[Config, Trial]:
    """The config, without layers that kept the daemon from starting twice. Raise ConfigError when it is wrong."""
    trial = Trial(load_layered(path))
    set_aside = trial.begin()
    for line in set_aside:
        log.error("%s", line)
    if set_aside:
        trial = Trial(load_layered(path))
    return load_config(path), trial


def keep_to_ourselves(state: Path) -> None:
    """Let neither a crash nor a library write outside `state`; child processes inherit all of it.

    A core dump would hold the cameras' pictures and the broker's password.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # of a kernel without core dumps
        # A program that the kernel pipes dumps into is started whatever the limit; like this it gets no memory.
        Path("/proc/self/coredump_filter").write_text("0")
    live_in(state)
