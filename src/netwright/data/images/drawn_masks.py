"""Masks that users draw: pictures that are white where something is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import Box
from netwright.data.images.reading import cropped
from netwright.data.images.settings import WHITE, ImageSettings, fitted
from netwright.data.io.images import read_head, read_picture
from netwright.data.io.masks import require_one_orientation
from netwright.data.issues import Problem, UnusableFile
from netwright.errors import DatasetError


def read_missing(
    path: Path, picture: Path, settings: ImageSettings, box: Box | None = None
) -> NDArray[np.bool_]:
    """Where a picture is missing, (H, W), at the size of the settings. The mask has the size of the picture.

    A pixel of the mask counts as missing if the mean of its channels is at least half white. Mask and picture are
    resized alike. A pixel of the result is missing if a missing pixel has any share in its value; linear interpolation
    takes such shares from slightly beyond the pixel's own area.

    Args:
        path: the mask.
        picture: the picture.
        settings: how pictures are resized.
        box: the part of the picture that is used; None: all of it.

    Raises:
        UnusableFile: one of the files cannot be read, or no pixel of the mask is white though not all are black.
        DatasetError: the two differ in size.
    """
    require_size(path, picture)
    mask = read_picture(path)
    whole = _white(path, mask.pixels).astype(np.float32)
    missing = cropped(mask._replace(pixels=whole), box).pixels
    assert settings.size is not None
    return np.asarray(fitted(missing[..., None], settings.size, settings.fit)[..., 0] > 0)


def require_size(path: Path, picture: Path) -> None:
    """Refuses a mask that is not as large as its picture. Only the headers are read.

    Raises:
        UnusableFile: one of the files cannot be read, or only one has an orientation tag.
        DatasetError: the two differ in size.
    """
    require_one_orientation(picture, path)
    (height, width), size = read_head(path).size, read_head(picture).size
    if (height, width) != size:
        raise DatasetError(
            f"{path} is {height} x {width} pixels: expected {size[0]} x {size[1]}, the size of {picture}. Draw the "
            "mask on the picture."
        )


def _white(path: Path, pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a mask (H, W) or (H, W, 3) is white."""
    white = WHITE[pixels.dtype.name]
    level = pixels.astype(np.float32) if pixels.ndim == 2 else pixels.mean(axis=-1, dtype=np.float32)
    mask: NDArray[np.bool_] = level >= white / 2
    if pixels.any() and not mask.any():
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                f"has values {pixels.min():g} to {pixels.max():g}, none of them white",
                expected=f"white, {white:g}, where the picture is missing, and black, 0, elsewhere",
                found=f"nothing from {white / 2:g} on",
                advice="Labels 0 and 1 are not a mask: multiply them by 255. If nothing is missing, make the mask "
                "completely black.",
                kind="no-white",
            )
        )
    return mask
