"""Gives a network that can be trained the weights of an exported ONNX model, in which batch norms are folded away."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from convert.layers import MEAN, SCALE, normalise
from convert.training.batches import Course
from convert.training.loop import Recipe, Task, TrainingChoice, fit
from edged.errors import UsageError

START_RATE = 1 / 2
"""The peak rate of a training that goes on from an exported model, as a part of the usual one."""
MEASURED_STEPS = 12
"""Batches by which such a training's batch norms are measured."""


@dataclass(frozen=True, kw_only=True)
class WarmTrainingChoice(TrainingChoice):
    """What the user chose for a training that may go on from a model."""

    start: Path | None = None
    """An exported model to go on from; None starts at random. What lies outside the network is not taken from it.

    It may be narrower than the network: then what it knows is where the training starts.
    """


def fit_from(
    network: nn.Module, task: Task, recipe: Recipe, choice: WarmTrainingChoice, *, folded_pixels: bool = False
) -> None:
    """`fit`, from `choice.start` where there is one; the batches' pictures are given as `normalise` makes them."""
    if choice.start is not None:
        seen = task.batches(Course(recipe.batch, choice.seed + 1, 0, MEASURED_STEPS))
        warm_start(network, choice.start, (normalise(batch[0]) for batch in seen), folded_pixels=folded_pixels)
    fit(network, task, gentler(recipe, choice.start), choice)


def gentler(recipe: Recipe, start: Path | None) -> Recipe:
    """The recipe of a training that goes on from the exported model `start`; the usual one without it."""
    return recipe if start is None else replace(recipe, peak_rate=recipe.peak_rate * START_RATE)


def warm_start(network: nn.Module, model: Path, batches: Iterable[Tensor], *, folded_pixels: bool = False) -> None:
    """Make `network` answer as `model` does, in training as in use. Raise UsageError when the two do not fit.

    Where `model` has fewer channels, the others start at random, and nothing that `model` knew listens to them yet
    (the aim of Net2WiderNet, arXiv 1511.05641, which copies channels instead). What goes in must be the same, and what the last
    layer answers. Channels keep their places: a network that joins maps, or shuffles them, cannot be widened so.

    Folding a batch norm into its convolution loses what the norm had measured, and a training network normalises by
    what it sees. So it is measured anew: `batches`, of the training's own kind and as the network wants them, go through
    once, and each norm gets their mean and variance, and the scale and shift that undo them; new channels are normalised.

    A norm must follow right on its convolution. `folded_pixels` tells that the model's first convolution takes pixels
    as they are, with `normalise` folded into it.
    """
    coming = iter(batches)
    first = next(coming)
    layers, given = _layers(network.eval(), first), list(_given(model))
    if not _fit([layer.weight.shape for layer, _ in layers], [weight.shape for weight, _ in given]):
        raise UsageError(f"{model}: is not an export of this network; train without --start")
    if folded_pixels:
        given[0] = _unfolded(*given[0])
    with torch.no_grad():
        for (layer, norm), (weight, bias) in zip(layers, given, strict=True):
            _take(layer.weight, torch.from_numpy(weight.copy()))
            if norm is not None:
                _pass_on(norm, torch.from_numpy(bias.copy()))
            elif layer.bias is not None:
                layer.bias[: len(bias)] = torch.from_numpy(bias.copy())
        known = {norm: len(bias) for (_, norm), (_, bias) in zip(layers, given, strict=True) if norm is not None}
        seen = [first, *coming]
        _measure(network, known, seen)
        if any(count < norm.num_features for norm, count in known.items()):
            _measure_new(network, known, seen)


@torch.no_grad()
def _layers(network: nn.Module, batch: Tensor) -> list[tuple[nn.Conv2d | nn.Linear, nn.BatchNorm2d | None]]:
    """Every convolution and fully connected layer in the order in which they run, with the norm right behind it."""
    ran: list[nn.Module] = []
    leaves = [module for module in network.modules() if not any(module.children())]
    hooks = [leaf.register_forward_pre_hook(lambda leaf, _: ran.append(leaf)) for leaf in leaves]
    network(batch)
    for hook in hooks:
        hook.remove()
    return [
        (layer, following if isinstance(following, nn.BatchNorm2d) else None)
        for layer, following in pairwise([*ran, nn.Identity()])
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]


