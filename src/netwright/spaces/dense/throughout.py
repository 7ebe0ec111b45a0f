"""The encoder-decoder of the policy gradient system, with each layer connected to all earlier ones."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from netwright.spaces.base import TaskShape
from netwright.spaces.dense.network import POOLINGS, DenseLayer, Layer, require_dense_2d


class DenseThroughout(nn.Module):
    """F(X_l) = F(|| F(X_l') for l' from 0 to l - 1), l from 1 to L, over all L layers of the network, where X_0 is the
    image (Mortazi and Bagci 2018).

    The equation needs the earlier features at the resolution of layer l, but does not say how they get there. Here
    they take the shortest way through the network: down by its poolings, up by its bilinear upsamplings, to the
    size that the encoder had there. Features that the encoder had at a resolution are used again in the decoder as they
    were, not pooled and upsampled.

    Args:
        task: see `DenseEncoderDecoder`.
        blocks: see `DenseEncoderDecoder`.
        poolings: see `DenseEncoderDecoder`.

    Raises:
        InfeasibleArchitecture: the task does not label each pixel of an image of two dimensions.
    """

    def __init__(self, task: TaskShape, blocks: Sequence[Sequence[Layer]], poolings: Sequence[str]) -> None:
        super().__init__()
        require_dense_2d(task)
        self.poolings = tuple(poolings)
        self.blocks = nn.ModuleList()
        channels = task.channels
        for layers in blocks:
            block = nn.ModuleList()
            for layer in layers:
                block.append(DenseLayer(channels, layer))
                channels += layer.filters
            self.blocks.append(block)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) of any size to logits (batch, classes, height, width)."""
        levels = len(self.poolings)
        known: list[list[Tensor]] = [
            [images]
        ]  # at each level, all features so far, in the order of their layers
        for block in self.blocks[: levels + 1]:
            self._run(block, known[-1])
            if len(known) <= levels:
                pool = POOLINGS[self.poolings[len(known) - 1]]
                known.append([pool(features, 2, ceil_mode=True) for features in known[-1]])
        for block in self.blocks[levels + 1 :]:
            below, here = known.pop(), known[-1]
            size = here[0].shape[2:]
            for features in below[len(here) :]:
                here.append(F.interpolate(features, size=size, mode="bilinear", align_corners=False))
            del below
            self._run(block, here)
        return known[0][-1]

    @staticmethod
    def _run(block: nn.Module, known: list[Tensor]) -> None:
        """Add the outputs of a block's layers to the features at its resolution."""
        activated = [F.silu(features) for features in known]
        for layer in block.children():
            known.append(layer(activated))
            activated.append(F.silu(known[-1]))
