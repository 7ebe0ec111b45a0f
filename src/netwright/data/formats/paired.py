"""Images and masks in a layout that is not read: recognised, lest masks become pictures of a class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from netwright.data.classification.folder import PARTS, files_below, folders_in
from netwright.data.formats.image_masks import IMAGES, MASKS
from netwright.data.pictures import PICTURE_ENDINGS, mask_size, read_picture
from netwright.data.problems import UnusableFile
from netwright.errors import DatasetError

_MASK_WORD = re.compile(
    "masks?|msks?|labels?|segs?|segmentations?|annot(ation)?s?|gts?|(ground)?truths?|manual|mattes?|trimaps?"
)
_OBSERVER = re.compile(r"manual\d")
"""DRIVE numbers who drew a mask."""

_IMAGE_WORD = re.compile("images?|imgs?|im|pic(ture)?s?|photos?|sat|inputs?|originals?")
_ENDINGS = (*PICTURE_ENDINGS, ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".pbm")
"""Of masks, which are known by their names also where they are in a format that is not read."""

_MOST_LOOKED_AT = 100_000
_SAMPLED = 4
_FLAT = 0.75
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Paired(NamedTuple):
    """An image and its mask, of more such."""

    image: Path
    mask: Path


def refuse_paired(root: Path) -> None:
    """Refuse a folder whose pictures look like images and masks that lie otherwise than they are read.

    Raises:
        DatasetError: they do; it says how they have to lie.
    """
    there = islice(files_below(root), _MOST_LOOKED_AT)
    found = find_paired(root, [file for file in there if file.name.lower().endswith(_ENDINGS)])
    if found is None:
        return
    image, mask = (file.relative_to(root).as_posix() for file in found)
    ready = next(
        (one for one in _parts_first(root) if (one / IMAGES).is_dir() and (one / MASKS).is_dir()), None
    )
    raise DatasetError(
        f"{root} looks like images and masks: {image} and {mask} belong together. Expected the folders `{IMAGES}` and "
        f"`{MASKS}` with stems alike, such as {IMAGES}/a.png and {MASKS}/a.png. Name the folders images and masks, "
        "stems alike"
        + (f"; or give {ready}, which has these two" if ready else "")
        + ". If these are pictures of classes that only have such names, say --format image-folder."
    )


def refuse_masks_to_predict(folder: Path, files: Sequence[Path]) -> None:
    """Refuse pictures of a folder, to be predicted, that look like images and their masks.

    Raises:
        DatasetError: they do.
    """
    found = find_paired(folder, files)
    if found is not None:
        image, mask = (file.relative_to(folder).as_posix() for file in found)
        raise DatasetError(
            f"{folder} holds masks among the images: {mask} looks like the mask of {image}. Expected images alone: "
            "give a folder without masks, or the images one by one."
        )


def find_paired(root: Path, files: Sequence[Path]) -> Paired | None:
    """An image and its mask, where most of the ``files`` below a folder are such; None where they are not.

    Masks are told by words in the names of their files and folders, such as ``mask``, ``labels`` or ``GroundTruth``,
    where what else is in the file's name is that of an image; or, in two folders (or two kinds of file in one) of which
    almost every stem is in both, by their looks alone. In either case masks have to be flat: a folder of faces with
    masks is none of masks.
    """
    return _by_names(root, files) or _by_looks(root, files)


def _by_names(root: Path, files: Sequence[Path]) -> Paired | None:
    images: dict[tuple[str, ...], Path] = {}
    masks: dict[tuple[str, ...], Path] = {}
    for file in files:
        within = file.relative_to(root)
        words = {word for part in (*within.parts[:-1], within.stem) for word in _words(part)}
        (masks if any(map(_MASK_WORD.fullmatch, words)) else images).setdefault(_key(file), file)
    pairs = [Paired(images[key], masks[key]) for key in sorted(images.keys() & masks.keys())]
    if not pairs or 2 * len(pairs) < min(len(images), len(masks)):
        return None
    return pairs[0] if all(_is_flat(pair.mask) is not False for pair in _some(pairs)) else None


def _by_looks(root: Path, files: Sequence[Path]) -> Paired | None:
    groups: dict[str, dict[tuple[str, ...], Path]] = {}
    homes = {_home(root, file) for file in files}
    for file in files:
        group = _home(root, file) if len(homes) > 1 else file.suffix.lower()
        groups.setdefault(group, {})[_key(file)] = file
    if len(groups) != 2:
        return None
    one, other = groups.values()
    common = sorted(one.keys() & other.keys())
    if len(common) < 3 or len(common) < 0.8 * max(len(one), len(other)):
        return None
    for images, masks in ((one, other), (other, one)):
        pairs = [Paired(images[key], masks[key]) for key in common]
        if all(
            _is_flat(mask) and _is_flat(image) is False and _alike(image, mask)
            for image, mask in _some(pairs)
        ):
            return pairs[0]
    return None


def _home(root: Path, file: Path) -> str:
    """The folder of a file within ``root``, without those of parts."""
    return "/".join(part for part in file.relative_to(root).parts[:-1] if part.lower() not in PARTS)


def _words(name: str) -> list[str]:
    """``ISIC2018_GroundTruth`` -> isic, 2018, ground, truth."""
    return [word.lower() for word in _WORD.findall(name)]


def _key(file: Path) -> tuple[str, ...]:
    """What the names of an image and of its mask have in common."""
    words = _words(_OBSERVER.sub("manual", file.stem))
    own = [word for word in words if not _MASK_WORD.fullmatch(word) and not _IMAGE_WORD.fullmatch(word)]
    return tuple([word for word in own if word not in PARTS] or own or words)


def _some(pairs: Sequence[Paired]) -> Sequence[Paired]:
    return pairs[:: max(1, len(pairs) // _SAMPLED)][:_SAMPLED]


def _is_flat(path: Path) -> bool | None:
    """Whether most pixels are as their neighbours, as in drawings and unlike in photographs; None where it cannot be
    read."""
    try:
        pixels = read_picture(path).pixels
    except UnusableFile:
        return None
    same = pixels[:, 1:] == pixels[:, :-1]
    return bool((same if same.ndim == 2 else same.all(axis=-1)).mean() >= _FLAT) if same.size else None


def _alike(image: Path, mask: Path) -> bool:
    return mask_size(image) == mask_size(mask)


def _parts_first(root: Path) -> list[Path]:
    """The folders within, that of training first."""
    return sorted(folders_in(root), key=lambda folder: PARTS.get(folder.name.lower()) != "train")
