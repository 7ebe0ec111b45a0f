"""The networks that the multi-agent Q-learning paper tunes, in their original form: ordinary modules."""

from netwright.spaces.layerwise.networks.googlenet import GoogLeNet
from netwright.spaces.layerwise.networks.unet import UNet
from netwright.spaces.layerwise.networks.vgg16 import VGG16

__all__ = ["VGG16", "GoogLeNet", "UNet"]
