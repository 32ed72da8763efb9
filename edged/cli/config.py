"""`edged config`: check the file, show what is in force, print its JSON Schema."""

import json
from pathlib import Path

import click

from edged.cli.options import config_option
from edged.config import Config, config_path, exposures, load_config
from edged.config.source import redact
from edged.publish import check_mqtt


@click.group()
def config() -> None:
    """Check and show the config."""


@config.command()
@config_option
def check(config_file: Path | None) -> None:
    """Validate the whole file; every mistake is one line, on stderr, and so is every file that others may read or change."""
    path = config_path(config_file)
    loaded = load_config(path)
    check_mqtt(loaded.mqtt)
    for line in exposures(path, loaded):
        click.secho(f"warning: {line}", fg="yellow", err=True)
    cameras = ", ".join(loaded.camera) or "no camera yet: add a table like [camera.door] with a source"
    click.echo(f"{path}: valid; {cameras}")


@config.command()
@config_option
def show(config_file: Path | None) -> None:
    """Print the effective config, defaults filled in and passwords hidden, as JSON."""
    loaded = load_config(config_path(config_file)).model_dump(mode="json")
    for camera in loaded["camera"].values():
        camera["source"] = redact(camera["source"])
    click.echo(json.dumps(loaded, indent=2))


@config.command()
def schema() -> None:
    """Print the config's JSON Schema, for editors."""
    click.echo(json.dumps(Config.model_json_schema(), indent=2))
