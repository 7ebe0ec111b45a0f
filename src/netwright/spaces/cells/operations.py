"""The modules that networks of cells are made of. Features are (batch, channels, height, width)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.kernels import average_pool, depthwise, maximum_pool
from netwright.nn.schedule import Scheduled
from netwright.nn.standardised import by_rows, separable, standardise
from netwright.spaces.cells.genotype import AVERAGE, MAXIMUM

AUXILIARY_CHANNELS = (128, 768)


class Standardisation(nn.Module):
    """Batch normalisation without scale and shift that always uses the statistics of the batch, also in evaluation.

    In a search, networks that share a normalisation have different statistics, so there are none to keep.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Features to features of the same shape."""
        return standardise(features)


def normalisation(channels: int, affine: bool) -> nn.Module:
    """Ordinary batch normalisation, or one without scale and shift."""
    return nn.BatchNorm2d(channels) if affine else Standardisation()


class Stem(nn.Module):
    """A 3 x 3 convolution of the image with batch normalisation, always with scale and shift."""

    def __init__(self, inputs: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        self.normalisation = nn.BatchNorm2d(channels, track_running_stats=affine)

    def forward(self, images: Tensor) -> Tensor:
        """Images to features of the same size."""
        features: Tensor = self.normalisation(self.convolution(images))
        return features


class Rectifier(nn.Module):
    """ReLU. It is one step for all operations that begin with it on the same features."""

    def forward(self, features: Tensor) -> Tensor:
        """Features to features."""
        return F.relu(features)


class Projection(nn.Module):
    """1 x 1 convolution and batch normalisation of rectified features."""

    def __init__(self, inputs: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, channels, 1, bias=False)
        self.normalisation = normalisation(channels, affine)

    def forward(self, rectified: Tensor) -> Tensor:
        """Features to features of the same size with other channels."""
        features: Tensor = self.normalisation(self.convolution(rectified))
        return features


class FactorisedReduction(nn.Module):
    """Halves the size of rectified features by two strided 1 x 1 convolutions, with batch normalisation.

    One convolution takes the pixels that the other skips. Where the size is odd, the second convolution sees a row or
    column of zeros at the end.
    """

    def __init__(self, inputs: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, channels - channels // 2, 1, stride=2, bias=False)
        # A single channel is given to the first convolution; none is left for the second.
        self.odd = nn.Conv2d(inputs, channels // 2, 1, stride=2, bias=False) if channels > 1 else None
        self.normalisation = normalisation(channels, affine)

    def forward(self, rectified: Tensor) -> Tensor:
        """(batch, inputs, height, width) to (batch, channels, half the height, half the width), rounded up."""
        parts = [_halved(rectified, self.even)]
        if self.odd is not None:
            height, width = rectified.shape[2:]
            shifted = F.pad(rectified, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]
            parts.append(_halved(shifted, self.odd))
        features: Tensor = self.normalisation(torch.cat(parts, dim=1))
        return features


def _halved(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A 1 x 1 convolution with a stride of 2, without bias.

    In channels-last format, torch 2.13 computes the gradient of the weights of fewer than 8 inputs outside its memory
    on processors without AVX-512, and the process ends. There the pixels are picked first, which gives the same.
    """
    if convolution.in_channels < 8 and torch.backends.cpu.get_cpu_capability() != "AVX512":
        return F.conv2d(features[:, :, ::2, ::2], convolution.weight)
    halved: Tensor = convolution(features)
    return halved


class SeparableConvolution(nn.Module):
    """Twice: ReLU, depthwise and pointwise convolution, batch normalisation. The first ReLU is a separate step.

    Args:
        channels: of the features, before and after.
        kernel: side of the depthwise kernels, 3 or 5.
        stride: of the first of them.
        affine: scale and shift in the batch normalisation.
    """

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        super().__init__()
        self.affine = affine
        self.first = _SeparableHalf(channels, kernel, stride, affine)
        self.second = _SeparableHalf(channels, kernel, 1, affine)

    def forward(self, rectified: Tensor) -> Tensor:
        """Features to features with the same channels; stride 2 halves the size, rounded up."""
        if not self.affine and by_rows(rectified):
            first, second = self.first, self.second
            weights = (
                first.depthwise.weight,
                first.pointwise.weight,
                second.depthwise.weight,
                second.pointwise.weight,
            )
            return separable(rectified, weights, first.stride)
        features: Tensor = self.second(F.relu(self.first(rectified)))
        return features


