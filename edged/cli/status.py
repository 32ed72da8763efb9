"""`edged status`: what the running daemon is doing."""

from pathlib import Path
from typing import Any

import click

from edged.cli.options import config_option, json_object_option, print_json, read_config
from edged.daemon.client import ask, socket_path
from edged.shared_remedies import CLOCK
from edged.types import MASK_WORDS

CLOCK_NOT_SET = f"not set: no daily report is made, and events are marked, until it is; {CLOCK}"

LOST = {"given_up": "refused and given up", "dropped": "dropped since too many waited"}


@click.command()
@config_option
@json_object_option
def status(config_file: Path | None, as_json: bool) -> None:
    """Print the state of the running daemon: cameras, broker, models and problems."""
    answer = ask(socket_path(read_config(config_file).store.path))
    if as_json:
        print_json(answer)
        return
    broker = answer["broker"]
    connection = "connected" if broker["connected"] else "not connected" if broker["configured"] else "not configured"
    minutes = answer["uptime_s"] / 60
    click.echo(f"{answer['device']}: {answer['mode']}, up {minutes:.1f} min, {answer['resident_mb']:.0f} MB resident")
    click.echo(f"broker: {connection}, {answer['outbox']} messages waiting")
    for channel, done in answer.get("channels", {}).items():
        refused = "".join(f", {done[key]} {words}" for key, words in LOST.items() if done[key])
        click.echo(f"{channel}: {done['sent']} messages sent, {done['waiting']} waiting{refused}")
    models = ", ".join(f"{name} on {backend}" for name, backend in answer["models"].items())
    click.echo(f"models: {models}")
    click.secho(
        f"clock: {'set' if answer['clock_synced'] else CLOCK_NOT_SET}", fg=None if answer["clock_synced"] else "yellow"
    )
    if preparing := answer["preparing"]:
        click.echo(f"preparing {preparing['model']} for TensorRT: {preparing['step']}, {preparing['percent']} %")
    for name, camera in answer["cameras"].items():
        called = f" ({camera['name']})" if camera.get("name") else ""
        click.echo(f"camera {name}{called}: {_camera_line(camera)}")
    for name, output in answer.get("outputs", {}).items():
        click.echo(f"output {name}: {_output_line(output)}")
    for error in answer["errors"]:
        click.secho(f"problem: {error}", fg="red")


def _output_line(output: dict[str, Any]) -> str:
    if output["problem"]:
        return f"{output['kind']}, does not work"
    rules = f", {', '.join(output['rules'])}" if output["rules"] else ""
    return f"{output['kind']}, {'acknowledged' if output['acknowledged'] else 'on' if output['on'] else 'off'}{rules}"


def _camera_line(camera: dict[str, Any]) -> str:
    line = f"{camera['profile']}, {camera['status']}, {camera['frames_analysed']} of {camera['frames_seen']} pictures analysed"
    line += f", {camera.get('analysed_per_second', 0):.1f} a second of {camera['fps']:g} at most (fps)"
    if camera["stages_ms"]:
        line += f", {sum(camera['stages_ms'].values()):.1f} ms a picture"
    for counts in (camera["counts"], camera["attention"]):
        if counts:
            present = ", ".join(f"{count} {MASK_WORDS.get(state, state)}" for state, count in counts.items() if count)
            line += f"; present: {present or 'none'}"
    if static := camera.get("static_faces"):
        line += f"; {static} static (pictures of faces)"
    return line
