"""Stanford Cars: pictures in ``cars_train`` and ``cars_test``, with classes and boxes in MATLAB files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.files import reading
from netwright.data.images.dataset import Box, ImageSet
from netwright.data.images.issues import not_whole
from netwright.data.io.matlab import read_matlab, unfit
from netwright.data.issues import Problem
from netwright.data.layouts.boxes import BOXES, fitted_boxes
from netwright.data.layouts.class_folders import first_picture, image_set
from netwright.data.layouts.images import IMAGES, cropped
from netwright.data.layouts.images import read as read_any_pictures
from netwright.data.layouts.listed import home_of, listed_pictures
from netwright.data.splits import Part
from netwright.errors import DatasetError

CARS = "stanford-cars"
"""The name of the format."""

LOOKED_FOR = (
    "Stanford Cars: `cars_train/`, `cars_test/`, `cars_test_annos_withlabels.mat`, and `devkit/` with "
    "`cars_train_annos.mat` and `cars_meta.mat`"
)

_DEVKIT = "devkit"
_DEVKIT_HOMES = (_DEVKIT, "car_devkit/devkit", "car_devkit", ".")
"""Where the tables may lie. Copies on Kaggle have a folder for each archive of the publisher."""

_META = "cars_meta.mat"
_HOMES: dict[Part, str] = {"train": "cars_train", "test": "cars_test"}
FOLDERS = (*_HOMES.values(), _DEVKIT, "car_devkit")
"""What the folders in it are called."""

_TABLES: dict[Part, tuple[str, ...]] = {
    "train": ("cars_train_annos.mat",),
    "test": ("cars_test_annos_withlabels.mat", "cars_test_annos.mat"),
}
"""The tables of each part. Where there are two, the second one lacks the classes."""

_EDGES = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


@dataclass(frozen=True)
class _Car:
    """A row of a table: the file, the class counted from 0 (None where the table has none), and the box."""

    file: str
    label: int | None
    box: Box


@dataclass(frozen=True)
class _Table:
    """The rows of a part's table."""

    part: Part
    home: Path
    path: Path
    cars: tuple[_Car, ...]


def matches(root: Path) -> bool:
    """Whether a folder holds Stanford Cars. One without its tables matches, too; `read` says what it lacks."""
    homes = [root / name for name in _HOMES.values()]
    return homes[0].is_dir() and (homes[1].is_dir() or _find(root, _TABLES["train"]) is not None)


def read(root: Path) -> ImageSet:
    """The pictures with their classes and official parts, whole; their headers are read.

    Raises:
        DatasetError: a table or all of its pictures are missing.
        UnusableFile: a table is damaged or no such table.
    """
    problems: list[Problem] = []
    tables = _tables(root, problems)
    if unlabelled := [table for table in tables if any(car.label is None for car in table.cars)]:
        tables = [table for table in tables if table not in unlabelled]
        problems.append(_without_classes(unlabelled[0]))
    classes = _classes(root, tables, problems)
    entries: list[tuple[str, int, Part | None, Path]] = []
    for part, car, name, path in _listed_cars(root, tables, problems):
        if car.label is not None:
            entries.append((name, car.label, part, path))
    return image_set(root, CARS, classes, entries, problems)


def read_to_restore(root: Path) -> ImageSet:
    """The pictures without their classes, cropped to the boxes of the tables.

    A ``boxes.csv`` of the user's takes the place of the tables: the folder is then read as one of any pictures.

    Raises:
        DatasetError: as `read`.
    """
    if (root / BOXES).is_file() or _find(root, _TABLES["train"]) is None:
        return read_any_pictures(root)
    problems: list[Problem] = []
    entries: list[tuple[str, int, Part | None, Path]] = []
    boxes: dict[str, Box] = {}
    tables = _tables(root, problems)
    for part, car, name, path in _listed_cars(root, tables, problems):
        entries.append((name, 0, part, path))
        boxes[name] = car.box
    dataset = image_set(root, IMAGES, (), entries, problems)
    sizes = {record.name: record.size for record in dataset.records}
    return cropped(dataset, *fitted_boxes(boxes, sizes, tables[0].path.name))


