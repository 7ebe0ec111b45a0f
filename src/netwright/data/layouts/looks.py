"""Whether pictures look like drawings, such as masks, or like photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from netwright.data.io.images import read_picture
from netwright.data.io.masks import mask_size
from netwright.data.issues import UnusableFile

_SAMPLED = 4
_FLAT = 0.75
_FEW_VALUES = 64
_MOST_VALUES = 1_000_000

_T = TypeVar("_T")


def some(items: Sequence[_T]) -> Sequence[_T]:
    """A few of the items, spread over all of them: looking at every file would take long."""
    return items[:: max(1, len(items) // _SAMPLED)][:_SAMPLED]


def is_flat(path: Path) -> bool | None:
    """Whether most pixels are as their neighbours, as in drawings and unlike in photographs; None where it cannot be
    read."""
    try:
        pixels = read_picture(path).pixels
    except UnusableFile:
        return None
    same = pixels[:, 1:] == pixels[:, :-1]
    return bool((same if same.ndim == 2 else same.all(axis=-1)).mean() >= _FLAT) if same.size else None


def shows_more(image: Path, mask: Path) -> bool:
    """Whether an image is no drawing: it is not flat, or it has many values, and more than its mask, as a slice of a
    scan has whose background is black. It is, too, where one of both cannot be read: reading says why."""
    if is_flat(image) is not True:
        return True
    values, of_mask = _values(image), _values(mask)
    return values is None or of_mask is None or values > max(_FEW_VALUES, of_mask)


def same_size(image: Path, mask: Path) -> bool:
    """Whether an image and its mask have one size. They have, too, where one of both cannot be read."""
    try:
        return mask_size(image) == mask_size(mask)
    except UnusableFile:
        return True


def _values(path: Path) -> int | None:
    """The number of different values of a picture's pixels, of a large one some pixels; None where it cannot be
    read."""
    try:
        values = read_picture(path).pixels.ravel()
    except UnusableFile:
        return None
    return len(np.unique(values[:: 1 + values.size // _MOST_VALUES]))
