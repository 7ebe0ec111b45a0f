"""Masks that users draw: pictures in which white is what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.classification.dataset import Box
from netwright.data.classification.reading import cropped
from netwright.data.classification.settings import WHITE, ImageSettings, fitted
from netwright.data.pictures import read_head, read_picture
from netwright.errors import DatasetError


def read_missing(
    path: Path, picture: Path, settings: ImageSettings, box: Box | None = None
) -> NDArray[np.bool_]:
    """Where a picture is missing, (H, W) at the size of the settings, by a mask of the picture's own size.

    A pixel of the mask counts as missing from half white on, in the mean of its channels. Mask and picture are brought
    to the network's size alike; a pixel there of which any part is missing is missing.

    Raises:
        UnusableFile: one of the files cannot be read.
        DatasetError: they differ in size.
    """
    mask, size = read_picture(path), read_head(picture).size
    if mask.pixels.shape[:2] != size:
        height, width = mask.pixels.shape[:2]
        raise DatasetError(
            f"{path} is {height} x {width} pixels: expected {size[0]} x {size[1]}, the size of {picture}. Draw the "
            "mask on the picture."
        )
    pixels = cropped(mask, box).pixels
    white = WHITE[pixels.dtype.name]
    level = pixels.astype(np.float32) if pixels.ndim == 2 else pixels.mean(axis=-1, dtype=np.float32)
    assert settings.size is not None
    missing = (level >= white / 2).astype(np.float32)
    return np.asarray(fitted(missing[..., None], settings.size, settings.fit)[..., 0] > 0)
