"""`edged engines bench`: each model on each backend that is there, with what the golden pictures give it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from edged.backends.present import OnnxBackend, ProviderBackend, TensorrtBackend
from edged.backends.status import engine_status, store_result
from edged.cli.options import config_option, json_object_option, print_json, read_config_if_any
from edged.config import Config
from edged.errors import ModelError
from edged.inference import Manifest, NotBuiltError, default_engines_dir, load_manifest
from edged.inference.compare import run_times
from edged.inference.tensorrt import tensorrt_available
from edged.ports import Arrays, Backend, Engine
from edged.selftest.golden import golden_inputs

CPU, TENSORRT = OnnxBackend.name, TensorrtBackend.name
NEVER_BUILT = "tensorrt: no engine was ever built; run `edged engines build`"


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one model on one backend, in milliseconds a run; or why there is none."""

    median_ms: float | None = None
    fastest_ms: float | None = None
    problem: str | None = None

    @property
    def column(self) -> str:
        return "–" if self.median_ms is None else f"{self.median_ms:.2f} ms"


@click.command()
@click.argument("models", nargs=-1)
@config_option
@json_object_option
def bench(models: tuple[str, ...], config_file: Path | None, as_json: bool) -> None:
    """Time MODELS, or all that are there, on each backend present.

    models.backend = "auto" takes the faster one of each, and remembers what is measured here.
    """
    config, manifest = read_config_if_any(config_file), load_manifest(default_engines_dir())
    for name in models:
        manifest.entry(name)
    files = {name: manifest.directory / entry.file for name, entry in manifest.entries.items()}
    names = models or tuple(name for name, file in files.items() if file.exists())
    inputs = golden_inputs(names, config.models)
    gpu = _tensorrt(config, manifest)
    backends: list[Backend] = [OnnxBackend(manifest, config.models.threads, names)]
    backends += [ProviderBackend(manifest, config.models)] if config.models.providers else []
    backends += [gpu] if isinstance(gpu, TensorrtBackend) else []
    try:
        timings = {name: _timings(backends, name, inputs[name]) for name in names}
    finally:
        for backend in backends:
            backend.close()
    takes = {name: _remember(gpu, config, timings[name], name) for name in names}
    (_print_json if as_json else _print)(timings, takes, None if isinstance(gpu, TensorrtBackend) else gpu)


def _tensorrt(config: Config, manifest: Manifest) -> TensorrtBackend | str:
    """TensorRT; or in one line, what is missing."""
    if missing := tensorrt_available():
        return missing
    try:
        return TensorrtBackend(manifest, config)
    except NotBuiltError:
        return NEVER_BUILT
    except ModelError as error:
        return str(error)


def _timings(backends: Sequence[Backend], name: str, inputs: Sequence[Arrays]) -> dict[str, Timing]:
    """Of each backend. Raise ModelError where not even the CPU can run the model, or one fails while it is timed."""
    engines: dict[str, Engine] = {}
    timings: dict[str, Timing] = {}
    for backend in backends:
        try:
            engine = backend.open(name)
            for given in inputs:
                engine.run(given)
        except ModelError as error:
            if backend.name == CPU:
                raise
            timings[backend.name] = Timing(problem=str(error))
        else:
            engines[backend.name] = engine
    for backend_name, (fastest_ms, median_ms) in zip(engines, run_times([*engines.values()], inputs), strict=True):
        timings[backend_name] = Timing(round(median_ms, 3), round(fastest_ms, 3))
    return {backend.name: timings[backend.name] for backend in backends}


def _remember(gpu: TensorrtBackend | str, config: Config, timings: Mapping[str, Timing], name: str) -> str:
    """Put the times into the engine's build result; the backend that "auto" takes by it."""
    if isinstance(gpu, str) or timings[TENSORRT].fastest_ms is None:
        return CPU
    key = gpu.key(name)
    result = engine_status(gpu.cache, key, config.models).result
    if result is None:
        return CPU
    measured = replace(result, gpu_ms=timings[TENSORRT].fastest_ms, cpu_ms=timings[CPU].fastest_ms)
    store_result(gpu.cache, key, measured)
    return TENSORRT if measured.faster else CPU


Timings = Mapping[str, Mapping[str, Timing]]


def _print_json(timings: Timings, takes: Mapping[str, str], absent: str | None) -> None:
    models = {
        name: {"backends": {backend: asdict(timing) for backend, timing in its.items()}, "auto": takes[name]}
        for name, its in timings.items()
    }
    print_json({"models": models, "tensorrt": absent})


def _print(timings: Timings, takes: Mapping[str, str], absent: str | None) -> None:
    backends = list(dict.fromkeys(backend for its in timings.values() for backend in its))
    click.echo(f"{'a run':<16} " + "".join(f"{backend:<18}" for backend in backends) + "auto takes")
    for name, its in timings.items():
        click.echo(f"{name:<16} " + "".join(f"{its[backend].column:<18}" for backend in backends) + takes[name])
    for name, its in timings.items():
        for backend, timing in its.items():
            if timing.problem:
                click.echo(f"{name} on {backend}: {timing.problem}")
    if absent:
        click.echo(absent)
