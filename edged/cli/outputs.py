"""`edged outputs`: what notifies people on the spot: list it, and try it out."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from edged.cli.options import config_option, json_lines_option, print_json, read_config
from edged.config import Config, OutputConfig, config_path, load_config
from edged.config.load import read_tables
from edged.daemon.client import ask, request, socket_path
from edged.errors import ConfigError, Failed, Unavailable, UsageError
from edged.outputs.examine import examine, make_safe, try_out
from edged.outputs.gpio import chips
from edged.outputs.kept import DrivenOutput, driven, kept, kept_in

SHOWS_S = 2.0
"""A player that cannot have its card has said so by then."""
NONE = "no output is configured; add a table like [output.lamp], as docs/outputs.md shows"


@click.group()
def outputs() -> None:
    """List and try lamps, buzzers, voices, doors and buttons."""


@outputs.command("list")
@config_option
@json_lines_option
def list_outputs(config_file: Path | None, as_json: bool) -> None:
    """List the configured outputs, what drives each, and whether it can work; and the GPIO chips of this machine.

    Exit code 1 when one cannot.
    """
    config = read_config(config_file)
    held, failed = _daemon_runs(config), 0
    width = max(map(len, ("OUTPUT", *config.output)))
    if config.output and not as_json:
        click.echo(f"{'OUTPUT':<{width}}  KIND    WHAT DRIVES IT, OR WHY IT CANNOT WORK")
    for one in examine(config.output, held=held):
        failed += one.problem is not None
        if as_json:
            print_json({"output": one.name, "kind": one.kind, "line": one.line or None, "problem": one.problem})
        else:
            shown = f"{one.name:<{width}}  {one.kind:<6}  {one.problem or one.line}"
            click.secho(shown, fg="red" if one.problem else None)
    if not as_json:
        _print_rest(config)
    if failed:
        raise Failed(f"{failed} of these cannot work")


def _print_rest(config: Config) -> None:
    if not config.output:
        click.echo(NONE)
    try:
        for line in chips():
            click.echo(f"chip {line}")
    except Unavailable as error:
        click.echo(f"chips: {error}")


@outputs.command()
@click.argument("output", metavar="ID")
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="How long.")
@config_option
def test(output: str, seconds: float, config_file: Path | None) -> None:
    """Switch one output on for a while, or wait for a button to be pressed."""
    config = read_config(config_file)
    settings = configured(config, output)
    if not _daemon_runs(config):
        with _said_once():
            try_out(output, settings, seconds)
    elif settings.kind == "button":
        raise Unavailable(
            "the running daemon has the button: press it, and see `journalctl -u edged`, or stop the daemon"
        )
    else:
        _try_at_daemon(socket_path(config.store.path), output, settings, seconds)
    click.echo(f"{output}: {'was pressed' if settings.kind == 'button' else f'is on for {seconds:g} s'}")


def _try_at_daemon(path: Path, output: str, settings: OutputConfig, seconds: float) -> None:
    """Have the running daemon switch it on. Raise Failed when it says, or shows meanwhile, that this does not work."""
    answer = request(path, "test", output=output, seconds=seconds)
    if not answer["ok"]:
        raise Failed(answer["error"])
    if settings.kind != "sound":
        return
    # What was wrong before it was tried says nothing: the card may be back.
    began_s = time.monotonic()
    before = problem = _problem(path, output)
    while (tried_s := time.monotonic() - began_s) < seconds and (problem if before else tried_s < SHOWS_S):
        time.sleep(0.1)
        problem = _problem(path, output)
    if problem is not None:
        raise Failed(problem)


def _problem(path: Path, output: str) -> str | None:
    """What the running daemon says of an output now."""
    state = request(path, "outputs")["outputs"].get(output) or {}
    problem = state.get("problem")
    return None if problem is None else str(problem)


@outputs.command()
@config_option
def safe(config_file: Path | None) -> None:
    """Put every line to its safe level; systemd calls this after the daemon, however that ended.

    Also those that the daemon drove last and the config names no more, or cannot name, since it is wrong.
    """
    path = config_path(config_file)
    try:
        config = load_config(path)
    except ConfigError as error:
        wrong = str(error).splitlines()[0]
        lines = list(_driven_last(*_databases(path)))
        if not lines:
            raise ConfigError(f"{wrong}; nothing says which lines were driven, so none was touched") from None
        names = ", ".join(name for name, _ in lines)
        click.secho(f"{wrong}; the lines that the daemon drove last are made safe: {names}", fg="red", err=True)
    else:
        named = list(driven(config.output).items())
        lines = [*(line for line in _driven_last(config.store.path) if line not in named), *named]
    problems = make_safe(lines)
    for problem in problems:
        click.secho(problem, fg="red", err=True)
    if problems:
        raise Failed("not every line could be put to its safe level")


def _driven_last(*databases: Path) -> Iterable[tuple[str, DrivenOutput]]:
    """The lines, and their names, that the daemon of the first of these drove of which that is known."""
    return next((lines for one in databases if (lines := kept(kept_in(one)).items())), ())


def _databases(path: Path) -> Iterator[Path]:
    """Where the database of a config may be that is wrong: what can be read of it says so, or it is the usual one."""
    with suppress(ConfigError):
        store = read_tables(path)[0].get("store")
        if isinstance(store, dict) and isinstance(store.get("path"), str):
            yield Path(store["path"])
    yield Config().store.path


def configured(config: Config, output: str) -> OutputConfig:
    """The output of that name. Raise UsageError when there is none."""
    if output not in config.output:
        there = ", ".join(config.output) or "none"
        raise UsageError(f"there is no output {output}; there are: {there}")
    return config.output[output]


@contextmanager
def _said_once() -> Iterator[None]:
    """What an output logs of its trouble is the error that the command ends with."""
    outputs_log = logging.getLogger("edged.outputs")
    level = outputs_log.level
    outputs_log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        outputs_log.setLevel(level)


def _daemon_runs(config: Config) -> bool:
    try:
        ask(socket_path(config.store.path))
    except Unavailable:
        return False
    return True
