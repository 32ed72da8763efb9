"""What classifiers of three states answer, how often they are right, and how honest their probabilities are."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convert.layers import normalise
from edged.ports import Engine

Confusion = NDArray[np.int64]
"""3 x 3 counts: rows are truth, columns the answer, both in the order of the classifier's states."""


@torch.inference_mode()
def logits_of(
    network: nn.Module, images: NDArray[np.uint8], prepare: Callable[[Tensor], Tensor] = normalise
) -> NDArray[np.float32]:
    """N x 3 logits for N images, in float32; `prepare` makes of uint8 [batch, H, W, 3] what the network takes."""
    device = next(network.parameters()).device
    parts = [
        network(prepare(torch.from_numpy(images[start : start + 64]).to(device))).cpu()
        for start in range(0, len(images), 64)
    ]
    return np.asarray(torch.cat(parts).float().numpy(), np.float32)


def answers(engine: Engine, images: NDArray[np.uint8], given: str = "faces") -> NDArray[np.float32]:
    """N x 3 probabilities for N images; `given` is the name of the model's input."""
    parts = [engine.run({given: images[start : start + 32]})["probabilities"] for start in range(0, len(images), 32)]
    return np.concatenate(parts)


def confusion(scores: NDArray[np.float32], states: NDArray[np.int64]) -> Confusion:
    """Count answers (the highest score) against truth."""
    table = np.zeros((3, 3), np.int64)
    np.add.at(table, (states, scores.argmax(axis=1)), 1)
    return table


def accuracy(scores: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    """Share of right answers."""
    return float((scores.argmax(axis=1) == states).mean())


def f1_scores(table: Confusion) -> NDArray[np.float64]:
    """F1 of each state; 0 where a state never occurs."""
    return np.asarray(2 * table.diagonal() / np.maximum(table.sum(0) + table.sum(1), 1), np.float64)


def macro_f1(table: Confusion) -> float:
    """The mean F1 of the three states."""
    return float(f1_scores(table).mean())


def best_temperature(logits: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    """The divisor of the logits with the least negative log-likelihood (Guo et al. 2017, arXiv 1706.04599)."""
    candidates = np.exp(np.linspace(np.log(0.2), np.log(5), 200))
    losses = [_negative_log_likelihood(logits / t, states) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def _negative_log_likelihood(logits: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(states)), states]).mean())


def calibration_error(probabilities: NDArray[np.float32], states: NDArray[np.int64], bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equal bins of confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == states
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[place == k].mean() - right[place == k].mean())) * float((place == k).mean())
        for k in range(bins)
        if (place == k).any()
    ]
    return float(sum(gaps))
