"""The training of the learned head pose."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convert.data.store import prepared
from convert.layers import normalise
from convert.pose.heads import HELD_OUT, read_heads, split
from convert.pose.network import PoseNetwork, geodesic, pose_loss, rotations
from convert.pose.samples import Batch, Samples
from convert.pose.sources import WIDE, from_heads, training_crops
from convert.pose.store import HeadStore, open_store, write_store
from convert.training.batches import Course
from convert.training.loop import Recipe, TrainingChoice, begin, fit, in_bfloat16
from edged.analyse.pose.fused import CROP_SIZE
from edged.analyse.pose.rotation import angles_of
from edged.ports import Detector

RECIPE = Recipe(batch=96, peak_rate=2e-3, warm_up=100, weight_decay=0.05)


@dataclass(frozen=True, kw_only=True)
class PoseTraining(TrainingChoice):
    """What the user chose; `detector` finds the faces, as it will in service."""

    data: Path
    detector: Detector
    held_out: tuple[str, ...] = HELD_OUT


def train(choice: PoseTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    store, kept = _stores(choice)
    fit(PoseNetwork(), _Task(store, kept), RECIPE, choice)


def _stores(choice: PoseTraining) -> tuple[HeadStore, HeadStore]:
    """The crops to train on and those kept back, from an earlier run with the same seed or cut now."""
    trained, kept = split(read_heads(choice.data / "headpose_biwi"), choice.held_out)

    def write_training(folder: Path) -> None:
        write_store(folder, training_crops(choice.data, trained, choice.detector, choice.seed))

    def write_kept(folder: Path) -> None:
        write_store(folder, from_heads(kept, choice.detector, np.random.default_rng(choice.seed)))

    name = f"heads-{choice.seed}"
    if choice.held_out != HELD_OUT:
        name += f"-without-{'-'.join(choice.held_out)}"
    return (
        prepared(choice.out / name, open_store, write_training),
        prepared(choice.out / f"{name}-kept", open_store, write_kept),
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """Meets `convert.training.loop.Task`."""

    store: HeadStore
    kept: HeadStore

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        images, truth, weights = batch
        return {"loss": pose_loss(in_bfloat16(network, normalise(images)).float(), truth, weights)}

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """Mean errors on the heads kept back, relative to the line of sight."""
        edge = (WIDE - CROP_SIZE) // 2
        inner = slice(edge, edge + CROP_SIZE)
        figures: dict[str, float] = {}
        for group in ("bare", "masked"):
            rows = np.flatnonzero(self.kept.groups == group)
            told = rotations_of(network, self.kept.images[rows][:, inner, inner, :3])[0]
            errors = np.abs(angles_of(told) - angles_of(self.kept.rotations[rows]))
            figures |= {f"{group}_mae": round(float(np.minimum(errors, 360 - errors).mean()), 3)}
            truth = torch.from_numpy(self.kept.rotations[rows])
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
