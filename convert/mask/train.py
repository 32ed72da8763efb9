"""The training loop of the mask classifier."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.data.coco import read_coco
from convert.data.split import split
from convert.mask.evaluate import Examples, confusion, held_out_examples, logits_of, macro_f1
from convert.mask.network import MaskNetwork, normalise
from convert.mask.samples import Samples
from convert.mask.sources import training_crops
from convert.mask.store import CropStore, open_store, write_store
from convert.training import AveragedWeights, Progress, TrainingLog, best_device, learning_rate, use_threads

BATCH = 128
STEPS_PER_EPOCH = 200
PEAK_RATE = 3e-3
WARM_UP = 100


@dataclass(frozen=True)
class MaskTraining:
    """What the user chose. One epoch is 200 batches of 128 drawn samples, not a pass over the data."""

    data: Path
    out: Path
    epochs: int
    seed: int
    resume: bool
    threads: int


def train(choice: MaskTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    store = crop_store(choice.out / f"crops-{choice.seed}", choice.data, choice.seed)
    examples = held_out_examples(choice.data)
    progress = _fresh_progress()
    checkpoint = choice.out / "checkpoint.pt"
    if choice.resume:
        progress.load(checkpoint)
    log = TrainingLog(choice.out / "log.jsonl")
    steps = choice.epochs * STEPS_PER_EPOCH
    samples = Samples(store, BATCH, choice.seed, progress.step, steps)
    batches = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=4)
    loss_sum = 0.0
    for images, states in tqdm(batches, total=steps, initial=progress.step, unit="step", mininterval=5):
        loss_sum += _step(progress, images, states, steps)
        if progress.step % STEPS_PER_EPOCH == 0:
            progress.save(checkpoint)
            log.write(step=progress.step, loss=round(loss_sum / STEPS_PER_EPOCH, 4), **_figures(progress, examples))
            loss_sum = 0.0


def crop_store(folder: Path, data: Path, seed: int) -> CropStore:
    """The cut faces in `folder`, from an earlier run, or cut there now from `data`, decided by `seed`."""
    found = open_store(folder)
    if found is None:
        training, _ = split(read_coco(data / "masks853"))
        write_store(folder, training_crops(data, training, seed))
        found = open_store(folder)
    assert found is not None  # noqa: S101 - written to the end just now
    return found


def _fresh_progress() -> Progress:
    network = MaskNetwork().to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return Progress(network, AveragedWeights(network, 0.995), torch.optim.AdamW(groups, PEAK_RATE))


def _step(progress: Progress, images: torch.Tensor, states: torch.Tensor, steps: int) -> float:
    """One batch: forward in bfloat16, backward, optimiser, average. Returns the loss."""
    device = next(progress.network.parameters()).device
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, steps, PEAK_RATE, WARM_UP)
    progress.network.train()
    pixels = normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        logits = progress.network(pixels)
    loss = nn.functional.cross_entropy(logits.float(), states.to(device), label_smoothing=0.05)
    progress.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 5.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return float(loss.detach())


def _figures(progress: Progress, examples: Examples) -> dict[str, float]:
    """How the averaged network does on the held-out pictures, for the log."""
    logits = logits_of(progress.average.network, examples.images)
    seen = examples.sides >= 16
    table = confusion(logits[seen], examples.states[seen])
    return {"macro_f1": round(macro_f1(table), 4), "accuracy": round(float(table.trace() / table.sum()), 4)}
