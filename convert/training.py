"""What every training shares: device, learning-rate schedule, averaged weights, resumable checkpoints and a log."""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edged.errors import UsageError


def best_device() -> torch.device:
    """A GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(count: int) -> None:
    """Compute with `count` threads; 0 leaves the choice to PyTorch.

    PyTorch waits for its slowest thread at every layer: where other programs keep a core busy, fewer threads are faster.
    """
    if count > 0:
        torch.set_num_threads(count)


def learning_rate(step: int, steps: int, peak: float, warm_up: int) -> float:
    """Linear warm-up over `warm_up` steps, then a cosine down to 1 % of `peak` at `steps`."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class AveragedWeights:
    """An exponential moving average of a network's weights and buffers: what is evaluated and exported."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards `network`; early on faster, so that the random start is forgotten."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for average, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def state(self) -> dict[str, Any]:
        return {"weights": self.network.state_dict(), "updates": self._updates}

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["weights"])
        self._updates = state["updates"]


@dataclass
class Progress:
    """Everything that a training needs to go on as if it had never stopped."""

    network: nn.Module
    average: AveragedWeights
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Write to a temporary name first: a power cut leaves the old checkpoint or the new one."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from `path`, or start where there is none yet. Raise UsageError when it belongs to another network."""
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.restore(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
        except (OSError, RuntimeError, KeyError) as error:
            problem = str(error).splitlines()[0]
            raise UsageError(f"{path}: cannot resume from it ({problem}); train without --resume") from None


@dataclass(frozen=True)
class Trained:
    """What is exported: the averaged weights, and after how many steps."""

    weights: dict[str, Tensor]
    step: int


def read_trained(path: Path) -> Trained:
    """The averaged weights inside a checkpoint. Raise UsageError when there are none."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        return Trained(state["average"]["weights"], state["step"])
    except (OSError, KeyError) as error:
        raise UsageError(f"{path}: not a checkpoint of ours ({error}); name the training's --out folder") from None


class TrainingLog:
    """One JSON object a line, appended: survives restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()

    def write(self, **values: float | str) -> None:
        values["seconds"] = round(time.monotonic() - self._started, 1)
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")
