"""The V-Net (Milletari et al. 2016, "V-Net: Fully Convolutional Neural Networks for Volumetric ...")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Number of 5 x 5 x 5 convolutions of each stage on the way down (Fig. 2); the last is the bottom.
CONVOLUTIONS = (1, 2, 3, 3, 3)
FIRST_CHANNELS = 16


class VNet(nn.Module):
    """Residual stages of 5 x 5 x 5 convolutions with PReLU, 16 to 256 channels (Fig. 2).

    2 x 2 x 2 strided convolutions lead down and 2 x 2 x 2 de-convolutions up, where encoder features are
    concatenated.

    The stage's input is added to the output of its last convolution, before the PReLU. In the first stage an image
    with one channel is broadcast to 16 channels; one with more is projected by a 1 x 1 x 1 convolution.
    Every convolution is followed by batch normalisation. The paper of 2016 does not have it, but its
    common implementations do: without it the network hardly trains under the protocol used here. It has 65.2
    million parameters; the SegNAS3D paper gives 71.1 million for its V-Net without saying how it differs from
    the published layout. Sizes must be multiples of 16.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = [FIRST_CHANNELS * 2**level for level in range(len(CONVOLUTIONS))]
        self.image = nn.Identity() if channels == 1 else nn.Conv3d(channels, widths[0], 1, bias=False)
        self.encoder = nn.ModuleList([ResidualStage(channels, widths[0], CONVOLUTIONS[0])])
        self.down = nn.ModuleList()
        for level in range(1, len(widths)):
            self.down.append(_activated(nn.Conv3d(widths[level - 1], widths[level], 2, stride=2, bias=False)))
            self.encoder.append(ResidualStage(widths[level], widths[level], CONVOLUTIONS[level]))
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        below = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            self.up.append(_activated(nn.ConvTranspose3d(below, widths[level], 2, stride=2, bias=False)))
            below = 2 * widths[level]
            self.decoder.append(ResidualStage(below, below, CONVOLUTIONS[level]))
        self.head = nn.Conv3d(below, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *spatial) to logits (batch, classes, *spatial)."""
        features = self.encoder[0](images, self.image(images))
        copied = [features]
        for down, stage in zip(self.down, list(self.encoder)[1:], strict=True):
            features = down(features)
            features = stage(features, features)
            copied.append(features)
        for up, stage, copy in zip(self.up, self.decoder, copied[-2::-1], strict=True):
            features = torch.cat([copy, up(features)], dim=1)
            features = stage(features, features)
        logits: Tensor = self.head(features)
        return logits


class ResidualStage(nn.Module):
    """Convolutions at one resolution, and the sum with the stage's input."""

    def __init__(self, in_channels: int, out_channels: int, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(convolutions):
            convolution = nn.Conv3d(in_channels, out_channels, 5, padding=2, bias=False)
            last = index == convolutions - 1
            layers.append(
                nn.Sequential(convolution, nn.BatchNorm3d(out_channels)) if last else _activated(convolution)
            )
            in_channels = out_channels
        self.layers = nn.Sequential(*layers)
        self.activation = nn.PReLU(out_channels)

    def forward(self, features: Tensor, residual: Tensor) -> Tensor:
        """Features to (batch, out_channels, *spatial); ``residual`` broadcasts to the result."""
        result: Tensor = self.activation(self.layers(features) + residual)
        return result


def _activated(convolution: nn.Conv3d | nn.ConvTranspose3d) -> nn.Sequential:
    channels = convolution.out_channels
    return nn.Sequential(convolution, nn.BatchNorm3d(channels), nn.PReLU(channels))
