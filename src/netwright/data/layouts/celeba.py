"""CelebA: pictures of faces with forty attributes each, and tables of texts as their publisher has them, or of CSV as
the copy on Kaggle has them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from netwright.data.files import read_text, reading, unreadable
from netwright.data.images.dataset import Box, ImageSet
from netwright.data.images.issues import labels_of_all, not_whole
from netwright.data.issues import Problem, UnusableFile
from netwright.data.layouts.boxes import BOXES, fitted_boxes
from netwright.data.layouts.class_folders import image_set, pictures_below
from netwright.data.layouts.images import IMAGES, cropped
from netwright.data.layouts.images import read as read_any_pictures
from netwright.data.layouts.listed import home_of, listed_pictures
from netwright.data.splits import Part
from netwright.errors import DatasetError

CELEBA = "celeba"
"""The name of the format."""

LOOKED_FOR = (
    "CelebA: `img_align_celeba/` (or `img_celeba/`), `list_attr_celeba.txt` and `list_eval_partition.txt` (or both "
    "`.csv`), side by side or in `Img/`, `Anno/` and `Eval/`"
)

_ALIGNED, _WILD = "img_align_celeba", "img_celeba"
_ATTRIBUTES = "list_attr_celeba.txt"
_PARTITION = "list_eval_partition.txt"
_BOXES = "list_bbox_celeba.txt"
_CSV = ".csv"
_FILE = "image_id"
"""The column of the names in tables of CSV, and in the text with the boxes."""

_HOMES = ("", "Img", "Anno", "Eval")
"""The folders of the publisher's drive, which many copies leave out."""

FOLDERS = (_ALIGNED, _WILD, *_HOMES[1:])
"""What the folders in it are called."""

_PARTS: dict[str, Part] = {"0": "train", "1": "val", "2": "test"}
_VALUES = {"1": 1, "-1": 0}
_EDGES = ("x_1", "y_1", "width", "height")

Rows = dict[str, tuple[str, ...]]
"""The values of each picture by its name."""


def matches(root: Path) -> bool:
    """Whether a folder holds pictures of CelebA, and a table of them."""
    return _pictures(root, _ALIGNED, _WILD) is not None and any(
        _find(root, name) is not None for name in (_ATTRIBUTES, _PARTITION, _BOXES)
    )


def read(root: Path) -> ImageSet:
    """The pictures with their attributes as labels, and their official parts; their headers are read.

    Where the aligned pictures are there, they are used, otherwise those in the wild.

    Raises:
        DatasetError: the table of attributes, or all of its pictures, are missing.
        UnusableFile: a table cannot be read.
    """
    home, path = _pictures(root, _ALIGNED, _WILD), _find(root, _ATTRIBUTES)
    if home is None or path is None:
        raise DatasetError(
            f"{root} lacks {_ATTRIBUTES}: expected it for the labels of CelebA. Add it, or say --format images to "
            "restore pictures (inpainting)."
        )
    problems: list[Problem] = []
    names, rows = _table(path)
    part_of = _parts(root, problems)
    pictures = listed_pictures(root, home, rows, path, problems)
    entries: list[tuple[str, tuple[int, ...], Part | None, Path]] = []
    for file, (name, picture) in pictures.items():
        entries.append((name, _labels(path, file, rows[file]), part_of.get(file), picture))
    problems += _without_part(root, part_of, list(pictures))
    learned = [labels for _, labels, part, _ in entries if part in (None, "train")]
    problems += labels_of_all(str(path), names, learned)
    return replace(image_set(root, CELEBA, names, entries, problems), labels_for="multilabel")


def read_to_restore(root: Path) -> ImageSet:
    """The pictures without their attributes, in their official parts.

    The boxes are those of the pictures in the wild, which are used where both are there. The aligned ones are used
    whole. A ``boxes.csv`` of the user's takes the place of all tables: the folder is then read as one of any pictures.

    Raises:
        DatasetError: none of the pictures is there.
        UnusableFile: a table cannot be read.
    """
    if (root / BOXES).is_file():
        return read_any_pictures(root)
    table, wild = _find(root, _BOXES), _pictures(root, _WILD)
    boxed = table is not None and wild is not None
    home = wild if boxed else _pictures(root, _ALIGNED, _WILD)
    assert home is not None  # as `matches` has found one
    problems: list[Problem] = []
    part_of = _parts(root, problems)
    pictures = {
        path.relative_to(home).as_posix(): (name, path) for name, path in pictures_below(root, home, problems)
    }
    problems += _without_part(root, part_of, list(pictures))
    entries = [(name, 0, part_of.get(file), path) for file, (name, path) in pictures.items()]
    dataset = image_set(root, IMAGES, (), entries, problems)
    if table is None:
        return dataset
    if not boxed:
        return replace(dataset, problems=(*dataset.problems, _boxes_of_others(table).relative_to(root)))
    boxes = {pictures[file][0]: box for file, box in _boxes(table).items() if file in pictures}
    sizes = {record.name: record.size for record in dataset.records}
    return cropped(dataset, *fitted_boxes(boxes, sizes, table.name))


def _find(root: Path, name: str) -> Path | None:
    """A table of the publisher, else the same as CSV."""
    names = (name, Path(name).with_suffix(_CSV).name)
    places = (root / home / one for one in names for home in _HOMES)
    return next((path for path in places if path.is_file()), None)


