"""Layers that several spaces share, for 3D images: (batch, channels, depth, height, width)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolution(
    in_channels: int, out_channels: int, *, kernel: int = 3, dilation: int = 1, affine: bool = True
) -> nn.Sequential:
    """A ``kernel``^3 convolution that keeps the spatial size, then batch normalisation and ReLU.

    The convolution has no bias, because the shift of the normalisation does the same.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: odd width of the kernel in voxels.
        dilation: step between the kernel's taps in voxels; 1 means no dilation.
        affine: whether the normalisation has weights. If not, it always uses the statistics of the batch, as is needed
            for shared weights.
    """
    return nn.Sequential(
        nn.Conv3d(
            in_channels,
            out_channels,
            kernel,
            padding=dilation * (kernel - 1) // 2,
            dilation=dilation,
            bias=False,
        ),
        nn.BatchNorm3d(out_channels, affine=affine, track_running_stats=affine),
        nn.ReLU(inplace=True),
    )


def projection(in_channels: int, out_channels: int) -> nn.Module:
    """The identity, or if channel counts differ a 1 x 1 x 1 convolution (He et al. 2016, eq. 2)."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Conv3d(in_channels, out_channels, 1, bias=False)


class PadToMultiple(nn.Module):
    """Lets a network that needs sizes divisible by ``multiple`` take any size.

    The image is padded at the far end of each axis, by repeating its border, to the next multiple and at least
    twice ``multiple`` (normalisation layers cannot train on a single voxel). The logits are cropped to the
    image's size.

    Args:
        network: (batch, channels, *spatial) to (batch, classes, *spatial).
        multiple: in voxels.

    >>> network = PadToMultiple(nn.Conv3d(1, 2, 1), 8)
    >>> network(torch.zeros(1, 1, 5, 6, 7)).shape
    torch.Size([1, 2, 5, 6, 7])
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *spatial) of any size to logits (batch, classes, *spatial)."""
        size = images.shape[2:]
        padding = far_padding(size, self.multiple)
        if any(padding):
            images = F.pad(images, padding, mode="replicate")
        logits: Tensor = self.network(images)
        if any(padding):
            logits = logits[:, :, *(slice(length) for length in size)]
        return logits


def far_padding(size: Sequence[int], multiple: int) -> list[int]:
    """Padding of each axis to a multiple and at least two of them, in the order of `torch.nn.functional.pad`.

    >>> far_padding((20, 5), multiple=8)
    [0, 11, 0, 4]
    """
    padding: list[int] = []
    for length in reversed(size):
        target = max(2 * multiple, -(-length // multiple) * multiple)
        padding += [0, target - length]
    return padding


def resize_nearest(features: Tensor, size: Sequence[int] | torch.Size) -> Tensor:
    """Features (batch, channels, *spatial) repeated to the spatial ``size``."""
    return F.interpolate(features, size=list(size), mode="nearest")


def resize_linear(features: Tensor, size: Sequence[int] | torch.Size) -> Tensor:
    """Features (batch, channels, *spatial) interpolated trilinearly to the spatial ``size``."""
    return F.interpolate(features, size=list(size), mode="trilinear", align_corners=False)
