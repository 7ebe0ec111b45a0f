"""Every search space: its maker, its task and the number of dimensions of its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netwright.spaces.auto import ClassifierStagesSpace, EncoderDecoderSpace
from netwright.spaces.autoencoder import AutoencoderSpace
from netwright.spaces.base import Space
from netwright.spaces.cells import CellSpace
from netwright.spaces.dense import DenseSpace
from netwright.spaces.layerwise.makers import googlenet, layerwise, unet, vgg16
from netwright.spaces.own import own
from netwright.spaces.segnas import SegNAS, SegNAS4, SegNAS7

SEGMENTATION, CLASSIFICATION = "segmentation", "classification"
INPAINTING = "inpainting"


@dataclass(frozen=True)
class Kind:
    """What is known about a space.

    Args:
        maker: takes the space's settings as keyword arguments.
        title: what is searched, in one line.
        tasks: "segmentation", "classification", "inpainting".
        dimensions: of the images, 2 or 3.
    """

    maker: Callable[..., Space]
    title: str
    tasks: tuple[str, ...]
    dimensions: tuple[int, ...]

    def words(self) -> str:
        """Text for lists and messages, for example ``segmentation in 3D``."""
        return f"{' or '.join(self.tasks)} in {' or '.join(f'{count}D' for count in self.dimensions)}"


KINDS: dict[str, Kind] = {
    "encoder-decoder": Kind(
        EncoderDecoderSpace,
        "encoder-decoders from plain values: width, levels, blocks, layers, and how each is trained",
        (SEGMENTATION,),
        (2, 3),
    ),
    "classifier-stages": Kind(
        ClassifierStagesSpace,
        "classifiers of stages from plain values: width, stages, blocks, layers, and how each is trained",
        (CLASSIFICATION,),
        (2,),
    ),
    "segnas11": Kind(
        SegNAS,
        "U-shaped networks of one repeated block: the block, and how blocks are connected",
        (SEGMENTATION,),
        (3,),
    ),
    "segnas4": Kind(
        SegNAS4, "U-shaped networks of one repeated block: how blocks are connected", (SEGMENTATION,), (3,)
    ),
    "segnas7": Kind(SegNAS7, "U-shaped networks of one repeated block: the block", (SEGMENTATION,), (3,)),
    "dense-encoder-decoder": Kind(
        DenseSpace,
        "a densely connected encoder-decoder: every layer's filters, height and width, and the poolings",
        (SEGMENTATION, INPAINTING),
        (2,),
    ),
    "vgg16": Kind(vgg16, "every layer of VGG-16", (CLASSIFICATION,), (2,)),
    "googlenet": Kind(googlenet, "every layer of GoogLeNet", (CLASSIFICATION,), (2,)),
    "unet": Kind(unet, "every layer of the U-Net", (SEGMENTATION, INPAINTING), (2,)),
    "layerwise": Kind(
        layerwise,
        "every layer of your own network (--network package.module:factory)",
        (SEGMENTATION, CLASSIFICATION, INPAINTING),
        (2, 3),
    ),
    "own": Kind(
        own,
        "your own space (--space package.module:Class)",
        (SEGMENTATION, CLASSIFICATION, INPAINTING),
        (2, 3),
    ),
    "autoencoder": Kind(
        AutoencoderSpace,
        "a symmetric convolutional autoencoder: every layer's type, channels and connection",
        (INPAINTING,),
        (2,),
    ),
    "cells": Kind(
        CellSpace,
        "two cells that a network repeats, normal and reduction: what each node adds",
        (CLASSIFICATION,),
        (2,),
    ),
}
"""All spaces by name. `netwright.spaces.SPACES` has only their makers."""


def spaces_for(task: str, dimensions: int) -> tuple[str, ...]:
    """Names of the spaces for a task with images of the given number of dimensions."""
    return tuple(n for n, kind in KINDS.items() if task in kind.tasks and dimensions in kind.dimensions)