def _listed_cars(
    root: Path, tables: Sequence[_Table], problems: list[Problem]
) -> Iterator[tuple[Part, _Car, str, Path]]:
    """Part, row, name and path of every picture in the tables that is there; what is not becomes a problem."""
    for table in tables:
        pictures = listed_pictures(root, table.home, [car.file for car in table.cars], table.path, problems)
        for car in table.cars:
            if car.file in pictures:
                name, path = pictures[car.file]
                yield table.part, car, name, path


def _find(root: Path, names: Sequence[str]) -> Path | None:
    """The first of some tables that is there, in the folder itself or in its ``devkit``."""
    places = [root / home / name for name in names for home in _DEVKIT_HOMES]
    return next((path for path in places if path.is_file()), None)


def _tables(root: Path, problems: list[Problem]) -> list[_Table]:
    """The tables of the parts that are there. What the test part lacks becomes a problem."""
    tables = []
    for part, names in _TABLES.items():
        home, path = root / _HOMES[part], _find(root, names)
        if path is not None and home.is_dir() and (part == "train" or first_picture(home)):
            tables.append(_Table(part, home_of(home), path, _cars(path)))
        elif part == "train":
            raise DatasetError(
                f"{root} holds the pictures of Stanford Cars without their classes: expected {_DEVKIT}/{names[0]}. "
                f"Unpack the devkit (car_devkit.tgz) beside {_HOMES[part]}. To restore pictures (inpainting), say "
                "--format images."
            )
        else:
            lacking = names[0] if path is None else f"pictures in {_HOMES[part]}"
            problems += not_whole(root, "Stanford Cars", [f"no {lacking}, so no official test part"])
    return tables


def _cars(path: Path) -> tuple[_Car, ...]:
    """The rows of a table: a struct for each picture. Pixels count from 1 in MATLAB, and the last one is inside."""
    rows = read_matlab(path, ("annotations",))["annotations"]
    fields = list(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], dict) else []
    if missing := [name for name in (*_EDGES, "fname") if name not in fields]:
        found = ", ".join(fields) or "no structs"
        raise unfit(
            path, f"lacks the field {missing[0]} of annotations", ", ".join((*_EDGES, "fname")), found
        )
    with reading(path, "a name, a class and four numbers of pixels for each picture"):
        cars = tuple(_car(row, "class" in fields) for row in rows)
    for car in cars:
        if not car.file or Path(car.file).name != car.file:
            raise unfit(path, "names a picture in another folder", "the name of a file", repr(car.file))
    if twice := len(cars) - len({car.file for car in cars}):
        raise unfit(path, "names pictures twice", "each of them once", f"{twice} more than once")
    return cars


def _car(row: Mapping[str, Any], has_class: bool) -> _Car:
    left, top, right, bottom = (_whole(row[name]) for name in _EDGES)
    label = _whole(row["class"]) - 1 if has_class else None
    return _Car(str(row["fname"]), label, (left - 1, top - 1, right, bottom))


def _whole(value: Any) -> int:
    number = value.item()
    if int(number) != number:
        raise ValueError(f"{number} where a whole number is expected")
    return int(number)


def _classes(root: Path, tables: Sequence[_Table], problems: list[Problem]) -> tuple[str, ...]:
    """The names of the classes; their numbers from 1 where the file with the names is missing."""
    labels = [car.label for table in tables for car in table.cars if car.label is not None]
    highest = max(labels, default=0)
    path = _find(root, (_META,))
    if path is None:
        problems += not_whole(root, "Stanford Cars", [f"no {_META}, so no names of classes"])
        names = tuple(str(number + 1) for number in range(highest + 1))
    else:
        cells = read_matlab(path, ("class_names",))["class_names"]
        names = tuple(str(cell) for cell in cells) if isinstance(cells, list) else ()
        if len(set(names)) < len(names) or len(names) < 2:
            raise unfit(path, "has class_names that cannot be used", "two or more, all different", f"{names}")
    if min(labels, default=0) < 0 or highest >= len(names):
        found = f"{min(labels) + 1} to {highest + 1}"
        raise unfit(tables[0].path, "has classes out of range", f"1 to {len(names)}", found)
    return names


def _without_classes(table: _Table) -> Problem:
    expected = _TABLES["test"][0]
    return Problem(
        "warning",
        str(table.path),
        "has no classes, so that the official test part is left out",
        expected=f"{expected}, the same table with the classes",
        found=f"{table.path.name} alone",
        advice=f"Put {expected}, which the publisher has as a file of its own, beside {_HOMES['test']}.",
        kind="unlabelled-part",
    )
