"""Finds the images of a folder and their masks: pairs by name, what has no partner, and what is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from netwright.data.io.images import PICTURE_ENDINGS, is_picture
from netwright.data.io.masks import mask_files
from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts.class_folders import files_below
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.label_table import recognised as is_label_table
from netwright.data.layouts.looks import is_flat, same_size, shows_more, some
from netwright.data.layouts.mask_names import (
    IMAGES,
    MASKS,
    Choice,
    Named,
    name_masks,
    read_choice,
    read_names,
)
from netwright.data.layouts.mask_objects import joined
from netwright.data.splits import Part
from netwright.errors import DatasetError

ENDINGS = (*PICTURE_ENDINGS, ".webp", ".jp2", ".pgm", ".ppm", ".pbm", ".pnm")
"""Endings of pictures. A mask is recognised by its name also in a format that is not read."""

WITHOUT_MASKS = "is in a folder, or a part, without any mask"
WITHOUT_IMAGES = "is a mask in a folder, or a part, without any image"
NEITHER = "is neither an image nor one of the masks that are read"
"""Reasons to leave a picture out."""

_MOST_LOOKED_AT = 100_000
_PAIRED = 0.75
"""At least this share of the pictures is in pairs, unless the names of folders say what they are."""

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
        doubtful: how many pictures without a partner lie in folders whose names do not say what they are, and not in a
            part that lacks the masks of the others.
        problems: of the lists of parts.
    """

    root: Path
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, tuple[Path, ...]]
    plain: bool
    doubtful: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> list[Pair]:
        """The pairs that have both."""
        return [pair for pair in self.pairs if pair.image and pair.masks]

    def __bool__(self) -> bool:
        return bool(self.complete)


def has_folders(root: Path) -> bool:
    """Whether a folder has the folders `images` and `masks`."""
    return (root / IMAGES).is_dir() and (root / MASKS).is_dir()


def named_so(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether names say that a folder holds images and masks, or a ``dataset.json`` says so and cannot be followed."""
    try:
        return bool(arrange(root, description, _MOST_LOOKED_AT))
    except DatasetError:
        return True  # reading says why


def is_certain(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder holds images and masks by their names and is nothing else, as far as can be seen.

    In a folder `images` beside `masks`, or where a ``dataset.json`` says which they are, looks do not matter. Elsewhere
    a table of labels goes first, and there must be no doubt.
    """
    try:
        found = arrange(root, description, _MOST_LOOKED_AT)
    except DatasetError:
        return True  # reading says why
    if has_folders(root) or read_choice(root, description) != Choice():
        return bool(found)
    return bool(found) and not is_label_table(root) and doubt(found) is None


def doubt(found: Arrangement) -> str | None:
    """Why what was found may be no images and masks; None if it looks like them.

    Almost all pictures have to be in pairs, or in folders of images or of masks by their names. Of a few pairs, the
    masks have to be flat, and most of them of the size of their image, which must show more than a drawing does. One
    image that is blank or of another size is for inspection.
    """
    both = [(pair.image, pair.masks) for pair in found.pairs if pair.image and pair.masks]
    images = sum(pair.image is not None for pair in found.pairs)
    masks = sum(bool(pair.masks) for pair in found.pairs)
    in_pairs = sum(1 + len(of) for _, of in both)
    if in_pairs < _PAIRED * (in_pairs + found.doubtful) or 2 * len(both) < min(images, masks):
        lone = len(found.pairs) - len(both) + sum(map(len, found.left_out.values()))
        return f"{lone} other pictures have no partner"
    looked_at = some([(image.path, mask_files(of[0].path)[0]) for image, of in both])
    if any(is_flat(mask) is False for _, mask in looked_at):
        return "the masks do not look like masks"
    if not _most(same_size(*pair) for pair in looked_at):
        return "the two differ in size"
    return None if _most(shows_more(*pair) for pair in looked_at) else "both look like drawings"


def _most(answers: Iterable[bool]) -> bool:
    """Whether more than half of the answers are yes."""
    given = list(answers)
    return 2 * sum(given) > len(given)


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
    if not plain:
        named = joined(named)
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
        group = _group(image)
        exactly.setdefault((group, image.path.stem), image)
        barely[group, image.bare].append(image)
    masks_of: dict[Path, list[Named]] = defaultdict(list)
    alone: list[Named] = []
    for mask in (file for file in named if file.role == "mask"):
        group = _group(mask)
        of = exactly.get((group, mask.path.stem)) or exactly.get((group, mask.bare))
        if of is None and len(barely[group, mask.bare]) == 1:
            of = barely[group, mask.bare][0]
        if of is None:
            alone.append(mask)
        else:
            masks_of[of.path].append(mask)
    with_masks = {_group(image) for image in images if masks_of[image.path]}
    taken = [image for image in images if _group(image) in with_masks]
    without = [image for image in images if _group(image) not in with_masks]
    astray = [mask for mask in alone if _below_masks(root, mask, plain) and _group(mask) not in with_masks]
    others = [file for file in named if file.role == "other"]
    pairs = (
        *(Pair(image, tuple(masks_of[image.path])) for image in taken),
        *(Pair(None, (mask,)) for mask in alone if mask not in astray),
    )
    left_out = {WITHOUT_MASKS: without, WITHOUT_IMAGES: astray, NEITHER: others}
    return Arrangement(
        root,
        pairs,
        {reason: tuple(file.path for file in files) for reason, files in left_out.items()},
        plain,
        _count_doubtful(pairs, [*without, *others], with_masks),
    )


def _group(file: Named) -> Group:
    return file.part, file.rest


def _below_masks(root: Path, mask: Named, plain: bool) -> bool:
    """Whether a mask lies in a folder below the one of the masks."""
    if plain:
        return mask.path.parent != root / MASKS
    return "/" in mask.kind and mask.rest[: len(mask.before)] == mask.before != mask.rest


def _count_doubtful(pairs: Sequence[Pair], left_out: Sequence[Named], with_masks: Collection[Group]) -> int:
    """How many pictures are `Arrangement.doubtful`."""
    lone = [pair.named for pair in pairs if not (pair.image and pair.masks)]
    masked_parts = {part for part, _ in with_masks}
    masked_homes = {rest for _, rest in with_masks}
    return sum(
        not file.sure and (file.part in masked_parts or file.rest not in masked_homes)
        for file in (*lone, *left_out)
    )
