"""PNG, JPEG, TIFF, BMP and GIF files: pictures read, pictures and label maps written."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.data.files import BROKEN_OFF, reading, require_file, without_warnings, write_whole
from netwright.data.io.decoding import read_stored, read_stored_head
from netwright.data.io.stored import (
    ORIENTATION_TAG,
    TURNS,
    UPRIGHT,
    Stored,
    StoredHead,
    turned,
    turned_back,
)
from netwright.data.io.tiff import MARKS, read_tiff, read_tiff_head
from netwright.data.issues import UnusableFile

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
"""File endings of the pictures that netwright reads, in lower case."""

GREY = ("grey",)
COLOUR = ("red", "green", "blue")

_WRITTEN = {".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_T = TypeVar("_T")


class Picture(NamedTuple):
    """``pixels`` (H, W) or (H, W, 3), uint8, uint16 or float32; whether any of them were ``transparent``."""

    pixels: NDArray[Any]
    transparent: bool


@dataclass(frozen=True, slots=True)
class PictureHead:
    """The header of a picture: ``size`` (height, width) after its orientation tag was followed, number of ``channels``,
    and the type of the pixels.
    """

    size: tuple[int, int]
    channels: int
    depth: str


def is_picture(path: Path) -> bool:
    """Whether the name of a file is that of a picture."""
    return path.name.lower().endswith(PICTURE_ENDINGS)


def channel_names(channels: int) -> tuple[str, ...]:
    """The names of the channels: grey, or red, green and blue."""
    return COLOUR if channels == len(COLOUR) else GREY


def read_head(path: Path) -> PictureHead:
    """Size and kind of a picture, without decoding it.

    Raises:
        UnusableFile: the file is missing, no picture, or of a kind that is not read.
    """
    head = head_of(path)
    height, width = head.size
    size = (width, height) if head.orientation in TURNS else head.size
    return PictureHead(size, head.channels, head.depth)


def read_picture(path: Path) -> Picture:
    """The pixels of a picture as it is shown, its rows from top to bottom.

    Orientation tags of cameras are followed. Palettes become the colours that they stand for; what is transparent is
    laid over black; bilevel pictures become 0 and 255; where white is stored as zero, it becomes the largest number.
    16-bit numbers stay as they are, in colours, too; signed, 32-bit and real ones become float32.

    Raises:
        UnusableFile: the file is missing, truncated, damaged, or of a kind that is not read.
    """
    stored = stored_of(path)
    pixels = _converted(stored)
    transparent = stored.opacity is not None and bool((stored.opacity < 1).any())
    if stored.opacity is not None and transparent and not stored.laid_on_black:
        pixels = _on_black(pixels, stored.opacity)
    return Picture(turned(pixels, stored.head.orientation), transparent)


def write_label_picture(path: Path, labels: NDArray[Any], like: Path) -> None:
    """Write a label map (columns, rows, 1) as a grey picture of one value a pixel, as large as the picture ``like``.

    The file appears whole or not at all; PNG unless its name says TIFF or BMP. Where ``like`` has an orientation tag
    the label map is stored turned as its pixels are, and has the same tag, so that the two lie alike whether or not a
    program follows it. BMP has no tags: it is stored as it is shown.

    Args:
        path: of the file to write.
        labels: the values.
        like: the picture that was labelled.

    Raises:
        ValueError: the shape is not that of ``like``, or a value is below 0 or above 65535.
        UnusableFile: ``like`` cannot be read.
        StorageError: the file cannot be written.
    """
    height, width = read_head(like).size
    orientation = head_of(like).orientation
    if labels.shape != (width, height, 1):
        raise ValueError(
            f"labels of shape {labels.shape} do not fit {like}, which has {width} x {height} pixels"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < 2**16:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit into a picture")
    stored = labels[..., 0].T.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)
    file_format = _WRITTEN.get(path.suffix.lower(), "PNG")
    tags = Image.Exif()
    if orientation != UPRIGHT and file_format != "BMP":
        stored = turned_back(stored, orientation)
        tags[ORIENTATION_TAG] = orientation
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(content, file_format, exif=tags)
    write_whole(path, content.getvalue())


def write_pages(path: Path, pages: NDArray[np.float32]) -> None:
    """Write real numbers (pages, H, W) as a TIFF, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    first, *others = (Image.fromarray(np.ascontiguousarray(page)) for page in pages)
    content = io.BytesIO()
    first.save(content, "TIFF", save_all=True, append_images=others, compression="tiff_adobe_deflate")
    write_whole(path, content.getvalue())


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture (H, W) or (H, W, 3) as PNG, and the folders above it; it appears whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    write_whole(path, content.getvalue())


def read_otherwise_before(path: Path) -> bool:
    """Whether a picture may have been read differently when `READING` was 1: a TIFF, one with an orientation tag, or
    one of 16 bits. False where it cannot be read."""
    try:
        head = head_of(path)
    except UnusableFile:
        return False
    return head.format == "TIFF" or head.orientation != UPRIGHT or head.depth != "uint8"


def head_of(path: Path) -> StoredHead:
    """What the header of a picture says.

    Raises:
        UnusableFile: as `read_head`.
    """
    return _read(path, read_tiff_head, read_stored_head)


def stored_of(path: Path) -> Stored:
    """The numbers that a picture stores.

    Raises:
        UnusableFile: as `read_picture`.
    """
    return _read(path, read_tiff, read_stored)


def _read(path: Path, tiff: Callable[[Path], _T], other: Callable[[Path], _T]) -> _T:
    """Reads a file as TIFF, or as one of the other formats. What goes wrong is raised as `UnusableFile`."""
    require_file(path, "Restore the file, or remove what refers to it.", "a picture")
    with (
        reading(path, "a complete PNG, JPEG, TIFF, BMP or GIF picture", f"{BROKEN_OFF}, or remove it."),
        without_warnings(),
    ):
        with path.open("rb") as file:
            start = file.read(4)
        return tiff(path) if start in MARKS else other(path)


def _on_black(numbers: NDArray[Any], opacity: NDArray[np.float32]) -> NDArray[Any]:
    """Numbers times their opacity. It is computed row by row, because it takes real numbers and so much memory."""
    result = np.empty_like(numbers)
    for row, line, weights in zip(result, numbers, opacity, strict=True):
        laid = line * (weights if line.ndim == 1 else weights[:, None])
        row[...] = np.rint(laid) if numbers.dtype.kind == "u" else laid
    return result


def _converted(stored: Stored) -> NDArray[Any]:
    """The pixels of a stored picture: colours of the palette, 0 and 255 for bilevel ones, white above black."""
    head, pixels = stored.head, stored.pixels
    if head.palette is not None:
        padded = np.zeros((1 << max(8, len(head.palette).bit_length()), 3), np.uint8)
        padded[: len(head.palette)] = head.palette
        return np.asarray((padded[:, 0] if head.channels == 1 else padded)[pixels])
    if head.kind == "bilevel":
        white = np.asarray(pixels, dtype=bool) != head.white_is_zero
        return np.where(white, np.uint8(255), np.uint8(0))
    if head.white_is_zero:
        pixels = (stored.white - pixels).astype(pixels.dtype)
    numbers: NDArray[Any] = pixels.astype(head.depth, copy=False)
    return numbers
