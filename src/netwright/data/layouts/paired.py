"""Recognises images and masks in layouts that are not read, so that masks are not taken for pictures of a class."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from netwright.data.layouts.class_folders import files_below
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.looks import is_flat, same_size, some
from netwright.data.layouts.mask_cases import readable
from netwright.data.layouts.mask_names import IMAGE_WORDS, IMAGES, MASK_WORDS, MASKS
from netwright.data.layouts.mask_pairs import ENDINGS, doubt
from netwright.data.layouts.part_names import PARTS
from netwright.data.volumes.dataset import PICTURES_WITH_MASKS
from netwright.errors import DatasetError

_MASK_WORD = re.compile(rf"{MASK_WORDS}|msks?|lbls?|annos?|(ground)?truths?|manual|mattes?")
_OBSERVER = re.compile(r"manual\d")
"""In DRIVE the number says who drew the mask."""

_IMAGE_WORD = re.compile(rf"{IMAGE_WORDS}|im|pics?|sat")
"""More words than those that are read, as here they only have to be refused."""

_MOST_LOOKED_AT = 100_000
_FEWEST = 3
_MOST_OF_CASE = 4
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

Key = tuple[str, ...]


class Paired(NamedTuple):
    """An image and its mask, as an example."""

    image: Path
    mask: Path


def refuse_paired(root: Path) -> None:
    """Refuse a folder whose pictures look like images and masks in a layout that is not read.

    Raises:
        DatasetError: they do. It says which layout is expected.
    """
    there = islice(files_below(root), _MOST_LOOKED_AT)
    pair = find_paired(root, [file for file in there if file.name.lower().endswith(ENDINGS)])
    if pair is None:
        return
    image, mask = (file.relative_to(root).as_posix() for file in pair)
    if (found := readable(root, {})) is not None and (why := doubt(found)) is not None:
        raise DatasetError(
            f"{root} looks like images and masks, or like classes: {image} and {mask} may belong together, but {why}. "
            "Expected only images with masks, or only pictures of classes. If they are images and masks, say --format "
            f"{PICTURES_WITH_MASKS}; if they are pictures of classes, say --format image-folder."
        )
    raise DatasetError(
        f"{root} looks like images and masks: {image} and {mask} belong together. Expected names that say so, such as "
        f"{IMAGES}/a.png and {MASKS}/a.png, or a.png and a_mask.png. {_advice(root, pair)} If these are pictures of "
        "classes that only have such names, say --format image-folder."
    )


def _advice(root: Path, pair: Paired) -> str:
    """How the images and masks can be read: one picture for all objects, a description, or other names."""
    image, mask = pair
    masks = sum(file.suffix.lower() in ENDINGS for file in mask.parent.iterdir())
    images = sum(file.suffix.lower() in ENDINGS for file in image.parent.iterdir())
    if masks > images == 1:
        return (
            "Where each mask shows one object, join those of an image into one picture whose pixels are labelled where "
            f"they are in any of them. Name the folders {IMAGES} and {MASKS}, stems alike."
        )
    advice = f"Put the images into a folder {IMAGES} and the masks into a folder {MASKS}, stems alike"
    chosen = _chosen(pair)
    found = readable(root, chosen)
    if found is None or any(found.left_out.values()) or len(found.complete) < len(found.pairs):
        return f"{advice}."
    return f"{advice}; or say in a {DESCRIPTION} which files are which: {json.dumps(chosen)}."


def _chosen(pair: Paired) -> dict[str, str]:
    """What a description could say of such images and masks."""
    image, mask = pair
    if image.parent != mask.parent:
        return {IMAGES: image.parent.name, MASKS: mask.parent.name}
    if mask.stem == image.stem:
        return {IMAGES: image.suffix, MASKS: mask.suffix}
    if mask.stem.startswith(image.stem):
        return {MASKS: mask.stem.removeprefix(image.stem)}
    return {IMAGES: image.name, MASKS: mask.name}


def refuse_masks_to_predict(folder: Path, files: Sequence[Path]) -> None:
    """Refuse pictures of a folder, to be predicted, that look like images and their masks.

    Raises:
        DatasetError: they do.
    """
    pair = find_paired(folder, files)
    if pair is not None:
        image, mask = (file.relative_to(folder).as_posix() for file in pair)
        raise DatasetError(
            f"{folder} holds masks among the images: {mask} looks like the mask of {image}. Expected images alone: "
            "give a folder without masks, or the images one by one."
        )


def find_paired(root: Path, files: Sequence[Path]) -> Paired | None:
    """An image and its mask, where most of the ``files`` below a folder are images and masks; else None.

    Masks are recognised by words in the names of their files and folders, such as ``mask``, ``labels`` or
    ``GroundTruth``, where the rest of the name is that of an image. Or they are recognised by their looks: in two
    folders that share almost every stem; in a folder where almost every name has a longer one beside it that ends alike
    (``a.jpg``, ``a_1stHO.png``); or in a folder for each image. Masks always have to be flat: photographs of people who
    wear masks are no masks.
    """
    return _by_names(root, files) or _by_looks(root, files) or _by_longer_names(files) or _by_cases(files)


def _by_names(root: Path, files: Sequence[Path]) -> Paired | None:
    images: list[Path] = []
    masks: list[Path] = []
    for file in files:
        within = file.relative_to(root)
        words = {word for part in (*within.parts[:-1], within.stem) for word in _words(part)}
        (masks if any(map(_MASK_WORD.fullmatch, words)) else images).append(file)
    image_of, mask_of = _keyed(root, images), _keyed(root, masks)
    pairs = [
        Paired(image_of[one], mask_of[other])
        for one, other in sorted(
            {*_beginnings(image_of, mask_of), *map(_swapped, _beginnings(mask_of, image_of))}
        )
    ]
    if not pairs or 2 * len(pairs) < min(len(image_of), len(mask_of)):
        return None
    return pairs[0] if all(is_flat(pair.mask) is not False for pair in some(pairs)) else None


def _by_looks(root: Path, files: Sequence[Path]) -> Paired | None:
    groups: dict[str, dict[Key, Path]] = {}
    homes = {_home(root, file) for file in files}
    for file in files:
        group = _home(root, file) if len(homes) > 1 else file.suffix.lower()
        groups.setdefault(group, {})[_key(root, file)] = file
    if len(groups) != 2:
        return None
    one, other = groups.values()
    common = sorted(one.keys() & other.keys())
    if len(common) < _FEWEST or len(common) < 0.8 * max(len(one), len(other)):
        return None
    for images, masks in ((one, other), (other, one)):
        if _look_paired(pairs := [Paired(images[key], masks[key]) for key in common]):
            return pairs[0]
    return None


def _by_longer_names(files: Sequence[Path]) -> Paired | None:
    """Images beside masks whose names go on, all in the same way."""
    by_name = {(file.parent, file.stem): file for file in files}
    by_suffix: dict[str, list[Paired]] = {}
    for (home, name), file in by_name.items():
        for end in range(len(name) - 1, 0, -1):
            if (image := by_name.get((home, name[:end]))) is not None and not name[end].isdigit():
                by_suffix.setdefault(name[end:], []).append(Paired(image, file))
                break
    longer = {pair.mask for pairs in by_suffix.values() for pair in pairs}
    pairs = max(by_suffix.values(), key=len, default=[])
    if len(pairs) < _FEWEST or len(pairs) < 0.8 * (len(by_name) - len(longer)):
        return None
    return pairs[0] if _look_paired(pairs) else None


def _by_cases(files: Sequence[Path]) -> Paired | None:
    """Folders that hold one image each, and masks."""
    if not files:
        return None
    top = os.path.commonpath([file.parent for file in files])
    cases: dict[str, list[Path]] = {}
    for file in files:
        home = _home(Path(top), file)
        cases.setdefault(home.partition("/")[0], []).append(file)
    if "" in cases or len(cases) < _FEWEST:
        return None
    pairs = [_of_case(case) for case in some(list(cases.values()))]
    return pairs[0] if all(pairs) else None


def _of_case(files: Sequence[Path]) -> Paired | None:
    """The one image of a case and a mask of it. The image is among few files, or in a folder of its own."""
    together = Counter(file.parent for file in files)
    alone = [file for file in files if len(files) <= _MOST_OF_CASE or together[file.parent] == 1]
    images = [file for file in alone if is_flat(file) is False]
    if len(images) != 1 or len(files) == 1:
        return None
    pairs = [Paired(images[0], file) for file in files if file != images[0]]
    return pairs[0] if _look_paired(pairs) else None


def _look_paired(pairs: Sequence[Paired]) -> bool:
    """Whether masks are flat, images are not, and both are alike in size."""
    return all(
        is_flat(mask) and is_flat(image) is False and same_size(image, mask) for image, mask in some(pairs)
    )


def _home(root: Path, file: Path) -> str:
    """The folder of a file within ``root``, without those of parts."""
    return "/".join(part for part in file.relative_to(root).parts[:-1] if part.lower() not in PARTS)


def _words(name: str) -> list[str]:
    """``ISIC2018_GroundTruth`` -> isic, 2018, ground, truth."""
    return [word.lower() for word in _WORD.findall(name)]


def _keyed(root: Path, files: Iterable[Path]) -> dict[Key, Path]:
    """The first file of each key."""
    first: dict[Key, Path] = {}
    for file in files:
        first.setdefault(_key(root, file), file)
    return first


def _beginnings(shorter: Iterable[Key], longer: Iterable[Key]) -> set[tuple[Key, Key]]:
    """Keys of which one is how the other begins, or both are the same."""
    known = set(shorter)
    return {(key[:end], key) for key in longer for end in range(1, len(key) + 1) if key[:end] in known}


def _swapped(pair: tuple[Key, Key]) -> tuple[Key, Key]:
    return pair[1], pair[0]


def _key(root: Path, path: Path) -> Key:
    """What the names of an image and of its mask have in common: words of the file, else of the folder it lies in."""
    words = _words(_OBSERVER.sub("manual", path.stem))
    own = [word for word in words if not _MASK_WORD.fullmatch(word) and not _IMAGE_WORD.fullmatch(word)]
    own = [word for word in own if word not in PARTS] or own
    if own or path.parent == root:
        return tuple(own or words)
    return _key(root, path.parent)
