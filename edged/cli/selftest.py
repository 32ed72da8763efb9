"""`edged selftest`: golden pictures through every model, on every backend present."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click

from edged.assembly import model_names, tasks_of
from edged.backends.present import OnnxBackend, ProviderBackend, TensorrtBackend
from edged.cli.options import config_option, json_lines_option, print_json, read_config_if_any
from edged.config import Config
from edged.errors import Failed, ModelError, Unavailable
from edged.inference import Manifest, NotBuiltError, default_engines_dir, load_manifest
from edged.inference.tensorrt import tensorrt_available
from edged.ports import Backend
from edged.selftest.machine import describe_machine
from edged.selftest.run import Result, self_test

MARKS = {"ok": ("✓", "green"), "absent": ("–", "yellow"), "failed": ("✗", "red")}
CPU, TENSORRT = OnnxBackend.name, TensorrtBackend.name
ALL_MODELS = "every model"


@click.command()
@config_option
@json_lines_option
@click.option(
    "--backend",
    "requested",
    type=click.Choice([CPU, TENSORRT]),
    help="Only this one, which must be there; every one present when left out.",
)
def selftest(config_file: Path | None, as_json: bool, requested: str | None) -> None:
    """Run the golden pictures through every model on every backend present: one line each, to be sent back.

    Exit code 1 when the output of a model is not as expected, 69 when what --backend names is not there.
    """
    config = read_config_if_any(config_file)
    manifest = load_manifest(default_engines_dir())
    needed = model_names(config.models, tasks_of(config))
    if requested == TENSORRT and (missing := tensorrt_available()):
        raise Unavailable(missing)
    machine = describe_machine()
    if as_json:
        print_json({"machine": machine})
    else:
        click.echo("\n".join(f"{name:<13} {value}" for name, value in machine.items()))
    results = []
    for result in _results(config, manifest, needed, requested):
        results.append(result)
        _print(result, as_json)
    failed = sum(result.status == "failed" for result in results)
    if failed:
        raise Failed(f"{failed} of these are not as they should be")
    absent = [result.model for result in results if requested and result.status == "absent" and result.model in needed]
    if absent:
        raise Unavailable(f"{requested} has no {', '.join(absent)}")


def _results(config: Config, manifest: Manifest, needed: tuple[str, ...], requested: str | None) -> Iterator[Result]:
    """What was requested, and failures of the CPU, which everything is compared with."""
    with ExitStack() as opened:
        others: list[Backend] = []
        if requested == TENSORRT:
            others.append(TensorrtBackend(manifest, config))
        elif requested is None and config.models.tries_tensorrt and not tensorrt_available():
            try:
                others.append(TensorrtBackend(manifest, config))
            except NotBuiltError as error:
                yield Result(ALL_MODELS, TENSORRT, "absent", str(error))
            except ModelError as error:
                yield Result(ALL_MODELS, TENSORRT, "failed", str(error))
        if config.models.providers and requested != TENSORRT:
            others.append(ProviderBackend(manifest, config.models))
        for backend in others:
            opened.callback(backend.close)
        for result in self_test(manifest, OnnxBackend(manifest, config.models.threads, needed), others):
            if requested in (None, result.backend.partition("/")[0]) or result.status == "failed" or not result.backend:
                yield result


def _print(result: Result, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
        return
    mark, colour = MARKS[result.status]
    click.secho(f"{mark} {result.model:<15} {result.backend:<11} {result.line}", fg=colour)
