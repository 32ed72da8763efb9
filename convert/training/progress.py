"""What a training has reached: averaged weights and resumable checkpoints."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edged.errors import UsageError

CHECKPOINT = "checkpoint.pt"
"""In the training's --out folder."""


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
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            problem = str(error).splitlines()[0]
            raise UsageError(f"{path}: cannot resume from it ({problem}); train without --resume") from None


def load_trained(network: nn.Module, run: Path) -> int:
    """Give `network`, on the processor, the averaged weights of a training's --out folder, ready to be evaluated.

    Returns after how many steps. Raise UsageError when there are none, or those of another network.
    """
    path = run / CHECKPOINT
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        network.load_state_dict(state["average"]["weights"])
        step: int = state["step"]
    except (OSError, KeyError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
        raise UsageError(
            f"{path}: not a checkpoint of this network ({problem}); name the training's --out folder"
        ) from None
    network.cpu().eval()
    return step
