"""`edged config`: check the file, have the daemon take it up, show what it comes to, print its JSON Schema."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edged.cli.options import config_option
from edged.config import Config, config_path, doubts, exposures, load_config, load_layered
from edged.config.source import redact
from edged.daemon.client import ask, socket_path, written_databases
from edged.errors import Failed, ModelError, NotOurs, SourceLost, StoreError, Unavailable, UsageError
from edged.publish import check_mqtt
from edged.store.files import require_ours

HIDDEN = "***"
POLL_S = 0.2
RELOAD_S = 120.0
"""Models may have to be loaded, from a slow card."""


@click.group()
def config() -> None:
    """Check, apply and show the config."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config_option
def check(file: Path | None, config_file: Path | None) -> None:
    """Validate the whole file; every mistake is one line on stderr, and so is what deserves a warning.

    FILE is the same as --config FILE.
    """
    if file is not None and config_file is not None:
        raise UsageError(f"{file} and --config {config_file} are two config files; leave one of them out")
    path = config_path(file or config_file)
    layered = load_layered(path)
    loaded = layered.config
    check_mqtt(loaded.mqtt)
    try:
        require_ours(loaded.store.path)
    except NotOurs:
        raise
    except StoreError:
        pass  # a folder that only the service's user may look into
    for line in [
        *layered.left_out,
        *doubts(loaded),
        *exposures(path, loaded),
        *_unreadable(loaded),
        *_missing_models(loaded),
    ]:
        click.secho(f"warning: {line}", fg="yellow", err=True)
    cameras = ", ".join(loaded.camera) or "no camera yet: add a table like [camera.door] with a source"
    over = "".join(f" with {layer.path}" for layer in layered.layers)
    click.echo(f"{path}{over}: valid; {cameras}")


def _unreadable(config: Config) -> Iterator[str]:
    """Cameras whose credentials cannot be read: they will be offline, and the others will do."""
    from edged.capture.feeds import capture_settings  # only now: it brings OpenCV

    for name, camera in config.camera.items():
        try:
            capture_settings(camera)
        except SourceLost as error:
            yield f"camera {name}: {error}"


def _missing_models(config: Config) -> Iterator[str]:
    """Models without which edged would not start here: those that others train or build may not be there yet."""
    from edged.assembly import model_names, tasks_of  # only now: it brings ONNX Runtime
    from edged.inference import default_engines_dir, load_manifest

    manifest = load_manifest(default_engines_dir())
    for name in model_names(config.models, tasks_of(config)):
        try:
            manifest.verified_bytes(name)
        except ModelError as error:
            yield f"model {name}: {error}"


@config.command()
@config_option
def apply(config_file: Path | None) -> None:
    """Check the file, have the running daemon reload it, and wait until it has.

    Fails with the daemon's reason when the daemon refuses the file.
    """
    path = config_path(config_file)
    loaded = load_config(path)
    check_mqtt(loaded.mqtt)
    daemon = socket_path(loaded.store.path)
    try:
        before = ask(daemon)
    except Unavailable as error:
        raise Unavailable(f"{error}{_moved(loaded.store.path)}") from None
    try:
        os.kill(before["pid"], signal.SIGHUP)
    except OSError as error:
        raise Unavailable(
            f"the daemon cannot be reached ({error.strerror}); run it as root, or as edged's user"
        ) from None
    after = _reloaded(daemon, before["reload"]["count"])
    if after["problem"]:
        raise Failed(after["problem"])
    click.echo(f"{path}: in force; what changed in [console] takes `systemctl restart edged-console`")


def _moved(database: Path) -> str:
    """What to do where the file names another database than a running daemon writes; empty where none runs."""
    others = ", ".join(str(path) for path in written_databases() if path != Path(os.path.realpath(database)))
    if not others:
        return ""
    return (
        f". A running edged writes {others}: if that is this one, the file's change of store.path takes `systemctl restart"
        f" edged edged-console`, which begins a new record; to keep the one there is, move it first (docs/operate.md)"
    )


def _reloaded(daemon: Path, count: int) -> dict[str, Any]:
    """What came of the reload after `count` others. Raise Failed when nothing comes of it in time."""
    deadline = time.monotonic() + RELOAD_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        reload: dict[str, Any] = ask(daemon)["reload"]
        if reload["count"] > count:
            return reload
    raise Failed(f"the daemon has not reloaded the file within {RELOAD_S:g} s; see its log")


@config.command()
@config_option
@click.option(
    "--origins", is_flag=True, help="Print the keys that are set, and the file that each comes from, instead."
)
def show(config_file: Path | None, origins: bool) -> None:
    """Print the effective config, defaults filled in and passwords hidden, as JSON."""
    layered = load_layered(config_path(config_file))
    for line in layered.left_out:
        click.secho(f"warning: {line}", fg="yellow", err=True)
    if origins:
        for key, file in layered.origins().items():
            click.echo(f"{key}: {file}")
        return
    loaded = layered.config.model_dump(mode="json")
    for camera in loaded["camera"].values():
        camera["source"] = redact(camera["source"])
    if loaded["webhook"]["url"]:
        loaded["webhook"]["url"] = HIDDEN  # many a receiver's address holds its token
    click.echo(json.dumps(loaded, indent=2))


@config.command()
def schema() -> None:
    """Print the config's JSON Schema, for editors."""
    click.echo(json.dumps(Config.model_json_schema(), indent=2))
