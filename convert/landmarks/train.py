"""The training of the landmark regressors: ours and, to compare with, the baseline EfficientNet-B0."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from convert.data.store import prepared
from convert.landmarks.architectures import ARCHITECTURES, OURS, Architecture
from convert.landmarks.evaluate import Faces, held_out_faces, nme_of_network
from convert.landmarks.samples import Batch, Samples
from convert.landmarks.store import FaceStore, face_pictures, open_store, split_faces, write_store
from convert.layers import normalise
from convert.training.batches import Course
from convert.training.loop import Recipe, begin, in_bfloat16
from convert.training.warm_start import WarmTrainingChoice, fit_from

RECIPE = Recipe(
    batch=32,
    peak_rate=ARCHITECTURES[OURS].peak_rate,
    warm_up=200,
    weight_decay=0.03,
    averaging=0.998,
    save_every=250,
    score_every=1000,
)
LIKELIHOOD_FROM = 2 / 3
"""The share of the steps after which the likelihood teaches the points too."""
LIKELIHOOD_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class LandmarkTraining(WarmTrainingChoice):
    """What the user chose. `steps` are batches of 32 faces."""

    data: Path
    architecture: str = OURS
    """One of `architectures.ARCHITECTURES`."""
    prepared: Path | None = None
    """Another training's folder, whose prepared faces are used where `out` has none."""

    @property
    def kind(self) -> Architecture:
        return ARCHITECTURES[self.architecture]


def train(choice: LandmarkTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    store = _store(choice)
    task = _Task(choice, store, held_out_faces(choice.data))
    fit_from(choice.kind.build(), task, replace(RECIPE, peak_rate=choice.kind.peak_rate), choice)


def _store(choice: LandmarkTraining) -> FaceStore:
    """The prepared faces, from an earlier run with the same seed or made now."""
    name = f"faces-{choice.seed}"

    def write(folder: Path) -> None:
        training, _ = split_faces(choice.data)
        write_store(folder, face_pictures(training, choice.seed))

    if choice.prepared is not None and open_store(choice.out / name) is None:
        shared = open_store(choice.prepared / name)
        if shared is not None:
            return shared
    return prepared(choice.out / name, open_store, write)


@dataclass(frozen=True, eq=False)
class _Task:
    """Meets `convert.training.loop.Task`."""

    choice: LandmarkTraining
    store: FaceStore
    held_out: Mapping[str, Faces]

    def batches(self, course: Course) -> Samples:
        return Samples(self.store, self.choice.kind.shares, course)

    def losses(self, network: nn.Module, batch: Batch, step: int) -> Mapping[str, Tensor]:
        faces, points = batch
        answer = in_bfloat16(network, normalise(faces)).float()
        late = self.choice.start is not None or step >= LIKELIHOOD_FROM * self.choice.steps
        return self.choice.kind.loss(answer, points, LIKELIHOOD_SHARE if late else 0.0)

    def figures(self, network: nn.Module) -> Mapping[str, float]:
        """The NME on the held-out faces."""
        passes = self.choice.kind.passes
        return {name: round(nme_of_network(network, faces, passes), 3) for name, faces in self.held_out.items()}
