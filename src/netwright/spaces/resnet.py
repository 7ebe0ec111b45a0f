"""The residual network for small images (He et al. 2016, "Deep Residual Learning for Image Recognition")."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (16, 32, 64)
BLOCKS = 3


class ResNet20(nn.Module):
    """One convolution, three stages of three residual blocks, a global average and a dense layer (Section 4.2).

    Channels double and sizes halve from stage to stage. There the shortcut takes every second pixel, and the new
    channels are zero (option A of the paper). It has 269,722 parameters for three channels and ten classes; the paper
    rounds to 0.27 million and reaches 91.25 % on CIFAR-10. Images can have any size.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, CHANNELS[0], 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS[0]), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        inputs = CHANNELS[0]
        for width in CHANNELS:
            for _ in range(BLOCKS):
                blocks.append(ResidualBlock(inputs, width))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) to logits (batch, classes)."""
        features = self.blocks(self.stem(images))
        logits: Tensor = self.output(features.mean((2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and the sum with the block's input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.added = out_channels - in_channels
        self.stride = 2 if self.added else 1
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=self.stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features to (batch, out_channels, *size), halved where the channels grow."""
        shortcut = features[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = F.pad(shortcut, [0, 0, 0, 0, 0, self.added])
        return F.relu(self.layers(features) + shortcut)
