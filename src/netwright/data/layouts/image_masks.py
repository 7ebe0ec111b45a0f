"""Pictures with masks: the folders ``images`` and ``masks`` with files of the same stems, and the ways of `mask_names`.

Images are PNG, JPEG, TIFF, BMP or GIF, grey or in colours; masks are of the same formats, with one value a pixel. A
``dataset.json`` beside them may name the labels (``labels``, from value to name or from name to value) and the
dataset (``name``); without one the labels are the values that the masks hold.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.data.io.formats import first_is_stack
from netwright.data.io.images import PICTURE_ENDINGS, channel_names, read_head
from netwright.data.io.masks import has_colours
from netwright.data.io.tiff import is_stack
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts import label_table
from netwright.data.layouts.class_folders import list_pictures
from netwright.data.layouts.description import DESCRIPTION, read_labels, value_first
from netwright.data.layouts.mask_cases import cases_of, problems_of
from netwright.data.layouts.mask_lists import with_listed_parts
from netwright.data.layouts.mask_meanings import (
    levels,
    mask_facts,
    palette_problems,
    refuse_blur,
    require_some_read,
    unmapped_greys,
)
from netwright.data.layouts.mask_names import IMAGES, MASKS
from netwright.data.layouts.mask_pairs import arrange, has_folders, is_certain, named_so
from netwright.data.layouts.object_numbers import numbered_objects
from netwright.data.layouts.volume_files import volume_files_in
from netwright.data.parallel import in_order
from netwright.data.volumes.dataset import PICTURES_WITH_MASKS, Dataset
from netwright.data.volumes.labels import mapped
from netwright.data.volumes.regions import IGNORE
from netwright.errors import DatasetError

LOOKED_FOR = (
    "images and masks of the same stems in folders such as `images` and `masks`, or as `a` and `a_mask`"
)

MOST_UNNAMED = 64
"""More different values than this are taken for intensities, unless a ``dataset.json`` names them."""

_READERS = 4


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder can be read as one of this format: it has `images` and `masks` with pictures in one of them, or
    images and masks by their names in a way that `mask_names` knows."""
    return _has_pictures(root) or (root.is_dir() and named_so(root, description))


