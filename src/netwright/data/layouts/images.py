"""Image folders without classes: every picture below a folder, or below its `train` and `test` (and `val`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from netwright.data.images.dataset import Box, ImageSet, Record
from netwright.data.issues import Problem
from netwright.data.layouts.boxes import BOXES, read_boxes
from netwright.data.layouts.class_folders import (
    first_picture,
    folders_in,
    homes_of,
    image_set,
    list_pictures,
    not_in_parts,
    parts_of,
    pictures_below,
)
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.mask_pairs import has_folders
from netwright.data.layouts.paired import refuse_paired
from netwright.data.splits import Part
from netwright.errors import DatasetError

IMAGES = "images"
"""The name of the format."""

LOOKED_FOR = (
    "a folder of pictures, or the folders `train` and `test` (and `val`) with pictures, in folders below, too"
)


def matches(root: Path) -> bool:
    """Whether there is a picture below a folder."""
    return root.is_dir() and first_picture(root) is not None


def recognised(root: Path) -> bool:
    """Whether the pictures of a folder, or of its training part, lie in no folders, which would be classes."""
    if not root.is_dir():
        return False
    try:
        training = parts_of(root).get("train", root)
    except DatasetError:
        return False
    return bool(list_pictures(training)) and not any(map(first_picture, folders_in(training)))


def read(root: Path) -> ImageSet:
    """The pictures in ``root``, their headers and boxes read; whether they can be decoded is not looked at.

    Raises:
        DatasetError: there are pictures with masks, or parts without a training part.
    """
    if has_folders(root):
        raise DatasetError(
            f"{root} holds pictures with masks: expected pictures alone, to be restored. Name {root / 'images'}."
        )
    refuse_paired(root)
    parts = parts_of(root)
    problems = not_in_parts(root, parts)
    pictures: list[tuple[str, int, Part | None, Path]] = []
    for part, home in homes_of(root, parts):
        pictures += [
            (name, 0, part, path) for name, path in pictures_below(root, home, problems, (DESCRIPTION, BOXES))
        ]
    dataset = image_set(root, IMAGES, (), pictures, problems)
    boxes, wrong = read_boxes(root, {record.name: record.size for record in dataset.records})
    return cropped(dataset, boxes, wrong)


def without_classes(dataset: ImageSet) -> ImageSet:
    """A set of pictures with classes, taken without them."""
    records = tuple(replace(record, label=0) for record in dataset.records)
    return replace(dataset, format=IMAGES, classes=(), records=records, labels_for="")


def cropped(dataset: ImageSet, boxes: Mapping[str, Box], problems: Sequence[Problem]) -> ImageSet:
    """A set of pictures of which those that have a box are cropped to it.

    Args:
        dataset: the pictures.
        boxes: by the name of the picture.
        problems: that were found with the boxes.
    """
    records = tuple(_boxed(record, boxes.get(record.name)) for record in dataset.records)
    return replace(dataset, records=records, problems=(*dataset.problems, *problems))


def _boxed(record: Record, box: Box | None) -> Record:
    if box is None:
        return record
    left, top, right, bottom = box
    return replace(record, size=(bottom - top, right - left), box=box)
