"""Boxes to which pictures are cropped, in a table beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from netwright.data.files import reading
from netwright.data.images.dataset import Box
from netwright.data.issues import Problem, UnusableFile

BOXES = "boxes.csv"
COLUMNS = ("file", "left", "top", "right", "bottom")


def read_boxes(
    root: Path, sizes: Mapping[str, tuple[int, int] | None], *, of_more: bool = False
) -> tuple[dict[str, Box], list[Problem]]:
    """The boxes in ``root/boxes.csv`` by picture, and what is wrong with them; none where there is no such file.

    A row is the name of a picture within ``root`` and a `Box`; columns beyond these have no meaning.

    Args:
        root: the folder of the pictures.
        sizes: (height, width) of each picture by its name, None where it is not known.
        of_more: the table may name more pictures than these. Rows of other pictures that lie there are ignored. Rows of
            pictures that do not are one warning together, not an error each.
    """
    path = root / BOXES
    if not path.is_file():
        return {}, []
    try:
        with (
            reading(path, "a table in UTF-8", "Save it again as CSV."),
            path.open(encoding="utf-8-sig", newline="") as file,
        ):
            rows = list(csv.DictReader(file, restval=""))
    except UnusableFile as error:
        return {}, [replace(error.problem, file=BOXES, kind="box")]
    if rows and (missing := [name for name in COLUMNS if name not in rows[0]]):
        columns = ", ".join(str(name) for name in rows[0])
        return {}, [
            _wrong(
                f"lacks the column {missing[0]}", ",".join(COLUMNS), columns, "Name them in the first row."
            )
        ]
    absent = [row["file"] for row in rows if row["file"] not in sizes] if of_more else []
    boxes: dict[str, Box] = {}
    problems: list[Problem] = []
    for number, row in enumerate(rows, 2):
        if of_more and row["file"] not in sizes:
            continue
        box, problem = _box(row, number, sizes)
        name = row["file"]
        if problem is None and name in boxes:
            problem = _of_row(number, name, "is a second box", "one for each picture", "another above")
        if problem is not None:
            problems.append(problem)
        elif box is not None:
            boxes[name] = box
    if not problems:
        problems = _absent([name for name in absent if not (root / name).is_file()]) + _without(sizes, boxes)
    return boxes, problems


def fitted_boxes(
    boxes: Mapping[str, Box], sizes: Mapping[str, tuple[int, int] | None], table: str
) -> tuple[dict[str, Box], list[Problem]]:
    """The boxes of a published table, cut to their pictures; a picture of which its box holds nothing is used whole.

    Published tables have such boxes, and cannot be corrected by who uses them. So each kind is one warning.

    Args:
        boxes: by the name of the picture, from the table.
        sizes: (height, width) of each picture by its name, None where it is not known.
        table: its name, for the warnings.
    """
    fitted: dict[str, Box] = {}
    cut: list[str] = []
    bare = [name for name in sizes if name not in boxes]
    for name, (left, top, right, bottom) in ((name, boxes[name]) for name in sizes if name in boxes):
        height, width = sizes[name] or (bottom, right)
        box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if box[0] >= box[2] or box[1] >= box[3]:
            bare.append(name)
            continue
        cut += [name] if box != (left, top, right, bottom) else []
        fitted[name] = box
    problems = (
        [_of_some(table, "has boxes that go beyond their pictures", cut, "They are cut.")] if cut else []
    )
    if bare:
        problems.append(_of_some(table, "has no box of some pictures", bare, "These are taken whole."))
    return fitted, problems


def _of_some(table: str, what: str, names: Sequence[str], advice: str) -> Problem:
    found = f"{len(names)} picture{'s' * (len(names) != 1)} without, such as {names[0]}"
    return Problem("warning", table, what, "a box within each picture", found, advice, kind="box")


def _box(
    row: Mapping[str, str], number: int, sizes: Mapping[str, tuple[int, int] | None]
) -> tuple[Box | None, Problem | None]:
    """The box in a row, or what is wrong with it."""
    name = row["file"]
    if name not in sizes:
        expected = f"a name such as {next(iter(sizes))}" if sizes else "pictures beside the table"
        return None, _of_row(number, name, "names no picture", expected, "none of that name")
    values = [row[column] for column in COLUMNS[1:]]
    try:
        left, top, right, bottom = (int(value) for value in values)
    except ValueError:
        return None, _of_row(number, name, "is no box", "four whole numbers of pixels", ", ".join(values))
    height, width = sizes[name] or (bottom, right)
    if 0 <= left < right <= width and 0 <= top < bottom <= height:
        return (left, top, right, bottom), None
    expected = f"0 <= left < right <= {width} and 0 <= top < bottom <= {height}"
    edges = f"left {left}, top {top}, right {right}, bottom {bottom}"
    return None, _of_row(number, name, "lies not within its picture", expected, edges)


def _absent(names: Sequence[str]) -> list[Problem]:
    if not names:
        return []
    return [
        Problem(
            "warning",
            BOXES,
            "has boxes of pictures that are not there",
            expected="the names of pictures beside it",
            found=f"{len(names)} other{'s' * (len(names) != 1)}, such as {names[0]!r}",
            advice="Their rows are passed over. Look whether pictures were left behind, or are called otherwise.",
            kind="absent-box",
        )
    ]


def _without(sizes: Mapping[str, tuple[int, int] | None], boxes: Mapping[str, Box]) -> list[Problem]:
    bare = [name for name in sizes if name not in boxes]
    if not bare:
        return []
    return [
        Problem(
            "warning",
            BOXES,
            "has no box for some pictures",
            expected=f"{len(sizes)}, one for each",
            found=f"{len(boxes)}; none for {bare[0]}",
            advice="Those without one are taken whole. Add their boxes, or remove them.",
            kind="no-box",
        )
    ]


def _of_row(number: int, name: str, what: str, expected: str, actual: str) -> Problem:
    advice = (
        "Correct the row: left and top are the first pixel inside, right and bottom the first beyond, from 0."
    )
    return _wrong(f"(row {number}, {name!r}) {what}", expected, actual, advice)


def _wrong(what: str, expected: str, actual: str, advice: str) -> Problem:
    return Problem("error", BOXES, what, expected, actual, advice, kind="box")
