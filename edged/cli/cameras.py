"""`edged cameras`: what is attached, with the URI to put in the config."""

import json
from pathlib import Path

import click

from edged.cli.options import json_option

BY_PATH = (Path("/dev/v4l/by-id"), Path("/dev/v4l/by-path"))


@click.command()
@json_option
def cameras(as_json: bool) -> None:
    """List attached cameras. Names under by-id stay the same when cables and boots change."""
    found = attached()
    if as_json:
        click.echo(json.dumps([{"uri": uri, "device": device} for uri, device in found]))
    elif not found:
        click.echo("no camera is attached; plug one in, or use rtsp://…, file:///… or images:///… as source")
    else:
        for uri, device in found:
            click.echo(f'source = "{uri}"    # {device}')


def attached() -> list[tuple[str, str]]:
    """URI and present device node of each V4L2 camera, by the most lasting name it has."""
    found: dict[str, str] = {}
    for folder in BY_PATH:
        for link in sorted(folder.glob("*-video-index0")) if folder.is_dir() else []:
            found.setdefault(str(link.resolve()), f"v4l2://{link}")
    return sorted((uri, device) for device, uri in found.items())
