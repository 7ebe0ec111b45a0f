"""SVHN's whole house numbers: pictures, and ``digitStruct.mat`` with the boxes of the digits, which are classified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from netwright.data.images.dataset import Box, ImageSet, Record
from netwright.data.images.issues import not_whole
from netwright.data.io.matlab import unfit
from netwright.data.io.matlab_hdf5 import read_named_structs
from netwright.data.issues import Problem
from netwright.data.layouts.class_folders import image_set
from netwright.data.layouts.images import cropped
from netwright.data.layouts.listed import listed_pictures
from netwright.data.layouts.svhn import DIGITS, ZERO
from netwright.data.splits import Part
from netwright.errors import DatasetError

SVHN_NUMBERS = "svhn-numbers"
SVHN_NUMBERS_EXTRA = "svhn-numbers-extra"
"""The names of the formats: without and with the extra pictures in the training part."""

LOOKED_FOR = (
    "`train/digitStruct.mat` beside the pictures, and `test/digitStruct.mat`, of SVHN's whole house numbers"
)
EXTRA_LOOKED_FOR = (
    f"{LOOKED_FOR}, and `extra/digitStruct.mat`; always named with --format {SVHN_NUMBERS_EXTRA}"
)

_TABLE = "digitStruct.mat"
_VIEWER = "see_bboxes.m"
"""MATLAB's code that shows the boxes, which the publisher puts beside them."""

_TRAIN, _TEST, _EXTRA = "train", "test", "extra"
_ORIGINAL = {_TRAIN: 33402, _TEST: 13068, _EXTRA: 202353}
"""Pictures in each folder (ufldl.stanford.edu/housenumbers)."""

_FIELDS = ("left", "top", "width", "height", "label")


def matches(root: Path) -> bool:
    """Whether a folder holds SVHN's whole numbers, or is one of its parts: `read` says what it lacks."""
    return root.is_dir() and any((root / home / _TABLE).is_file() for home in ("", *_ORIGINAL))


def read(root: Path) -> ImageSet:
    """The digits of the pictures, each cropped to its box, with the official test part.

    Boxes are cut to their pictures, and digits whose box holds nothing are left out, with a warning each. Pixels count
    from 0, as in the publisher's ``see_bboxes.m``, which adds 1 for MATLAB.

    Raises:
        DatasetError: there is no training part, or a table has none of its pictures.
        UnusableFile: a table is damaged or no such table, or h5py is not installed.
    """
    return _read_set(root, SVHN_NUMBERS, {_TRAIN: "train", _TEST: "test"})


def read_with_extra(root: Path) -> ImageSet:
    """The same, with the pictures of ``extra/`` in the training part, as their publisher means them.

    Raises:
        DatasetError: as `read`, or there is no extra part.
        UnusableFile: as `read`.
    """
    if not (root / _EXTRA / _TABLE).is_file():
        raise DatasetError(
            f"{root} lacks {_EXTRA}/{_TABLE}: expected it for --format {SVHN_NUMBERS_EXTRA}. Unpack extra.tar.gz "
            f"there, or say --format {SVHN_NUMBERS}."
        )
    return _read_set(root, SVHN_NUMBERS_EXTRA, {_TRAIN: "train", _EXTRA: "train", _TEST: "test"})


