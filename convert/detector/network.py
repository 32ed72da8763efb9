"""The detector's network: YuNet's building blocks (arXiv 2202.02298 line) on a stem of stride 4.

Small faces need many cells a face, and cells cost time. YuNet spends most of it before stride 8; here a 4 x 4 patch
convolution goes to stride 4 at once. What is saved goes to the coarse levels, where channels are cheap: they know what a
person looks like, and see all of a face that fills the picture.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from convert.layers import MEAN, SCALE, Depthwise

STRIDES = (8, 16, 32)

POINTS = 5
SCORE, BOX, KEYPOINTS, VISIBLE, MASK = slice(0, 1), slice(1, 5), slice(5, 15), slice(15, 20), slice(20, 23)
CHANNELS = 23
"""What each cell tells: face score, box (dx, dy, log w, log h), five points (dx, dy), their visibility, mask state.

Distances are from the cell's centre and in units of its stride; score, visibility and mask state are logits.
"""


def unit(inputs: int, outputs: int, active: bool = True, kernel: int = 3) -> nn.Sequential:
    """Mix the channels, then filter each alone, then one batch norm for both (YuNet)."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 1, bias=not active),
        nn.Conv2d(outputs, outputs, kernel, padding=kernel // 2, groups=outputs, bias=not active),
    ]
    if active:
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def down(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the map: filter with stride 2, then mix."""
    return nn.Sequential(
        Depthwise(inputs, 3, 2),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Pair(nn.Module):
    """Two units with a way round them."""

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(unit(channels, channels, kernel=kernel), unit(channels, channels, kernel=kernel))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y


@dataclass(frozen=True)
class Widths:
    """Channels at strides 4, 8, 16 and 32."""

    stem: int = 32
    fine: int = 48
    middle: int = 128
    coarse: int = 192


COARSE_KERNEL = 5
"""Two pairs of such filters at stride 32 reach over 500 pixels: a face that fills the picture is seen whole."""


class DetectorNetwork(nn.Module):
    """Input N x 3 x H x W, normalised, H and W multiples of 32; output per stride N x 23 x H/s x W/s."""

    def __init__(self, widths: Widths = Widths()) -> None:
        super().__init__()
        w = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, w.stem, 4, 4, bias=False), nn.BatchNorm2d(w.stem), nn.ReLU(inplace=True), unit(w.stem, w.stem)
        )
        self.fine = nn.Sequential(down(w.stem, w.fine), unit(w.fine, w.fine), Pair(w.fine))
        self.middle = nn.Sequential(down(w.fine, w.middle), unit(w.middle, w.middle), Pair(w.middle))
        self.coarse = nn.Sequential(
            down(w.middle, w.coarse), Pair(w.coarse, COARSE_KERNEL), Pair(w.coarse, COARSE_KERNEL)
        )
        self.neck = nn.ModuleList([unit(w.fine, w.fine), unit(w.middle, w.middle), unit(w.coarse, w.middle)])
        self.narrow = nn.Conv2d(w.middle, w.fine, 1)
        self.heads = nn.ModuleList(
            nn.Sequential(unit(channels, channels), unit(channels, CHANNELS, active=False))
            for channels in (w.fine, w.middle, w.middle)
        )
        self._start()

    def _start(self) -> None:
        """Scores begin low, since nearly every cell is background (arXiv 1708.02002)."""
        for head in self.heads:
            last = head[-1][-1]  # type: ignore[index]
            nn.init.zeros_(last.bias)
            nn.init.constant_(last.bias[SCORE], -4.0)
            nn.init.constant_(last.bias[BOX][2:], 0.7)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.neck[2](self.coarse(middle))
        middle = self.neck[1](middle + interpolate(coarse, scale_factor=2.0, mode="nearest"))
        fine = self.neck[0](fine + interpolate(self.narrow(middle), scale_factor=2.0, mode="nearest"))
        return [head(level) for head, level in zip(self.heads, (fine, middle, coarse), strict=True)]


class DetectorModel(nn.Module):
    """What is exported: pixels in, one map per stride out, all in stride units so that half precision stays exact.

    Input `image` uint8 [batch, H, W, 3], BGR. Each output float32 [batch, 23, H/s, W/s]: score, box centre (dx, dy),
    box width and height, points (dx, dy) x 5, visibility x 5, mask probabilities x 3.
    """

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = fold_normalisation(network)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(activate(level) for level in self.network(image.permute(0, 3, 1, 2).to(torch.float32)))


def fold_normalisation(network: DetectorNetwork) -> DetectorNetwork:
    """A copy that takes pixels as they are: its first convolution subtracts and divides.

    Exact, since that convolution has no padding; two passes over the whole picture are saved.
    """
    folded = copy.deepcopy(network)
    first = folded.stem[0]
    assert isinstance(first, nn.Conv2d)  # noqa: S101 - as built above
    stem = nn.Conv2d(3, first.out_channels, 4, 4)
    with torch.no_grad():
        stem.weight.copy_(first.weight / SCALE)
        assert stem.bias is not None  # noqa: S101 - as built above
        stem.bias.copy_(-MEAN / SCALE * first.weight.sum(dim=(1, 2, 3)))
    folded.stem[0] = stem.to(first.weight.device)
    return folded


def activate(level: Tensor) -> Tensor:
    """Turn one level's raw channels into scores, sizes and probabilities."""
    box = level[:, BOX]
    return torch.cat(
        [
            level[:, SCORE].sigmoid(),
            box[:, :2],
            # No face is larger than a thousand cells; the bound keeps half precision finite.
            box[:, 2:].clamp(max=7.0).exp(),
            level[:, KEYPOINTS],
            level[:, VISIBLE].sigmoid(),
            level[:, MASK].softmax(dim=1),
        ],
        dim=1,
    )
