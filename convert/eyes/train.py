"""The training of the eye classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from convert.classification import accuracy, logits_of
from convert.eyes.evaluate import Examples, held_out_crops, held_out_faces, in_service, stretched
from convert.eyes.network import EyeNetwork
from convert.eyes.samples import Batch, Samples
from convert.eyes.sources import training_eyes
from convert.eyes.split import read_crops, split
from convert.eyes.store import EyeStore
from convert.layers import normalise
from convert.training.batches import Course
from convert.training.loop import Recipe, TrainingChoice, begin, fit

RECIPE = Recipe(batch=128, peak_rate=3e-3, warm_up=100, weight_decay=0.02, save_every=100, workers=0, on_gpu=False)


@dataclass(frozen=True, kw_only=True)
class EyeTraining(TrainingChoice):
    """What the user chose. `steps` are batches of 128 drawn samples; `fold` names the held-out part."""

    data: Path
    fold: int


def train(choice: EyeTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    examples = _examples(choice)
    training, _ = split(read_crops(choice.data / "eyes"), choice.fold)
    store = EyeStore.of(training_eyes(choice.data, training, choice.seed))
    fit(EyeNetwork(), _Task(store, examples), RECIPE, choice)


def _examples(choice: EyeTraining) -> dict[str, Examples]:
    crops, faces = held_out_crops(choice.data, choice.fold), held_out_faces(choice.data)
    return {
        "crops": in_service(crops),
        "stretched": stretched(crops),
        "faces": in_service([eye for eye in faces if eye.group == "large"]),
        "drawn": in_service([eye for eye in faces if eye.group != "large"]),
    }


@dataclass(frozen=True, eq=False)
class _Task:
    """Meets `convert.training.loop.Task`."""

    store: EyeStore
    examples: dict[str, Examples]

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        images, states = batch
        pixels = normalise(images).contiguous(memory_format=torch.channels_last)
        # Layers this small are faster in float32: with bfloat16 half the time goes into conversions.
        return {"loss": nn.functional.cross_entropy(network(pixels), states, label_smoothing=0.03)}

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """On what is held out."""
        return {
            name: round(accuracy(logits_of(network, part.images), part.states), 4)
            for name, part in self.examples.items()
        }
