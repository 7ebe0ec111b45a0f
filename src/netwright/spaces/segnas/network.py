"""The network of SegNAS3D: MegaBlocks in a U shape (Wong and Moradi 2019, Section 2.2, Fig. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.layers import projection, resize_linear, resize_nearest
from netwright.spaces.base import TaskShape
from netwright.spaces.segnas.block import Block, Matrix


@dataclass(frozen=True)
class Architecture:
    """What shapes a network.

    ``n``: channels of the first block. ``p``: max poolings. ``sup``: deep supervision. ``res``: residual
    connections. ``matrix``: the operations of every block.
    """

    n: int
    p: int
    sup: bool
    res: bool
    matrix: Matrix


class MegaBlock(nn.Module):
    """A block, spatial dropout, and optionally a residual connection around both (Section 2.2).

    The paper gives neither the rate nor the position of the dropout. Here it is applied to the block's output, before
    the residual sum, so that the residual path always passes on all channels. If the numbers of channels differ, the
    residual connection is projected by a 1 x 1 x 1 convolution.

    Args:
        matrix: the block, see `Block`.
        in_channels: channels of the input.
        out_channels: channels of the output.
        residual: whether there is a residual connection.
        dropout: probability of zeroing a whole channel (Tompson et al. 2015); 0 for none.
    """

    def __init__(
        self, matrix: Matrix, in_channels: int, out_channels: int, *, residual: bool, dropout: float
    ) -> None:
        super().__init__()
        self.block = Block(matrix, in_channels, out_channels)
        self.dropout: nn.Module = nn.Dropout3d(dropout) if dropout > 0 else nn.Identity()
        self.residual = projection(in_channels, out_channels) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, in_channels, *spatial) to (batch, out_channels, *spatial)."""
        result: Tensor = self.dropout(self.block(features))
        if self.residual is not None:
            result = result + self.residual(features)
        return result


class SegNASNetwork(nn.Module):
    """Encoder and decoder of MegaBlocks that all have the same operation matrix (Section 2.2, Fig. 1).

    Channels are n at the first level and double after each 2 x 2 x 2 max pooling. What the paper leaves open,
    and how it is done here:

    - Upsampling repeats voxels to the size of the encoder's features (so that any input size works), as in
      the U-shaped networks of Keras. Channels are halved by a 1 x 1 x 1 convolution before the upsampling. The result
      is the same as after it, and at the lower resolution it costs an eighth.
    - The decoder concatenates upsampled and encoder features. So its MegaBlocks have as many input channels as the
      level below has, and half of them as output.
    - Deep supervision: a 1 x 1 x 1 convolution gives class logits at every level of the decoder. From the
      coarsest on they are interpolated linearly to the next level and summed, so that the output is a single
      tensor.

    Args:
        architecture: what shapes the network.
        task: channels, classes and size of the images.
        dropout: rate of the MegaBlocks' spatial dropout.

    Raises:
        InfeasibleArchitecture: the block is illegal, or p poolings reduce the input to nothing.
    """

    def __init__(self, architecture: Architecture, task: TaskShape, *, dropout: float) -> None:
        super().__init__()
        check_size(task.size, architecture.p)
        widths = [architecture.n * 2**level for level in range(architecture.p + 1)]

        def mega_block(in_channels: int, out_channels: int) -> MegaBlock:
            return MegaBlock(
                architecture.matrix, in_channels, out_channels, residual=architecture.res, dropout=dropout
            )

        inputs = [task.channels, *widths[:-1]]
        self.encoder = nn.ModuleList(map(mega_block, inputs, widths))
        self.pool = nn.MaxPool3d(2)
        levels = range(architecture.p - 1, -1, -1)
        self.halve = nn.ModuleList(
            nn.Conv3d(widths[level + 1], widths[level], 1, bias=False) for level in levels
        )
        self.decoder = nn.ModuleList(mega_block(2 * widths[level], widths[level]) for level in levels)
        supervised = levels if architecture.sup else [0]
        self.heads = nn.ModuleList(nn.Conv3d(widths[level], task.classes, 1) for level in supervised)
        self.sup = architecture.sup

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *spatial) to logits (batch, classes, *spatial)."""
        features = self.encoder[0](images)
        encoded = [features]
        for mega_block in list(self.encoder)[1:]:
            features = mega_block(self.pool(features))
            encoded.append(features)
        decoded = []
        for halve, mega_block, copied in zip(self.halve, self.decoder, encoded[-2::-1], strict=True):
            upsampled = resize_nearest(halve(features), copied.shape[2:])
            features = mega_block(torch.cat([copied, upsampled], dim=1))
            decoded.append(features)
        if not self.sup:
            decoded = decoded[-1:]
        logits: Tensor = self.heads[0](decoded[0])
        for head, features in zip(list(self.heads)[1:], decoded[1:], strict=True):
            logits = resize_linear(logits, features.shape[2:]) + head(features)
        return logits


def check_size(size: tuple[int, ...], p: int) -> None:
    """Check that ``p`` max poolings leave at least one voxel along each of three axes.

    Raises:
        InfeasibleArchitecture: they do not, or the task is not 3D.
    """
    if len(size) != 3:
        raise InfeasibleArchitecture(f"SegNAS3D networks are for 3D images, but the task's size is {size}.")
    if min(size) < 2**p:
        text = " x ".join(map(str, size))
        raise InfeasibleArchitecture(
            f"{p} max poolings need at least {2**p} voxels along each axis, but the input has {text}."
        )
