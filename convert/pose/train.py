"""The training loop of the learned head pose."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.pose.heads import HELD_OUT, read_heads, split
from convert.pose.network import PoseNetwork, geodesic, normalise, pose_loss, rotations
from convert.pose.samples import Samples
from convert.pose.sources import WIDE, from_heads, training_crops
from convert.pose.store import HeadStore, open_store, write_store
from convert.training import AveragedWeights, Progress, TrainingLog, best_device, learning_rate, use_threads
from edged.analyse.pose.learned import CROP_SIZE
from edged.analyse.pose.rotation import angles_of
from edged.ports import Detector

BATCH = 96
STEPS_PER_ROUND = 200
PEAK_RATE = 2e-3
WARM_UP = 100


@dataclass(frozen=True)
class PoseTraining:
    """What the user chose; `detector` finds the faces, as it will in service."""

    data: Path
    out: Path
    steps: int
    seed: int
    resume: bool
    threads: int
    detector: Detector
    held_out: tuple[str, ...] = HELD_OUT


def train(choice: PoseTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    store, kept = _stores(choice)
    progress = _fresh_progress()
    checkpoint = choice.out / "checkpoint.pt"
    if choice.resume:
        progress.load(checkpoint)
    log = TrainingLog(choice.out / "log.jsonl")
    samples = Samples(store, BATCH, choice.seed, progress.step, choice.steps)
    loss_sum = 0.0
    batches = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=4)
    for batch in tqdm(batches, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        loss_sum += _step(progress, batch, choice.steps)
        if progress.step % STEPS_PER_ROUND == 0 or progress.step == choice.steps:
            progress.save(checkpoint)
            log.write(step=progress.step, loss=round(loss_sum / STEPS_PER_ROUND, 4), **_figures(progress, kept))
            loss_sum = 0.0


def _stores(choice: PoseTraining) -> tuple[HeadStore, HeadStore]:
    """The crops to train on and those kept back, from an earlier run with the same seed or cut now."""
    trained, kept = split(read_heads(choice.data / "headpose_biwi"), choice.held_out)
    training, held_out = choice.out / f"heads-{choice.seed}", choice.out / f"heads-{choice.seed}-kept"
    if open_store(training) is None:
        write_store(training, training_crops(choice.data, trained, choice.detector, choice.seed))
    if open_store(held_out) is None:
        write_store(held_out, from_heads(kept, choice.detector, np.random.default_rng(choice.seed)))
    found, others = open_store(training), open_store(held_out)
    assert found is not None  # noqa: S101 - written to the end just now
    assert others is not None  # noqa: S101
    return found, others


def _fresh_progress() -> Progress:
    network = PoseNetwork().to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    return Progress(network, AveragedWeights(network, 0.995), torch.optim.AdamW(groups, PEAK_RATE))


def _step(progress: Progress, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], steps: int) -> float:
    """One batch: forward in bfloat16, backward, optimiser, average. Returns the loss."""
    device = next(progress.network.parameters()).device
    images, truth, weights = (part.to(device) for part in batch)
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, steps, PEAK_RATE, WARM_UP)
    progress.network.train()
    pixels = normalise(images).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        answer = progress.network(pixels)
    loss = pose_loss(answer.float(), truth, weights)
    progress.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 5.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return float(loss.detach())


def _figures(progress: Progress, kept: HeadStore) -> dict[str, float]:
    """The averaged network's mean errors on the heads kept back, relative to the line of sight, for the log."""
    edge = (WIDE - CROP_SIZE) // 2
    inner = slice(edge, edge + CROP_SIZE)
    figures: dict[str, float] = {}
    for group in ("bare", "masked"):
        rows = np.flatnonzero(kept.groups == group)
        told = rotations_of(progress.average.network, kept.images[rows][:, inner, inner, :3])[0]
        errors = np.abs(angles_of(told) - angles_of(kept.rotations[rows]))
        figures |= {f"{group}_mae": round(float(np.minimum(errors, 360 - errors).mean()), 3)}
        truth = torch.from_numpy(kept.rotations[rows])
        figures |= {f"{group}_turn": round(float(torch.rad2deg(geodesic(torch.from_numpy(told), truth)).mean()), 3)}
    return figures


@torch.inference_mode()
def rotations_of(network: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N crops to N x 3 x 3 rotations in the crops' axes and N expected geodesic errors in radians, in float32 arithmetic."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(images), 64):
        answer = network(normalise(torch.from_numpy(np.ascontiguousarray(images[start : start + 64])).to(device))).cpu()
        parts.append((rotations(answer[:, :6]), answer[:, 6].clamp(-5.0, 1.0).exp()))
    turns, scales = (torch.cat(column).double().numpy() for column in zip(*parts, strict=True))
    return turns, scales
