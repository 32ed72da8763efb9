"""The training loop: batch after batch with AdamW, averaged weights, checkpoints and a log."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from convert.training.batches import Batches, Course, loaded
from convert.training.progress import CHECKPOINT, AveragedWeights, Progress


@dataclass(frozen=True, kw_only=True)
class TrainingChoice:
    """What the user chose. Checkpoint, log and prepared pictures go to `out`; 0 threads: PyTorch's choice."""

    out: Path
    steps: int
    seed: int
    resume: bool
    threads: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers by which a network is trained; all times are steps, which are batches of `batch` samples."""

    batch: int
    peak_rate: float
    """The highest learning rate. A network that starts from weights that are good already wants a lower one."""
    warm_up: int
    weight_decay: float
    decay_all: bool = False
    """Whether biases and norms decay too."""
    averaging: float = 0.995
    """How much of the averaged weights stays at a step."""
    longest_gradient: float = 5.0
    save_every: int = 200
    score_every: int = 1
    """The averaged network is scored at a save (each is a line of the log) whose step is a multiple of this."""
    workers: int = 1
    """Processes that draw samples ahead; 0 draws them between the steps."""
    on_gpu: bool = True
    """Where there is one; the smallest networks are at home on the processor."""

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.on_gpu and torch.cuda.is_available() else "cpu")

    def learning_rate(self, step: int, steps: int) -> float:
        """Linear warm-up, then a cosine down to 1 % of the peak at `steps`."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, steps - self.warm_up)
        return self.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Task(Protocol):
    """What is a training's own. A batch is a tuple whose first tensor is the network's input, in any form."""

    def batches(self, course: Course) -> Batches[Any]:
        """The samples to learn from."""

    def losses(self, network: nn.Module, batch: Any, step: int) -> Mapping[str, Tensor]:
        """The parts of the loss of one batch, whose tensors are on the network's device; their sum is minimised."""

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """How well the averaged network does on what is held out, for the log."""


def begin(choice: TrainingChoice) -> None:
    """Make the --out folder, and let the seed decide what follows: to be called before a network is built.

    PyTorch waits for its slowest thread at every layer: where other programs keep a core busy, fewer threads are faster.
    """
    choice.out.mkdir(parents=True, exist_ok=True)
    if choice.threads > 0:
        torch.set_num_threads(choice.threads)
    torch.manual_seed(choice.seed)


def fit(network: nn.Module, task: Task, recipe: Recipe, choice: TrainingChoice) -> None:
    """Train `network`, which comes with the weights to start from, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`.

    With `choice.resume`, go on from the checkpoint that is there instead. Raise UsageError when it is another network's.
    """
    progress = fresh_progress(network, recipe)
    checkpoint = choice.out / CHECKPOINT
    if choice.resume:
        progress.load(checkpoint)
    batches = task.batches(Course(recipe.batch, choice.seed, progress.step, choice.steps))
    log = _Log(choice.out / "log.jsonl")
    losses: list[Mapping[str, float]] = []
    ahead = loaded(batches, recipe.workers)
    for batch in tqdm(ahead, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        losses.append(_step(progress, task, batch, recipe, choice.steps))
        last = progress.step == choice.steps
        if last or progress.step % recipe.save_every == 0:
            progress.save(checkpoint)
            scored = last or progress.step % recipe.score_every == 0
            log.write(progress.step, _means(losses), task.figures(progress.average.network) if scored else {})
            losses.clear()


def fresh_progress(network: nn.Module, recipe: Recipe) -> Progress:
    """The network where it is to be trained, with its optimiser."""
    network.to(recipe.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    learned = [value for value in network.parameters() if value.requires_grad]
    groups = [{"params": learned, "weight_decay": recipe.weight_decay}]
    if not recipe.decay_all:
        groups = [
            {"params": [value for value in learned if value.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [value for value in learned if value.ndim <= 1], "weight_decay": 0.0},
        ]
    return Progress(network, AveragedWeights(network, recipe.averaging), torch.optim.AdamW(groups, recipe.peak_rate))


def _step(progress: Progress, task: Task, batch: Sequence[Any], recipe: Recipe, steps: int) -> dict[str, float]:
    """One batch: forward, backward, optimiser, average. Returns the loss's parts."""
    network, optimiser, device = progress.network, progress.optimiser, recipe.device
    for group in optimiser.param_groups:
        group["lr"] = recipe.learning_rate(progress.step, steps)
    network.train()
    there = tuple(part.to(device) if isinstance(part, Tensor) else part for part in batch)
    parts = task.losses(network, there, progress.step)
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), recipe.longest_gradient)
    optimiser.step()
    progress.average.update(network)
    progress.step += 1
    return {name: float(value.detach()) for name, value in parts.items()}


def in_bfloat16(network: nn.Module, images: Tensor) -> Any:
    """The network's answer to float images, computed in bfloat16 where that is precise enough."""
    with torch.autocast(images.device.type, torch.bfloat16):
        return network(images.contiguous(memory_format=torch.channels_last))


def _means(losses: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each part over the batches; a part that a batch does not have counts as 0 there."""
    names = dict.fromkeys(name for parts in losses for name in parts)
    return {name: round(sum(parts.get(name, 0.0) for parts in losses) / len(losses), 4) for name in names}


class _Log:
    """One JSON object a line, appended: survives restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()

    def write(self, step: int, losses: Mapping[str, float], figures: Mapping[str, float]) -> None:
        seconds = round(time.monotonic() - self._started, 1)
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **losses, **figures, "seconds": seconds}) + "\n")
