"""The training's own values among the dimensions, and the fields of a training protocol that follow from them.

Rates and decays are searched as multiples of what is usual for the optimizer, so that a choice stays sensible when its
optimizer changes.
"""

from __future__ import annotations

from typing import Any

from netwright.spaces.auto.dimensions import Table, one_of, real
from netwright.spaces.base import Choice

LEARNING_RATES = {"nadam": 2e-3, "adamw": 2e-3, "sgd": 0.05}
"""The usual learning rate of each optimizer."""
WEIGHT_DECAYS = {"nadam": 1e-5, "adamw": 0.01, "sgd": 5e-4}
"""The usual weight decay of each optimizer. Nadam's is L2 regularisation, which it scales with the gradients."""

ROTATION_DEGREES, SHIFT, MAGNIFICATION = 15.0, 0.1, 1.18
"""The largest changes of an image where the strength of the spatial augmentation is 1."""
BRIGHTNESS, CONTRAST, GAMMA, NOISE = 0.2, 0.25, 0.25, 0.1
"""The same for the intensities; the fields of `AugmentationSettings` have the units."""
MIRRORED = "mirrored in training"
"""For descriptions of choices: a trained network may mirror images in prediction, too, whatever it was trained on."""


def optimizer_dimensions(
    batch: int,
    smallest: int,
    largest: int,
    *,
    optimizer: str = "nadam",
    rate: float = 1.0,
    decay: float = 0.0,
) -> Table:
    """Optimizer, rate, decay and batch.

    Args:
        batch: images in a batch at the start, a power of two.
        smallest: the fewest; a power of two.
        largest: the most; a power of two.
        optimizer: at the start.
        rate: at the start.
        decay: at the start.
    """
    batches = [2**power for power in range(smallest.bit_length() - 1, largest.bit_length())]
    return {
        "optimizer": one_of(*LEARNING_RATES, start=optimizer),
        "rate": real(0.125, 8.0, rate, log=True),
        "decay": one_of(0.0, 0.1, 1.0, 10.0, start=decay),
        "batch": one_of(*batches, start=batch),
    }


def optimizer_fields(values: Choice) -> dict[str, Any]:
    """The fields of a training protocol for the values of `optimizer_dimensions`."""
    optimizer = str(values["optimizer"])
    return {
        "optimizer": optimizer,
        "learning_rate": LEARNING_RATES[optimizer] * float(values["rate"]),
        "weight_decay": WEIGHT_DECAYS[optimizer] * float(values["decay"]),
        "batch_size": int(values["batch"]),
    }


def augmentation_fields(values: Choice) -> dict[str, Any]:
    """Fields of the augmentation: rotation, shift and scale of every image, mirroring of half of them, intensities."""
    spatial, intensity = float(values["spatial"]), float(values["intensity"])
    return {
        "probability": 1.0 if spatial else 0.0,
        "rotation_degrees": ROTATION_DEGREES * spatial,
        "shift": SHIFT * spatial,
        "scale": (MAGNIFICATION**-spatial, MAGNIFICATION**spatial),
        "flip": 0.5 if values["mirroring"] else 0.0,
        "brightness": BRIGHTNESS * intensity,
        "contrast": CONTRAST * intensity,
        "gamma": GAMMA * intensity,
        "noise": NOISE * intensity,
        "crop": 0,
        "cutout": 0,
    }


def usual_batch(voxels: int, at_once: int, smallest: int, largest: int) -> int:
    """The power of two of images that together have about so many voxels.

    Args:
        voxels: of an image.
        at_once: voxels of a batch, about.
        smallest: the smallest batch.
        largest: the largest batch.

    >>> usual_batch(40 * 56 * 40, at_once=400_000, smallest=2, largest=16)
    4
    """
    batch = smallest
    while 2 * batch <= largest and 2 * batch * voxels <= at_once:
        batch *= 2
    return batch