def recognised(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format, and looks like that, so that it cannot mean another thing."""
    return _has_pictures(root) or (root.is_dir() and is_certain(root, description))


def of_volumes(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether what looks like images and masks by name are volumes: the first image and the first mask are stacks of
    TIFF pages, or both folders have volumes and only one of them pictures, too, which then show these."""
    pictures = [list_pictures(root / name) for name in (IMAGES, MASKS)]
    if has_folders(root) and any(pictures):
        volumes = all(volume_files_in(root / name) for name in (IMAGES, MASKS))
        return all(map(first_is_stack, pictures)) or (volumes and not all(pictures))
    try:
        pair = next(iter(arrange(root, description).complete), None)
    except DatasetError:
        return False  # reading says why
    return pair is not None and all(map(is_stack, (pair.named.path, pair.masks[0].path)))


def _has_pictures(root: Path) -> bool:
    return has_folders(root) and any(map(list_pictures, (root / IMAGES, root / MASKS)))


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Without names in a description every mask is read, for the values that it holds.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: no image has a mask, two files have one stem, an image may have one of several masks, or the masks
            hold no labels.
    """
    found = with_listed_parts(arrange(root, description))
    if not found:
        raise DatasetError(_no_pair(root))
    cases = cases_of(found)
    masks = [case.label for case in cases if case.label is not None and case.problem is None]
    home = _home_of(root, masks, found.plain)
    named = description.get("labels")
    problems, labels, proposed, warnings = _meaning(root, home, named, masks, map_label)
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format=PICTURES_WITH_MASKS,
        channels=_channels([pair.image.path for pair in found.pairs if pair.image]),
        labels=labels,
        cases=tuple(
            replace(case, problem=problems.get(case.label)) if case.label in problems else case
            for case in cases
        ),
        map_label=map_label,
        file_ending=".png",
        naming=DESCRIPTION if isinstance(named, dict) else home.relative_to(root).as_posix(),
        proposed=proposed,
        problems=(*problems_of(found), *_unused_table(root), *warnings),
    )


def _unused_table(root: Path) -> list[Problem]:
    """A warning where there is a table of labels, too, which is another dataset of the same pictures."""
    if not label_table.recognised(root):
        return []
    return [
        Problem(
            "warning",
            label_table.TABLE,
            "is a table of labels, and is left out",
            expected="images with masks alone",
            found="labels of pictures, too",
            advice=f"If the labels are to be told, and not the masks, say --format {label_table.LABEL_TABLE}.",
            kind="left-out-table",
        )
    ]


def _home_of(root: Path, masks: Sequence[Path], plain: bool) -> Path:
    """The folder with all masks."""
    return root / MASKS if plain or not masks else Path(os.path.commonpath([mask.parent for mask in masks]))


def _no_pair(root: Path) -> str:
    """Why there is no pair in `images` and `masks`, or elsewhere."""
    if not has_folders(root):
        return (
            f"{root} has no image with a mask: looked for {LOOKED_FOR}. Rename the masks after their images."
        )
    found = []
    for folder in (root / IMAGES, root / MASKS):
        files = list_pictures(folder)
        found.append(", ".join(file.name for file in files[:2]) or "none")
        others = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
        if not files and others:
            ending = Path(others[0]).suffix
            return (
                f"{folder} has no file that can be read: {ending.removeprefix('.').upper() or others[0]} is not read; "
                f"expected pictures that end in {enumerate_words(PICTURE_ENDINGS, 'or')}, found {others[0]}"
                + f" and {len(others) - 1} more" * (len(others) > 1)
                + ". Save them as PNG, which loses nothing."
            )
    return (
        f"{root} has no image with a mask of the same stem: expected pairs such as {IMAGES}/a.png and {MASKS}/a.png, "
        f"found the images {found[0]} and the masks {found[1]}. Rename the masks after their images."
    )


def _channels(images: Sequence[Path]) -> tuple[str, ...]:
    """The channels of the first image that can be read."""
    for image in images:
        try:
            return channel_names(read_head(image).channels)
        except UnusableFile:
            continue
    return channel_names(1)


def _meaning(
    root: Path, folder: Path, named: object, masks: Sequence[Path], map_label: Mapping[int, int]
) -> tuple[dict[Path, Problem], dict[int, str], dict[int, int], list[Problem]]:
    """The problems of the masks' palettes, the labels, those that are proposed for values without a meaning, and what
    is to be told of all masks.

    Labels that nobody has named are the values that the masks hold, where these are 0, 1, 2, ... (after ``map_label``).
    For other values the proposed label is the rank of the value among all of them, 0 included.

    Args:
        root: of the dataset.
        folder: of the masks, for messages.
        named: the labels of the description; None where it has none.
        masks: the files.
        map_label: value -> value to take instead.
    """
    if isinstance(named, dict):
        coloured = [
            mask
            for mask, coloured in zip(masks, in_order(has_colours, masks, _READERS), strict=True)
            if coloured
        ]
        facts = list(in_order(mask_facts, coloured, _READERS))
        problems = {**unmapped_greys(facts, map_label), **palette_problems(facts, named=True)}
        return problems, read_labels(root, named, value_first(named)), {}, []
    facts = list(in_order(mask_facts, masks, _READERS))
    require_some_read(folder, facts)
    values = set[int]().union(*(mask.values for mask in facts))
    labels, proposed = labels_of_values(folder, values, map_label, levels(facts))
    if proposed:
        refuse_blur(folder, facts, values)
    warnings = numbered_objects(folder, [mask.values for mask in facts], map_label)
    problems = {**unmapped_greys(facts, map_label), **palette_problems(facts, named=False)}
    return problems, labels, proposed, [warning.relative_to(root) for warning in warnings]


def labels_of_values(
    folder: Path,
    values: Collection[int],
    map_label: Mapping[int, int],
    same: Mapping[int, int] = MappingProxyType({}),
) -> tuple[dict[int, str], dict[int, int]]:
    """The labels of the values that the label maps in a folder hold, and those that are proposed for values without a
    meaning.

    Args:
        folder: the folder, for messages.
        values: the values; those that are ignored get no label.
        map_label: value in the files -> value to use instead.
        same: a value -> another one that means the same.

    Raises:
        DatasetError: there are too many values to be labels, or only one.
    """
    values = sorted(value for value in values if map_label.get(value) != IGNORE)
    if len(values) > MOST_UNNAMED:
        raise DatasetError(
            f"{folder} holds {len(values)} different values ({enumerate_words(values[:4])}, ...): expected few, "
            "one for each label. So many look like intensities, or like masks blurred by resizing or JPEG: threshold "
            f"them. If they are labels, name each in `labels` of a {DESCRIPTION}."
        )
    level = {value: map_label.get(value, mapped(same.get(value, value), map_label)) for value in values}
    meant = sorted({0, *level.values()}, key=lambda value: (value < 0, value))
    if len(meant) < 2:
        raise DatasetError(
            f"{folder} holds no label: expected a value for background (0) and at least one other, found "
            f"{enumerate_words(values) or 'no mask that can be read'}. Look whether the masks were exported rightly."
        )
    names = {0: "background", 1: "foreground"} if len(meant) == 2 else {0: "background"}
    labels = {rank: names.get(rank, f"label {rank}") for rank in range(len(meant))}
    if meant == list(labels) and all(mapped(value, map_label) == level[value] for value in values):
        return labels, {}
    ranks = {value: rank for rank, value in enumerate(meant)}
    return labels, {value: ranks[level[value]] for value in values}
