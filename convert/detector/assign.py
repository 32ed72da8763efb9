"""Decides which cells must find which face: SimOTA (arXiv 2107.08430, section 2.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from convert.detector.network import STRIDES

CENTRE_RADIUS = 2.5
"""Cells this many strides from a face's centre may find it even when they lie outside its box."""
CANDIDATES = 10
OVERLAP_WEIGHT = 3.0
FAR = 1e5


@dataclass(frozen=True, eq=False)
class Cells:
    """Every cell of every level: centres (A x 2) in pixels and strides (A)."""

    centres: Tensor
    strides: Tensor


@dataclass(frozen=True, eq=False)
class Assignment:
    """The chosen cells (P), and the face each must find (P)."""

    cells: Tensor
    faces: Tensor


def lay_cells(height: int, width: int, device: torch.device) -> Cells:
    """The cells of a picture whose sides are multiples of 32, level by level, row by row."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        centres.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((centres[-1].shape[0],), float(stride), device=device))
    return Cells(torch.cat(centres), torch.cat(strides))


@torch.no_grad()
def assign(cells: Cells, scores: Tensor, boxes: Tensor, faces: Tensor) -> Assignment:
    """Match one picture's cells to its faces.

    `scores` (A) are probabilities, `boxes` (A x 4) and `faces` (G x 4) corners in pixels. Each face gets as many
    cells as its ten best overlaps sum to, at least one; a cell wanted by several goes to the one it costs least.
    """
    if not len(faces):
        empty = torch.zeros(0, dtype=torch.long, device=faces.device)
        return Assignment(empty, empty)
    inside, central = _near(cells, faces)
    candidates = torch.nonzero((inside | central).any(dim=1)).squeeze(1)
    inside, central = inside[candidates], central[candidates]
    overlap = pairwise_iou(boxes[candidates], faces)
    score = scores[candidates].clamp(1e-6, 1 - 1e-6)
    cost = binary_cross_entropy(score, torch.ones_like(score), reduction="none")[:, None]
    cost = cost - OVERLAP_WEIGHT * torch.log(overlap + 1e-8) + FAR * ~(inside & central)
    return _cheapest(cost, overlap, candidates)


def _near(cells: Cells, faces: Tensor) -> tuple[Tensor, Tensor]:
    """A x G: whether the cell's centre lies in the face's box, and whether near the face's centre."""
    x, y = cells.centres[:, :1], cells.centres[:, 1:]
    inside = (x > faces[:, 0]) & (y > faces[:, 1]) & (x < faces[:, 2]) & (y < faces[:, 3])
    centre = (faces[:, :2] + faces[:, 2:]) / 2
    reach = CENTRE_RADIUS * cells.strides[:, None]
    return inside, ((x - centre[:, 0]).abs() < reach) & ((y - centre[:, 1]).abs() < reach)


def _cheapest(cost: Tensor, overlap: Tensor, candidates: Tensor) -> Assignment:
    """Give each face its number of cheapest candidates, and each candidate to one face."""
    wanted = overlap.topk(min(CANDIDATES, len(candidates)), dim=0).values.sum(dim=0).int().clamp(min=1)
    matches = torch.zeros_like(cost, dtype=torch.bool)
    for face, count in enumerate(wanted.tolist()):
        matches[cost[:, face].topk(min(count, len(candidates)), largest=False).indices, face] = True
    contested = matches.sum(dim=1) > 1
    if contested.any():
        winner = cost[contested].argmin(dim=1)
        matches[contested] = False
        matches[contested.nonzero().squeeze(1), winner] = True
    rows, faces = matches.nonzero(as_tuple=True)
    return Assignment(candidates[rows], faces)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of N and M boxes, N x M."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(dim=1), (b[:, 2:] - b[:, :2]).prod(dim=1)
    return common / (area_a[:, None] + area_b[None] - common + 1e-9)
