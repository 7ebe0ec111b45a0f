"""A U-shaped network for images of two or three dimensions, made from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.spaces.auto.blocks import Layers, Width, cropped, interpolated
from netwright.spaces.auto.resolutions import Resolution

MOST_CHANNELS = {2: 512, 3: 320}
"""The most channels of a layer, for each number of dimensions: those of nnU-Net."""


@dataclass(frozen=True)
class Plan:
    """An encoder-decoder.

    Args:
        layers: what all layers have in common.
        width: channels of the first level; they double from level to level, up to `MOST_CHANNELS`.
        kernel: of convolutions, along axes that are wide.
        blocks: of each stage of the encoder.
        decoder_blocks: of each stage of the decoder.
        stem: the resolutions from the image to the first level.
        below: those of the other levels.
        downsampling: "convolution" or "max".
        upsampling: "transposed" or "linear".
        join: how features of the encoder reach the decoder, "add" or "concatenate".
        supervision: auxiliary heads, at the finest stages of the decoder but the last.
    """

    layers: Layers
    width: int
    kernel: int
    blocks: int
    decoder_blocks: int
    stem: tuple[Resolution, ...]
    below: tuple[Resolution, ...]
    downsampling: str
    upsampling: str
    join: str
    supervision: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level, the finest first."""
        most = MOST_CHANNELS[self.layers.dimensions]
        return tuple(min(self.width * 2**level, most) for level in range(1 + len(self.below)))

    @property
    def levels(self) -> tuple[Resolution, ...]:
        """The resolution of each level."""
        return (self.stem[-1], *self.below)

    @property
    def whole_stride(self) -> Width:
        """Voxels of the image for each of the coarsest level, along each axis."""
        strides = (level.stride for level in (*self.stem, *self.below))
        return tuple(prod(steps) for steps in zip(*strides, strict=True))

    @property
    def stem_stride(self) -> Width:
        """Voxels of the image for each of the first level, along each axis."""
        return tuple(prod(steps) for steps in zip(*(level.stride for level in self.stem), strict=True))


class EncoderDecoder(nn.Module):
    """An encoder, a decoder, and features of the encoder that join those of the decoder at each resolution.

    The first convolution may reduce the size already, by 2 or 4; then the last layer, a transposed convolution, brings
    it back. Sizes are halved and rounded up, and upsampled features are cropped to those that they join, so that images
    of any size work; one so small that a single voxel would be left, which instances cannot be normalised by, is padded
    by repeating its border. There are few, large operations, for speed.

    Args:
        plan: the network.
        channels: of the image.
        classes: of the output.
    """

    def __init__(self, plan: Plan, channels: int, classes: int) -> None:
        super().__init__()
        layers, widths = plan.layers, plan.channels
        self._whole_stride = plan.whole_stride
        self._linear = plan.upsampling == "linear"
        self._concatenated = plan.join == "concatenate"
        stem_kernel = tuple(
            max(width, 2 * step - 1)
            for width, step in zip(plan.levels[0].kernel(plan.kernel), plan.stem_stride, strict=True)
        )
        stem = layers.activated(channels, widths[0], stem_kernel, plan.stem_stride)
        self.encoder = nn.ModuleList([nn.Sequential(stem, self._stage(plan, 0, plan.blocks))])
        down = layers.activated if plan.downsampling == "convolution" else layers.pooled
        for level, resolution in enumerate(plan.below, start=1):
            kernel = resolution.kernel(plan.kernel)
            smaller = down(widths[level - 1], widths[level], kernel, resolution.stride)
            self.encoder.append(nn.Sequential(smaller, self._stage(plan, level, plan.blocks)))
        self.up, self.merge, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in range(len(plan.below) - 1, -1, -1):
            wide, narrow = widths[level + 1], widths[level]
            stride = plan.below[level].stride
            self.up.append(
                layers.pointwise(wide, narrow) if self._linear else layers.transposed(wide, narrow, stride)
            )
            if self._concatenated:
                kernel = plan.levels[level].kernel(plan.kernel)
                self.merge.append(layers.activated(2 * narrow, narrow, kernel))
            self.decoder.append(self._stage(plan, level, plan.decoder_blocks))
        reduced = prod(plan.stem_stride) > 1
        self.head = (
            layers.transposed(widths[0], classes, plan.stem_stride, bias=True)
            if reduced
            else layers.pointwise(widths[0], classes, bias=True)
        )
        self.auxiliary = nn.ModuleList(
            layers.pointwise(widths[level], classes, bias=True) for level in range(plan.supervision, 0, -1)
        )
        layers.initialise(self)

    @staticmethod
    def _stage(plan: Plan, level: int, blocks: int) -> nn.Sequential:
        return plan.layers.stage(plan.channels[level], plan.levels[level].kernel(plan.kernel), blocks)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images (batch, channels, *spatial) to logits (batch, classes, *spatial).

        In training mode with auxiliary heads: those and the logits of each head, of the same shape.
        """
        size = images.shape[2:]
        kept: list[Tensor] = []
        features = self._large_enough(images)
        for stage in self.encoder:
            features = stage(features)
            kept.append(features)
        kept.pop()
        decoded: list[Tensor] = []
        for index, stage in enumerate(self.decoder):
            features = stage(self._joined(index, features, kept.pop()))
            decoded.append(features)
        logits = cropped(self.head(features), size)
        if not self.training or not len(self.auxiliary):
            return logits
        coarser = decoded[-1 - len(self.auxiliary) : -1]
        heads = (h(f) for h, f in zip(self.auxiliary, coarser, strict=True))
        return logits, *(interpolated(head, size) for head in heads)

    def _large_enough(self, images: Tensor) -> Tensor:
        size = images.shape[2:]
        if any(length > step for length, step in zip(size, self._whole_stride, strict=True)):
            return images
        return F.pad(
            images, [0, self._whole_stride[-1] + 1 - size[-1], *[0, 0] * (len(size) - 1)], "replicate"
        )

    def _joined(self, index: int, features: Tensor, skip: Tensor) -> Tensor:
        size: Sequence[int] = skip.shape[2:]
        raised = self.up[index](features)
        raised = interpolated(raised, size) if self._linear else cropped(raised, size)
        if not self._concatenated:
            return raised + skip
        merged: Tensor = self.merge[index](torch.cat([raised, skip], dim=1))
        return merged
