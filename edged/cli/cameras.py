"""`edged cameras`: what is attached, with the URI to put in the config, and what each can give."""

from itertools import groupby

import click

from edged.capture.attached import Attached, attached
from edged.cli.options import json_lines_option, print_json

NONE_THERE = "no camera is attached; plug one in, or use rtsp://…, file:///… or images:///… as source"


@click.command()
@json_lines_option
def cameras(as_json: bool) -> None:
    """List attached cameras. Names under by-id and by-path stay the same after a reboot or a change of the USB port."""
    found = attached()
    if as_json:
        for camera in found:
            print_json(camera.as_dict())
    elif not found:
        click.echo(NONE_THERE)
    for camera in [] if as_json else found:
        click.echo(f'source = "{camera.uri}"    # {", ".join(filter(None, (camera.name, camera.device)))}')
        if camera.problem:
            click.secho(f"    {camera.problem}", fg="yellow")
        for line in _modes(camera):
            click.echo(f"    {line}")


def _modes(camera: Attached) -> list[str]:
    """A line for each format: its sizes and rates, largest first."""
    lines = []
    for name, modes in groupby(camera.modes, key=lambda mode: mode.format):
        sizes = sorted(modes, key=lambda mode: -mode.width * mode.height)
        rates = (
            f"{mode.width}x{mode.height}"
            + (f" at {', '.join(f'{rate:g}' for rate in mode.fps[:4])}" if mode.fps else "")
            for mode in sizes
        )
        lines.append(f"{name}: {'; '.join(rates)}")
    return lines
