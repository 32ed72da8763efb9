"""Gives a network that can be trained the weights of an exported ONNX model, in which batch norms are folded away."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from edged.errors import UsageError


def warm_start(network: nn.Module, model: Path, batches: Iterable[Tensor]) -> None:
    """Make `network` answer as `model` does, in training as in use. Raise UsageError when the two do not fit.

    Folding a batch norm into its convolution loses what the norm had measured, and a training network normalises by
    what it sees. So it is measured anew: `batches`, of the training's own kind and as the network wants them, go through
    once, and each norm gets their mean and variance, and the scale and shift that undo them.

    The network's convolutions must be defined in the order in which they run; a norm follows right on its convolution.
    """
    layers, folded = list(_layers(network)), list(_folded(model))
    if len(layers) != len(folded) or any(
        layer.weight.shape != weight.shape for (layer, _), (weight, _) in zip(layers, folded, strict=True)
    ):
        raise UsageError(f"{model}: is not an export of this network; train without --start")
    with torch.no_grad():
        for (layer, norm), (weight, bias) in zip(layers, folded, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.copy()))
            if norm is None:
                assert layer.bias is not None  # noqa: S101 - as built by us: without a norm there is a bias
                layer.bias.copy_(torch.from_numpy(bias.copy()))
            else:
                _pass_on(norm, torch.from_numpy(bias.copy()))
        _measure(network.eval(), [norm for _, norm in layers if norm is not None], batches)


def _layers(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution, with the batch norm that follows it."""
    leaves = [module for module in network.modules() if not any(module.children())]
    for layer, following in pairwise([*leaves, nn.Identity()]):
        if isinstance(layer, nn.Conv2d):
            yield layer, following if isinstance(following, nn.BatchNorm2d) else None


def _folded(model: Path) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of every convolution, in the order in which they run."""
    try:
        graph = onnx.load(model).graph
    except Exception as error:  # noqa: BLE001  protobuf raises its own
        raise UsageError(f"{model}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            weight, bias = (numpy_helper.to_array(values[name]) for name in node.input[1:3])
            yield weight, bias


def _pass_on(norm: nn.BatchNorm2d, shift: Tensor) -> None:
    """Make `norm`, in use, add `shift` and nothing else."""
    assert norm.running_mean is not None  # noqa: S101
    assert norm.running_var is not None  # noqa: S101
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(shift)


def _measure(network: nn.Module, norms: list[nn.BatchNorm2d], batches: Iterable[Tensor]) -> None:
    """Give each norm the mean and variance of what it sees, and what undoes them."""
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def note(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].double().transpose(0, 1).flatten(1)
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101
        sums[norm] += torch.stack(
            [torch.full((len(values),), values.shape[1]), values.sum(dim=1), values.square().sum(dim=1)]
        )

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, (count, total, squares) in sums.items():
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        assert norm.running_mean is not None  # noqa: S101
        assert norm.running_var is not None  # noqa: S101
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
