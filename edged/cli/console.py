"""`edged console`, `edged claim` and `edged passwd`: the pages for a browser, and who may see them."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from edged.cli.options import config_option, read_config
from edged.config import config_path
from edged.errors import Unavailable, UsageError
from edged.logs import configure_logging

log = logging.getLogger(__name__)


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Print an address that lets whoever opens it first in as admin.")
def console(config_file: Path | None, once: bool) -> None:
    """Serve the pages for a browser until stopped."""
    _need_libraries()
    from edged.console.access import Access
    from edged.console.certificate import certificate
    from edged.console.server import address, open_socket, serve
    from edged.console.site import Site

    configure_logging()
    site = Site(config_path(config_file))
    config = site.config.console
    if not config.enabled:
        click.echo("the console is switched off: enabled = false in [console]", err=True)
        return
    access = Access(config.folder, once=once)
    state = access.file.open()
    files = certificate(config)
    server = open_socket(config.listen, config.port)
    where = address(config, config.port)
    log.info("the console is at %s", where)
    if not state.claimed:
        log.info("nobody has claimed it yet; its code is %s", state.code)
    if once:
        click.echo(f"{where}enter?token={access.once_token}")
        sys.stdout.flush()
    serve(site, access, server, files)


@click.command()
@config_option
def claim(config_file: Path | None) -> None:
    """Print the console's address and the code that its first visitor is asked for."""
    _need_libraries()
    from edged.console.access.state import StateFile
    from edged.console.certificate import fingerprint, own_files
    from edged.console.server import address

    config = read_config(config_file).console
    state = StateFile(config.folder).open()
    click.echo(f"address: {address(config, config.port)}")
    if config.tls and (found := fingerprint(own_files(config)[0])):
        click.echo(f"certificate: SHA-256 {found}")
    if state.claimed:
        click.echo("claimed: log in with the admin's password; `edged passwd` sets a new one")
    else:
        click.echo(f"code: {state.code}")


@click.command()
@config_option
@click.option("--viewer", is_flag=True, help="Of the viewer, who changes nothing, instead of the admin.")
def passwd(config_file: Path | None, viewer: bool) -> None:
    """Set a password of the console, typed twice or read from standard input; whoever was logged in with the old one is not
    any more.
    """
    _need_libraries()
    from edged.console.access import Access, Role
    from edged.console.access.passwords import checked

    access = Access(read_config(config_file).console.folder)
    state = access.file.open()
    role: Role = "viewer" if viewer else "admin"
    if viewer and not state.claimed:
        raise UsageError("the admin's password comes first: `edged passwd`, or claim the console in a browser")
    if sys.stdin.isatty():
        password = click.prompt(f"New password of the {role}", hide_input=True, err=True)
        again = click.prompt("The same again", hide_input=True, err=True)
    else:
        password = again = sys.stdin.readline().rstrip("\n")
    access.set_password(role, checked(password, again))
    click.echo(f"the {role}'s password is set", err=True)


def _need_libraries() -> None:
    """Raise Unavailable where the extra is not installed."""
    for name in ("argon2", "starlette", "uvicorn"):
        if find_spec(name) is None:
            raise Unavailable(f"{name} is not installed, which the console needs: `pip install 'edged[console]'`")