def _given(model: Path) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias (zeros where there is none) of every such layer, in the order in which they run."""
    try:
        graph = onnx.load(model).graph
    except Exception as error:  # noqa: BLE001  protobuf raises its own
        raise UsageError(f"{model}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in values:
            # Equal values are written once: the others point to them.
            values[node.output[0]] = values[node.input[0]]
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight, *bias = (numpy_helper.to_array(values[name]) for name in node.input[1:3])
            yield weight, bias[0] if bias else np.zeros(len(weight), np.float32)


def _fit(shapes: Sequence[Sequence[int]], given: Sequence[Sequence[int]]) -> bool:
    """Whether layers with weights of `shapes` can do all that those with weights `given` do."""
    return (
        len(shapes) == len(given)
        and shapes[0][1] == given[0][1]
        and shapes[-1][0] == given[-1][0]
        and all(_holds(own, other) for own, other in zip(shapes, given, strict=True))
    )


def _holds(own: Sequence[int], given: Sequence[int]) -> bool:
    """Whether a layer has at least the outputs and inputs of another, filters of the same size, and filters each channel alone
    where the other does.
    """
    as_many = own[0] >= given[0] and own[1] >= given[1]
    return as_many and own[2:] == given[2:] and (own[1] == 1) == (given[1] == 1)


def _take(weight: Tensor, given: Tensor) -> None:
    """Put `given` first in `weight`; its outputs take nothing from the inputs that it does not have."""
    outputs, inputs = given.shape[:2]
    weight[:outputs, :inputs] = given
    weight[:outputs, inputs:] = 0


def _unfolded(
    weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of a convolution that takes pixels, the one that takes what `normalise` makes of them."""
    return weight * np.float32(SCALE), bias + np.float32(MEAN) * weight.sum(axis=(1, 2, 3))


def _pass_on(norm: nn.BatchNorm2d, shift: Tensor) -> None:
    """Make `norm`, in use, add `shift` and nothing else; nothing at all to channels that have no shift."""
    assert norm.running_mean is not None  # noqa: S101
    assert norm.running_var is not None  # noqa: S101
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.zero_()
    norm.bias[: len(shift)] = shift


def _measure(network: nn.Module, norms: Mapping[nn.BatchNorm2d, int], batches: Iterable[Tensor]) -> None:
    """Give each norm the mean and variance of what it sees, and its first channels, as many as told, what undoes them.

    No norm before it normalises yet: for the other channels that is not what they will see.
    """
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
        known = norms[norm]
        norm.weight[:known] = (variance[:known] + norm.eps).sqrt().to(norm.weight.dtype)
        norm.bias[:known] += mean[:known].to(norm.bias.dtype)


def _measure_new(network: nn.Module, norms: Mapping[nn.BatchNorm2d, int], batches: Iterable[Tensor]) -> None:
    """Give the other channels of each norm the mean and variance of what they see in a training; the first stay as they are."""
    measured = {norm: (norm.running_mean, norm.running_var) for norm in norms}
    for norm in norms:
        norm.running_mean, norm.running_var = torch.zeros(norm.num_features), torch.ones(norm.num_features)
    momenta = {norm: norm.momentum for norm in norms}
    for number, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = 1 / (number + 1)
        network.train()(batch)
    for norm, (mean, variance) in measured.items():
        assert mean is not None  # noqa: S101
        assert variance is not None  # noqa: S101
        mean[norms[norm] :], variance[norms[norm] :] = norm.running_mean[norms[norm] :], norm.running_var[norms[norm] :]
        norm.running_mean, norm.running_var, norm.momentum = mean, variance, momenta[norm]
    network.eval()
