"""The training loop of the seed's classifiers: our samples, split and schedule, their networks."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.classifiers.architectures import ARCHITECTURES, build
from convert.classifiers.backend import load_keras
from convert.mask.evaluate import Examples, confusion, held_out_examples, logits_of, macro_f1
from convert.mask.samples import Samples
from convert.mask.train import crop_store
from convert.training import AveragedWeights, Progress, TrainingLog, best_device, learning_rate, use_threads
from edged.errors import UsageError

BATCH = 32
RANDOM_START_RATE = 1e-3
"""The peak rate of networks that start at random: deep ones of this kind break at the 3e-3 of ours."""
STEPS_PER_REPORT = 100
SMALLEST_SCORED = 16
"""Shorter side in pixels."""
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


@dataclass(frozen=True)
class SeedTraining:
    """What the user chose. `crops`: a folder of faces cut by an earlier training, or where to cut them."""

    architecture: str
    size: int
    weights: Path | None
    data: Path
    out: Path
    crops: Path
    steps: int
    seed: int
    resume: bool
    threads: int

    def run(self) -> Run:
        sha256 = hashlib.sha256(self.weights.read_bytes()).hexdigest() if self.weights else ""
        return Run(self.architecture, self.size, self.steps, self.seed, sha256)


def read_run(folder: Path) -> Run:
    """What was trained in `folder`. Raise UsageError when nothing was."""
    try:
        return Run(**json.loads((folder / RUN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{folder}: no training of a seed classifier ({error}); name an --out folder of train-seed-classifier"
        ) from None


def train(choice: SeedTraining) -> None:
    """Train to the end, leaving `run.json`, `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    use_threads(choice.threads)
    load_keras().utils.set_random_seed(choice.seed)
    progress, checkpoint = _fresh_progress(choice), choice.out / "checkpoint.pt"
    _begin(choice, checkpoint)
    if choice.resume:
        progress.load(checkpoint)
    store = crop_store(choice.crops, choice.data, choice.seed)
    examples = held_out_examples(choice.data)
    log = TrainingLog(choice.out / "log.jsonl")
    samples = Samples(store, BATCH, choice.seed, progress.step, choice.steps)
    batches = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=4)
    losses: list[float] = []
    for images, states in tqdm(batches, total=choice.steps, initial=progress.step, unit="step", mininterval=5):
        losses.append(_step(progress, images, states, choice))
        if progress.step % STEPS_PER_REPORT == 0 or progress.step == choice.steps:
            progress.save(checkpoint)
            log.write(step=progress.step, loss=round(sum(losses) / len(losses), 4), **_figures(progress, examples))
            losses.clear()


def _begin(choice: SeedTraining, checkpoint: Path) -> None:
    """Write `run.json`; refuse to go on from another run's checkpoint."""
    choice.out.mkdir(parents=True, exist_ok=True)
    if choice.resume and checkpoint.exists() and read_run(choice.out) != choice.run():
        raise UsageError(
            f"{choice.out}: holds another training ({read_run(choice.out)}); ask for that one, "
            "name another --out, or train without --resume"
        )
    (choice.out / RUN_FILE).write_text(json.dumps(asdict(choice.run())) + "\n")


def _fresh_progress(choice: SeedTraining) -> Progress:
    network = build(choice.architecture, choice.size, choice.weights, "mixed_bfloat16").to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    learned = [value for value in network.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in learned if value.ndim > 1], "weight_decay": 0.02},
        {"params": [value for value in learned if value.ndim <= 1], "weight_decay": 0.0},
    ]
    return Progress(network, AveragedWeights(network, 0.995), torch.optim.AdamW(groups, RANDOM_START_RATE))


def _step(progress: Progress, images: Tensor, states: Tensor, choice: SeedTraining) -> float:
    """One batch: forward in bfloat16, backward, optimiser, average. Returns the loss."""
    network, device = progress.network, best_device()
    peak = ARCHITECTURES[choice.architecture].peak_rate if choice.weights else RANDOM_START_RATE
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, choice.steps, peak, min(100, choice.steps // 10 + 1))
    network.train()
    loss = nn.functional.cross_entropy(network(images.to(device)), states.to(device), label_smoothing=0.05)
    progress.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    progress.optimiser.step()
    progress.average.update(network)
    progress.step += 1
    return float(loss.detach())


def _figures(progress: Progress, examples: Examples) -> dict[str, float]:
    """How the averaged network does on the held-out faces that count, for the log."""
    seen = examples.sides >= SMALLEST_SCORED
    logits = logits_of(progress.average.network, examples.images[seen], prepare=lambda faces: faces)
    table = confusion(logits, examples.states[seen])
    return {"macro_f1": round(macro_f1(table), 4), "accuracy": round(float(table.trace() / table.sum()), 4)}
