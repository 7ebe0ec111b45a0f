"""GoogLeNet (Szegedy et al. 2015, "Going Deeper with Convolutions")."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from netwright.spaces.layerwise.networks.layers import activated, initialise


class Kernels(NamedTuple):
    """Numbers of kernels of an inception module, in the order of the columns of Table 1."""

    one: int
    three_reduced: int
    three: int
    five_reduced: int
    five: int
    pooled: int

    @property
    def out_channels(self) -> int:
        """Channels of the four branches together."""
        return self.one + self.three + self.five + self.pooled


STEM = (64, 64, 192)
MODULES = {
    "3a": Kernels(64, 96, 128, 16, 32, 32),
    "3b": Kernels(128, 128, 192, 32, 96, 64),
    "4a": Kernels(192, 96, 208, 16, 48, 64),
    "4b": Kernels(160, 112, 224, 24, 64, 64),
    "4c": Kernels(128, 128, 256, 24, 64, 64),
    "4d": Kernels(112, 144, 288, 32, 64, 64),
    "4e": Kernels(256, 160, 320, 32, 128, 128),
    "5a": Kernels(256, 160, 320, 32, 128, 128),
    "5b": Kernels(384, 192, 384, 48, 128, 128),
}
DROPOUT = 0.4
AUXILIARY_KERNELS = 128
AUXILIARY_UNITS = 1024
AUXILIARY_DROPOUT = 0.7
AUXILIARY_POOL = 5

# The stem halves an image three times, in its first convolution and its two poolings, and leaves 28 of 224
# pixels to the first inception module. From each of these sides (pixels) on the stem keeps this many
# halvings, the later ones first: images of 28 pixels and more reach the modules with at least 14.
HALVINGS = ((112, 3), (56, 2), (0, 1))


class GoogLeNet(nn.Module):
    """A stem of three convolutions, nine inception modules, and two auxiliary heads that help in training.

    In training mode it gives (logits, logits of the head after module 4a, of the one after 4d); the paper weighs the
    auxiliary losses with 0.3. In evaluation mode it gives only the logits. For 3 x 224 x 224 and 1000
    classes it has 13,378,280 parameters with the heads and 6,998,552 without (Table 1 rounds to 6.8 million).

    The paper is for 224 pixels. The multi-agent Q-learning paper trains it on CIFAR's 32 without saying how.
    Here the stem halves smaller images less often (`HALVINGS`). All else stays the same: 3 x 3 poolings with
    padding, which give the sizes of the original's rounding up; a global average at the end; auxiliary heads
    that average 5 x 5 pixels with stride 3 (fewer if the features are smaller), with inputs of the resulting size.

    Like the original it has local response normalisation in the stem and no other. ``batch_norm`` puts a batch
    normalisation after each convolution instead. Initial weights are those of He et al. 2015; the paper does not give
    any.

    Args:
        channels: of the image.
        classes: of the output.
        size: height and width of the image in pixels.
        batch_norm: batch normalisation after each convolution, in place of the local response normalisation.
    """

    def __init__(
        self, channels: int, classes: int, size: tuple[int, int], *, batch_norm: bool = False
    ) -> None:
        super().__init__()
        halvings = next(count for side, count in HALVINGS if min(size) >= side)
        first, reduced, second = STEM
        self.conv1 = activated(channels, first, 7, stride=2 if halvings > 2 else 1, batch_norm=batch_norm)
        self.pool1 = nn.MaxPool2d(3, stride=2 if halvings > 1 else 1, padding=1)
        self.norm1 = nn.Identity() if batch_norm else _response_normalisation()
        self.conv2_reduced = activated(first, reduced, 1, batch_norm=batch_norm)
        self.conv2 = activated(reduced, second, 3, batch_norm=batch_norm)
        self.norm2 = nn.Identity() if batch_norm else _response_normalisation()
        self.pool2 = nn.MaxPool2d(3, stride=2, padding=1)
        self.inception = nn.ModuleDict()
        inputs = second
        for name, kernels in MODULES.items():
            self.inception[name] = Inception(inputs, kernels, batch_norm=batch_norm)
            inputs = kernels.out_channels
        self.pool3 = nn.MaxPool2d(3, stride=2, padding=1)
        self.pool4 = nn.MaxPool2d(3, stride=2, padding=1)
        within = tuple(-(-length // 2 ** (halvings + 1)) for length in size)  # pixels in modules 4a to 4e
        self.auxiliary1 = AuxiliaryHead(MODULES["4a"].out_channels, classes, within, batch_norm=batch_norm)
        self.auxiliary2 = AuxiliaryHead(MODULES["4d"].out_channels, classes, within, batch_norm=batch_norm)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Images (batch, channels, *size) to logits (batch, classes), in training three of them."""
        inception = self.inception
        features = self.norm1(self.pool1(self.conv1(images)))
        features = self.pool2(self.norm2(self.conv2(self.conv2_reduced(features))))
        features = self.pool3(inception["3b"](inception["3a"](features)))
        middle = inception["4a"](features)
        late = inception["4d"](inception["4c"](inception["4b"](middle)))
        features = self.pool4(inception["4e"](late))
        features = inception["5b"](inception["5a"](features))
        logits: Tensor = self.output(self.dropout(self.flatten(self.average(features))))
        if self.training:
            return logits, self.auxiliary1(middle), self.auxiliary2(late)
        return logits