def _read_set(root: Path, format: str, parts: Mapping[str, Part]) -> ImageSet:
    if not (root / _TRAIN / _TABLE).is_file():
        advice = f"Give {root.parent}." if (root / _TABLE).is_file() else "Unpack train.tar.gz there."
        raise DatasetError(f"{root} has no boxes for training: expected {_TRAIN}/{_TABLE}. {advice}")
    entries: list[tuple[str, int, Part | None, Path]] = []
    boxes: dict[str, Box] = {}
    problems: list[Problem] = []
    differences: list[str] = []
    for folder, part in parts.items():
        home = root / folder
        if not (home / _TABLE).is_file():
            differences.append(f"no {folder}/{_TABLE}, so no official test part")
            continue
        digits = _digits(home / _TABLE)
        if len(digits) != _ORIGINAL[folder]:
            differences.append(f"{len(digits)} pictures in place of {_ORIGINAL[folder]} in {folder}")
        known = [f"{folder}/{name}" for name in (_TABLE, _VIEWER)]
        pictures = listed_pictures(root, home, list(digits), home / _TABLE, problems, known)
        width = max(len(Path(name).stem) for name in digits)
        for file, (_, path) in pictures.items():
            for number, (label, box) in enumerate(digits[file], 1):
                name = f"{folder}/{path.stem.zfill(width)}_{number}"
                entries.append((name, label, part, path))
                boxes[name] = box
    problems += not_whole(root, "SVHN", differences)
    if _EXTRA not in parts and (root / _EXTRA / _TABLE).is_file():
        problems.append(_left_out(root))
    return _cropped(image_set(root, format, DIGITS, entries, problems), boxes)


def _digits(table: Path) -> dict[str, list[tuple[int, Box]]]:
    """Class and box of each digit, by the name of the picture.

    Raises:
        UnusableFile: the table is not that of the publisher.
    """
    digits: dict[str, list[tuple[int, Box]]] = {}
    for name, fields in read_named_structs(table, "digitStruct", "name", "bbox", _FIELDS):
        columns = [fields[field] for field in _FIELDS]
        if len({len(column) for column in columns}) != 1 or not all(
            number.is_integer() for column in columns for number in column
        ):
            raise unfit(
                table, f"has digits of {name} that are incomplete", "whole numbers for each", str(fields)
            )
        rows = [tuple(map(int, row)) for row in zip(*columns, strict=True)]
        if outside := [label for *_, label in rows if not 1 <= label <= ZERO]:
            raise unfit(table, f"has a label of {name} out of range", f"1 to {ZERO}", str(outside[0]))
        digits[name] = [
            (label % ZERO, (left, top, left + width, top + height))
            for left, top, width, height, label in rows
        ]
    if not digits:
        raise unfit(table, "lists no pictures", "the pictures of a part", "none")
    return digits


def _cropped(dataset: ImageSet, boxes: Mapping[str, Box]) -> ImageSet:
    fitted: dict[str, Box] = {}
    cut: list[Record] = []
    empty: list[Record] = []
    for record in dataset.records:
        left, top, right, bottom = boxes[record.name]
        height, width = record.size or (bottom, right)
        box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if box[0] >= box[2] or box[1] >= box[3]:
            empty.append(record)
            continue
        cut += [record] if box != boxes[record.name] else []
        fitted[record.name] = box
    kept = tuple(record for record in dataset.records if record.name in fitted)
    problems = [
        *_of_boxes(dataset, "goes beyond its picture, and is cut", cut),
        *_of_boxes(dataset, "holds nothing of its picture, and is left out", empty),
    ]
    return cropped(replace(dataset, records=kept), fitted, problems)


def _of_boxes(dataset: ImageSet, what: str, records: Sequence[Record]) -> list[Problem]:
    if not records:
        return []
    some = f"{len(records)} box{'es' * (len(records) > 1)}, such as that of {records[0].name}"
    return [
        Problem(
            "warning",
            str(records[0].path.relative_to(dataset.root)),
            f"has a box that {what}",
            expected="boxes within their pictures",
            found=some,
            advice="The publisher's own table has such boxes: nothing is to be done.",
            kind="box",
        )
    ]


def _left_out(root: Path) -> Problem:
    return Problem(
        "warning",
        str(root / _EXTRA),
        "is left out",
        expected="the training and the test part alone",
        found="the extra pictures, which are easier than the others",
        advice=f"To train on them, too, say --format {SVHN_NUMBERS_EXTRA}.",
        kind="extra",
    )
