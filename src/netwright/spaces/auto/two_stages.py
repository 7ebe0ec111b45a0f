"""A network in two stages: the first sees more of a volume at low resolution, the second its details."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.losses import main_output, wide


class TwoStages(nn.Module):
    """The probabilities that a first network gives at low resolution are further channels of a second one's image.

    It is the cascade of nnU-Net (Isensee et al., Nature Methods 2021) as one network. There the first stage is trained
    to its end, and its label maps must be predicted by networks that did not see the case, or be disturbed, so that the
    second does not trust them too much. Here both are trained together, each by the labels (the first as an auxiliary
    head) and the first by the second's gradient too, for which the channels are probabilities in place of label maps:
    so one training, one checkpoint and one file are enough, and windows are predicted and joined as of any network.
    The first sees only the surroundings of a window, never a whole volume that does not fit.

    Args:
        first: for the surroundings, to logits of the classes.
        second: for the image with a further channel for each class.
        factors: how many times as long voxels of the surroundings are along each axis.
        sigmoid: whether the classes are regions, which do not exclude one another.
    """

    def __init__(
        self, first: nn.Module, second: nn.Module, factors: Sequence[int], *, sigmoid: bool = False
    ) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        self.first, self.second, self.factors = first, second, tuple(factors)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images with their surroundings (B, 2 C, *size) to logits (B, K, *size).

        In training mode: those, the auxiliary ones of the second network if it has any, and those of the first.
        """
        near, far = images.chunk(2, 1)
        coarse = magnified(main_output(self.first(far)), self.factors)
        probabilities = coarse.sigmoid() if self.sigmoid else coarse.softmax(1)
        outputs = self.second(torch.cat([near, probabilities.to(near.dtype)], 1))
        if not self.training:
            return main_output(outputs)
        return (*outputs, coarse) if isinstance(outputs, tuple) else (outputs, coarse)


class WithoutSurroundings(nn.Module):
    """A network that sees images alone where data has their surroundings, too. ``network``: for the images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images with their surroundings (B, 2 C, *size) to what the network returns for the images."""
        outputs: Tensor | tuple[Tensor, ...] = self.network(images.chunk(2, 1)[0])
        return outputs


def magnified(features: Tensor, factors: Sequence[int]) -> Tensor:
    """The middle of features (B, K, *size), as many times as large along each axis, interpolated linearly, in float32.

    ``factors``: one number for each axis.
    """
    scales = torch.tensor([1 / factor for factor in reversed(factors)])
    maps = F.pad(torch.diag(scales), (0, 1))[None].to(features.device)
    grid = F.affine_grid(maps, [1, 1, *features.shape[2:]], align_corners=False)
    grid = grid.expand(features.shape[0], *[-1] * len(features.shape[1:]))
    return F.grid_sample(wide(features), grid, mode="bilinear", align_corners=False)
