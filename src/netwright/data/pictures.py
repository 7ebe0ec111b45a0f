"""PNG, JPEG, TIFF and BMP files: pictures and masks read, pictures and label maps written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.data.bounds import require_pixels
from netwright.data.files import BROKEN_OFF, reading, require_file, without_warnings, write_whole
from netwright.data.problems import Problem, UnusableFile

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""File endings of the pictures that netwright reads, in lower case."""

GREY = ("grey",)
COLOUR = ("red", "green", "blue")

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_WRITTEN = {".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


class Picture(NamedTuple):
    """``pixels`` (H, W) or (H, W, 3), uint8, uint16 or float32; whether any of them were ``transparent``."""

    pixels: NDArray[Any]
    transparent: bool


@dataclass(frozen=True, slots=True)
class PictureHead:
    """What the header says: ``size`` (height, width), number of ``channels``, and the type of the pixels."""

    size: tuple[int, int]
    channels: int
    depth: str


def is_picture(path: Path) -> bool:
    """Whether the name of a file is that of a picture."""
    return path.name.lower().endswith(PICTURE_ENDINGS)


def channel_names(channels: int) -> tuple[str, ...]:
    """Grey, or red, green and blue."""
    return COLOUR if channels == len(COLOUR) else GREY


def read_head(path: Path) -> PictureHead:
    """Size and kind of a picture, without decoding it.

    Raises:
        UnusableFile: the file is missing, no picture, or of a kind that is not read.
    """
    with _opened(path) as image:
        _require_known(path, image)
        depth = (
            "uint16" if image.mode in _SIXTEEN_BITS else "float32" if image.mode in ("I", "F") else "uint8"
        )
        return PictureHead((image.height, image.width), _channels(image), depth)


def read_picture(path: Path) -> Picture:
    """The pixels of a picture, its rows from top to bottom.

    Palettes become the colours that they stand for; what is transparent is laid over black; bilevel pictures become
    0 and 255. 16-bit grey stays as it is, and 32-bit grey becomes float32. Orientation tags of cameras are not
    followed: a mask drawn on the picture would no longer fit.

    Raises:
        UnusableFile: the file is missing, truncated, damaged, or of a kind that is not read.
    """
    with _opened(path) as image:
        _require_known(path, image)
        return _pixels(image)


def read_mask(path: Path) -> NDArray[Any]:
    """The labels (H, W) of a mask as they are stored; of a palette its indices, of a bilevel mask 0 and 1.

    Raises:
        UnusableFile: as `read_picture`; or a JPEG file, or a picture in colours.
    """
    with _opened(path) as image:
        if image.format in ("JPEG", "MPO"):
            raise _lossy(path)
        _require_known(path, image)
        if image.mode in ("1", "P"):
            return np.asarray(image, dtype=np.uint8)
        pixels = _plain(image)
        if pixels.ndim == 2:
            return pixels
        labels, colours = pixels[..., 0], pixels[..., : pixels.shape[-1] - (image.mode in ("LA", "RGBA"))]
        if (colours != labels[..., None]).any():
            raise _in_colours(path, colours)
        if image.mode in ("LA", "RGBA") and (pixels[..., -1] != pixels[0, 0, -1]).any():
            raise _with_holes(path)
        return np.ascontiguousarray(labels)


def mask_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture or mask, without decoding it.

    Raises:
        UnusableFile: the file is missing or no picture.
    """
    with _opened(path) as image:
        return image.height, image.width


def write_label_picture(path: Path, labels: NDArray[Any], like: Path) -> None:
    """Write a label map (columns, rows, 1) as a grey picture of one value a pixel, as large as the picture ``like``.

    The file appears whole or not at all; PNG unless its name says TIFF or BMP.

    Raises:
        ValueError: the shape is not that of ``like``, or a value is below 0 or above 65535.
        UnusableFile: ``like`` cannot be read.
        StorageError: the file cannot be written.
    """
    height, width = mask_size(like)
    if labels.shape != (width, height, 1):
        raise ValueError(
            f"labels of shape {labels.shape} do not fit {like}, which has {width} x {height} pixels"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < 2**16:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit into a picture")
    stored = labels[..., 0].T.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(content, _WRITTEN.get(path.suffix.lower(), "PNG"))
    write_whole(path, content.getvalue())


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture (H, W) or (H, W, 3) as PNG, and the folders above it; it appears whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    write_whole(path, content.getvalue())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A picture as Pillow opens it, not yet decoded, and no larger than what is read; what goes wrong is told as
    `UnusableFile`."""
    require_file(path, "Restore the file, or remove what refers to it.", "a picture")
    with (
        reading(path, "a complete PNG, JPEG, TIFF or BMP picture", f"{BROKEN_OFF}, or remove it."),
        without_warnings(),
        path.open("rb") as file,
        _decoder(file, path) as image,
    ):
        require_pixels(path, (image.height, image.width))
        yield image


def _decoder(file: BinaryIO, path: Path) -> Any:
    """What ``Image.open`` does, without its own bound, which would warn of pictures that the user has allowed."""
    Image.preinit()
    start = file.read(16)
    for name in _FORMATS:
        make, accepts = Image.OPEN[name]
        if accepts is None or accepts(start) is True:
            file.seek(0)
            return make(file, path.name)
    raise ValueError("the beginning is of no such format")


def _require_known(path: Path, image: Any) -> None:
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                "holds more than one picture",
                expected="one",
                found=f"{image.n_frames} pages",
                advice="Save each page as a file of its own; a stack of slices is a volume: save it as NIfTI.",
                kind="pages",
            )
        )
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "F", *_SIXTEEN_BITS):
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                "is in a colour space that is not read",
                expected="grey or RGB",
                found=str(image.mode),
                advice="Convert it to RGB, for example with Pillow: Image.open(path).convert('RGB').save(path).",
                kind="colour-space",
            )
        )