class _SeparableHalf(nn.Module):
    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = nn.Conv2d(channels, channels, kernel, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.normalisation = normalisation(channels, affine)

    def forward(self, rectified: Tensor) -> Tensor:
        """Features to features."""
        spread = depthwise(rectified, self.depthwise.weight, self.stride)
        features: Tensor = self.normalisation(self.pointwise(spread))
        return features


class Pooling(nn.Module):
    """Mean or maximum of 3 x 3 pixels. Pixels outside the image do not count."""

    def __init__(self, operation: str, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.pool = {AVERAGE: average_pool, MAXIMUM: maximum_pool}[operation]

    def forward(self, features: Tensor) -> Tensor:
        """Features to features; stride 2 halves the size, rounded up."""
        return self.pool(features, self.stride)


class Addition(Scheduled):
    """The sum of a node's two paths, with ScheduledDropPath (Zoph et al. 2018, "Learning Transferable Architectures").

    In training a path is left out for some of the images. The probability grows linearly from 0 at the start of the
    training to ``drop_path`` at its end. The kept paths are divided by the probability of being kept. Identity paths
    are never left out, as in the public code of ENAS and DARTS; the papers do not say.
    """

    def __init__(self, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.probability = 0.0

    def set_progress(self, share: float) -> None:
        """Set the share of the training that is done, from 0 to 1."""
        self.probability = self.drop_path * share

    def forward(self, first: Tensor, second: Tensor, droppable: tuple[bool, bool]) -> Tensor:
        """The sum of two paths' features; ``droppable`` says which of them can be left out.

        Args:
            first: features of one path.
            second: features of the other path.
            droppable: which of the paths can be left out.
        """
        return self._path(first, droppable[0]) + self._path(second, droppable[1])

    def _path(self, features: Tensor, droppable: bool) -> Tensor:
        if not (self.training and droppable and self.probability > 0):
            return features
        kept = 1 - self.probability
        mask = torch.empty(len(features), 1, 1, 1, dtype=features.dtype, device=features.device)
        return features * mask.bernoulli_(kept).div_(kept)


class Concatenation(nn.Module):
    """ReLU, 1 x 1 convolution of the concatenated outputs of several nodes, and batch normalisation.

    Every node has its own weights, so a network has and trains only those of its own nodes. The convolution is
    computed node by node and summed. The result equals the convolution of all channels, without a copy of them.

    Args:
        channels: of each node, and of the result.
        nodes: numbers of the nodes that have weights.
        affine: scale and shift in the batch normalisation.
    """

    def __init__(self, channels: int, nodes: Sequence[int], affine: bool) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {f"node{node}": nn.Parameter(torch.empty(channels, channels, 1, 1)) for node in nodes}
        )
        # As torch initialises a convolution of all the nodes' channels.
        bound = 1 / math.sqrt(channels * len(nodes))
        for weight in self.weights.values():
            nn.init.uniform_(weight, -bound, bound)
        self.normalisation = normalisation(channels, affine)

    def forward(self, *outputs_and_nodes: Any) -> Tensor:
        """Features of each node, followed by the tuple of their numbers, to features of the same size and channels."""
        *outputs, nodes = outputs_and_nodes
        total: Tensor | None = None
        for features, node in zip(outputs, nodes, strict=True):
            part = F.conv2d(F.relu(features), self.weights[f"node{node}"])
            total = part if total is None else total + part
        result: Tensor = self.normalisation(total)
        return result


class Head(nn.Module):
    """The mean over all pixels, and a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features to logits (batch, classes)."""
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits


class AuxiliaryHead(nn.Module):
    """ReLU, 5 x 5 average pooling with stride 3, 1 x 1 convolution to 128 channels and 2 x 2 convolution to 768, each
    with batch normalisation and ReLU, and a linear layer, as in ENAS and DARTS.

    For CIFAR's 8 x 8 pixels the pooling leaves 2 x 2, so one pixel remains at the end. For larger features the mean is
    taken there. For smaller ones kernels are no larger than the features.
    """

    def __init__(self, channels: int, classes: int, size: Sequence[int]) -> None:
        super().__init__()
        pool = [min(5, length) for length in size]
        left = [(length - side) // 3 + 1 for length, side in zip(size, pool, strict=True)]
        kernel = min(2, left[0]), min(2, left[1])
        middle, last = AUXILIARY_CHANNELS
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d((pool[0], pool[1]), stride=3),
            nn.Conv2d(channels, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, last, kernel, bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        )
        self.linear = nn.Linear(last, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features to logits (batch, classes)."""
        logits: Tensor = self.linear(self.layers(features).mean((2, 3)))
        return logits
