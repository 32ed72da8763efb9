"""The training of the heatmap pose; it sees projections of a head only, no picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.pose.heatmap_network import HeatmapModel, HeatmapNetwork, draw_heatmaps
from convert.pose.heatmap_samples import Batch, HeatmapSamples, draw
from convert.training.batches import Course
from convert.training.loop import Recipe, TrainingChoice, begin, fit, in_bfloat16
from convert.training.progress import load_trained

RECIPE = Recipe(batch=64, peak_rate=1e-3, warm_up=100, weight_decay=0.01, decay_all=True, longest_gradient=20.0)
TOLERANCE = 1e-3
"""Degrees."""

SIGNATURE = Signature({"points": {0: "batch"}}, {"angles": {0: "batch"}})


def train(choice: TrainingChoice) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    fit(HeatmapNetwork(), _Task(), RECIPE, choice)


class _Task:
    """Meets `convert.training.loop.Task`."""

    def batches(self, course: Course) -> HeatmapSamples:
        return HeatmapSamples(course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        """The angles' smooth L1 error, linear from five degrees on."""
        points, angles = batch
        told = in_bfloat16(network, draw_heatmaps(points)).float()
        return {"loss": nn.functional.smooth_l1_loss(told, angles, beta=5.0)}

    @torch.inference_mode()
    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """The mean error in degrees, over heads that are drawn once and for all."""
        points, angles = (torch.from_numpy(part) for part in draw(512, np.random.default_rng(1_000_003)))
        told = network(draw_heatmaps(points.to(next(network.parameters()).device))).cpu()
        return {"mae": round(float((told - angles).abs().mean()), 3)}


def export_heatmap(run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`."""
    network = HeatmapNetwork()
    step = load_trained(network, run)
    model = HeatmapModel(network)
    points = torch.from_numpy(draw(32, np.random.default_rng(0))[0])
    sha256 = write_onnx(model, points[:2], SIGNATURE, target)
    parity = require_parity(model, target, [points[:1], points[:7], points], TOLERANCE)
    return Exported(sha256, step, parity)
