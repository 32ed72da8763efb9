"""`edged engines`: which models there are, and whether their files are the ones that were checked."""

import json

import click

from edged.cli.options import json_option
from edged.errors import Failed, ModelError
from edged.inference import Manifest, default_engines_dir, load_manifest


@click.group()
def engines() -> None:
    """Look at the models."""


@engines.command("list")
@json_option
def list_engines(as_json: bool) -> None:
    """Every model of the manifest."""
    manifest = load_manifest(default_engines_dir())
    entries = [entry.model_dump(mode="json") for entry in manifest.entries.values()]
    if as_json:
        click.echo(json.dumps(entries))
        return
    for entry in entries:
        click.echo(f"{entry['name']:<16} {entry['task']:<16} {entry['file']:<20} {_state(manifest, entry['name'])}")


@engines.command()
def path() -> None:
    """Where the models lie."""
    click.echo(default_engines_dir())


@engines.command()
def verify() -> None:
    """Check every model file against the manifest."""
    manifest = load_manifest(default_engines_dir())
    wrong = [line for name in manifest.entries if (line := _state(manifest, name)) != "ok"]
    if wrong:
        raise Failed("\n".join(wrong))
    click.echo(f"{manifest.directory}: {len(manifest.entries)} models, all as the manifest says")


def _state(manifest: Manifest, name: str) -> str:
    try:
        manifest.verified_bytes(name)
    except ModelError as error:
        return str(error)
    return "ok"
