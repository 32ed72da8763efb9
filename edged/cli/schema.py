"""`edged schema`: the JSON Schemas of what leaves the device."""

import json

import click

from edged.schemas import NAMES, document


@click.command()
@click.argument("name", type=click.Choice(NAMES))
def schema(name: str) -> None:
    """Print the JSON Schema of NAME: every MQTT payload, or a line of `edged events --json`, `edged report --format json`
    or `edged analyze --json`.
    """
    click.echo(json.dumps(document(name), indent=2))
