"""The training loop of the landmark regressors: ours and, to compare with, the seed's EfficientNet-B0."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from convert.landmarks.architectures import ARCHITECTURES, OURS, Architecture
from convert.landmarks.evaluate import Faces, held_out_faces, nme_of_network
from convert.landmarks.network import normalise
from convert.landmarks.samples import Course, Samples
from convert.landmarks.store import FaceStore, face_pictures, open_store, split_faces, write_store
from convert.training import AveragedWeights, Progress, TrainingLog, best_device, learning_rate, use_threads

BATCH = 32
WARM_UP = 200
SAVE_EVERY = 250
SCORE_EVERY = 1000
LIKELIHOOD_FROM = 2 / 3
"""The share of the steps after which the likelihood teaches the points too."""
LIKELIHOOD_SHARE = 0.3


@dataclass(frozen=True)
class LandmarkTraining:
    """What the user chose. `steps` are batches of 32 faces."""

    data: Path
    out: Path
    steps: int
    seed: int
    resume: bool
    threads: int
    architecture: str = OURS
    """One of `architectures.ARCHITECTURES`."""
    prepared: Path | None = None
    """Another training's folder, whose prepared faces are used where `out` has none."""

    @property
    def kind(self) -> Architecture:
        return ARCHITECTURES[self.architecture]


def train(choice: LandmarkTraining) -> None:
    """Train to the end, leaving `checkpoint.pt` and `log.jsonl` in `choice.out`."""
    choice.out.mkdir(parents=True, exist_ok=True)
    use_threads(choice.threads)
    torch.manual_seed(choice.seed)
    store = _store(choice)
    progress = _fresh_progress(choice.kind)
    if choice.resume:
        progress.load(choice.out / "checkpoint.pt")
    samples = Samples(store, choice.kind.shares, Course(BATCH, choice.seed, progress.step, choice.steps))
    held_out = held_out_faces(choice.data)
    batches = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=6)
    log = TrainingLog(choice.out / "log.jsonl")
    sums: dict[str, float] = {}
    for faces, points in tqdm(batches, total=choice.steps, initial=progress.step, unit="step", mininterval=10):
        for name, value in _step(progress, faces, points, choice).items():
            sums[name] = sums.get(name, 0.0) + value / SAVE_EVERY
        if progress.step % SAVE_EVERY == 0 or progress.step == choice.steps:
            progress.save(choice.out / "checkpoint.pt")
            scored = progress.step % SCORE_EVERY == 0 or progress.step == choice.steps
            figures = _figures(progress, held_out, choice.kind.looks) if scored else {}
            log.write(step=progress.step, **{name: round(value, 4) for name, value in sums.items()}, **figures)
            sums = {}


def _store(choice: LandmarkTraining) -> FaceStore:
    """The prepared faces, from an earlier run with the same seed or made now."""
    name = f"faces-{choice.seed}"
    found = open_store(choice.out / name)
    if found is None and choice.prepared is not None:
        found = open_store(choice.prepared / name)
    if found is None:
        training, _ = split_faces(choice.data)
        write_store(choice.out / name, face_pictures(training, choice.seed))
        found = open_store(choice.out / name)
    assert found is not None  # noqa: S101 - written to the end just now
    return found


def _fresh_progress(kind: Architecture) -> Progress:
    network = kind.build().to(best_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
    return Progress(network, AveragedWeights(network, 0.998), torch.optim.AdamW(groups, kind.peak_rate))


def _step(progress: Progress, faces: torch.Tensor, points: torch.Tensor, choice: LandmarkTraining) -> dict[str, float]:
    """One batch: forward in bfloat16, loss in float32, backward, optimiser, average. Returns the loss's parts."""
    device = next(progress.network.parameters()).device
    for group in progress.optimiser.param_groups:
        group["lr"] = learning_rate(progress.step, choice.steps, choice.kind.peak_rate, WARM_UP)
    progress.network.train()
    pixels = normalise(faces.to(device)).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        answer = progress.network(pixels)
    late = progress.step >= LIKELIHOOD_FROM * choice.steps
    parts = choice.kind.loss(answer.float(), points.to(device), LIKELIHOOD_SHARE if late else 0.0)
    progress.optimiser.zero_grad(set_to_none=True)
    torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.network.parameters(), 5.0)
    progress.optimiser.step()
    progress.average.update(progress.network)
    progress.step += 1
    return {name: float(value.detach()) for name, value in parts.items()}


def _figures(progress: Progress, held_out: dict[str, Faces], looks: int) -> dict[str, float]:
    """The averaged network's NME on the held-out faces, for the log."""
    network = progress.average.network
    return {name: round(nme_of_network(network, faces, looks), 3) for name, faces in held_out.items()}
