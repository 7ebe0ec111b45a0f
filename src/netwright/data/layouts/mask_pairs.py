"""Finds the images of a folder and their masks: pairs by name, what has no partner, and what is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from netwright.data.io.images import PICTURE_ENDINGS, is_picture
from netwright.data.issues import enumerate_words
from netwright.data.layouts.class_folders import files_below
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.looks import is_flat, some
from netwright.data.layouts.mask_names import (
    IMAGES,
    MASKS,
    Choice,
    Named,
    name_masks,
    read_choice,
    read_names,
)
from netwright.data.splits import Part
from netwright.errors import DatasetError

ENDINGS = (*PICTURE_ENDINGS, ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".pbm", ".pnm")
"""Endings of pictures. A mask is recognised by its name also in a format that is not read."""

WITHOUT_MASKS = "is in a folder, or a part, without any mask"
NEITHER = "is neither an image nor one of the masks that are read"
"""Reasons to leave a picture out."""

_MOST_LOOKED_AT = 100_000
Group = tuple[Part | None, tuple[str, ...]]


@dataclass(frozen=True)
class Pair:
    """An image and the files that may be its mask. One of both is missing where a picture has no partner."""

    image: Named | None
    masks: tuple[Named, ...]

    @property
    def named(self) -> Named:
        """The image; the mask where it has none."""
        return self.image or self.masks[0]


@dataclass(frozen=True)
class Arrangement:
    """The images and masks below a folder.

    Args:
        root: the folder.
        pairs: images and masks, and pictures without a partner where others of their folder have one.
        left_out: pictures that are neither, or in folders without any pair, by the reason.
        plain: they are in the folders `images` and `masks`.
    """

    root: Path
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, tuple[Path, ...]]
    plain: bool

    @property
    def complete(self) -> list[Pair]:
        """The pairs that have both."""
        return [pair for pair in self.pairs if pair.image and pair.masks]

    def __bool__(self) -> bool:
        return bool(self.complete)


def has_folders(root: Path) -> bool:
    """Whether a folder has the folders `images` and `masks`."""
    return (root / IMAGES).is_dir() and (root / MASKS).is_dir()


def recognised(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder holds images and masks by their names, and a few of the masks look like masks.

    In a folder `images` beside `masks`, or where a ``dataset.json`` says which they are, looks do not matter.
    """
    try:
        found = arrange(root, description, _MOST_LOOKED_AT)
    except DatasetError:
        return True  # reading says why
    if not found:
        return False
    choice = read_choice(root, description)
    if has_folders(root) or choice != Choice():
        return True
    both = found.complete
    images = sum(pair.image is not None for pair in found.pairs)
    masks = sum(bool(pair.masks) for pair in found.pairs)
    if 2 * len(both) < min(images, masks):
        return False
    return all(is_flat(pair.masks[0].path) is not False for pair in some(both))


def arrange(root: Path, description: Mapping[str, Any], most: int | None = None) -> Arrangement:
    """The images and masks below a folder, by their names. Where it has `images` and `masks`, others do not count.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        most: to look at no more files than this.

    Raises:
        DatasetError: ``images`` or ``masks`` of the description cannot be used.
    """
    choice = read_choice(root, description)
    plain = has_folders(root) and choice == Choice()
    homes = [root / IMAGES, root / MASKS] if plain else [root]
    there = (file for home in homes for file in files_below(home) if file.name.lower().endswith(ENDINGS))
    files = list(islice(there, most))
    if choice == Choice() and not name_masks(root, files):
        return Arrangement(root, (), {}, plain)
    named = read_names(root, _one_of_each(files), choice, plain)
    found = _paired(root, named, plain)
    if not found and choice != Choice():
        raise DatasetError(
            f"{root / DESCRIPTION} gives {_as_chosen(choice)}: expected folders of these names, or files whose names "
            "end so, with images and masks of the same stems. Correct it, or leave it out."
        )
    return found


def _as_chosen(choice: Choice) -> str:
    chosen = {IMAGES: choice.images, MASKS: choice.masks}
    return enumerate_words([f"`{key}` as {value!r}" for key, value in chosen.items() if value is not None])


def _one_of_each(files: Sequence[Path]) -> list[Path]:
    """The files, without those that cannot be read where one of the same stem beside them can."""
    readable = {file.with_suffix("") for file in files if is_picture(file)}
    return [file for file in files if is_picture(file) or file.with_suffix("") not in readable]


def _paired(root: Path, named: Sequence[Named], plain: bool) -> Arrangement:
    exactly: dict[tuple[Group, str], Named] = {}
    barely: dict[tuple[Group, str], list[Named]] = defaultdict(list)
    images = [file for file in named if file.role == "image"]
    for image in images:
        group = image.part, image.rest
        exactly.setdefault((group, image.path.stem), image)
        barely[group, image.bare].append(image)
    masks_of: dict[Path, list[Named]] = defaultdict(list)
    alone: list[Named] = []
    for mask in (file for file in named if file.role == "mask"):
        group = mask.part, mask.rest
        of = exactly.get((group, mask.path.stem)) or exactly.get((group, mask.bare))
        if of is None and len(barely[group, mask.bare]) == 1:
            of = barely[group, mask.bare][0]
        if of is None:
            alone.append(mask)
        else:
            masks_of[of.path].append(mask)
    with_masks = {(image.part, image.rest) for image in images if masks_of[image.path]}
    taken = [image for image in images if (image.part, image.rest) in with_masks]
    without = [image.path for image in images if (image.part, image.rest) not in with_masks]
    others = [file.path for file in named if file.role == "other"]
    return Arrangement(
        root,
        (
            *(Pair(image, tuple(masks_of[image.path])) for image in taken),
            *(Pair(None, (mask,)) for mask in alone),
        ),
        {WITHOUT_MASKS: tuple(without), NEITHER: tuple(others)},
        plain,
    )
