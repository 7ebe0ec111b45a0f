"""Which column of a table names the pictures, and which columns say their classes or labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.data.layouts.picture_tables import Pictures, Table, part_of_table, plain
from netwright.data.layouts.table_parts import is_about_parts, names_parts

SEPARATOR = "|"
"""Between the labels of a picture that has several, as in NIH's chest X-rays."""

ZERO_OR_ONE = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""As people write them, and as tables of real numbers do."""

_LABEL_NAMES = re.compile(
    "labels?|class(?:es|name|label)?|category|target|diagnosis|dx|findings?(?:labels?)?|breed|species|level"
)
"""What a column of classes is called, in lower case without other characters than letters."""

_GROUP_NAMES = ("patient", "patientid", "lesionid", "subject", "subjectid", "group", "caseid", "studyid")
_BOX = re.compile("xmin$|bbox|boundingbox")
_FEWEST_OF_ALL = 0.5
_FEWEST_DIFFERENT = 0.5
_MOST_NUMBERS = 20


@dataclass(frozen=True)
class Columns:
    """What a table says of pictures, and how sure it is.

    Args:
        table: the table.
        file: the column that names the pictures.
        labels: the column of classes, or a column of 0 and 1 for each; empty where several columns may be meant.
        candidates: the columns that may be meant.
        named: how many pictures the table names.
        sure: a column is called like one of classes, or columns of 0 and 1 have exactly one 1 in each row.
        several: whether columns of 0 and 1 tell several labels a picture, as a description says; None: their values
            tell.
    """

    table: Table
    file: str
    labels: tuple[str, ...]
    candidates: tuple[str, ...]
    named: int
    sure: bool
    several: bool | None = None


def columns_of(table: Table, pictures: Pictures) -> Columns | None:
    """The columns of a table that name pictures and say their labels; None where there are none.

    A table has to name half of the pictures, or half of its rows have to name some. One of boxes is about objects.
    """
    if has_boxes(table.head):
        return None
    named = {name: _named(table, name, pictures) for name in dict.fromkeys(filter(None, table.head))}
    file = max(named, key=lambda name: len(named[name]), default="")
    if not file or not named[file]:
        return None
    if len(named[file]) < _FEWEST_OF_ALL * min(len(pictures.paths), len(table.rows)):
        return None
    rows = [row for _, _, row in table.rows if pictures.called(row[file])]
    labels, candidates, sure = _labels(rows, [name for name in named if name != file])
    if not candidates:
        return None
    return Columns(table, file, labels, candidates, len(named[file]), sure)


def _named(table: Table, column: str, pictures: Pictures) -> set[str]:
    """The pictures that a column names; none where most of its values name the same as others."""
    part_of = {path: part_of_table(path) for path in table.paths}
    values = Counter((row[column], part_of[path]) for path, _, row in table.rows if row[column])
    found = {value: names[0] for value in values if (names := pictures.called(*value))}
    different = set(found.values())
    return different if len(different) >= _FEWEST_DIFFERENT * sum(map(values.__getitem__, found)) else set()


def _labels(
    rows: Sequence[Mapping[str, str]], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The columns of labels, those that may be such, and whether it is sure."""
    names = [
        name
        for name in names
        if plain(name) not in _GROUP_NAMES
        and not (plain(name).endswith("weight") or is_about_parts(name))
        and not names_parts(row[name] for row in rows)
    ]
    known = [name for name in names if _LABEL_NAMES.fullmatch(plain(name)) and _differ(rows, name)]
    if known:
        same = known if _say_the_same(rows, known) else known[:0]
        chosen = next((name for name in same if not _is_number(rows[0][name])), known[0])
        return ((chosen,) if same else ()), tuple(known), True
    binary = [name for name in names if all(row[name] in ZERO_OR_ONE for row in rows)]
    if len(binary) > 1:
        if all(sum(ZERO_OR_ONE[row[name]] for name in binary) == 1 for row in rows):
            return tuple(binary), tuple(binary), True
        if len(binary) == len(names):
            return tuple(binary), tuple(binary), False
    likely = [name for name in names if _may_be_classes(rows, name)]
    return (tuple(likely) if len(likely) == len(names) == 1 else ()), tuple(likely), False


def _differ(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    """Whether a column has at least two values, some of them again, and is not of measurements."""
    values = {row[name] for row in rows} - {""}
    return 1 < len(values) < len(rows) and not (len(values) > _MOST_NUMBERS and all(map(_is_real, values)))


def _may_be_classes(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    """Whether the values of a column repeat, and are few if they are numbers."""
    values = {row[name] for row in rows} - {""}
    numbers = all(map(_is_number, values))
    return 1 < len(values) <= len(rows) / 2 and not (
        numbers and (len(values) > _MOST_NUMBERS or any(map(_is_real, values)))
    )


def _say_the_same(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> bool:
    """Whether each value of a column goes with one of every other, as a number and a name of a class do."""
    together = {tuple(row[name] for name in names) for row in rows}
    return all(len({values[n] for values in together}) == len(together) for n in range(len(names)))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_real(value: str) -> bool:
    return _is_number(value) and not float(value).is_integer()


def has_boxes(head: Sequence[str]) -> bool:
    """Whether a table with these columns is one of boxes."""
    return any(_BOX.match(plain(name)) for name in head)


def groups_of(columns: Columns) -> str | None:
    """A column that tells which pictures are of one patient, where some are."""
    rows = [row for _, _, row in columns.table.rows]
    names = [
        name for name in columns.table.head if plain(name) in _GROUP_NAMES and name not in columns.labels
    ]
    return next((name for name in names if 1 < len({row.get(name) for row in rows}) < len(rows)), None)
