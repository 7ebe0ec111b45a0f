"""A densely connected encoder-decoder for images of two dimensions.

Mortazi and Bagci, "Automatically Designing CNN Architectures for Medical Image Segmentation", MLMI at MICCAI 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.base import TaskShape, is_dense

POOLINGS: dict[str, Callable[..., Tensor]] = {"max": F.max_pool2d, "average": F.avg_pool2d}


@dataclass(frozen=True)
class Layer:
    """One convolution: its number of filters, and the height and width of its kernel in pixels."""

    filters: int
    height: int
    width: int


class DenseLayer(nn.Module):
    """Conv(BN(Swish(X))): a convolution that keeps the size of its input.

    The block applies the activation, once for all layers that take the same features.
    """

    def __init__(self, channels: int, layer: Layer) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        padding = (layer.height // 2, layer.width // 2)
        self.conv = nn.Conv2d(channels, layer.filters, (layer.height, layer.width), padding=padding)

    def forward(self, activated: Sequence[Tensor]) -> Tensor:
        """Activated features, each (batch, some channels, height, width), to (batch, filters, height, width)."""
        features: Tensor = self.conv(self.norm(torch.cat(list(activated), dim=1)))
        return features


class DenseBlock(nn.Module):
    """Layers at one resolution. Each takes the block's input and the outputs of all earlier layers, concatenated:
    F(X_l) = F(|| F(X_l') for l' from 0 to l - 1).

    The output is that of the last layer.
    """

    def __init__(self, channels: int, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in layers:
            self.layers.append(DenseLayer(channels, layer))
            channels += layer.filters

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, filters of the last layer, height, width)."""
        activated = [F.silu(features)]
        for layer in self.layers:
            features = layer(activated)
            activated.append(F.silu(features))
        return features


class DenseEncoderDecoder(nn.Module):
    """Blocks of dense layers: a pooling after each block of the encoder, an upsampling before each of the decoder.

    Of five blocks two are the encoder, one the bottom and two the decoder; there are two poolings and two
    upsamplings. The available summary of the paper names the blocks, the layers and what is searched. It leaves open:

    - how far dense connections reach. Here: to the end of a block, as in DenseNet; in `DenseThroughout` to all layers;
    - what leaves a block. Here: the output of its last layer, as in the last block, whose last layer gives the logits;
    - how the encoder's features join the decoder. Here: concatenated with the upsampled ones, at the input of the
      decoder's block of the same resolution;
    - upsampling. Here: bilinear, to the size of the features that it joins;
    - sizes that are not divisible. Here: poolings (2 x 2) round up, convolutions pad with zeros. So images of any size
      work, and the output has the size of the image;
    - the first layer. Here: Conv(BN(Swish(.))) of the image, like every other layer.

    Args:
        task: channels, classes and size in pixels.
        blocks: the layers of each block, an odd number of blocks; the last layer's filters are the classes.
        poolings: "max" or "average" for each pooling.

    Raises:
        InfeasibleArchitecture: the task does not label each pixel of an image of two dimensions.
    """

    def __init__(self, task: TaskShape, blocks: Sequence[Sequence[Layer]], poolings: Sequence[str]) -> None:
        super().__init__()
        require_dense_2d(task)
        self.poolings = tuple(poolings)
        levels = len(poolings)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = task.channels
        for layers in blocks[:levels]:
            self.encoder.append(DenseBlock(channels, layers))
            channels = layers[-1].filters
        self.bottom = DenseBlock(channels, blocks[levels])
        channels = blocks[levels][-1].filters
        for layers, joined in zip(blocks[levels + 1 :], blocks[levels - 1 :: -1], strict=True):
            self.decoder.append(DenseBlock(channels + joined[-1].filters, layers))
            channels = layers[-1].filters

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) of any size to logits (batch, classes, height, width)."""
        features: Tensor = images
        kept: list[Tensor] = []
        for block, pooling in zip(self.encoder, self.poolings, strict=True):
            kept.append(block(features))
            features = POOLINGS[pooling](kept[-1], 2, ceil_mode=True)
        features = self.bottom(features)
        for block, joined in zip(self.decoder, reversed(kept), strict=True):
            upsampled = F.interpolate(features, size=joined.shape[2:], mode="bilinear", align_corners=False)
            features = block(torch.cat([upsampled, joined], dim=1))
        return features


def pooled_length(length: int, times: int) -> int:
    """The length of a side in pixels after some poolings that halve it and round up.

    >>> pooled_length(5, times=1)
    3
    """
    return -(-length // (1 << times))


def require_dense_2d(task: TaskShape) -> None:
    """Check that a task labels each pixel of an image of two dimensions.

    Raises:
        InfeasibleArchitecture: it does not.
    """
    if len(task.size) != 2 or not is_dense(task):
        raise InfeasibleArchitecture(
            f"A dense encoder-decoder labels every pixel of an image of two dimensions; the task's input has the size "
            f"{' x '.join(map(str, task.size))}. For volumes set slices={{}}, so that it sees them slice by slice."
        )
