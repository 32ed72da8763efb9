"""The training of the rescorer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from convert.data.store import prepared
from convert.detector.store import open_store as open_pictures
from convert.layers import normalise
from convert.rescorer.crops import CropStore, cut, open_store, write_store
from convert.rescorer.network import RescorerNetwork
from convert.rescorer.samples import VALIDATION, Batch, Samples
from convert.training.batches import Course
from convert.training.loop import Recipe, begin, in_bfloat16
from convert.training.warm_start import WarmTrainingChoice, fit_from
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.detect.rescorer import CROP_SIZE
from edged.errors import UsageError
from edged.inference import OnnxEngine

RECIPE = Recipe(batch=96, peak_rate=2e-3, warm_up=100, weight_decay=0.02, decay_all=True, score_every=1000)
LEAST_SCORE = 0.08
"""The weakest finds that are cut out."""
SIZES = (WorkingSize(640, 1.0), WorkingSize(1280, 2.0))
"""What live cameras and recordings are looked at with."""


@dataclass(frozen=True, kw_only=True)
class RescorerTraining(WarmTrainingChoice):
    """What the user chose. `pictures` are those of a detector's training, `detector` is the model whose finds are scored."""

    data: Path
    pictures: Path
    detector: Path


def train(choice: RescorerTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)

    def write(folder: Path) -> None:
        pictures = open_pictures(choice.pictures)
        if pictures is None:
            raise UsageError(f"{choice.pictures}: no pictures of a detector's training; `train-detector` prepares them")
        engine = OnnxEngine("detector", choice.detector.read_bytes(), threads=1)
        coarse, fine = (AnchorFreeDetector(engine, size, LEAST_SCORE) for size in SIZES)
        write_store(folder, cut(pictures, (coarse, fine), choice.seed))

    store = prepared(choice.out / f"crops-{choice.seed}", open_store, write)
    fit_from(RescorerNetwork(), _Task(store), RECIPE, choice)


@dataclass(frozen=True, eq=False)
class _Task:
    """Meets `convert.training.loop.Task`."""

    store: CropStore

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        images, targets = batch
        logits = in_bfloat16(network, normalise(images)).float()
        return {"loss": binary_cross_entropy_with_logits(logits, targets)}

    @torch.inference_mode()
    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """The share of undrawn crops that are told right, faces and others counting alike."""
        numbers = np.arange(0, len(self.store.images), VALIDATION)
        margin = (self.store.images.shape[1] - CROP_SIZE) // 2
        inside = slice(margin, margin + CROP_SIZE)
        images = np.ascontiguousarray(self.store.images[numbers][:, inside, inside])
        device = next(network.parameters()).device
        said = [
            network(normalise(torch.from_numpy(images[k : k + 256]).to(device))).cpu()
            for k in range(0, len(images), 256)
        ]
        right = (torch.cat(said).numpy() > 0) == self.store.is_face[numbers]
        faces = self.store.is_face[numbers]
        return {"accuracy": round(float((right[faces].mean() + right[~faces].mean()) / 2), 4)}
