"""The training of the mask classifier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from convert.data.coco import read_coco
from convert.data.split import split
from convert.data.store import prepared
from convert.layers import normalise
from convert.mask.evaluate import Examples, held_out_examples, held_out_figures, web_examples
from convert.mask.network import MaskNetwork
from convert.mask.samples import Batch, Samples
from convert.mask.sources import training_crops
from convert.mask.store import CropStore, open_store, write_store
from convert.training.batches import Course
from convert.training.loop import Recipe, begin, in_bfloat16
from convert.training.warm_start import WarmTrainingChoice, fit_from

STEPS_PER_EPOCH = 200
RECIPE = Recipe(batch=128, peak_rate=3e-3, warm_up=100, weight_decay=0.02, save_every=STEPS_PER_EPOCH)


@dataclass(frozen=True, kw_only=True)
class MaskTraining(WarmTrainingChoice):
    """What the user chose. `steps` are batches of 128 drawn samples; 200 of them are called an epoch."""

    data: Path
    people: tuple[Path, ...] = ()
    """Folders of more people without masks, as `label-people` writes them."""


def train(choice: MaskTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    store = crop_store(choice.out / f"crops-{choice.seed}", choice.data, choice.seed, choice.people)
    task = StateTask(store, held_out_examples(choice.data), logits_in_bfloat16, normalise, web_examples(choice.data))
    fit_from(MaskNetwork(), task, RECIPE, choice)


def crop_store(folder: Path, data: Path, seed: int, people: Sequence[Path] = ()) -> CropStore:
    """The cut faces in `folder`, from an earlier run, or cut there now from `data` and `people`, decided by `seed`."""

    def write(folder: Path) -> None:
        training, _ = split(read_coco(data / "masks853"))
        write_store(folder, training_crops(data, training, seed, people))

    return prepared(folder, open_store, write)


def logits_in_bfloat16(network: nn.Module, images: Tensor) -> Tensor:
    answer: Tensor = in_bfloat16(network, normalise(images)).float()
    return answer


@dataclass(frozen=True, eq=False)
class StateTask:
    """Meets `convert.training.loop.Task`: tells the state of a mask, with our network or another's."""

    store: CropStore
    examples: Examples
    logits: Callable[[nn.Module, Tensor], Tensor]
    """What a network in training says of uint8 faces [B, H, W, 3]: [B, 3]."""
    prepare: Callable[[Tensor], Tensor]
    """From such faces to what the network takes when it is scored."""
    web: Examples | None = None
    """Held-out photographs from the web, scored as well."""

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        images, targets = batch
        return {"loss": nn.functional.cross_entropy(self.logits(network, images), targets)}

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        crowd = held_out_figures(network, self.examples, self.prepare)
        if self.web is None:
            return crowd
        web = held_out_figures(network, self.web, self.prepare)
        return {**crowd, **{f"web_{name}": value for name, value in web.items()}}
