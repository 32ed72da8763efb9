"""Measures mask classifiers side by side in one run: ours, and the baselines' as they were trained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.classification import Confusion, answers, confusion, f1_scores, macro_f1
from convert.classifiers.backend import load_keras
from convert.classifiers.export import ExportedRun, export_run
from convert.classifiers.train import BATCH
from convert.mask.evaluate import (
    SMALLEST_SCORED,
    Examples,
    drawn_examples,
    held_out_examples,
    together,
    web_examples,
)
from edged.analyse.mask import CROP_SIZE
from edged.inference import Manifest, OnnxEngine, default_engines_dir, load_manifest
from edged.ports import Engine
from edged.types import JUDGED_STATES

OURS = "mask"
BATCHES = (1, 8)
ROUNDS = 40


@dataclass(frozen=True)
class Rival:
    """One row of the table: the words that describe it, the model, and the size of its file."""

    name: str
    notes: str
    parameters: int
    engine: Engine
    file_bytes: int


@dataclass(frozen=True, eq=False)
class Result:
    """What one classifier reached on held-out, drawn and web faces, and its best time a face, in ms, for each of BATCHES."""

    rival: Rival
    held_out: Confusion
    drawn: Confusion
    web: Confusion
    milliseconds: tuple[float, ...]


def rivals(runs: Sequence[Path], examples: Examples, manifest: Manifest | None = None) -> list[Rival]:
    """Our classifier and those trained in `runs`, each exported anew from its checkpoint."""
    manifest = manifest or load_manifest(default_engines_dir())
    model, known = manifest.verified_bytes(OURS), manifest.entry(OURS).figures
    found = [Rival("ours", f"{CROP_SIZE} px", int(known["parameters"]), OnnxEngine(OURS, model, 1), len(model))]
    with load_keras().device("cpu"):
        exported = [export_run(run, examples) for run in tqdm(runs, desc="exporting", unit="model", disable=None)]
    return [*found, *map(_rival, exported)]


def _rival(run: ExportedRun) -> Rival:
    model = run.path.read_bytes()
    start = "given weights" if run.pretrained else "random start"
    notes = f"{run.size} px, {start}, {run.steps} steps of {BATCH}"
    return Rival(run.name, notes, run.parameters, OnnxEngine(run.name, model, 1), len(model))


def compare(contestants: Sequence[Rival], data: Path, held_out: Examples) -> list[Result]:
    """Score every classifier on the same faces, then time them in turns: what else the machine does hits all alike."""
    seen = held_out.sides >= SMALLEST_SCORED
    images, states = held_out.images[seen], held_out.states[seen]
    drawn, web = drawn_examples(data, seed=0), web_examples(data)
    clear = web.sides >= SMALLEST_SCORED
    times = time_in_turns([rival.engine for rival in contestants], images)
    return [
        Result(
            rival,
            confusion(answers(rival.engine, images), states),
            confusion(answers(rival.engine, drawn.images), drawn.states),
            confusion(answers(rival.engine, web.images[clear]), web.states[clear]),
            spent,
        )
        for rival, spent in zip(contestants, times, strict=True)
    ]


def time_in_turns(
    engines: Sequence[Engine], images: NDArray[np.uint8], rounds: int = ROUNDS
) -> list[tuple[float, ...]]:
    """For each engine its best milliseconds a face over `rounds`, for each of BATCHES. One untimed round goes before."""
    best = np.full((len(engines), len(BATCHES)), np.inf)
    for turn in tqdm(range(-1, rounds), desc="timing", unit="round", disable=None):
        for row, engine in enumerate(engines):
            for column, batch in enumerate(BATCHES):
                faces = images[(np.arange(batch) + max(turn, 0) * batch) % len(images)]
                start = time.perf_counter()
                engine.run({"faces": faces})
                spent = (time.perf_counter() - start) * 1000 / batch
                if turn >= 0:
                    best[row, column] = min(best[row, column], spent)
    return [tuple(row) for row in best.tolist()]


def table(results: Sequence[Result]) -> str:
    """The results as Markdown, in the order in which they were given."""
    counts = results[0].held_out.sum(axis=1).tolist() if results else [0, 0, 0]
    states = [str(state) for state in JUDGED_STATES]
    faces = ", ".join(f"{count} {state}" for count, state in zip(counts, states, strict=True))
    heads = ["classifier", "trained on", "parameters", "MB", "accuracy", "macro-F1"]
    heads += [f"F1 {state}" for state in states] + ["macro-F1, drawn masks", "macro-F1, photographs"]
    heads += [f"ms a face, {batch} at a time" for batch in BATCHES]
    lines = [
        f"Held-out part of masks853, labelled boxes, faces of at least {SMALLEST_SCORED} px ({faces}); times: the best of "
        f"{ROUNDS} runs taken in turns, ONNX Runtime, one thread.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    return "\n".join([*lines, *map(_row, results)])


def _row(result: Result) -> str:
    counts, rival = result.held_out, result.rival
    cells = [rival.name, rival.notes, f"{rival.parameters:,}", f"{rival.file_bytes / 1e6:.1f}"]
    cells += [f"{counts.trace() / counts.sum():.3f}", f"{macro_f1(counts):.3f}"]
    cells += [f"{value:.3f}" for value in f1_scores(counts)]
    cells += [
        f"{macro_f1(result.drawn):.3f}",
        f"{macro_f1(result.web):.3f}",
        *(f"{spent:.2f}" for spent in result.milliseconds),
    ]
    return f"| {' | '.join(cells)} |"


def compare_runs(data: Path, runs: Sequence[Path]) -> str:
    """Export, score and time: the whole comparison as Markdown."""
    held_out = held_out_examples(data)
    return table(compare(rivals(runs, together(held_out, web_examples(data))), data, held_out))
