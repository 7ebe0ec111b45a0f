"""Which table beside pictures tells their classes, by itself or as a ``dataset.json`` says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts.class_folders import first_picture, folders_in, parts_of, pictures_below
from netwright.data.layouts.description import DESCRIPTION, read_description
from netwright.data.layouts.part_names import is_contents, is_piece
from netwright.data.layouts.picture_tables import (
    Pictures,
    Table,
    read_tables,
    tables_in,
    tables_that_name,
)
from netwright.data.layouts.table_columns import ZERO_OR_ONE, Columns, columns_of
from netwright.errors import DatasetError

CLASS_TABLE = "class-table"
"""The name of the format."""

TABLE, FILE, LABEL, SEVERAL = "table", "file", "label", "several"
"""The keys of a ``dataset.json`` that say which table and columns are meant, and whether columns of 0 and 1 tell
several labels a picture."""

LOOKED_FOR = (
    "pictures in any folders and a table (.csv) with a column that names them and a column of classes, or columns of 0 "
    "and 1; a dataset.json with `table`, `file` and `label` says which"
)

_MUCH_MORE = 2


def matches(root: Path) -> bool:
    """Whether there is a table beside the pictures of a folder."""
    return root.is_dir() and bool(tables_in(root)) and first_picture(root) is not None


def recognised(root: Path) -> bool:
    """Whether a table tells the classes of the pictures of a folder, and no folders of classes do.

    A table of which several columns may be meant counts, too: reading it says so.
    """
    if not matches(root):
        return False
    return bool(_described(root)) or (
        not has_class_folders(root) and bool(read_once(root, pictures_of(root)))
    )


def has_class_folders(root: Path) -> bool:
    """Whether the pictures of a folder, or of its training part, lie in folders that may be classes by their names."""
    try:
        home = parts_of(root).get("train", root)
    except DatasetError:
        home = root
    names = [folder.name for folder in folders_in(home) if first_picture(folder)]
    return len(names) > 1 and not all(map(is_piece, names)) and not any(map(is_contents, names))


def pictures_of(root: Path, problems: list[Problem] | None = None) -> Pictures:
    """The pictures below a folder.

    Args:
        root: of the dataset.
        problems: gets those that are found; None: nobody is told.
    """
    others = [path.name for path in root.iterdir()]
    tables = [path.relative_to(root).as_posix() for path in tables_in(root)]
    found = pictures_below(root, root, [] if problems is None else problems, [*others, *tables])
    return Pictures(dict(found))


def rivals(root: Path, pictures: Pictures) -> list[Columns]:
    """The tables that may tell the classes: one, if it is clear which; none, if there is no such table.

    Those with columns that are called like classes go before others, and one that names twice as many pictures as
    another before that.
    """
    found = [
        columns
        for table in tables_that_name(pictures, tables_in(root))
        if (columns := columns_of(table, pictures))
    ]
    found = _joined([columns for columns in found if columns.sure] or found)
    most = max((columns.named for columns in found), default=0)
    return [columns for columns in found if _MUCH_MORE * columns.named > most]


_FOUND: dict[tuple[object, ...], list[Columns]] = {}
"""The last result of `read_once`."""


def read_once(root: Path, pictures: Pictures) -> list[Columns]:
    """`rivals`, kept until the classes are read or another folder is looked at: a command recognises a folder first."""
    states = ((path, path.stat()) for path in tables_in(root))
    tables = tuple((path, state.st_mtime_ns, state.st_size) for path, state in states)
    key = (root, tuple(pictures.paths), tables)
    if key not in _FOUND:
        _FOUND.clear()
        _FOUND[key] = rivals(root, pictures)
    return _FOUND[key]


def read_last(root: Path, pictures: Pictures) -> list[Columns]:
    """`read_once`, for the last time."""
    found = read_once(root, pictures)
    _FOUND.clear()
    return found


def _joined(found: Sequence[Columns]) -> list[Columns]:
    """Tables that say the same in the same columns, whatever others they have, as one."""
    alike: dict[tuple[str, tuple[str, ...]], Columns] = {}
    for columns in found:
        key = (columns.file, columns.candidates)
        if (other := alike.get(key)) is not None:
            paths = (*other.table.paths, *columns.table.paths)
            head = tuple(dict.fromkeys((*other.table.head, *columns.table.head)))
            table = Table(paths, head, (*other.table.rows, *columns.table.rows))
            columns = replace(other, table=table, named=other.named + columns.named)
        alike[key] = columns
    return list(alike.values())


def choose(root: Path, pictures: Pictures) -> Columns:
    """The table and the columns that a ``dataset.json`` names; else those that must be meant.

    Raises:
        DatasetError: the description names others than are there, no table names the pictures, or several tables or
            columns may be meant.
        UnusableFile: the table cannot be read.
    """
    if description := _described(root):
        return _as_described(root, description, pictures)
    found = read_last(root, pictures)
    if not found:
        tables = enumerate_words([path.relative_to(root).as_posix() for path in tables_in(root)][:5])
        raise DatasetError(
            f"{root} has no table that tells the classes of its pictures: expected a column with the names of half of "
            f"them and a column of classes, found {tables}. {_SAY} {_example('labels.csv', 'file', 'label')}."
        )
    if len(found) > 1:
        names = enumerate_words([told(root, columns.table) for columns in found])
        example = _example(_names(root, found[0].table), found[0].file, found[0].candidates[0])
        raise DatasetError(
            f"{root} has several tables that may tell the classes of its pictures: expected one, found {names}. {_SAY} "
            f"{example}."
        )
    (columns,) = found
    if pictures.called(columns.file):
        raise DatasetError(
            f"{told(root, columns.table)} in {root} begins with the picture {columns.file}: expected the names of its "
            "columns in the first line, for example image,label. Add such a line."
        )
    if not columns.labels:
        example = _example(_names(root, columns.table), columns.file, columns.candidates[0])
        raise DatasetError(
            f"{told(root, columns.table)} in {root} names the pictures (column {columns.file}), but not clearly their "
            f"classes: expected one column that tells them, such as `label`, found "
            f"{enumerate_words(columns.candidates[:6])}. {_SAY} {example}{_of_binary(columns)}; or say --format images "
            "for pictures without classes (inpainting)."
        )
    return columns


_SAY = f"Say in a {DESCRIPTION} which table and which columns are meant, for example"


def _example(tables: Sequence[str], file: str, label: str) -> str:
    return json.dumps({TABLE: tables if len(tables) > 1 else tables[0], FILE: file, LABEL: label})


def _of_binary(columns: Columns) -> str:
    """What to say where several of the columns that may be meant are of 0 and 1; empty elsewhere."""
    rows = [row for _, _, row in columns.table.rows]
    binary = [name for name in columns.candidates if all(row.get(name) in ZERO_OR_ONE for row in rows)]
    if len(binary) < 2:
        return ""
    return (
        f"; {enumerate_words(binary[:6])} hold 0 and 1: for a label each, give `{LABEL}` a list of those that are "
        "labels, which are classes if each row has exactly one 1"
    )


def description_for(root: Path, columns: Columns) -> str:
    """What a description may say of a table, as JSON.

    Args:
        root: of the dataset.
        columns: with the labels that are meant.
    """
    names = _names(root, columns.table)
    said: dict[str, Any] = {TABLE: names if len(names) > 1 else names[0], FILE: columns.file}
    said[LABEL] = columns.labels[0] if len(columns.labels) == 1 else list(columns.labels)
    return json.dumps(said if columns.several is None else {**said, SEVERAL: columns.several})


def _names(root: Path, table: Table) -> list[str]:
    return [path.relative_to(root).as_posix() for path in table.paths]


def told(root: Path, table: Table) -> str:
    """The names of the files of a table within a folder."""
    return enumerate_words(_names(root, table))


def _described(root: Path) -> Mapping[str, Any]:
    """What a description says of a table; empty where it names none."""
    description = read_description(root) if (root / DESCRIPTION).is_file() else {}
    return description if isinstance(description.get(TABLE), (str, list)) else {}


def _as_described(root: Path, description: Mapping[str, Any], pictures: Pictures) -> Columns:
    files, file, label = (description.get(key) for key in (TABLE, FILE, LABEL))
    paths = [root / str(name) for name in ([files] if isinstance(files, str) else files or [])]
    if absent := next((path for path in paths if not path.is_file()), None):
        raise DatasetError(f"{root / DESCRIPTION} names the table {absent}: expected a file that is there.")
    tables = read_tables(paths)
    if len(tables) != 1:
        raise DatasetError(
            f"{root / DESCRIPTION} names {len(tables)} tables with different columns: expected one, or several with "
            "the same columns. Name one."
        )
    (table,) = tables
    labels = tuple(map(str, label)) if isinstance(label, list) else (str(label),) if label else ()
    for key, names in ((FILE, [str(file)]), (LABEL, labels)):
        wrong = [name for name in names if name not in table.head]
        if wrong or not names:
            raise DatasetError(
                f"{root / DESCRIPTION} names the column {wrong[0] if wrong else None!r} as `{key}`: expected one of "
                f"{told(root, table)} ({enumerate_words([name for name in table.head if name])}). Correct it."
            )
    several = description.get(SEVERAL)
    if several is not None and (not isinstance(several, bool) or len(labels) < 2):
        raise DatasetError(
            f"{root / DESCRIPTION} gives `{SEVERAL}` as {several!r}: expected true or false, beside a list of "
            f"columns of 0 and 1 as `{LABEL}`. Correct it, or leave it out."
        )
    columns = Columns(table, str(file), labels, labels, len(pictures.paths), True, several)
    if not any(pictures.called(row[columns.file]) for _, _, row in table.rows):
        found = repr(table.rows[0][2][columns.file]) if table.rows else "no rows"
        raise DatasetError(
            f"{told(root, table)} in {root} names no picture in the column {file}: expected the names of pictures, "
            f"with or without their endings, found {found}. Correct `{FILE}` in {DESCRIPTION}, or the table."
        )
    return columns
