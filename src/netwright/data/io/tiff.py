"""TIFF files, by tifffile: the numbers as they are stored, of any type, byte order, compression and layout."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from netwright.data.io.bounds import require_pixels
from netwright.data.io.stored import ORIENTATION_TAG, UPRIGHT, Stored, StoredHead, unknown_colours
from netwright.data.issues import Problem, UnusableFile

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins."""

PAGED_ENDINGS = (".tif", ".tiff")
"""File endings of TIFF, in small letters."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = (6, 7, 34892)
_UNSPECIFIED, _PREMULTIPLIED = 0, 1
_KINDS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _PALETTE: 1, _RGB: 3, _YCBCR: 3}
"""Channels, without those of opacity, by photometric interpretation."""

# tifffile logs what is unusual in a file. What matters is reported as a problem of the file instead.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read_tiff_head(path: Path) -> StoredHead:
    """Reads the header of a TIFF.

    Raises:
        UnusableFile: several pictures, too many pixels, or a colour space that is not read.
    """
    with _first_page(path) as page:
        return _head(page)


def read_tiff(path: Path) -> Stored:
    """Reads the numbers that a TIFF stores.

    Raises:
        UnusableFile: as `read_tiff_head`; it ends before its last pixel, or has a further channel that is no opacity.
    """
    with _first_page(path) as page:
        if not is_whole(page, path.stat().st_size):
            raise ValueError("the file ends within its pixels, or leaves out some")
        head = _head(page)
        samples = page.asarray(maxworkers=1)
        if page.samplesperpixel > 1 and page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
        samples = samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        bits, channels = page.bitspersample, _KINDS[page.photometric]
        white = 2**bits - 1
        if bits < 8 and head.kind == "grey":
            samples = np.rint(samples * (255 / white)).astype(np.uint8)
            white = 255
        if head.palette is not None and samples.max(initial=0) >= 256:
            raise ValueError("an index beyond the palette")
        if head.palette is not None:
            samples = samples.astype(np.uint8)  # of one bit they are true and false
        pixels = samples[..., 0] if channels == 1 else samples[..., :channels]
        if channels == page.samplesperpixel:
            return Stored(head, pixels, white=white)
        further = samples[..., channels]
        kind = page.extrasamples[0] if page.extrasamples else _UNSPECIFIED
        if kind != _UNSPECIFIED and further.dtype.kind == "u":
            opacity = further.astype(np.float32) / np.float32(np.iinfo(further.dtype).max)
            return Stored(head, pixels, opacity, laid_on_black=kind == _PREMULTIPLIED, white=white)
        if (further != further.flat[0]).any():
            raise unknown_colours(
                path, f"{channels + 1} channels, the last of which is not said to be opacity"
            )
        return Stored(head, pixels, white=white)


def is_stack(path: Path) -> bool:
    """Whether a file is a TIFF by its name and has several pages; False of one that cannot be read."""
    if not path.name.lower().endswith(PAGED_ENDINGS):
        return False
    try:
        there = path.stat()
    except (OSError, ValueError):
        return False
    return _has_pages(path, there.st_size, there.st_mtime_ns)


@lru_cache(maxsize=4096)
def _has_pages(path: Path, size: int, changed: int) -> bool:
    """`is_stack` of a file that has a ``size`` and was ``changed`` at a time: it is asked for often."""
    try:
        with TiffFile(path, _multifile=False) as file:
            return _count_pages(file, file.pages[0]) > 1
    except Exception:  # whoever reads the file says what is wrong with it
        return False


@contextmanager
def _first_page(path: Path) -> Iterator[Any]:
    """The one picture of a file, not yet decoded, of a kind that is read."""
    with TiffFile(path) as file:
        page: Any = file.pages[0]
        pages = _count_pages(file, page)
        if pages > 1:
            raise UnusableFile(
                Problem(
                    "error",
                    str(path),
                    "holds more than one picture",
                    expected="one",
                    found=f"{pages} pages",
                    advice="Save each page as a file of its own. Stacks of slices are volumes: name them and their "
                    "label maps as images/a.tif and labels/a.tif, all of several pages.",
                    kind="pages",
                )
            )
        if not page.imagelength or not page.imagewidth:
            raise ValueError("a picture without pixels")
        itemsize = page.dtype.itemsize if page.dtype else 1
        opacity = page.samplesperpixel in (2, 4)
        require_pixels(path, (page.imagelength, page.imagewidth), itemsize, opacity=opacity)
        if page.is_tiled:
            require_pixels(path, (page.tilelength, page.tilewidth))
        _require_known(path, page)
        yield page


def _count_pages(file: Any, page: Any) -> int:
    """Pictures in a file; ImageJ, and tifffile where it is told to, describe several in one directory."""
    count = len(file.pages)
    if file.is_imagej:
        count = max(count, int((file.imagej_metadata or {}).get("images", 1)))
    for described in (file.shaped_metadata or ()) if file.is_shaped else ():
        count = max(count, prod(described.get("shape", ())) // max(1, page.size))
    return count


def _require_known(path: Path, page: Any) -> None:
    channels = _KINDS.get(page.photometric)
    further = page.samplesperpixel - (channels or 0)
    if channels is None or (page.photometric == _YCBCR and page.compression not in _JPEG):
        raise unknown_colours(path, getattr(page.photometric, "name", str(page.photometric)))
    if not 0 <= further <= 1 or (further and page.photometric == _PALETTE) or page.imagedepth != 1:
        shape = f"{page.samplesperpixel} channels" + f", {page.imagedepth} deep" * (page.imagedepth != 1)
        raise unknown_colours(path, shape)
    integers = page.dtype is not None and page.dtype.kind in "bu"
    if page.dtype is None or page.dtype.kind not in "buif" or (page.photometric == _PALETTE and not integers):
        raise unknown_colours(path, f"numbers that are {page.dtype or 'of an unknown type'}")
    if page.photometric == _PALETTE and not 1 <= np.asarray(page.colormap).size // 3 <= 256:
        raise unknown_colours(path, f"a palette of {np.asarray(page.colormap).size // 3} colours")
    if page.photometric == _WHITE_IS_ZERO and not integers:
        raise unknown_colours(path, f"white as zero, in numbers that are {page.dtype}")


def is_whole(page: Any, size: int) -> bool:
    """Whether a file of ``size`` bytes has all parts of a tifffile page; decoders fill in what is missing."""
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    return bool(parts) and all(count and offset + count <= size for offset, count in parts)


def _head(page: Any) -> StoredHead:
    bits = page.bitspersample
    integers = page.dtype.kind in "bu"
    kind: Literal["bilevel", "grey", "palette", "colour"] = "grey"
    if page.photometric == _PALETTE:
        kind = "palette"
    elif _KINDS[page.photometric] > 1:
        kind = "colour"
    elif bits == 1:
        kind = "bilevel"
    tag = page.tags.get(ORIENTATION_TAG)
    return StoredHead(
        format="TIFF",
        size=(page.imagelength, page.imagewidth),
        kind=kind,
        depth="float32" if not integers or bits > 16 else "uint8" if bits <= 8 else "uint16",
        palette=_palette(page) if kind == "palette" else None,
        orientation=int(tag.value) if tag is not None and tag.value in range(1, 9) else UPRIGHT,
        lossy=page.compression in _JPEG,
        white_is_zero=page.photometric == _WHITE_IS_ZERO,
    )


def _palette(page: Any) -> NDArray[np.uint8]:
    """The colours (N, 3); TIFF stores them with 16 bits, some programs with 8."""
    colours = np.asarray(page.colormap).reshape(3, -1).T
    return (colours >> (8 if colours.max(initial=0) > 255 else 0)).astype(np.uint8)
