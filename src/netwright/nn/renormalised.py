"""A network that gets images which were normalised by other numbers than those that it was trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Intensities = tuple[float, float, float, float]
"""The lower and upper bound of a channel, and the mean and standard deviation by which it is normalised. A deviation of
0: the channel is constant and becomes zeros."""


class Renormalised(nn.Module):
    """Changes each channel from the normalisation of its images to that of the network, then asks the network.

    A channel x becomes x * scale + shift, cut off at its bounds. Both are buffers, so they are kept with the weights.
    Nothing is changed until `between` has set them.

    Args:
        network: gets images (B, C, *size).
        channels: how many, C.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        values = {"scale": 1.0, "shift": 0.0, "low": -math.inf, "high": math.inf}
        for name, value in values.items():
            self.register_buffer(name, torch.full((channels,), value))

    def between(
        self, images: Sequence[Intensities | None], own: Sequence[Intensities | None]
    ) -> Renormalised:
        """The same, set to change from the normalisation of the images to the network's own.

        It is exact where the bounds of ``images`` contain those of ``own``, except in a padding with zeros.

        Args:
            images: of each channel; None: it is normalised case by case, and stays as it is.
            own: likewise, of the network.
        """
        for channel, (given, wanted) in enumerate(zip(images, own, strict=True)):
            if given is None or wanted is None or given == wanted:
                continue
            _, _, mean, deviation = given
            low, high, centre, width = wanted
            factor = 1 / width if width > 0 else 0.0
            changed = {
                "scale": deviation * factor,
                "shift": (mean - centre) * factor,
                "low": (low - centre) * factor if width > 0 else 0.0,
                "high": (high - centre) * factor if width > 0 else 0.0,
            }
            for name, value in changed.items():
                self.get_buffer(name)[channel] = value
        return self

    def forward(self, images: Tensor) -> Any:
        """What the network gives of images (B, C, *size)."""
        scale, shift, low, high = (
            self.get_buffer(name).view(1, -1, *[1] * (images.ndim - 2))
            for name in ("scale", "shift", "low", "high")
        )
        return self.network((images * scale + shift).clamp(low, high))
