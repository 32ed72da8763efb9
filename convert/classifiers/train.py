"""The training of the baseline classifiers: our samples, split and schedule, their networks."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from convert.classifiers.architectures import ARCHITECTURES, build
from convert.classifiers.backend import load_keras
from convert.mask.evaluate import held_out_examples, web_examples
from convert.mask.train import StateTask, crop_store
from convert.training.loop import Recipe, TrainingChoice, begin, fit
from convert.training.progress import CHECKPOINT
from edged.errors import UsageError

BATCH = 32
RECIPE = Recipe(batch=BATCH, peak_rate=1e-3, warm_up=100, weight_decay=0.02, save_every=100, score_every=200)
"""Of networks that start at random: deep ones of this kind break at the 3e-3 of ours."""
RUN_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """What decides a run's weights, kept beside them in `run.json`. One step is 32 drawn samples."""

    architecture: str
    size: int
    steps: int
    seed: int
    weights_sha256: str
    """Of the file that the training started from; empty: it started at random."""


@dataclass(frozen=True, kw_only=True)
class SeedTraining(TrainingChoice):
    """What the user chose. `crops`: a folder of faces cut by an earlier training, or where to cut them."""

    data: Path
    architecture: str
    size: int
    weights: Path | None
    crops: Path

    def run(self) -> Run:
        sha256 = hashlib.sha256(self.weights.read_bytes()).hexdigest() if self.weights else ""
        return Run(self.architecture, self.size, self.steps, self.seed, sha256)


def read_run(folder: Path) -> Run:
    """What was trained in `folder`. Raise UsageError when nothing was."""
    try:
        return Run(**json.loads((folder / RUN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{folder}: no training of a baseline classifier ({error}); name an --out folder of train-baseline-classifier"
        ) from None


def train(choice: SeedTraining) -> None:
    """Train to the end, leaving `run.json` too; see `fit`."""
    begin(choice)
    _record(choice)
    load_keras().utils.set_random_seed(choice.seed)
    network = build(choice.architecture, choice.size, choice.weights, "mixed_bfloat16")
    store = crop_store(choice.crops, choice.data, choice.seed)
    task = StateTask(store, held_out_examples(choice.data), _logits, _as_they_are, web_examples(choice.data))
    fit(network, task, _recipe(choice), choice)


def _record(choice: SeedTraining) -> None:
    """Write `run.json`; refuse to go on from another run's checkpoint."""
    if choice.resume and (choice.out / CHECKPOINT).exists() and read_run(choice.out) != choice.run():
        raise UsageError(
            f"{choice.out}: holds another training ({read_run(choice.out)}); ask for that one, "
            "name another --out, or train without --resume"
        )
    (choice.out / RUN_FILE).write_text(json.dumps(asdict(choice.run())) + "\n")


def _recipe(choice: SeedTraining) -> Recipe:
    peak = ARCHITECTURES[choice.architecture].peak_rate if choice.weights else RECIPE.peak_rate
    return replace(RECIPE, peak_rate=peak, warm_up=min(RECIPE.warm_up, choice.steps // 10 + 1))


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    """The baselines' networks take faces as they are, and choose their precision themselves."""
    answer: Tensor = network(images)
    return answer


def _as_they_are(faces: Tensor) -> Tensor:
    return faces
