"""What the detector is punished for: scores, boxes, points, their visibility, and the mask state of found faces."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from convert.detector.assign import Assignment, Cells, assign, lay_cells, pairwise_iou
from convert.detector.network import BOX, KEYPOINTS, MASK, SCORE, VISIBLE

BOX_WEIGHT, POINT_WEIGHT, VISIBLE_WEIGHT, MASK_WEIGHT = 2.0, 1.0, 0.2, 0.5
STATE_WEIGHTS = (1.0, 2.5, 1.3)
"""correct, incorrect, none: about the inverse root of how often each is seen."""
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Faces:
    """One picture's truth, for G faces.

    boxes G x 4 (corners, pixels); points G x 5 x 2; point_weights G x 5 (0: not known); visible G x 5 (1, 0, or
    UNKNOWN); states G (0..2, or UNKNOWN); sure G: the score to be learned, 1 for what is surely a face, below where
    teachers were in doubt; ignored K x 4: regions where nothing is asked.
    """

    boxes: Tensor
    points: Tensor
    point_weights: Tensor
    visible: Tensor
    states: Tensor
    sure: Tensor
    ignored: Tensor


def detection_loss(levels: list[Tensor], truth: list[Faces]) -> dict[str, Tensor]:
    """The weighted parts of the loss for one batch of raw network outputs; their sum is what is minimised."""
    height, width = levels[0].shape[2] * 8, levels[0].shape[3] * 8
    cells = lay_cells(height, width, levels[0].device)
    raw = torch.cat([level.float().flatten(2).transpose(1, 2) for level in levels], dim=1)
    boxes = decode_boxes(raw, cells)
    targets = torch.zeros_like(raw[..., 0])
    asked = torch.ones_like(targets)
    parts = []
    for image, faces in enumerate(truth):
        found = assign(cells, raw[image, :, 0].detach().sigmoid(), boxes[image].detach(), faces.boxes)
        # Whether a face is there, not how well it is boxed: a score tied to the overlap teaches small faces to hide.
        targets[image, found.cells] = faces.sure[found.faces]
        asked[image] = _asked(cells, faces, found)
        parts.append(_face_losses(raw[image], boxes[image], cells, faces, found))
    count = max(1, sum(len(part.box) for part in parts))
    score = focal(raw[..., SCORE.start], targets) * asked
    box, points, visible, mask = (torch.cat([getattr(part, name) for part in parts]) for name in _FACE_PARTS)
    return {
        "score": score.sum() / count,
        "box": BOX_WEIGHT * box.sum() / count,
        "points": POINT_WEIGHT * points.sum() / count,
        "visible": VISIBLE_WEIGHT * visible.sum() / count,
        "mask": MASK_WEIGHT * mask.sum() / count,
    }


def decode_boxes(raw: Tensor, cells: Cells) -> Tensor:
    """Corners in pixels, B x A x 4, from raw channels B x A x 23."""
    stride = cells.strides[:, None]
    box = raw[..., BOX]
    centre = cells.centres + box[..., :2] * stride
    half = box[..., 2:].clamp(max=7.0).exp() * stride / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Quality focal loss with beta 2 (arXiv 2006.04388, equation 3), elementwise; targets are 0 to 1."""
    distance = (targets - logits.sigmoid()).abs()
    return binary_cross_entropy_with_logits(logits, targets, reduction="none") * distance.square() * 2


@dataclass(frozen=True, eq=False)
class _FaceLosses:
    box: Tensor
    points: Tensor
    visible: Tensor
    mask: Tensor


_FACE_PARTS = ("box", "points", "visible", "mask")


def _asked(cells: Cells, faces: Faces, found: Assignment) -> Tensor:
    """0 for cells inside ignored regions that no face claims."""
    asked = torch.ones_like(cells.strides)
    if len(faces.ignored):
        x, y = cells.centres[:, :1], cells.centres[:, 1:]
        low, high = faces.ignored[:, :2], faces.ignored[:, 2:]
        asked[((x > low[:, 0]) & (x < high[:, 0]) & (y > low[:, 1]) & (y < high[:, 1])).any(dim=1)] = 0
        asked[found.cells] = 1
    return asked


def _face_losses(raw: Tensor, boxes: Tensor, cells: Cells, faces: Faces, found: Assignment) -> _FaceLosses:
    """Per assigned cell, so that every face counts by its cells."""
    rows, chosen = raw[found.cells], found.faces
    truth = faces.boxes[chosen]
    size = (truth[:, 2:] - truth[:, :2]).prod(dim=1).sqrt().clamp(min=1)
    stride = cells.strides[found.cells]
    places = rows[:, KEYPOINTS].reshape(-1, 5, 2) * stride[:, None, None] + cells.centres[found.cells][:, None]
    # In units of the face, so that near and far faces count alike.
    error = (places - faces.points[chosen]) / size[:, None, None]
    weights = faces.point_weights[chosen]
    points = (smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.05).sum(2) * weights).sum(1)
    visible = faces.visible[chosen]
    known = (visible != UNKNOWN).float()
    seen = binary_cross_entropy_with_logits(rows[:, VISIBLE], visible.clamp(min=0), reduction="none") * known
    state = faces.states[chosen]
    mask = cross_entropy(
        rows[:, MASK],
        state,
        rows.new_tensor(STATE_WEIGHTS),
        ignore_index=UNKNOWN,
        reduction="none",
        label_smoothing=0.05,
    )
    sure = faces.sure[chosen]
    return _FaceLosses(
        complete_iou_loss(boxes[found.cells], truth) * sure, points * sure, seen.sum(dim=1) * sure, mask * sure
    )


def complete_iou_loss(found: Tensor, truth: Tensor) -> Tensor:
    """1 - CIoU (arXiv 1911.08287, equations 10 to 12) of P pairs of boxes."""
    low, high = torch.maximum(found[:, :2], truth[:, :2]), torch.minimum(found[:, 2:], truth[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    size_a, size_b = found[:, 2:] - found[:, :2], truth[:, 2:] - truth[:, :2]
    overlap = common / (size_a.prod(dim=1) + size_b.prod(dim=1) - common + 1e-9)
    hull = torch.maximum(found[:, 2:], truth[:, 2:]) - torch.minimum(found[:, :2], truth[:, :2])
    apart = (found[:, :2] + found[:, 2:] - truth[:, :2] - truth[:, 2:]).square().sum(dim=1) / 4
    angle = torch.atan(size_b[:, 0] / size_b[:, 1].clamp(min=1e-6)) - torch.atan(
        size_a[:, 0] / size_a[:, 1].clamp(min=1e-6)
    )
    shape = 4 / math.pi**2 * angle.square()
    weight = (shape / (1 - overlap + shape + 1e-9)).detach()
    return 1 - overlap + apart / hull.square().sum(dim=1).clamp(min=1e-9) + weight * shape


__all__ = ["UNKNOWN", "Faces", "complete_iou_loss", "decode_boxes", "detection_loss", "focal", "pairwise_iou"]
