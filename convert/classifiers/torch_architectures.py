"""The networks whose PyTorch state dicts are taken: array names and layers as torchvision (or timm) has them, any last layer."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from edged.errors import UsageError


@dataclass(frozen=True)
class TorchArchitecture:
    """One network by name. `build` gives it for a number of outputs (logits) with a last layer called `last`."""

    build: Callable[[int], nn.Module]
    last: str
    source: str
    """Whose array names they are, for people."""
    smallest: int
    """Pixels a side that it needs at least."""


def architecture(name: str, size: int) -> TorchArchitecture:
    """The architecture called `name`. Raise UsageError when it cannot see pictures of `size` pixels a side."""
    chosen = ARCHITECTURES[name]
    if not chosen.smallest <= size <= MOST_PIXELS:
        raise UsageError(f"--size {size}: {name} takes pictures of {chosen.smallest} to {MOST_PIXELS} pixels a side")
    return chosen


MOST_PIXELS = 512
"""A face is 112 px when it comes; nothing is gained by more than such networks are trained on."""


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions, the stride in the second (arXiv 1512.03385, "version 1.5")."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outside, 1, bias=False), nn.BatchNorm2d(outside)
        if inside != outside or stride != 1:
            shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.downsample: nn.Module = nn.Sequential(shortcut, nn.BatchNorm2d(outside))
        else:
            self.downsample = nn.Identity()

    def forward(self, planes: Tensor) -> Tensor:
        value = torch.relu(self.bn1(self.conv1(planes)))
        value = torch.relu(self.bn2(self.conv2(value)))
        return torch.relu(self.bn3(self.conv3(value)) + self.downsample(planes))


class ResNet50(nn.Module):
    """Names as torchvision's `resnet50`, which timm's shares."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(64, 64, 3, 1)
        self.layer2 = self._stage(256, 128, 4, 2)
        self.layer3 = self._stage(512, 256, 6, 2)
        self.layer4 = self._stage(1024, 512, 3, 2)
        self.fc = nn.Linear(2048, outputs)

    @staticmethod
    def _stage(inside: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        rest = (Bottleneck(4 * width, width, 1) for _ in range(blocks - 1))
        return nn.Sequential(Bottleneck(inside, width, stride), *rest)

    def forward(self, planes: Tensor) -> Tensor:
        value = self.maxpool(torch.relu(self.bn1(self.conv1(planes))))
        value = self.layer4(self.layer3(self.layer2(self.layer1(value))))
        logits: Tensor = self.fc(value.mean((2, 3)))
        return logits


def _convolved(inside: int, outside: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, its normalisation and ReLU6."""
    convolution = nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU6())


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widened, convolved channel by channel, narrowed without activation (arXiv 1801.04381)."""

    def __init__(self, inside: int, outside: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inside * expansion
        widened = [_convolved(inside, width, 1)] if expansion != 1 else []
        narrowed = [nn.Conv2d(width, outside, 1, bias=False), nn.BatchNorm2d(outside)]
        self.conv = nn.Sequential(*widened, _convolved(width, width, 3, stride, width), *narrowed)
        self._residual = stride == 1 and inside == outside

    def forward(self, planes: Tensor) -> Tensor:
        value: Tensor = self.conv(planes)
        return planes + value if self._residual else value


class MobileNetV2(nn.Module):
    """Names as torchvision's `mobilenet_v2`, of full width."""

    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    """Expansion, channels, blocks and the first block's stride."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolved(3, 32, 3, 2)]
        inside = 32
        for expansion, outside, blocks, stride in self.STAGES:
            for number in range(blocks):
                layers.append(InvertedResidual(inside, outside, stride if number == 0 else 1, expansion))
                inside = outside
        self.features = nn.Sequential(*layers, _convolved(inside, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, outputs))

    def forward(self, planes: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(planes).mean((2, 3)))
        return logits


class SeparableConvolution(nn.Module):
    """Channel by channel, then across channels."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, inside, 3, 1, 1, groups=inside, bias=False)
        self.pointwise = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, planes: Tensor) -> Tensor:
        value: Tensor = self.pointwise(self.conv1(planes))
        return value


class XceptionBlock(nn.Module):
    """Separable convolutions through `channels` beside a shortcut; halved with `pooled` (arXiv 1610.02357, figure 5)."""

    def __init__(self, *channels: int, pooled: bool, activated: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in pairwise(channels):
            layers += [nn.ReLU(), SeparableConvolution(inside, outside), nn.BatchNorm2d(outside)]
        if pooled:
            layers.append(nn.MaxPool2d(3, 2, 1))
        self.rep = nn.Sequential(*layers[0 if activated else 1 :])
        self._shortcut = pooled
        if pooled:
            self.skip = nn.Conv2d(channels[0], channels[-1], 1, 2, bias=False)
            self.skipbn = nn.BatchNorm2d(channels[-1])

    def forward(self, planes: Tensor) -> Tensor:
        value: Tensor = self.rep(planes)
        return value + (self.skipbn(self.skip(planes)) if self._shortcut else planes)


class Xception(nn.Module):
    """Names as timm's `legacy_xception` (before: `xception`), which are those of Cadene's pretrained models."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
        self.block1 = XceptionBlock(64, 128, 128, pooled=True, activated=False)
        self.block2 = XceptionBlock(128, 256, 256, pooled=True)
        self.block3 = XceptionBlock(256, 728, 728, pooled=True)
        self._middle = [f"block{number}" for number in range(4, 12)]
        for name in self._middle:
            self.add_module(name, XceptionBlock(728, 728, 728, 728, pooled=False))
        self.block12 = XceptionBlock(728, 728, 1024, pooled=True)
        self.conv3, self.bn3 = SeparableConvolution(1024, 1536), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = SeparableConvolution(1536, 2048), nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, outputs)

    def forward(self, planes: Tensor) -> Tensor:
        value = torch.relu(self.bn1(self.conv1(planes)))
        value = torch.relu(self.bn2(self.conv2(value)))
        value = self.block3(self.block2(self.block1(value)))
        for name in self._middle:
            value = self.get_submodule(name)(value)
        value = self.block12(value)
        value = torch.relu(self.bn3(self.conv3(value)))
        value = torch.relu(self.bn4(self.conv4(value)))
        logits: Tensor = self.fc(value.mean((2, 3)))
        return logits


ARCHITECTURES = {
    "resnet50": TorchArchitecture(ResNet50, "fc", "torchvision's and timm's", 32),
    "mobilenet_v2": TorchArchitecture(MobileNetV2, "classifier.1", "torchvision's", 32),
    "xception": TorchArchitecture(Xception, "fc", "timm's legacy", 71),
}
