"""The training loop of the detector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.data.coco import LabelledPicture, read_coco
from convert.data.split import split
from convert.detector.evaluate import score_network
from convert.detector.losses import detection_loss
from convert.detector.network import DetectorNetwork, normalise
from convert.detector.pictures import Rows, training_pictures
from convert.detector.samples import Samples, to_truth
from convert.detector.store import PictureStore, open_store, write_store
from convert.training import AveragedWeights, Progress, TrainingLog, best_device, learning_rate, use_threads
from edged.detect.canvas import WorkingSize

BATCH = 16
PEAK_RATE = 2e-3
WARM_UP = 300
SAVE_EVERY = 250
SCORE_EVERY = 1000


@dataclass(frozen=True)
class DetectorTraining:
    """What the user chose. `steps` are batches of 16 samples of 320 x 320."""

    data: Path
    out: Path
    steps: int
    seed: int
    resume: bool
    threads: int


def train(choice: DetectorTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    training, held_out = split(read_coco(choice.data / "masks853"))
    store = _store(choice, training)
    progress = _fresh_progress()
    if choice.resume:
        progress.load(choice.out / "checkpoint.pt")
    samples = Samples(store, BATCH, choice.seed, progress.step, choice.steps)
    batches = DataLoader(samples, batch_size=None, collate_fn=_as_it_is, num_workers=1, prefetch_factor=4)
    log = TrainingLog(choice.out / "log.jsonl")
    sums: dict[str, float] = {}
    for images, faces in tqdm(batches, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        for name, value in _step(progress, images, faces, choice.steps).items():
            sums[name] = sums.get(name, 0.0) + value / SAVE_EVERY
        if progress.step % SAVE_EVERY == 0 or progress.step == choice.steps:
            progress.save(choice.out / "checkpoint.pt")
            figures = _figures(progress, held_out) if _is_due(progress.step, choice.steps) else {}
            log.write(step=progress.step, **{name: round(value, 4) for name, value in sums.items()}, **figures)
            sums = {}


def _as_it_is(batch: Any) -> Any:
    """The loader would turn the faces' arrays into tensors."""
    return batch


def _store(choice: DetectorTraining, training: list[LabelledPicture]) -> PictureStore:
    """The prepared pictures, from an earlier run with the same seed or made now."""
    folder = choice.out / f"pictures-{choice.seed}"
    found = open_store(folder)
    if found is None:
        write_store(folder, training_pictures(choice.data, training, choice.seed))
        found = open_store(folder)
    assert found is not None  # noqa: S101 - written to the end just now
    return found


def _fresh_progress() -> Progress:
    network = DetectorNetwork().to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return Progress(network, AveragedWeights(network, 0.9985), torch.optim.AdamW(groups, PEAK_RATE))


def _step(progress: Progress, images: torch.Tensor, faces: list[Rows], steps: int) -> dict[str, float]:
    """One batch: forward in bfloat16, loss in float32, backward, optimiser, average. Returns the loss's parts."""
    device = next(progress.network.parameters()).device
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, steps, PEAK_RATE, WARM_UP)
    progress.network.train()
    pixels = normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        levels = progress.network(pixels)
    parts = detection_loss(levels, [to_truth(rows, device) for rows in faces])
    progress.optimiser.zero_grad(set_to_none=True)
    torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 10.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return {name: float(value.detach()) for name, value in parts.items()}


def _is_due(step: int, steps: int) -> bool:
    return step % SCORE_EVERY == 0 or step == steps


def _figures(progress: Progress, held_out: list[LabelledPicture]) -> dict[str, float]:
    """The averaged network on the held-out pictures, for the log."""
    network = progress.average.network
    assert isinstance(network, DetectorNetwork)  # noqa: S101 - a copy of the one above
    return score_network(network, held_out, WorkingSize()).flat()
