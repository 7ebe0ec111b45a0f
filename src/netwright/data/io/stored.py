"""What the file of a picture stores, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.data.issues import Problem, UnusableFile

ORIENTATION_TAG = 274
"""Of EXIF and of TIFF: how pixels are turned to be shown."""

TURNS = (5, 6, 7, 8)
"""The orientations in which rows are shown as columns."""

UPRIGHT = 1
"""The orientation in which pixels are stored as they are shown."""


@dataclass(frozen=True, slots=True)
class StoredHead:
    """What the header of a picture says.

    ``format``: PNG, JPEG, BMP, GIF or TIFF. ``size``: height and width as stored. ``kind``: what a pixel holds; of a
    palette an index. ``depth``: the type of the numbers that are made of it. ``palette``: the colours (N, 3), uint8.
    ``orientation``: how the pixels are turned to be shown, 1 to 8 as EXIF and TIFF have it. ``lossy``: whether
    numbers were changed to make the file smaller. ``white_is_zero``: whether the largest number means black.
    """

    format: str
    size: tuple[int, int]
    kind: Literal["bilevel", "grey", "palette", "colour"]
    depth: Literal["uint8", "uint16", "float32"]
    palette: NDArray[np.uint8] | None = None
    orientation: int = UPRIGHT
    lossy: bool = False
    white_is_zero: bool = False

    @property
    def channels(self) -> int:
        """Those of the picture that is made of it: one where a palette has greys alone."""
        if self.palette is not None:
            return 1 if is_grey(self.palette) else 3
        return 3 if self.kind == "colour" else 1


@dataclass(frozen=True, slots=True)
class Stored:
    """The numbers that a file stores, (H, W) or (H, W, 3), not turned; of less than 8 bits scaled to 8.

    ``opacity`` (H, W), from 0 to 1; None: nothing is transparent. ``keyed``: it follows from the numbers themselves,
    some of which are called transparent. ``laid_on_black``: the colours are multiplied by it already. ``white``: the
    largest number of this many bits.
    """

    head: StoredHead
    pixels: NDArray[Any]
    opacity: NDArray[np.float32] | None = None
    keyed: bool = False
    laid_on_black: bool = False
    white: int = 255


def is_grey(palette: NDArray[np.uint8]) -> bool:
    """Whether a palette (N, 3) holds greys alone."""
    return bool((palette == palette[:, :1]).all())


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W, ...) as they are shown, of an orientation of EXIF, 1 to 8."""
    if orientation in TURNS:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def turned_back(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `turned`."""
    return turned(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def unknown_colours(path: Path, colours: str) -> UnusableFile:
    """That a picture has colours, or channels, which are not read."""
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is in a colour space that is not read",
            expected="grey or RGB",
            found=colours,
            advice="Convert it to RGB, for example with Pillow: Image.open(path).convert('RGB').save(path).",
            kind="colour-space",
        )
    )
