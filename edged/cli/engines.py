"""`edged engines`: which models there are, what runs them, and whether their files are the ones that were checked."""

from collections.abc import Mapping
from pathlib import Path

import click

from edged.assembly import model_names, tasks_of
from edged.backends.status import EngineStatus, engine_statuses, existing_cache
from edged.cli.engines_bench import bench
from edged.cli.engines_build import build
from edged.cli.options import config_option, json_lines_option, print_json, read_config_if_any
from edged.errors import Failed, ModelError
from edged.inference import Manifest, default_engines_dir, load_manifest

NOT_BUILT = "not built here, and not needed"


@click.group()
def engines() -> None:
    """Look at the models, and at what runs them."""


engines.add_command(build)
engines.add_command(bench)


@engines.command("list")
@config_option
@json_lines_option
def list_engines(config_file: Path | None, as_json: bool) -> None:
    """Every model of the manifest, the backend that runs it, and its TensorRT engine: none, built, stale or refused."""
    config, manifest = read_config_if_any(config_file), load_manifest(default_engines_dir())
    states = engine_statuses(manifest, config)
    if as_json:
        for name in manifest.entries:
            print_json(_record(manifest, name, states))
        return
    needed = model_names(config.models, tasks_of(config))
    rows = [("MODEL", "TASK", "FILE", "RUNS ON", "ENGINE", "STATE OF THE FILE")]
    for name, entry in manifest.entries.items():
        unneeded = entry.built_locally and name not in needed and not manifest.is_there(name)
        file_state = NOT_BUILT if unneeded else _file_state(manifest, name)
        rows.append((name, entry.task, entry.file, states[name].runs_on, states[name].state, file_state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    for why in dict.fromkeys(state.why for state in states.values() if state.why):
        names = ", ".join(name for name, state in states.items() if state.why == why)
        click.echo(f"{names}: {why}")


def _record(manifest: Manifest, name: str, states: Mapping[str, EngineStatus]) -> dict[str, object]:
    entry = manifest.entry(name).model_dump(mode="json")
    return entry | {"file_state": _file_state(manifest, name), "engine": states[name].record()}


@engines.command()
def path() -> None:
    """Where the models lie."""
    click.echo(default_engines_dir())


@engines.command()
@config_option
def verify(config_file: Path | None) -> None:
    """Check every model file against the manifest, and every engine against what was built.

    Models that are built locally may be missing, unless the config uses them.
    """
    config, manifest = read_config_if_any(config_file), load_manifest(default_engines_dir())
    needed = model_names(config.models, tasks_of(config))
    there = [
        name
        for name, entry in manifest.entries.items()
        if not entry.built_locally or name in needed or manifest.is_there(name)
    ]
    wrong = [line for name in there if (line := _file_state(manifest, name)) != "ok"]
    cache = existing_cache(config)
    wrong += cache.altered() if cache else []
    if wrong:
        raise Failed("\n".join(wrong))
    left = sorted(manifest.entries.keys() - set(there))
    click.echo(
        f"{manifest.directory}: {len(there)} models, all as the manifest says"
        + (f"; not built: {', '.join(left)}" if left else "")
    )
    if cache:
        click.echo(f"{cache.directory}: {len(cache.stems())} engines, all as they were built")


def _file_state(manifest: Manifest, name: str) -> str:
    try:
        manifest.verified_bytes(name)
    except ModelError as error:
        return str(error)
    return "ok"
