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
    """Check every model file against the manifest; those that only a person can build may be missing."""
    manifest = load_manifest(default_engines_dir())
    there = [name for name, entry in manifest.entries.items() if not entry.remedy or _is_there(manifest, name)]
    wrong = [line for name in there if (line := _state(manifest, name)) != "ok"]
    if wrong:
        raise Failed("\n".join(wrong))
    left = sorted(manifest.entries.keys() - set(there))
    click.echo(
        f"{manifest.directory}: {len(there)} models, all as the manifest says"
        + (f"; not built: {', '.join(left)}" if left else "")
    )


def _is_there(manifest: Manifest, name: str) -> bool:
    return (manifest.directory / manifest.entry(name).file).exists()


def _state(manifest: Manifest, name: str) -> str:
    try:
        manifest.verified_bytes(name)
    except ModelError as error:
        return str(error)
    return "ok"
