"""Search spaces: distributions, and a network for every choice; `SPACES` has them by name."""

from __future__ import annotations

from collections.abc import Callable

from netwright.spaces.autoencoder import AutoencoderSpace
from netwright.spaces.base import Choice, Diagram, Edge, Node, Space, TaskShape, Value
from netwright.spaces.cells import CellSpace
from netwright.spaces.dense import DenseSpace
from netwright.spaces.layerwise.makers import googlenet, layerwise, unet, vgg16
from netwright.spaces.segnas import SegNAS, SegNAS4, SegNAS7

# Name -> maker, which takes the space's settings as keyword arguments.
SPACES: dict[str, Callable[..., Space]] = {
    "segnas11": SegNAS,
    "segnas4": SegNAS4,
    "segnas7": SegNAS7,
    "dense-encoder-decoder": DenseSpace,
    "vgg16": vgg16,
    "googlenet": googlenet,
    "unet": unet,
    "layerwise": layerwise,
    "autoencoder": AutoencoderSpace,
    "cells": CellSpace,
}

__all__ = ["SPACES", "Choice", "Diagram", "Edge", "Node", "Space", "TaskShape", "Value"]
