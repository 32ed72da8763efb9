"""`edged engines build`: has the engines of this machine built, compared with the CPU and measured, ahead of the daemon."""

import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edged.assembly import EVERYTHING, model_names, tasks_of
from edged.backends import BuildProgress
from edged.backends.build_parent import EngineBuild
from edged.backends.status import BuildResult, engines_folder
from edged.cli.options import config_option, read_config_if_any
from edged.config import Config
from edged.errors import Failed, Unavailable
from edged.inference import default_engines_dir, load_manifest
from edged.inference.tensorrt import tensorrt_available

POLL_S = 0.1
PERCENT = 100


@click.command()
@click.argument("models", nargs=-1)
@config_option
@click.option(
    "--backend", type=click.Choice(["tensorrt"]), default="tensorrt", show_default=True, help="What is built for."
)
@click.option(
    "--force", is_flag=True, help="Build, compare and measure again, even engines that are there or were given up."
)
def build(models: tuple[str, ...], config_file: Path | None, backend: str, force: bool) -> None:
    """Build the TensorRT engines of MODELS; of all that the config needs when none is named.

    Each is compared with the CPU and measured; the daemon uses what is built here. Exit code 69 without TensorRT.
    """
    config, manifest = read_config_if_any(config_file), load_manifest(default_engines_dir())
    names = models or model_names(config.models, tasks_of(config) if config.camera else EVERYTHING)
    for name in names:
        manifest.entry(name)
    if missing := tensorrt_available():
        raise Unavailable(missing)
    folder = engines_folder(config)
    _require_own(folder.parent)
    problems = []
    for name in names:
        result = _finished(EngineBuild(name, config.models, folder, force=force))
        if result.agrees:
            click.echo(f"{name:<16} {_summary(result, config)}")
        else:
            problems.append(result.problem or f"model {name}: no engine")
    if problems:
        raise Failed("\n".join(problems))


def _require_own(folder: Path) -> None:
    """Raise Failed where the daemon, of another user, could not use what is built."""
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failed(f"{folder}: cannot be entered ({error.strerror}); run it as edged's user") from None
    if owner != os.geteuid():
        name = pwd.getpwuid(owner).pw_name
        raise Failed(f"{folder}: is {name}'s, and so must the engines be; run `sudo -u {name} edged engines build`")


def _summary(result: BuildResult, config: Config) -> str:
    taken = "tensorrt" if result.serves(config.models) else "onnxruntime"
    return (
        f"agrees with the CPU; {result.gpu_ms:.2f} ms a run, {result.cpu_ms:.2f} ms on the CPU: "
        f"models.backend = {config.models.backend!r} takes {taken}"
    )


def _finished(build: EngineBuild) -> BuildResult:
    """Wait for it to end, showing its progress; when interrupted, nothing of it stays behind."""
    try:
        with _bar(build.model) as show:
            while not isinstance(latest := build.poll(), BuildResult):
                if latest is not None:
                    show(latest)
                time.sleep(POLL_S)
            if latest.agrees:
                show(BuildProgress(build.model, "", 1.0))
            return latest
    finally:
        build.stop()


@contextmanager
def _bar(label: str) -> Iterator[Callable[[BuildProgress], None]]:
    """A bar on stderr, where somebody is looking at it."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    with click.progressbar(length=PERCENT, label=label, item_show_func=lambda what: what or "", file=sys.stderr) as bar:
        yield lambda progress: bar.update(round(progress.part * PERCENT) - bar.pos, progress.step)
