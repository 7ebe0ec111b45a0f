"""The 3D U-Net (Çiçek et al. 2016, "3D U-Net: Learning Dense Volumetric Segmentation ...")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.nn.layers import convolution

# Output channels of the two convolutions at each resolution of the analysis path (Fig. 2).
ANALYSIS = ((32, 64), (64, 128), (128, 256), (256, 512))


class UNet3D(nn.Module):
    """Three poolings and pairs of convolutions, each with batch normalisation and ReLU.

    Channels are doubled before each pooling to avoid bottlenecks; 2 x 2 x 2 up-convolutions keep the
    channels, and encoder features are concatenated (Fig. 2).

    It differs from the paper in one point: convolutions are zero-padded, so that the output has the input's
    size. The authors count 19,069,955 parameters for 3 channels and 3 classes. This network has as many if, as
    in their count, the shift of each normalisation replaces the bias of its convolution and the scale is
    left out. With the scales it has 19,072,291, and 19,071,668 for 1 channel and 20 classes, which is the
    19.1 million of the SegNAS3D paper's Table 3. Sizes must be multiples of 8.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.analysis = nn.ModuleList()
        for first, second in ANALYSIS:
            self.analysis.append(nn.Sequential(convolution(channels, first), convolution(first, second)))
            channels = second
        self.pool = nn.MaxPool3d(2)
        self.up = nn.ModuleList()
        self.synthesis = nn.ModuleList()
        for _, width in ANALYSIS[-2::-1]:
            self.up.append(nn.ConvTranspose3d(channels, channels, 2, stride=2, bias=False))
            self.synthesis.append(
                nn.Sequential(convolution(channels + width, width), convolution(width, width))
            )
            channels = width
        self.head = nn.Conv3d(channels, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *spatial) to logits (batch, classes, *spatial)."""
        features = self.analysis[0](images)
        copied = [features]
        for stage in list(self.analysis)[1:]:
            features = stage(self.pool(features))
            copied.append(features)
        for up, stage, copy in zip(self.up, self.synthesis, copied[-2::-1], strict=True):
            features = stage(torch.cat([copy, up(features)], dim=1))
        logits: Tensor = self.head(features)
        return logits
