"""The training loop of the eye classifier."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from convert.eyes.evaluate import Examples, accuracy, held_out_crops, held_out_faces, in_service, logits_of, stretched
from convert.eyes.network import EyeNetwork
from convert.eyes.samples import Samples
from convert.eyes.sources import training_eyes
from convert.eyes.split import read_crops, split
from convert.eyes.store import EyeStore
from convert.mask.network import normalise
from convert.training import AveragedWeights, Progress, TrainingLog, learning_rate, use_threads

BATCH = 128
STEPS_PER_ROUND = 100
PEAK_RATE = 3e-3
WARM_UP = 100


@dataclass(frozen=True)
class EyeTraining:
    """What the user chose. `steps` are batches of 128 drawn samples; `fold` names the held-out part."""

    data: Path
    out: Path
    steps: int
    fold: int
    seed: int
    resume: bool
    threads: int


def train(choice: EyeTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    examples = _examples(choice)
    training, _ = split(read_crops(choice.data / "eyes"), choice.fold)
    store = EyeStore.of(training_eyes(choice.data, training, choice.seed))
    progress = fresh_progress()
    checkpoint = choice.out / "checkpoint.pt"
    if choice.resume:
        progress.load(checkpoint)
    log = TrainingLog(choice.out / "log.jsonl")
    samples = Samples(store, BATCH, choice.seed, progress.step, choice.steps)
    loss_sum = 0.0
    for images, states in tqdm(samples, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        loss_sum += _step(progress, images, states, choice.steps)
        if progress.step % STEPS_PER_ROUND == 0 or progress.step == choice.steps:
            progress.save(checkpoint)
            log.write(step=progress.step, loss=round(loss_sum / STEPS_PER_ROUND, 4), **_figures(progress, examples))
            loss_sum = 0.0


def fresh_progress() -> Progress:
    """An untrained network with its optimiser; on the processor, where it is small enough to be at home."""
    network = EyeNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return Progress(network, AveragedWeights(network, 0.995), torch.optim.AdamW(groups, PEAK_RATE))


def _examples(choice: EyeTraining) -> dict[str, Examples]:
    crops, faces = held_out_crops(choice.data, choice.fold), held_out_faces(choice.data)
    return {
        "crops": in_service(crops),
        "stretched": stretched(crops),
        "faces": in_service([eye for eye in faces if eye.group == "large"]),
        "drawn": in_service([eye for eye in faces if eye.group != "large"]),
    }


def _step(progress: Progress, images: torch.Tensor, states: torch.Tensor, steps: int) -> float:
    """One batch: forward, backward, optimiser, average. Returns the loss."""
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, steps, PEAK_RATE, WARM_UP)
    progress.network.train()
    pixels = normalise(images).contiguous(memory_format=torch.channels_last)
    # Layers this small are faster in float32: with bfloat16 half the time goes into conversions.
    loss = nn.functional.cross_entropy(progress.network(pixels), states, label_smoothing=0.03)
    progress.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 5.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return float(loss.detach())


def _figures(progress: Progress, examples: dict[str, Examples]) -> dict[str, float]:
    """How the averaged network does on what is held out, for the log."""
    network = progress.average.network
    return {name: round(accuracy(logits_of(network, part.images), part.states), 4) for name, part in examples.items()}