def _channels(image: Any) -> int:
    if image.mode in ("P", "PA"):
        return 1 if _grey_palette(image) else 3
    return 3 if image.mode in ("RGB", "RGBA") else 1


def _grey_palette(image: Any) -> bool:
    colours = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _pixels(image: Any) -> Picture:
    if image.mode == "1":
        return Picture(np.asarray(image, dtype=np.uint8) * np.uint8(255), False)
    if image.mode in ("P", "PA"):
        image = image.convert("LA" if _grey_palette(image) else "RGBA")
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert(f"{image.mode}A")
    pixels = _plain(image)
    if image.mode not in ("LA", "RGBA"):
        return Picture(pixels, False)
    shown, opacity = pixels[..., :-1], pixels[..., -1:]
    transparent = bool((opacity < 255).any())
    if transparent:
        shown = np.rint(shown * (opacity.astype(np.float32) / 255)).astype(np.uint8)
    return Picture(np.ascontiguousarray(shown[..., 0] if image.mode == "LA" else shown), transparent)


def _plain(image: Any) -> NDArray[Any]:
    """The pixels as they are stored, 16 bits in the machine's order of bytes and 32 bits as real numbers."""
    pixels = np.asarray(image)
    if image.mode in _SIXTEEN_BITS:
        return pixels.astype(np.uint16)
    return pixels.astype(np.float32) if image.mode in ("I", "F") else pixels


def _lossy(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask stored as JPEG",
            expected="PNG, TIFF or BMP",
            found="JPEG, which changes the values along every edge",
            advice="Export the mask again as PNG; the values that JPEG has lost cannot be had back from it.",
            kind="lossy-mask",
        )
    )


def _in_colours(path: Path, pixels: NDArray[Any]) -> UnusableFile:
    found = len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a mask in colours",
            expected="one value a pixel: 0 for background, 1, 2, ... for the labels",
            found=f"red, green and blue, in {found} different colours",
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
            advice="Save it without its alpha channel, after a look whether that holds the labels.",
            kind="transparent-mask",
        )
    )