class Inception(nn.Module):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and a 3 x 3 max pooling in parallel, concatenated (Fig. 2b).

    There are 1 x 1 convolutions before the larger ones and after the pooling.
    """

    def __init__(self, in_channels: int, kernels: Kernels, *, batch_norm: bool) -> None:
        super().__init__()
        self.one = activated(in_channels, kernels.one, 1, batch_norm=batch_norm)
        self.three_reduced = activated(in_channels, kernels.three_reduced, 1, batch_norm=batch_norm)
        self.three = activated(kernels.three_reduced, kernels.three, 3, batch_norm=batch_norm)
        self.five_reduced = activated(in_channels, kernels.five_reduced, 1, batch_norm=batch_norm)
        self.five = activated(kernels.five_reduced, kernels.five, 5, batch_norm=batch_norm)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pooled = activated(in_channels, kernels.pooled, 1, batch_norm=batch_norm)

    def forward(self, features: Tensor) -> Tensor:
        """Features to (batch, sum of the branches' kernels, *size)."""
        branches = [
            self.one(features),
            self.three(self.three_reduced(features)),
            self.five(self.five_reduced(features)),
            self.pooled(self.pool(features)),
        ]
        return torch.cat(branches, dim=1)


class AuxiliaryHead(nn.Module):
    """Average pooling, a 1 x 1 convolution with 128 kernels, a dense layer of 1024, the output (Section 5)."""

    def __init__(self, in_channels: int, classes: int, size: tuple[int, ...], *, batch_norm: bool) -> None:
        super().__init__()
        window = min(AUXILIARY_POOL, *size)
        height, width = ((length - window) // 3 + 1 for length in size)
        self.pool = nn.AvgPool2d(window, stride=3)
        self.conv = activated(in_channels, AUXILIARY_KERNELS, 1, batch_norm=batch_norm)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(AUXILIARY_KERNELS * height * width, AUXILIARY_UNITS)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(AUXILIARY_DROPOUT)
        self.output = nn.Linear(AUXILIARY_UNITS, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features to logits (batch, classes)."""
        hidden = self.relu(self.dense(self.flatten(self.conv(self.pool(features)))))
        logits: Tensor = self.output(self.dropout(hidden))
        return logits


def _response_normalisation() -> nn.LocalResponseNorm:
    """Across five channels, with the constants of Krizhevsky et al. 2012 in Caffe's form, as the authors used."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
