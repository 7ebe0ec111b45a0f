"""What each space is for: the task, and in how many dimensions."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENTATION, CLASSIFICATION = "segmentation", "classification"
INPAINTING = "inpainting"


@dataclass(frozen=True)
class Kind:
    """``title``: what is searched, in a line. ``tasks``: "segmentation", "classification", "inpainting".
    ``dimensions``: of the images, 2 or 3.
    """

    title: str
    tasks: tuple[str, ...]
    dimensions: tuple[int, ...]

    def words(self) -> str:
        """For lists and messages, for example ``segmentation in 3D``."""
        return f"{' or '.join(self.tasks)} in {' or '.join(f'{count}D' for count in self.dimensions)}"


KINDS: dict[str, Kind] = {
    "segnas11": Kind(
        "U-shaped networks of one repeated block: the block, and how blocks are connected",
        (SEGMENTATION,),
        (3,),
    ),
    "segnas4": Kind(
        "U-shaped networks of one repeated block: how blocks are connected", (SEGMENTATION,), (3,)
    ),
    "segnas7": Kind("U-shaped networks of one repeated block: the block", (SEGMENTATION,), (3,)),
    "dense-encoder-decoder": Kind(
        "a densely connected encoder-decoder: every layer's filters, height and width, and the poolings",
        (SEGMENTATION, INPAINTING),
        (2,),
    ),
    "vgg16": Kind("every layer of VGG-16", (CLASSIFICATION,), (2,)),
    "googlenet": Kind("every layer of GoogLeNet", (CLASSIFICATION,), (2,)),
    "unet": Kind("every layer of the U-Net", (SEGMENTATION, INPAINTING), (2,)),
    "layerwise": Kind(
        "every layer of your own network (--network package.module:factory)",
        (SEGMENTATION, CLASSIFICATION, INPAINTING),
        (2, 3),
    ),
    "autoencoder": Kind(
        "a symmetric convolutional autoencoder: every layer's type, channels and connection",
        (INPAINTING,),
        (2,),
    ),
    "cells": Kind(
        "two cells that a network repeats, normal and reduction: what each node adds", (CLASSIFICATION,), (2,)
    ),
}
"""For each name in `netwright.spaces.SPACES`, in that order."""


def spaces_for(task: str, dimensions: int) -> tuple[str, ...]:
    """Names of the spaces that suit a task in so many dimensions."""
    return tuple(n for n, kind in KINDS.items() if task in kind.tasks and dimensions in kind.dimensions)
