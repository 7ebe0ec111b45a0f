"""The convolutions of an autoencoder: without bias or normalisation, and first weights that do without them.

A layer of n inputs to each of its outputs draws its weights from a normal distribution of variance 2 / n (He et al.
2015), so that values keep their size along the chain, as long as maps are larger than kernels: of smaller ones, which
many layers of stride 2 leave, most taps meet no pixel, and values shrink. Two differ: a layer to which a skip
connection is added has 1 / n, as the other half comes from the encoder, and the output layer has 1 / n, as no ReLU
follows.

A layer can be given fewer channels than it has weights for, and asked for fewer: the weights of the first ones are
used, times sqrt(inputs there are / inputs given), for which they would have been drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Encode(nn.Module):
    """A convolution and ReLU.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: odd width in pixels.
        down: stride 2; else 1.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, down: bool) -> None:
        super().__init__()
        self.weight = _drawn((outputs, inputs, kernel, kernel), 2.0 / (inputs * kernel**2))
        self.stride = 2 if down else 1

    def forward(self, features: Tensor, channels: int) -> Tensor:
        """Features (batch, inputs or fewer, height, width) to (batch, channels, height, width), the sides halved and
        rounded up with stride 2.
        """
        given = features.shape[1]
        weight = _scaled(self.weight[:channels, :given], given, self.weight.shape[1])
        return F.conv2d(features, weight, stride=self.stride, padding=weight.shape[-1] // 2).relu_()


class DecodeSkip(nn.Module):
    """A transposed convolution of stride 1, to which encoded features are added before ReLU. Arguments as above."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = _drawn((inputs, outputs, kernel, kernel), 1.0 / (inputs * kernel**2))

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        """Features (batch, inputs or fewer, height, width), and encoded ones (batch, outputs or fewer, height, width)
        to such.
        """
        given, channels = features.shape[1], encoded.shape[1]
        weight = _scaled(self.weight[:given, :channels], given, self.weight.shape[0])
        decoded = F.conv_transpose2d(features, weight, padding=weight.shape[-1] // 2)
        return (decoded + encoded).relu_()


class DecodeUp(nn.Module):
    """A transposed convolution of stride 2, and ReLU. Arguments as above."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        # Of all taps a quarter meets a pixel.
        self.weight = _drawn((inputs, outputs, kernel, kernel), 2.0 * 4.0 / (inputs * kernel**2))

    def forward(self, features: Tensor, above: Tensor, channels: int) -> Tensor:
        """Features (batch, inputs or fewer, height, width) to (batch, channels, *larger), of the height and width of
        what the encoder halved.
        """
        given = features.shape[1]
        weight = _scaled(self.weight[:given, :channels], given, self.weight.shape[0])
        missing = [above.shape[axis] - (2 * features.shape[axis] - 1) for axis in (2, 3)]  # 0 or 1
        half = weight.shape[-1] // 2
        return F.conv_transpose2d(features, weight, stride=2, padding=half, output_padding=missing).relu_()


class Output(nn.Module):
    """A transposed convolution of 3 x 3 and stride 1, and nothing behind. Arguments as above."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = _drawn((inputs, outputs, 3, 3), 1.0 / (inputs * 9))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, inputs or fewer, height, width) to (batch, outputs, height, width)."""
        given = features.shape[1]
        weight = _scaled(self.weight[:given], given, self.weight.shape[0])
        return F.conv_transpose2d(features, weight, padding=1)


def _drawn(shape: tuple[int, int, int, int], variance: float) -> nn.Parameter:
    return nn.Parameter(nn.init.normal_(torch.empty(shape), std=math.sqrt(variance)))


def _scaled(weight: Tensor, given: int, inputs: int) -> Tensor:
    """A part of a weight for so many inputs, in the size that it would have been drawn in for those that are given."""
    return weight if given == inputs else weight * math.sqrt(inputs / given)
