"""The convolutions of an autoencoder: without bias or normalisation, but with initial weights that make up for it.

If each output of a layer sums n inputs, its weights are drawn from a normal distribution of variance 2 / n (He et al.
2015). So values keep their size along the chain while maps are larger than kernels. On smaller maps, which many layers
of stride 2 produce, most kernel taps are outside the map, and values shrink. Two layers differ: one with a skip
connection uses 1 / n, because the other half comes from the encoder, and the output layer uses 1 / n, because no ReLU
follows.

A layer can be given fewer channels than it has weights for, and can return fewer. Then it uses the weights of the first
channels, times sqrt(all inputs / given inputs), which is the scale they would have been drawn at.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Encode(nn.Module):
    """A convolution and ReLU.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        kernel: odd width in pixels.
        down: True: stride 2; False: stride 1.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, down: bool) -> None:
        super().__init__()
        self.weight = _drawn((outputs, inputs, kernel, kernel), 2.0 / (inputs * kernel**2))
        self.stride = 2 if down else 1

    def forward(self, features: Tensor, channels: int) -> Tensor:
        """Features (batch, inputs or fewer, height, width) to (batch, channels, height, width).

        Stride 2 halves height and width, rounded up.
        """
        given = features.shape[1]
        weight = _scaled(self.weight[:channels, :given], given, self.weight.shape[1])
        if self.stride == 2 and weight.shape[-1] == 1:
            # It meets every second pixel alone. torch 2.13 corrupts memory in the gradient of this case on some CPUs.
            return F.conv2d(features[..., ::2, ::2], weight).relu_()
        return F.conv2d(features, weight, stride=self.stride, padding=weight.shape[-1] // 2).relu_()


class DecodeSkip(nn.Module):
    """A transposed convolution of stride 1. Encoded features are added before ReLU. Arguments: see `Encode`."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = _drawn((inputs, outputs, kernel, kernel), 1.0 / (inputs * kernel**2))

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        """The sum of the upsampled and the encoded features.

        Args:
            features: (batch, inputs or fewer, height, width).
            encoded: (batch, outputs or fewer, height, width); the result has this shape.
        """
        given, channels = features.shape[1], encoded.shape[1]
        weight = _scaled(self.weight[:given, :channels], given, self.weight.shape[0])
        decoded = F.conv_transpose2d(features, weight, padding=weight.shape[-1] // 2)
        return (decoded + encoded).relu_()


class DecodeUp(nn.Module):
    """A transposed convolution of stride 2, and ReLU. Arguments: see `Encode`."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        # A quarter of all taps meets a pixel.
        self.weight = _drawn((inputs, outputs, kernel, kernel), 2.0 * 4.0 / (inputs * kernel**2))

    def forward(self, features: Tensor, above: Tensor, channels: int) -> Tensor:
        """Features (batch, inputs or fewer, height, width) to (batch, channels, *larger).

        The height and width are those of ``above``, the features that the encoder halved.

        Args:
            features: the input.
            above: features of the encoder with the height and width of the result.
            channels: of the result.
        """
        given = features.shape[1]
        weight = _scaled(self.weight[:given, :channels], given, self.weight.shape[0])
        missing = [above.shape[axis] - (2 * features.shape[axis] - 1) for axis in (2, 3)]  # 0 or 1
        half = weight.shape[-1] // 2
        if half == 0:  # as in `Encode`
            spread = features.new_zeros((*features.shape[:2], *above.shape[2:]))
            spread[..., ::2, ::2] = features
            return F.conv_transpose2d(spread, weight).relu_()
        return F.conv_transpose2d(features, weight, stride=2, padding=half, output_padding=missing).relu_()


class Output(nn.Module):
    """A transposed convolution of 3 x 3 and stride 1, without ReLU. Arguments: see `Encode`."""

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
    """The part of a weight for the given inputs, rescaled as if it had been drawn for so few."""
    return weight if given == inputs else weight * math.sqrt(inputs / given)
