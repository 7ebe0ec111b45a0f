"""PNG, JPEG, TIFF and BMP files: pictures and masks read, pictures and label maps written."""

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
    is_grey,
    turned,
    turned_back,
)
from netwright.data.io.tiff import MARKS, read_tiff, read_tiff_head
from netwright.data.issues import Problem, UnusableFile

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""File endings of the pictures that netwright reads, in lower case."""

GREY = ("grey",)
COLOUR = ("red", "green", "blue")

_WRITTEN = {".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_T = TypeVar("_T")


class Picture(NamedTuple):
    """``pixels`` (H, W) or (H, W, 3), uint8, uint16 or float32; whether any of them were ``transparent``."""

    pixels: NDArray[Any]
    transparent: bool


class Mask(NamedTuple):
    """``labels`` (H, W), and the ``colours`` of those that a palette, or black and white, shows: empty of numbers."""

    labels: NDArray[Any]
    colours: dict[int, tuple[int, int, int]]


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
    head = _head_of(path)
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
    stored = _read(path, read_tiff, read_stored)
    pixels = _converted(stored)
    transparent = stored.opacity is not None and bool((stored.opacity < 1).any())
    if stored.opacity is not None and transparent and not stored.laid_on_black:
        pixels = _on_black(pixels, stored.opacity)
    return Picture(turned(pixels, stored.head.orientation), transparent)


def read_mask(path: Path) -> NDArray[Any]:
    """The labels (H, W) of a mask: see `read_coloured_mask`."""
    return read_coloured_mask(path).labels


def read_coloured_mask(path: Path) -> Mask:
    """A mask: its numbers as they are stored; of a palette its indices, of a bilevel mask 0 and 1.

    A palette of greys alone that do not grow with the index, from black, is a grey picture: its greys are the labels,
    so that black stays background whatever its index. A mask is turned as its own orientation tag says: see
    `require_one_orientation`.

    Raises:
        UnusableFile: as `read_picture`; or the values are not those that were drawn, a picture in colours, one with
            the labels in its opacity, or one that stores white as zero.
    """
    stored = _read(path, read_tiff, read_stored)
    head, pixels = stored.head, stored.pixels
    if head.lossy:
        raise _lossy(path)
    if head.white_is_zero:
        raise _white_is_zero(path)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise _in_colours(path, pixels)
        pixels = pixels[..., 0]
    if stored.opacity is not None and not stored.keyed and (stored.opacity != stored.opacity.flat[0]).any():
        raise _with_holes(path)
    colours: dict[int, tuple[int, int, int]] = {}
    if head.kind == "bilevel":
        pixels = pixels.astype(np.uint8)
        colours = {0: (0, 0, 0), 1: (255, 255, 255)}
    elif head.palette is not None:
        pixels, colours = _labels_of_palette(pixels, head.palette)
    return Mask(turned(pixels, head.orientation), colours)


def has_colours(path: Path) -> bool:
    """Whether a mask has a palette, or is black and white; False of one that cannot be read. It is not decoded."""
    try:
        return _head_of(path).kind in ("palette", "bilevel")
    except UnusableFile:
        return False


def _labels_of_palette(
    indices: NDArray[Any], palette: NDArray[np.uint8]
) -> tuple[NDArray[Any], dict[int, tuple[int, int, int]]]:
    padded = np.zeros((256, 3), np.uint8)
    padded[: len(palette)] = palette
    used = np.unique(indices)
    greys = padded[: int(used.max(initial=0)) + 1, 0].astype(int)
    if is_grey(palette) and (greys[0] != 0 or (np.diff(greys) <= 0).any()):
        return padded[:, 0][indices], {}
    return indices, {int(index): (*padded[index].tolist(),) for index in used}


def require_one_orientation(image: Path, mask: Path) -> None:
    """Refuse an image and its mask that are turned differently; only their headers are read.

    Which way a mask lies that was drawn on an image with an orientation tag, and lacks the tag, depends on the program
    that it was drawn with.

    Raises:
        UnusableFile: one of the files cannot be read, or one has an orientation tag that the other has not.
    """
    of_image, of_mask = (_head_of(path).orientation for path in (image, mask))
    if of_image == of_mask:
        return
    raise UnusableFile(
        Problem(
            "error",
            str(mask),
            "has another orientation than its image",
            expected=f"the orientation tag of {image}, {of_image}" + " (as stored)" * (of_image == UPRIGHT),
            found=f"{of_mask}" + " (as stored, or no tag)" * (of_mask == UPRIGHT),
            advice="Programs that follow the tag of a camera show another picture than those that do not, and the "
            "mask fits one of them. Save both upright and without the tag, for example with Pillow: "
            "ImageOps.exif_transpose(Image.open(path)).save(path), check that they match, and rotate the mask by "
            "hand if not.",
            kind="orientation",
        )
    )


def mask_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture or mask as it is shown, without decoding it.

    Raises:
        UnusableFile: the file is missing or no picture.
    """
    return read_head(path).size


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
    height, width = mask_size(like)
    orientation = _head_of(like).orientation
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
        head = _head_of(path)
    except UnusableFile:
        return False
    return head.format == "TIFF" or head.orientation != UPRIGHT or head.depth != "uint8"


def _head_of(path: Path) -> StoredHead:
    return _read(path, read_tiff_head, read_stored_head)


def _read(path: Path, tiff: Callable[[Path], _T], other: Callable[[Path], _T]) -> _T:
    """Reads a file as TIFF, or as one of the other formats. What goes wrong is raised as `UnusableFile`."""
    require_file(path, "Restore the file, or remove what refers to it.", "a picture")
    with (
        reading(path, "a complete PNG, JPEG, TIFF or BMP picture", f"{BROKEN_OFF}, or remove it."),
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


def _white_is_zero(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask that stores white as zero",
            expected="black as zero (PhotometricInterpretation 1, BlackIsZero)",
            found="PhotometricInterpretation 0, WhiteIsZero",
            advice="Programs differ in whether they turn such numbers round, so that background and labels may have "
            "changed places. Save the numbers that are meant again as PNG, for example with tifffile and Pillow: "
            "Image.fromarray(tifffile.imread(path)).save(new_path).",
            kind="white-is-zero",
        )
    )


def _lossy(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask stored as JPEG",
            expected="PNG, TIFF or BMP",
            found="JPEG, which changes the values along every edge",
            advice="Export the mask again as PNG; the values that JPEG lost cannot be recovered from it.",
            kind="lossy-mask",
        )
    )


def _in_colours(path: Path, pixels: NDArray[Any]) -> UnusableFile:
    colours = len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask in colours",
            expected="one value a pixel: 0 for background, 1, 2, ... for the labels",
            found=f"red, green and blue, in {colours} different colours",
            advice="Give each colour a number and save the numbers as 8-bit grey, for example "
            "numpy.all(rgb == (255, 0, 0), axis=-1) for the pixels that are red. A palette PNG is read as it is.",
            kind="colour-mask",
        )
    )


def _with_holes(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask that is transparent in places",
            expected="one value a pixel",
            found="values and opacities",
            advice="Save it without its alpha channel, after checking that it does not contain the labels.",
            kind="transparent-mask",
        )
    )
