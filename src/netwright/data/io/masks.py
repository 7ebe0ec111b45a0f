"""Masks: pictures whose numbers are labels, or a folder of them with one for each object of an image."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import content_digest, is_folder
from netwright.data.io.images import head_of, is_picture, read_head, stored_of
from netwright.data.io.stored import UPRIGHT, is_grey, turned
from netwright.data.issues import Problem, UnusableFile

_DARK = 64
_EDGE = 5
_MOST_AT_EDGES = 0.05
"""A mask as JPEG is black and white where greys from 64 to 191 fill no 5 x 5 pixels, and not over 5 % of all."""

_RIPPLE = 32
"""By so much JPEG may tint a grey."""


def objects_in(folder: Path) -> tuple[Path, ...]:
    """The masks of a folder with one for each object, sorted."""
    return tuple(sorted(file for file in folder.iterdir() if is_picture(file) and file.name[0] != "."))


def holds_objects(folder: Path) -> bool:
    """Whether a folder has a mask for each object of the image that lies alone in a folder beside it."""
    if not objects_in(folder):
        return False
    beside = [other for other in folder.parent.iterdir() if other != folder and is_folder(other)]
    return any(len(objects_in(other)) == 1 for other in beside)


def mask_files(path: Path) -> tuple[Path, ...]:
    """The files of a mask: those of a folder of objects, otherwise the file itself."""
    return objects_in(path) if is_folder(path) else (path,)


def mask_digests(path: Path) -> tuple[str, ...]:
    """Hashes of `mask_files`, in which their names do not matter."""
    return tuple(sorted(map(content_digest, mask_files(path))))


class Mask(NamedTuple):
    """``labels`` (H, W), and the ``colours`` of those that a palette, or black and white, shows: empty of numbers."""

    labels: NDArray[Any]
    colours: dict[int, tuple[int, int, int]]


def read_mask(path: Path) -> NDArray[Any]:
    """The labels (H, W) of a mask: see `read_coloured_mask`."""
    return read_coloured_mask(path).labels


def read_coloured_mask(path: Path) -> Mask:
    """A mask: its numbers as they are stored; of a palette its indices, of a bilevel mask 0 and 1.

    Of a folder of objects, a pixel has the label of the mask that labels it: see `_joined`. A JPEG is read where it
    shows black and white alone: see `_split_at_half`.

    A palette of greys alone that do not grow with the index, from black, is a grey picture: its greys are the labels,
    so that black stays background whatever its index. A mask is turned as its own orientation tag says: see
    `require_one_orientation`.

    Raises:
        UnusableFile: as `read_picture`; or the values are not those that were drawn, a picture in colours, one with
            the labels in its opacity, or one that stores white as zero.
    """
    if is_folder(path):
        return _joined(path)
    stored = stored_of(path)
    head, pixels = stored.head, stored.pixels
    if head.white_is_zero:
        raise _white_is_zero(path)
    if head.lossy:
        pixels = _split_at_half(path, pixels)
    elif pixels.ndim == 3:
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


def _joined(folder: Path) -> Mask:
    """The masks of a folder as one: what any of them labels is labelled.

    Raises:
        UnusableFile: as `read_coloured_mask`, or the masks differ in size, or in the colour of a label, or two of them
            label a pixel differently.
    """
    files = objects_in(folder)
    labels, colours = read_coloured_mask(files[0])
    labels = labels.copy()
    for file in files[1:]:
        more = read_coloured_mask(file)
        if more.labels.shape != labels.shape:
            raise _not_one(file, "another size", _size(labels), _size(more.labels))
        labelled = more.labels != 0
        if (twice := labelled & (labels != 0) & (labels != more.labels)).any():
            raise _not_one(
                file, "another label", f"{labels[twice][0]}", f"{more.labels[twice][0]} at a pixel"
            )
        for label in sorted(colours.keys() & more.colours.keys()):
            if colours[label] != more.colours[label]:
                expected, found = (f"{of[label]} for {label}" for of in (colours, more.colours))
                raise _not_one(file, "another palette", expected, found)
        labels = np.where(labelled, more.labels, labels)
        colours = {**more.colours, **colours}
    return Mask(labels, colours)


def _size(labels: NDArray[Any]) -> str:
    return f"{labels.shape[0]} x {labels.shape[1]} pixels"


def _not_one(file: Path, what: str, expected: str, found: str) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(file),
            f"has {what} than the other masks of its image",
            expected=expected,
            found=found,
            advice="Masks of single objects are joined into one: correct this one, or join them yourself.",
            kind="objects",
        )
    )


def is_lossy(path: Path) -> bool:
    """Whether a mask is stored as JPEG; False of one that cannot be read. It is not decoded."""
    try:
        return head_of(mask_files(path)[0]).lossy
    except UnusableFile:
        return False


def has_colours(path: Path) -> bool:
    """Whether a mask has a palette, or is black and white; False of one that cannot be read. It is not decoded."""
    try:
        return head_of(mask_files(path)[0]).kind in ("palette", "bilevel")
    except UnusableFile:
        return False


def _split_at_half(path: Path, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The black (0) and white (255) of a mask that JPEG has changed along its edges.

    Raises:
        UnusableFile: it has colours, or no white but other values than 0, or greys in an area of their own.
    """
    from scipy import ndimage  # takes long to import, and is needed for few datasets

    if pixels.dtype != np.uint8:
        raise _lossy(path)
    if pixels.ndim == 3:
        if (np.ptp(pixels.astype(np.int16), axis=-1) > _RIPPLE).any():
            raise _lossy(path)
        pixels = pixels[..., 1]
    between = (pixels >= _DARK) & (pixels <= 255 - _DARK)
    an_area = ndimage.minimum_filter(between, _EDGE).any()
    unsure = between.mean() > _MOST_AT_EDGES or (0 < pixels.max(initial=0) <= 255 - _DARK)
    if an_area or unsure:
        raise _lossy(path)
    return np.where(pixels >= 128, np.uint8(255), np.uint8(0))


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
    of_image, of_mask = (head_of(path).orientation for path in (image, mask_files(mask)[0]))
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
    return read_head(mask_files(path)[0]).size


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
            expected="PNG, TIFF, BMP or GIF; or black and white alone, which can be told apart in a JPEG",
            found="other values, which JPEG changes along every edge",
            advice="Export the mask again as PNG; the values that JPEG lost cannot be recovered from it. If all that "
            "is brighter than half is one label, split it there, with ImageMagick: mogrify -format png -threshold 50% "
            f"{shlex.quote(path.name)}.",
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
