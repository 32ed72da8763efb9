"""The training of the detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from convert.data.coco import LabelledPicture, read_coco
from convert.data.held_out import scored_below
from convert.data.objects import Objects, read_objects
from convert.data.split import split
from convert.data.store import prepared
from convert.data.teacher import Teacher
from convert.detector.errors import LEAST_SCORE, erred
from convert.detector.evaluate import score_network
from convert.detector.losses import detection_loss
from convert.detector.network import DetectorNetwork
from convert.detector.pictures import More, training_pictures
from convert.detector.samples import Batch, Samples, to_truth
from convert.detector.store import PictureStore, open_store, write_store
from convert.layers import normalise
from convert.training.batches import Course
from convert.training.loop import Recipe, begin, in_bfloat16
from convert.training.warm_start import WarmTrainingChoice, fit_from
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.inference import OnnxEngine
from edged.types import Image

RECIPE = Recipe(
    batch=16,
    peak_rate=2e-3,
    warm_up=300,
    weight_decay=0.02,
    averaging=0.9985,
    longest_gradient=10.0,
    save_every=250,
    score_every=1000,
)


@dataclass(frozen=True, kw_only=True)
class DetectorTraining(WarmTrainingChoice):
    """What the user chose. `steps` are batches of 16 samples of 320 x 320."""

    data: Path
    objects: Path | None = None
    """Where `gather-objects` put pictures of things; without them the network has seen fewer."""
    people: tuple[Path, ...] = ()
    """Folders that `label-people` wrote."""
    nobody: tuple[Path, ...] = ()
    """Folders of pictures that show nobody."""
    errors_of: Path | None = None
    """A detector whose errors are drawn more often; see `convert.detector.errors`."""


def train(choice: DetectorTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    training, held_out = split(read_coco(choice.data / "masks853"))

    teacher = Teacher(choice.data / "peers" / "yunet_n_dynamic.onnx")

    def a_face(image: Image) -> bool:
        return bool(len(teacher.find(image, 1.0, 0.4)))

    objects = Objects() if choice.objects is None else read_objects(choice.objects, a_face)
    more = More.read(choice.people, choice.nobody, objects.photographs)

    def write(folder: Path) -> None:
        new = more.unlike(scored_below(choice.data))
        write_store(folder, training_pictures(choice.data, training, choice.seed, new))

    store = prepared(choice.out / f"pictures-{choice.seed}", open_store, write)
    often = None if choice.errors_of is None else erred(store, _detector(choice.errors_of))
    fit_from(DetectorNetwork(), _Task(store, held_out, objects.cutouts, often), RECIPE, choice, folded_pixels=True)


def _detector(model: Path) -> AnchorFreeDetector:
    engine = OnnxEngine("detector", model.read_bytes(), threads=1)
    return AnchorFreeDetector(engine, WorkingSize(enlarge=1.0), LEAST_SCORE)


@dataclass(frozen=True, eq=False)
class _Task:
    """Meets `convert.training.loop.Task`."""

    store: PictureStore
    held_out: Sequence[LabelledPicture]
    cutouts: Sequence[NDArray[np.uint8]]
    often: NDArray[np.bool_] | None = None

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, course, self.cutouts, self.often)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        images, faces = batch
        levels = in_bfloat16(network, normalise(images))
        return detection_loss(levels, [to_truth(rows, images.device) for rows in faces])

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """On the held-out pictures."""
        assert isinstance(network, DetectorNetwork)  # noqa: S101 - a copy of the one that is trained
        return score_network(network, self.held_out, WorkingSize()).flat()
