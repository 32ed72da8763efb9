"""Builds a TensorRT plan of a model on this machine's GPU, for whoever wants to look at it: edged builds its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from convert.model_file import NamedModel
from edged.errors import ModelError
from edged.inference.tensorrt import BuildOptions, ReportProgress, Toolkit, find_toolkit, tensorrt_available
from edged.inference.tensorrt.build import build_plan

PERCENT = 100


def require_toolkit() -> Toolkit:
    """TensorRT, CUDA and the GPU. Raise ModelError (exit code 69) with one line on what is missing, and what brings it."""
    missing = tensorrt_available()
    if missing:
        raise ModelError(missing)
    return find_toolkit()


def make_plan(
    toolkit: Toolkit, model: NamedModel, options: BuildOptions, progress: ReportProgress | None = None
) -> bytes:
    """The plan's bytes; takes minutes. Raise ModelError in one line when it cannot be built."""
    if options.accelerator is not None and options.precision != "fp16":
        raise ModelError(f"model {model.name}: the DLA computes in FP16 only; leave out --precision or --dla-core")
    return build_plan(toolkit.trt, model.name, model.data, model.entry.profiles, options, b"", progress).plan


@contextmanager
def shown_progress(name: str) -> Iterator[ReportProgress]:
    """What to tell the progress of a build to, so that a person at a terminal sees it."""
    with click.progressbar(length=PERCENT, label=f"building {name}", file=sys.stderr) as bar:

        def tell(what: str, part: float) -> None:
            bar.label = f"{name}: {what}"
            bar.update(max(0, round(part * PERCENT) - bar.pos))

        yield tell
