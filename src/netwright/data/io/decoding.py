"""PNG, JPEG, BMP and GIF files, their numbers as stored. Pillow reads them; libpng what Pillow would cut to 8 bits."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from imagecodecs import png_decode
from numpy.typing import NDArray
from PIL import Image

from netwright.data.io.bounds import require_pixels
from netwright.data.io.stored import ORIENTATION_TAG, UPRIGHT, Stored, StoredHead, unknown_colours
from netwright.data.issues import Problem, UnusableFile

_FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_KINDS: dict[str, Literal["bilevel", "grey", "palette", "colour"]] = {
    "1": "bilevel",
    "L": "grey",
    "LA": "grey",
    "P": "palette",
    "RGB": "colour",
    "RGBA": "colour",
    "CMYK": "colour",
    **dict.fromkeys(_SIXTEEN_BITS, "grey"),
}
"""By Pillow's modes."""

_PNG_SIGNATURE = 8
_PNG_GREY_ALPHA = 4
"""Colour type, for which Pillow has no mode of 16 bits and names another."""


def read_stored_head(path: Path) -> StoredHead:
    """What the header of a PNG, JPEG, BMP or GIF says.

    Raises:
        UnusableFile: too many pixels, a colour space that is not read, or several frames.
    """
    with path.open("rb") as file, _opened(file, path) as image:
        return _head(path, file, image)


def read_stored(path: Path) -> Stored:
    """The numbers that a PNG, JPEG, BMP or GIF stores.

    Raises:
        UnusableFile: as `read_stored_head`.
    """
    with path.open("rb") as file, _opened(file, path) as image:
        head = _head(path, file, image)
        if head.depth == "uint16" and image.mode not in _SIXTEEN_BITS:
            # Pillow drops the lower 8 bits of 16-bit colours, and of grey with opacity.
            return _sixteen_bits(path, head)
        return _decoded(head, image)


def _opened(file: BinaryIO, path: Path) -> Any:
    """What ``Image.open`` does, without its own bound, which would warn of pictures that the user has allowed."""
    Image.preinit()
    start = file.read(16)
    for name in _FORMATS:
        make, accepts = Image.OPEN[name]
        if accepts is None or accepts(start) is True:
            file.seek(0)
            image = make(file, path.name)
            opacity = "A" in image.getbands() or "transparency" in image.info
            require_pixels(path, (image.height, image.width), opacity=opacity)
            return image
    raise ValueError("the beginning is of no such format")


def _head(path: Path, file: BinaryIO, image: Any) -> StoredHead:
    if image.mode not in _KINDS:
        raise unknown_colours(path, str(image.mode))
    if image.format == "GIF" and image.is_animated:
        raise _animated(path)
    orientation = _orientation(file, image)
    bits, colours = _at(file, 24, 2) if image.format == "PNG" else (8, None)
    deep = bits == 16 or image.mode in _SIXTEEN_BITS
    palette = None
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return StoredHead(
        format="JPEG" if image.format == "MPO" else image.format,
        size=(image.height, image.width),
        kind="grey" if colours == _PNG_GREY_ALPHA else _KINDS[image.mode],
        depth="uint16" if deep else "uint8",
        palette=palette,
        orientation=orientation,
        lossy=image.format in ("JPEG", "MPO"),
    )


def _animated(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is an animation",
            expected="a GIF of one frame",
            found="several frames",
            advice="Save the frame that is meant as PNG, for example with Pillow: Image.open(path).save(new_path).",
            kind="animation",
        )
    )


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Some bytes of a file that Pillow goes on to read."""
    before = file.tell()
    file.seek(offset)
    content = file.read(count)
    file.seek(before)
    return content


def _orientation(file: BinaryIO, image: Any) -> int:
    """How the pixels are turned to be shown; damaged tags say nothing."""
    if image.format == "PNG" and "exif" not in image.info and _has_late_tags(file):
        image.load()
    with suppress(Exception):
        # Pillow's own method of a PNG decodes all of it first.
        orientation = Image.Image.getexif(image).get(ORIENTATION_TAG, UPRIGHT)
        if orientation in range(1, 9):
            return int(orientation)
    return UPRIGHT


def _has_late_tags(file: BinaryIO) -> bool:
    """Whether a PNG has EXIF tags, looked for in its whole chain of chunks: some programs write them at the end."""
    offset = _PNG_SIGNATURE
    while len(head := _at(file, offset, 8)) == 8 and head[4:] != b"IEND":
        if head[4:] == b"eXIf":
            return True
        offset += int.from_bytes(head[:4]) + 12
    return False


def _sixteen_bits(path: Path, head: StoredHead) -> Stored:
    pixels: NDArray[Any] = png_decode(path.read_bytes())
    channels = 3 if head.kind == "colour" else 1
    visible = pixels[..., :channels] if channels == 3 else pixels.reshape(*pixels.shape[:2], -1)[..., 0]
    opacity = None
    if pixels.ndim == 3 and pixels.shape[-1] > channels:
        opacity = pixels[..., channels].astype(np.float32) / np.float32(65535)
    return Stored(head, visible, opacity, white=65535)


def _decoded(head: StoredHead, image: Any) -> Stored:
    key = image.info.get("transparency")
    if image.mode == "P":
        indices = np.asarray(image)
        return Stored(head, indices, None if key is None else _opacities(key)[indices], keyed=True)
    if image.mode == "CMYK":
        # Adobe's programs, and with them almost all, store the inks of a JPEG inverted. Pillow takes all for such.
        image = image.convert("RGB")
    keyed = key is not None and image.mode in ("L", "RGB")
    if keyed:
        image = image.convert(f"{image.mode}A")
    pixels = np.asarray(image)
    if image.mode in _SIXTEEN_BITS:
        return Stored(head, pixels.astype(np.uint16), white=65535)
    if image.mode not in ("LA", "RGBA"):
        return Stored(head, pixels)
    opacity = pixels[..., -1].astype(np.float32) / np.float32(255)
    return Stored(head, pixels[..., 0] if image.mode == "LA" else pixels[..., :-1], opacity, keyed)


def _opacities(key: bytes | int) -> NDArray[np.float32]:
    """The opacity (0 to 1) of each index of a palette. ``key``: those of the first indices, or the transparent one."""
    result = np.ones(256, np.float32)
    if isinstance(key, int):
        result[key] = 0
    else:
        result[: len(key)] = np.frombuffer(key, np.uint8)[:256] / np.float32(255)
    return result