def _pictures(root: Path, *names: str) -> Path | None:
    """The first of some folders of pictures that is there."""
    places = (root / home / name for name in names for home in _HOMES)
    return next((home_of(folder) for folder in places if folder.is_dir()), None)


def _table(path: Path) -> tuple[tuple[str, ...], Rows]:
    """The names of the columns, and the rows. The first line has the number of pictures, but not in CSV; the next one
    the names."""
    lines = _lines(path)
    announced = None
    if path.suffix != _CSV:
        if len(lines) < 2 or len(lines[0]) != 1 or not lines[0][0].isdecimal():
            raise _unusable(
                path, "the number of pictures and the names of the columns are not in the first two lines"
            )
        announced = int(lines.pop(0)[0])
    elif not lines or lines[0][0] != _FILE:
        raise _unusable(path, f"the first line does not begin with the column {_FILE}, followed by a comma")
    names, rows = tuple(lines[0]), lines[1:]
    if names[:1] == (_FILE,):  # which the text with the attributes has not
        names = names[1:]
    if len(set(names)) < len(names) or not names:
        raise _unusable(path, f"the columns are not all different: {' '.join(names)}")
    if announced not in (None, len(rows)):
        raise _unusable(path, f"{len(rows)} rows where the first line announces {announced}")
    first = 2 if announced is None else 3
    wrong = next((number for number, row in enumerate(rows, first) if len(row) != len(names) + 1), None)
    if wrong is not None:
        raise _unusable(path, f"line {wrong} has not {len(names)} values")
    return names, _by_name(path, rows)


def _lines(path: Path) -> list[list[str]]:
    """The values in each line that is not empty: words, or in CSV what is between commas."""
    lines = [line for line in read_text(path, _expected(path)).splitlines() if line.strip()]
    if path.suffix != _CSV:
        return [line.split() for line in lines]
    with reading(path, _expected(path), "Fetch the file again."):
        return [[value.strip() for value in row] for row in csv.reader(lines, strict=True)]


def _by_name(path: Path, rows: Sequence[Sequence[str]]) -> Rows:
    named = {row[0]: tuple(row[1:]) for row in rows}
    if len(named) < len(rows):
        raise _unusable(path, f"{len(rows) - len(named)} pictures are there twice")
    return named


def _parts(root: Path, problems: list[Problem]) -> dict[str, Part]:
    """The part of each picture; without the table, a problem."""
    path = _find(root, _PARTITION)
    if path is None:
        problems += not_whole(root, "CelebA", [f"no {_PARTITION}, so no official parts"])
        return {}
    lines, first = _lines(path), 1
    if path.suffix == _CSV:
        lines, first = lines[1:], 2
    wrong = next(
        (number for number, row in enumerate(lines, first) if len(row) != 2 or row[1] not in _PARTS), None
    )
    if wrong is not None:
        raise _unusable(path, f"line {wrong} has no picture with 0, 1 or 2 behind it")
    return {name: _PARTS[values[0]] for name, values in _by_name(path, lines).items()}


def _without_part(root: Path, part_of: dict[str, Part], pictures: Sequence[str]) -> list[Problem]:
    """The problem of pictures that the table of parts does not name: they would be divided beside official parts."""
    bare = [name for name in pictures if name not in part_of]
    if not part_of or not bare:
        return []
    return [
        Problem(
            "error",
            str(root),
            f"has pictures that {_PARTITION} does not name",
            expected="a line for each picture",
            found=f"{len(bare)} without, such as {bare[0]}",
            advice="Fetch the table again, or remove the pictures.",
            kind="unknown-part",
        )
    ]


def _labels(path: Path, file: str, values: Sequence[str]) -> tuple[int, ...]:
    wrong = [value for value in values if value not in _VALUES]
    if wrong:
        raise _unusable(path, f"{file} has an attribute of {wrong[0]}, neither 1 nor -1")
    return tuple(_VALUES[value] for value in values)


def _boxes(path: Path) -> dict[str, Box]:
    """The box of each picture. Pixels are taken to count from 0, which the publisher does not say."""
    names, rows = _table(path)
    if names != _EDGES:
        raise _unusable(path, f"the columns are {' '.join(names)}, not {' '.join(_EDGES)}")
    boxes: dict[str, Box] = {}
    for file, values in rows.items():
        try:
            left, top, width, height = (int(value) for value in values)
        except ValueError:
            raise _unusable(path, f"{file} has the box {' '.join(values)}, not four whole numbers") from None
        boxes[file] = left, top, left + width, top + height
    return boxes


def _boxes_of_others(table: Path) -> Problem:
    return Problem(
        "warning",
        str(table),
        f"has the boxes of {_WILD}, not of {_ALIGNED}",
        expected=f"the pictures of {_WILD}, to be cropped to them",
        found=f"{_ALIGNED} alone, which is cropped already",
        advice=f"The aligned pictures are taken whole. For those of the paper, unpack {_WILD}.7z beside them.",
        kind="box",
    )


def _expected(path: Path) -> str:
    return f"the table {path.name} as CelebA has it"


def _unusable(path: Path, reason: str) -> UnusableFile:
    return unreadable(path, reason, _expected(path), "Fetch the file again.")
