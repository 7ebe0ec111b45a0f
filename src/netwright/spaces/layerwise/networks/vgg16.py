"""VGG-16 (Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from netwright.spaces.layerwise.networks.layers import initialise

# Kernels and number of 3 x 3 convolutions of each block (Table 1, column D); each is followed by a pooling.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
UNITS = 4096
SMALL_UNITS = 512
DROPOUT = 0.5
# An image counts as small, like those of CIFAR and MNIST, up to this length of its longest side in pixels.
SMALL = 64


def usual_units(size: Sequence[int]) -> int:
    """Output dimension of the dense layers in the networks of the multi-agent Q-learning paper, by image size.

    512 gives its 60 MB for CIFAR-100 (Table V), 4096 the original's 138 million parameters for ImageNet (Table IV).
    """
    return SMALL_UNITS if max(size) <= SMALL else UNITS


class VGG16(nn.Module):
    """Thirteen 3 x 3 convolutions in five blocks, a max pooling after each block, dense layers (Table 1, column D).

    For images with a side of more than 64 pixels there are the original's two dense layers of 4096 before the output:
    138,357,544 parameters for 3 x 224 x 224 and 1000 classes. For smaller ones there is one, after Section VII of the
    multi-agent Q-learning paper, which does not give its size. The default is 4096, as in the original; 512 gives the
    60 MB of its Table V for CIFAR-100.

    Like the original it has no normalisation. ``batch_norm`` adds one after each convolution; such a network trains
    faster and from more choices, but is another network. The original was first trained with the weights of its
    shallower sister, or with Glorot's. Here the initial weights are those of He et al. 2015. Poolings round
    sizes up, so that even images of one pixel pass; where sizes divide by 32 that changes nothing.

    Args:
        channels: of the image.
        classes: of the output.
        size: height and width of the image in pixels.
        units: output dimension of the dense layers before the output; None: 4096, for small images 512.
        batch_norm: batch normalisation after each convolution.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: tuple[int, int],
        *,
        units: int | None = UNITS,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for block, (kernels, convolutions) in enumerate(BLOCKS, 1):
            for index in range(1, convolutions + 1):
                name = f"{block}_{index}"
                layers[f"conv{name}"] = nn.Conv2d(channels, kernels, 3, padding=1, bias=not batch_norm)
                if batch_norm:
                    layers[f"norm{name}"] = nn.BatchNorm2d(kernels)
                layers[f"relu{name}"] = nn.ReLU(inplace=True)
                channels = kernels
            layers[f"pool{block}"] = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.features = nn.Sequential(layers)
        inputs = channels * prod(-(-length // 2 ** len(BLOCKS)) for length in size)
        dense: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        units = usual_units(size) if units is None else units
        for index in range(1, 2 if max(size) <= SMALL else 3):
            dense[f"dense{index}"] = nn.Linear(inputs, units)
            dense[f"relu{index}"] = nn.ReLU(inplace=True)
            dense[f"dropout{index}"] = nn.Dropout(DROPOUT)
            inputs = units
        dense["output"] = nn.Linear(inputs, classes)
        self.classifier = nn.Sequential(dense)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *size) to logits (batch, classes)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
