"""Pictures with several labels each: a folder of pictures, and ``labels.csv`` with a column for each label."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netwright.data.files import reading
from netwright.data.images.dataset import ImageSet
from netwright.data.images.issues import labels_of_all
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.class_folders import (
    first_picture,
    folders_in,
    ignored_file,
    image_set,
    pictures_below,
)
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.part_names import PARTS
from netwright.data.layouts.table_columns import ZERO_OR_ONE
from netwright.data.layouts.table_parts import (
    PartColumns,
    Rows,
    is_flag,
    is_fold,
    part_columns,
    part_problems,
    says_parts,
)
from netwright.data.similar_names import near
from netwright.data.splits import Part
from netwright.errors import DatasetError

LABEL_TABLE = "label-table"
"""The name of the format."""

TABLE = "labels.csv"
FILE, SPLIT = "file", "split"

_MOST_OF_ONE = 0.9
"""A single column holds 0 and 1 in at least this share of the rows, if it is one of a label."""

NO_FILES = "no-file-column"
"""The kind of problem of a table that may be about something else."""

LOOKED_FOR = (
    f"a folder of pictures and `{TABLE}`: a column `{FILE}`, a column of 0 and 1 for each label, and if you like "
    f"`{SPLIT}`"
)

Entry = tuple[str, tuple[int, ...], Part | None, Path]
"""Name, labels, part and path of a picture."""


@dataclass(frozen=True)
class _Table:
    """``labels`` and ``rows`` as the file has them: the path, the line of each row, and its values by column.

    ``has_split``: whether it has the column `SPLIT`. ``parts``: the columns of parts and folds.
    """

    labels: tuple[str, ...]
    has_split: bool
    rows: Rows
    parts: PartColumns

    @property
    def has_parts(self) -> bool:
        return self.has_split or bool(self.parts)


def matches(root: Path) -> bool:
    """Whether there is a table of labels in a folder."""
    return root.is_dir() and (root / TABLE).is_file()


def recognised(root: Path) -> bool:
    """Whether a folder's table is one of labels: some row holds 0 and 1 alone.

    One that cannot be used is taken for such where it names files or nobody can read it, so that reading it says what
    is wrong, but never beside class folders: pictures in two or more folders stay classes unless the table is clearly
    one of labels, with several of them and a picture that is there. A single column that also holds something else than
    0 and 1, and not as a slip, tells classes.
    """
    if not matches(root):
        return False
    try:
        table = _read_table(root)
    except UnusableFile as error:
        return error.problem.kind != NO_FILES and not _has_class_folders(root)
    if (len(table.labels) < 2 or not _names_a_file(root, table)) and _has_class_folders(root):
        return False
    held = [all(row[label] in ZERO_OR_ONE for label in table.labels) for _, _, row in table.rows]
    return any(held) and (len(table.labels) > 1 or sum(held) >= _MOST_OF_ONE * len(held))


def _has_class_folders(root: Path) -> bool:
    return sum(first_picture(folder) is not None for folder in folders_in(root)) >= 2


def _names_a_file(root: Path, table: _Table) -> bool:
    return any(_is_there(root, row[FILE]) for _, _, row in table.rows)


def _is_there(root: Path, name: str) -> bool:
    try:
        return bool(name) and (root / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def read(root: Path) -> ImageSet:
    """The pictures that the table names, their headers read; whether they can be decoded is not looked at.

    Raises:
        DatasetError: the table cannot be read, has no labels, or has parts without one for training.
    """
    table = _read_table(root)
    problems: list[Problem] = []
    pictures = dict(pictures_below(root, root, problems, (TABLE, DESCRIPTION)))
    entries = list(_entries(root, table, pictures, problems))
    if table.has_parts and entries and not any(part == "train" for _, _, part, _ in entries):
        raise DatasetError(
            f"{root / TABLE} has no picture for training: expected `train` in the column {SPLIT} of some rows, or "
            "no in a column such as is_test."
        )
    named = {row[FILE] for _, _, row in table.rows}
    if left := [path for name, path in pictures.items() if name not in named]:
        problems.append(ignored_file(left[0], len(left), "is not in the table", f"a row of it in {TABLE}"))
    learned = [values for _, values, part, _ in entries if part in (None, "train")]
    problems += labels_of_all(str(root / TABLE), table.labels, learned)
    problems += [*part_problems(table.parts, table.rows, table.labels), *_may_be_classes(root, table)]
    dataset = image_set(root, LABEL_TABLE, table.labels, entries, problems)
    return replace(dataset, labels_for="multilabel")


def _may_be_classes(root: Path, table: _Table) -> list[Problem]:
    """A warning where 0 and 1 may as well tell classes: in one column, or where each row has exactly one 1."""
    one_column = len(table.labels) == 1
    ones = [sum(ZERO_OR_ONE.get(row[label], 2) for label in table.labels) for _, _, row in table.rows]
    if not ones or (not one_column and any(count != 1 for count in ones)):
        return []
    return [
        Problem(
            "warning",
            str(root / TABLE),
            "is taken for labels, of which a picture may have several or none",
            expected="rows with several 1 or none, in several columns",
            found="one column" if one_column else "exactly one 1 in each row",
            advice="If these are classes, one for each picture, say --format class-table.",
            kind="assumed-labels",
        )
    ]


def _read_table(root: Path) -> _Table:
    """The table, its columns checked.

    Raises:
        UnusableFile: it cannot be read, or lacks a column.
    """
    path = root / TABLE
    with (
        reading(path, "a table in UTF-8", "Save it again as CSV."),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        lines = csv.reader(file, strict=True)
        head = [name.strip() for name in next(lines, [])]
        rows = [(lines.line_num, [value.strip() for value in row]) for row in lines if any(row)]
    others = tuple(name for name in head if name not in (FILE, SPLIT))
    expected = f"{FILE}, a name for each label, and if you like {SPLIT}"
    columns = enumerate_words(head) or "nothing"
    if FILE not in head:
        raise _unusable(path, f"lacks the column {FILE}", expected, columns, NO_FILES)
    if twice := [name for name in dict.fromkeys(head) if head.count(name) > 1]:
        raise _unusable(path, f"has the column {twice[0]} twice", "each column once", columns)
    if not others or not all(others):
        raise _unusable(path, "has a column without a name" if others else "has no label", expected, columns)
    if wrong := [(line, row) for line, row in rows if len(row) != len(head)]:
        line, row = wrong[0]
        raise _unusable(
            path, f"(line {line}) has too few or too many values", f"{len(head)} values", f"{len(row)}"
        )
    valued = tuple((path, line, dict(zip(head, row, strict=True))) for line, row in rows)
    split = [SPLIT] if SPLIT in head and says_parts(row[SPLIT] for _, _, row in valued) else []
    parts = part_columns(valued, [*split, *(name for name in others if is_flag(name) or is_fold(name))])
    if not (labels := tuple(name for name in others if name not in parts.names)):
        raise _unusable(path, "has no label", expected, columns)
    return _Table(labels, SPLIT in head, valued, parts)


def _entries(
    root: Path, table: _Table, pictures: Mapping[str, Path], problems: list[Problem]
) -> Iterator[Entry]:
    """The rows that can be used; what is wrong with the others becomes a problem."""
    first: dict[str, int] = {}
    for _, line, row in table.rows:
        name = row[FILE]
        problem = _missing(root, line, name) if name not in pictures else _no_label(table.labels, line, row)
        if problem is None and name in first:
            problem = _of_row(
                line,
                name,
                "names a picture again",
                "one row for each picture",
                f"another in line {first[name]}",
                "Remove one of the two.",
                "duplicate-row",
            )
        part = PARTS.get(row[SPLIT].lower()) if table.has_split else table.parts.part_of(row)
        if problem is None and table.has_split and part is None:
            problem = _of_row(
                line,
                name,
                f"is of no part that is known in the column {SPLIT}",
                "train, val or test",
                row[SPLIT] or "nothing",
                "Correct the row, or remove the column: the parts are then chosen.",
                "unknown-part",
            )
        if problem is not None:
            problems.append(problem)
            continue
        first[name] = line
        yield name, tuple(ZERO_OR_ONE[row[label]] for label in table.labels), part, pictures[name]


def _missing(root: Path, line: int, name: str) -> Problem:
    there = _is_there(root, name)
    other = None if there else near(root / name)
    within = other is not None and ".." not in Path(name).parts and other.is_relative_to(root)
    meant = f" Did you mean {other.relative_to(root).as_posix()}?" if other is not None and within else ""
    return _of_row(
        line,
        name,
        "names no picture",
        "the name of a picture within the folder, such as folder/name.png",
        "a file that is no picture" if there else "no such file",
        f"Correct the name, or add the file.{meant}",
        "missing-file",
    )


def _no_label(labels: Sequence[str], line: int, row: Mapping[str, str]) -> Problem | None:
    wrong = [label for label in labels if row[label] not in ZERO_OR_ONE]
    if not wrong:
        return None
    return _of_row(
        line,
        row[FILE],
        f"has a value of {wrong[0]} that is neither 0 nor 1",
        "1 where the picture has the label, else 0",
        row[wrong[0]] or "nothing",
        "Correct the value. A column that holds no labels has to go. If it tells classes, say --format class-table.",
        "label-value",
    )


def _of_row(line: int, name: str, what: str, expected: str, found: str, advice: str, kind: str) -> Problem:
    return Problem("error", TABLE, f"(line {line}, {name!r}) {what}", expected, found, advice, kind)


def _unusable(path: Path, what: str, expected: str, found: str, kind: str = "label-table") -> UnusableFile:
    return UnusableFile(Problem("error", str(path), what, expected, found, "Correct the table.", kind))
