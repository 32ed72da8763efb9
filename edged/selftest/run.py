"""Runs every stage on every backend, one line for each model: as expected, not as expected, or not there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edged.errors import ModelError
from edged.inference import Manifest, NotBuiltError
from edged.inference.compare import require_agreement
from edged.ports import Arrays, Backend, Engine
from edged.selftest.checks import Stage, all_stages
from edged.selftest.golden import GoldenPicture, RecordingEngine, golden_pictures

MOST_SHOWN = 3
"""Differences shown of one stage: a model that is wrong is wrong everywhere."""

PICTURES = "golden pictures"

Status = Literal["ok", "failed", "absent"]


@dataclass(frozen=True, slots=True)
class Result:
    """One line: how one model does on one backend. "absent" is no failure.

    `model` may also be what stands for all: the pictures, or every model of a backend that cannot be opened.
    """

    model: str
    backend: str
    status: Status
    line: str


def self_test(manifest: Manifest, reference: Backend, others: Sequence[Backend]) -> Iterator[Result]:
    """Results as they come: the pictures', then for each stage those of `reference` (the CPU) and of the others.

    The others are also compared with the reference, number by number, on what it was given.
    """
    try:
        pictures = golden_pictures()
    except ModelError as error:
        yield Result(PICTURES, "", "failed", str(error))
        return
    faces = sum(len(picture.faces) for picture in pictures)
    yield Result(PICTURES, "", "ok", f"{len(pictures)}, with {faces} faces, as they were made")
    for stage in all_stages():
        if manifest.entries.keys() >= set(stage.models):
            yield from _StageTest(manifest, stage, pictures).results(reference, others)


class _StageTest:
    """One stage on all backends."""

    def __init__(self, manifest: Manifest, stage: Stage, pictures: Sequence[GoldenPicture]) -> None:
        self._manifest = manifest
        self._stage = stage
        self._pictures = pictures

    def results(self, reference: Backend, others: Sequence[Backend]) -> Iterator[Result]:
        cpu, refused = self._open(reference)
        yield from refused
        if refused:
            return
        recorders = {name: RecordingEngine(engine) for name, engine in cpu.items()}
        problem = self._problem(recorders, reference.remedy)
        for name in cpu:
            yield Result(name, reference.name, "failed" if problem else "ok", problem or "as expected")
        for backend in others:
            engines, refused = self._open(backend)
            yield from refused
            # Where a backend has some of a stage's models, the CPU runs the others.
            problem = self._problem({**cpu, **engines}, backend.remedy) if engines else None
            for name, engine in engines.items():
                yield self._compared(backend.name, cpu[name], engine, recorders[name].given, problem)

    def _open(self, backend: Backend) -> tuple[dict[str, Engine], list[Result]]:
        """The stage's models on `backend`, and a result for each that cannot be had."""
        engines, refused = {}, []
        for name in self._stage.models:
            try:
                engines[name] = backend.open(name)
            except NotBuiltError as error:
                refused.append(Result(name, backend.name, "absent", str(error)))
            except ModelError as error:
                refused.append(Result(name, backend.name, "failed", str(error)))
        return engines, refused

    def _problem(self, engines: Mapping[str, Engine], remedy: str) -> str | None:
        """What comes out otherwise than it should, in one line."""
        try:
            found = self._stage.check(engines.__getitem__, self._pictures)
        except ModelError as error:
            return str(error)
        if not found:
            return None
        more = [f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
        return "; ".join([*found[:MOST_SHOWN], *more, remedy])

    def _compared(
        self, backend: str, cpu: Engine, engine: Engine, given: Sequence[Arrays], problem: str | None
    ) -> Result:
        try:
            agreements = require_agreement(self._manifest.entry(engine.name), cpu, engine, given)
        except ModelError as error:
            return Result(engine.name, backend, "failed", "; ".join(filter(None, (problem, str(error)))))
        if problem:
            return Result(engine.name, backend, "failed", problem)
        worst = max((agreement.difference for agreement in agreements), default=0.0)
        return Result(engine.name, backend, "ok", f"as expected; differs from the CPU by {worst:.0%} of what it may")
