"""The training loop of the heatmap pose; it sees projections of a head only, no picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.onnx_file import Signature, require_parity, write_onnx
from convert.pose.heatmap_network import HeatmapModel, HeatmapNetwork, draw_heatmaps
from convert.pose.heatmap_samples import HeatmapSamples, draw
from convert.training import (
    AveragedWeights,
    Progress,
    TrainingLog,
    best_device,
    learning_rate,
    read_trained,
    use_threads,
)

BATCH = 64
STEPS_PER_ROUND = 200
PEAK_RATE = 1e-3
WARM_UP = 100
TOLERANCE = 1e-3
"""Degrees."""

SIGNATURE = Signature({"points": {0: "batch"}}, {"angles": {0: "batch"}})


@dataclass(frozen=True)
class HeatmapTraining:
    """What the user chose."""

    out: Path
    steps: int
    seed: int
    resume: bool
    threads: int


def train(choice: HeatmapTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    network = HeatmapNetwork().to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    progress = Progress(network, AveragedWeights(network, 0.995), torch.optim.AdamW(network.parameters(), PEAK_RATE))
    checkpoint = choice.out / "checkpoint.pt"
    if choice.resume:
        progress.load(checkpoint)
    log = TrainingLog(choice.out / "log.jsonl")
    samples = HeatmapSamples(BATCH, choice.seed, progress.step, choice.steps)
    loss_sum = 0.0
    batches = DataLoader(samples, batch_size=None, num_workers=0)
    for points, angles in tqdm(batches, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        loss_sum += _step(progress, points, angles, choice.steps)
        if progress.step % STEPS_PER_ROUND == 0 or progress.step == choice.steps:
            progress.save(checkpoint)
            log.write(step=progress.step, loss=round(loss_sum / STEPS_PER_ROUND, 3), mae=_mean_error(progress))
            loss_sum = 0.0


def _step(progress: Progress, points: torch.Tensor, angles: torch.Tensor, steps: int) -> float:
    """One batch; the loss is the angles' smooth L1 error, linear from five degrees on."""
    device = next(progress.network.parameters()).device
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, steps, PEAK_RATE, WARM_UP)
    progress.network.train()
    heatmaps = draw_heatmaps(points.to(device)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        told = progress.network(heatmaps)
    loss = nn.functional.smooth_l1_loss(told.float(), angles.to(device), beta=5.0)
    progress.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 20.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return float(loss.detach())


@torch.inference_mode()
def _mean_error(progress: Progress) -> float:
    """Degrees, over heads that are drawn once and for all."""
    points, angles = draw(512, np.random.default_rng(1_000_003))
    told = progress.average.network(draw_heatmaps(torch.from_numpy(points)))
    return round(float((told - torch.from_numpy(angles)).abs().mean()), 3)


@dataclass(frozen=True)
class ExportedHeatmap:
    """What the manifest says about the file."""

    sha256: str
    parity: float
    step: int


def export_heatmap(run: Path, target: Path) -> ExportedHeatmap:
    """Write the averaged weights of `run/checkpoint.pt` to `target`."""
    trained = read_trained(run / "checkpoint.pt")
    network = HeatmapNetwork()
    network.load_state_dict(trained.weights)
    model = HeatmapModel(network.eval())
    points = torch.from_numpy(draw(32, np.random.default_rng(0))[0])
    sha256 = write_onnx(model, points[:2], SIGNATURE, target)
    parity = require_parity(model, target, [points[:1], points[:7], points], TOLERANCE)
    return ExportedHeatmap(sha256, parity, trained.step)
