"""A PyTorch model behind the `Engine` contract: networks in training are read as in service."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from edged.ports import Arrays


class TorchEngine:
    """`model` takes one input of any name and answers with `outputs`, in their order."""

    name = "in training"
    backend = "torch"

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        self._model, self._outputs = model.eval(), outputs
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `Engine`."""
        (pixels,) = inputs.values()
        answers = self._model(torch.from_numpy(pixels.copy()).to(self._device))
        return {name: value.cpu().numpy() for name, value in zip(self._outputs, answers, strict=True)}
