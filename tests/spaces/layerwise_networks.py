"""Small networks of every kind, for the tests of the space of layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.spaces.layerwise import LayerwiseSpace, from_module

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
UP = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


@dataclass(frozen=True)
class Shape:
    """A task's shape."""

    channels: int
    classes: int
    size: tuple[int, ...]


def unit(dimensions: int, channels: int, kernels: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        CONVOLUTION[dimensions](channels, kernels, size, stride=stride, padding=size // 2, bias=False),
        NORM[dimensions](kernels),
        nn.ReLU(inplace=True),
    )


class Plain(nn.Module):
    """Convolutions, one pooling layer used twice, and dense layers after a flatten."""

    def __init__(self, dimensions: int, channels: int = 1, classes: int = 3, length: int = 16) -> None:
        super().__init__()
        self.conv1 = CONVOLUTION[dimensions](channels, 4, 3, padding=1)
        self.conv2 = unit(dimensions, 4, 8)
        self.pool = POOL[dimensions](2)
        self.dropout = nn.Dropout(0.25)
        self.dense = nn.Linear(8 * (length // 4) ** dimensions, 12)
        self.classify = nn.Linear(12, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(torch.relu(self.conv1(images)))
        features = self.pool(self.conv2(features))
        features = features.view(features.size(0), -1)
        return self.classify(self.dropout(F.relu(self.dense(features))))


class ResidualBlock(nn.Module):
    def __init__(self, dimensions: int, channels: int, kernels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = CONVOLUTION[dimensions](channels, kernels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = NORM[dimensions](kernels)
        self.conv2 = CONVOLUTION[dimensions](kernels, kernels, 3, padding=1, bias=False)
        self.norm2 = NORM[dimensions](kernels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride > 1 or channels != kernels:
            self.shortcut = nn.Sequential(
                CONVOLUTION[dimensions](channels, kernels, 1, stride=stride, bias=False),
                NORM[dimensions](kernels),
            )

    def forward(self, features: Tensor) -> Tensor:
        identity = features if self.shortcut is None else self.shortcut(features)
        out = self.relu(self.norm1(self.conv1(features)))
        out = self.norm2(self.conv2(out))
        out += identity
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self, dimensions: int, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.stem = unit(dimensions, channels, 4)
        self.layer1 = nn.Sequential(ResidualBlock(dimensions, 4, 4, 1), ResidualBlock(dimensions, 4, 4, 1))
        self.layer2 = nn.Sequential(ResidualBlock(dimensions, 4, 8, 2), ResidualBlock(dimensions, 8, 8, 1))
        self.classify = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer2(self.layer1(self.stem(images)))
        return self.classify(features.flatten(2).mean(-1))


class InceptionBlock(nn.Module):
    def __init__(self, dimensions: int, channels: int, kernels: int) -> None:
        super().__init__()
        self.one = unit(dimensions, channels, kernels, 1)
        self.three = nn.Sequential(unit(dimensions, channels, kernels, 1), unit(dimensions, kernels, kernels))
        self.five = nn.Sequential(
            unit(dimensions, channels, kernels, 1), unit(dimensions, kernels, kernels, 5)
        )
        self.pool = nn.Sequential(POOL[dimensions](3, 1, 1), unit(dimensions, channels, kernels, 1))

    def forward(self, features: Tensor) -> Tensor:
        branches = (self.one, self.three, self.five, self.pool)
        return torch.cat([branch(features) for branch in branches], dim=1)


class Inception(nn.Module):
    """With an auxiliary head, which is there in training only."""

    def __init__(self, dimensions: int, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.stem = unit(dimensions, channels, 4)
        self.block1 = InceptionBlock(dimensions, 4, 2)
        self.pool = POOL[dimensions](3, 2, 1)
        self.block2 = InceptionBlock(dimensions, 8, 3)
        self.auxiliary = nn.Linear(8, classes)
        self.classify = nn.Linear(12, classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        middle = self.block1(self.stem(images))
        features = self.block2(self.pool(middle)).flatten(2).mean(2)
        logits = self.classify(F.dropout(features, 0.1, training=self.training))
        if self.training:
            return logits, self.auxiliary(middle.flatten(2).mean(2))
        return logits


class SmallUNet(nn.Module):
    def __init__(self, dimensions: int, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        widths = (4, 6, 8)
        self.down = nn.ModuleList()
        for width in widths:
            self.down.append(nn.Sequential(unit(dimensions, channels, width), unit(dimensions, width, width)))
            channels = width
        self.pool = POOL[dimensions](2)
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(UP[dimensions](channels, width, 2, stride=2))
            self.merge.append(unit(dimensions, 2 * width, width))
            channels = width
        self.classify = CONVOLUTION[dimensions](channels, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        skips: list[Tensor] = []
        features = images
        for level, block in enumerate(self.down):
            features = block(self.pool(features) if level else features)
            skips.append(features)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            features = merge(torch.cat([skip, up(features)], 1))
        return self.classify(features)


@dataclass(frozen=True)
class Case:
    """A network, its task, and the values that are searched."""

    make: Callable[[], nn.Module]
    task: Shape
    values: dict[str, list[int]]
    dropout: bool = False

    def example(self) -> Tensor:
        return torch.randn(2, self.task.channels, *self.task.size)


def cases() -> dict[str, Case]:
    """All networks of the issue, in 2D and in 3D, narrow and for small images."""
    found: dict[str, Case] = {}
    values = {
        "kernels": [2, 3, 6],
        "kernel_size": [1, 3, 4, 5],
        "stride": [1, 2],
        "pool_size": [2, 3],
        "units": [4, 9],
    }
    # Deep networks with a stride of 2 in every other layer leave nothing of small images.
    calm: dict[str, list[int]] = {**values, "stride": [1], "pool_size": [2]}
    own: dict[str, tuple[Callable[..., nn.Module], bool]] = {
        "plain": (Plain, True),
        "residual": (Residual, False),
        "inception": (Inception, True),
        "u-net": (SmallUNet, False),
    }
    for d, length in ((2, 16), (3, 16)):
        size = (length,) * d
        for name, (make, dropout) in own.items():
            found[f"{name} {d}D"] = Case(partial(make, d), Shape(1, 3, size), values, dropout)
        large = Shape(1, 2, (32,) * d)
        basic: Any = partial(BasicUNet, d, 1, 2, features=(4, 4, 6, 6, 8, 4))
        found[f"BasicUNet {d}D"] = Case(basic, large, calm)
        unet: Any = partial(UNet, d, 1, 2, channels=(4, 6, 8), strides=(2, 2), num_res_units=2)
        found[f"UNet {d}D"] = Case(unet, Shape(1, 2, size), values)
        segresnet: Any = partial(
            SegResNet, d, init_filters=8, in_channels=1, out_channels=2, blocks_down=(1, 1), blocks_up=(1,)
        )
        found[f"SegResNet {d}D"] = Case(segresnet, Shape(1, 2, size), {**values, "kernels": [8, 12, 16]})
        dense: Any = partial(DenseNet121, d, 1, 2, init_features=4, growth_rate=2, bn_size=2)
        found[f"DenseNet121 {d}D"] = Case(dense, large, calm)
    return found


CASES = cases()


@cache
def prepared(name: str) -> tuple[nn.Module, LayerwiseSpace]:
    """A network of the cases, and the space that was read from it."""
    torch.manual_seed(3)
    module = CASES[name].make()
    return module, from_module(module, CASES[name].example(), CASES[name].values)


def outputs(network: nn.Module, images: Tensor, *, training: bool) -> list[Tensor]:
    """All that a network gives, with the same random numbers each time."""
    torch.manual_seed(7)
    value: Any = network.train(training)(images)
    return [value] if isinstance(value, Tensor) else list(value)


def assert_learns(network: nn.Module) -> None:
    """Every parameter gets a finite gradient, and some of them one that is not 0."""
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)
