"""The losses of the landmark regressors."""

import math

import torch
from torch import Tensor, nn

WING_WIDTH, WING_CURVATURE = 10.0, 2.0
"""Pixels of the 112-px crop."""

EYELIDS = (37, 38, 40, 41, 43, 44, 46, 47)
EYELID_WEIGHT = 3.0
"""The eye aspect ratio rests on these points, and half a closed eye is three pixels."""

INNER_LIPS = tuple(range(60, 68))
INNER_LIP_WEIGHT = 2.0
"""The mouth's ratio rests on these: a yawn must not look like talking."""


def point_weights() -> Tensor:
    """One weight for each of the 68 points; their mean is 1."""
    weights = torch.ones(68)
    weights[list(EYELIDS)] = EYELID_WEIGHT
    weights[list(INNER_LIPS)] = INNER_LIP_WEIGHT
    return weights / weights.mean()


def wing(errors: Tensor) -> Tensor:
    """The Wing loss (Feng et al., CVPR 2018, arXiv 1711.06753) of signed errors in pixels, element by element."""
    size = errors.abs()
    gap = WING_WIDTH - WING_WIDTH * math.log(1 + WING_WIDTH / WING_CURVATURE)
    curved = WING_WIDTH * torch.log1p(size / WING_CURVATURE)
    return torch.where(size < WING_WIDTH, curved, size - gap)


def gaussian(errors: Tensor, log_deviations: Tensor) -> Tensor:
    """Negative log-likelihood, without its constant, of N x 68 x 2 errors, one deviation for both axes of a point.

    Returns N x 68: the mean over the axes of error² / (2 deviation²) + log deviation.
    """
    squares = errors.square().mean(dim=2)
    return 0.5 * squares * torch.exp(-2 * log_deviations) + log_deviations


def landmark_loss(answer: Tensor, points: Tensor, share: float) -> dict[str, Tensor]:
    """The parts of the loss for answers N x 68 x 3 (x, y, log-deviation) and true points N x 68 x 2, in pixels.

    `share` is how much of the points' own teaching comes from the likelihood rather than from Wing: 0 to 1. The
    deviations always learn from the likelihood.
    """
    weights = point_weights().to(answer)
    errors = answer[:, :, :2] - points
    deviations = answer[:, :, 2]
    parts = {
        "wing": (1 - share) * (wing(errors).mean(dim=2) * weights).mean(),
        "deviation": (gaussian(errors.detach(), deviations) * weights).mean(),
    }
    if share > 0:
        # Each point's pull is 1 / deviation² and would vary a hundredfold: the root of it is kept (beta-NLL with
        # beta 0.5, Seitzer et al., ICLR 2022, arXiv 2203.09168).
        pull = deviations.detach()
        likelihood = errors.square().mean(dim=2) * 0.5 * torch.exp(-pull)
        parts["likelihood"] = share * (likelihood * weights).mean()
    return parts


def smooth_l1(answer: Tensor, points: Tensor, share: float) -> dict[str, Tensor]:
    """The mean smooth L1 (Girshick 2015, arXiv 1504.08083) over points and axes, in pixels; `share` is not used."""
    return {"smooth_l1": nn.functional.smooth_l1_loss(answer[:, :, :2], points)}
