"""Pictures whose classes or labels a table tells, in any folders: HAM10000, APTOS, ISIC 2019, NIH chest X-rays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netwright.data.images.dataset import ImageSet, Label
from netwright.data.images.issues import labels_of_all, not_whole
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.class_folders import ignored_file, image_set
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.picture_tables import (
    Pictures,
    listed_parts,
    part_of_folders,
    part_of_table,
    tables_in,
)
from netwright.data.layouts.table_choice import (
    CLASS_TABLE,
    SEVERAL,
    choose,
    description_for,
    pictures_of,
    read_last,
    read_once,
    told,
)
from netwright.data.layouts.table_columns import SEPARATOR, ZERO_OR_ONE, Columns, groups_of
from netwright.data.layouts.table_parts import PartColumns, part_columns, part_problems
from netwright.data.splits import Part
from netwright.errors import DatasetError

_NO_LABEL = ("", "no finding")
"""What a table with several labels a picture has, in lower case, for none."""

FEW_ERRORS = 0.05
"""For this share of the pictures a table may tell another class than their folder, as by a slip or a guess."""

Entry = tuple[str, Label, Part | None, Path]
"""Name, class or labels, part and path of a picture."""


@dataclass(frozen=True)
class _Row:
    """A picture that the table names, the class or the labels that it tells, and the part."""

    name: str
    labels: tuple[str, ...]
    part: Part | None


def refuse_contradiction(root: Path) -> None:
    """Refuse folders that would be classes, if a table that names classes has several of them in one of the folders,
    for more than a few pictures.

    Raises:
        DatasetError: it has.
    """
    if not tables_in(root):
        return
    pictures = pictures_of(root)
    found = read_once(root, pictures)
    if len(found) != 1 or not found[0].sure or not found[0].labels:
        return
    (columns,) = found
    of_folder: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in _rows(columns, PartColumns(), pictures, []):
        of_folder[Path(row.name).parent.name][row.labels] += 1
    others = {name: labels.total() - max(labels.values()) for name, labels in of_folder.items()}
    pictures_told = sum(labels.total() for labels in of_folder.values())
    if sum(others.values()) > FEW_ERRORS * pictures_told:
        mixed = max(others, key=lambda name: others[name])
        raise DatasetError(
            f"{root} has folders that may be classes, but {told(root, columns.table)} tells several classes of the "
            f"pictures in the folder {mixed} (column {columns.labels[0]}), another than that of most for "
            f"{sum(others.values())} of {pictures_told} pictures in all: expected one of the two. Say --format "
            f"{CLASS_TABLE} for the classes of the table, or --format image-folder for those of the folders."
        )


def with_unused_parts(data: ImageSet) -> ImageSet:
    """Class folders with a warning where a table beside them says other parts than they have.

    Args:
        data: the folders, as read.
    """
    if not tables_in(data.root):
        return data
    problems: list[Problem] = []
    pictures = pictures_of(data.root)
    part_of = dict(zip(data.names, data.parts, strict=True))
    for columns in read_last(data.root, pictures):
        try:
            parts = _parts(columns)
        except UnusableFile as error:
            problems.append(
                replace(error.problem, severity="warning", advice=_OF_UNUSED, kind="unread-parts")
            )
            continue
        problems += part_problems(parts, columns.table.rows, ())
        rows = [row for row in _rows(columns, parts, pictures, []) if row.name in part_of] if parts else []
        if others := [row for row in rows if row.part != part_of[row.name]]:
            problems.append(_of_unused(columns, parts, len(others), len(rows)))
    return replace(data, problems=(*data.problems, *(one.relative_to(data.root) for one in problems)))


def read(root: Path) -> ImageSet:
    """The pictures that a table names, with the classes or labels that it tells; their headers are read.

    One column tells classes, or several labels a picture with ``|`` between them. Columns of 0 and 1 tell classes if
    each row has exactly one 1, otherwise labels; or as a description says. Parts are those of columns such as ``split``
    and ``is_test``, of lists such as ``test_list.txt``, or those in the names of folders and tables.

    Raises:
        DatasetError: no table names the pictures, or several tables or columns may be meant.
        UnusableFile: the table cannot be read.
    """
    problems: list[Problem] = []
    pictures = pictures_of(root, problems)
    columns = choose(root, pictures)
    parts = _parts(columns)
    rows = _whole_parts(_with_lists(root, pictures, list(_rows(columns, parts, pictures, problems))))
    named = {row.name for row in rows}
    if left := [path for name, path in pictures.paths.items() if name not in named]:
        expected = f"a row with a label in {told(root, columns.table)}"
        problems.append(ignored_file(left[0], len(left), "has no label in the table", expected))
    problems += part_problems(parts, columns.table.rows, columns.labels)
    if group := groups_of(columns):
        problems.append(_of_groups(columns, group))
    several = _several(columns)
    if several and _at_most_one(columns):
        problems.append(_of_assumed_labels(root, columns))
    classes = _classes(columns, [row for row in rows if row.part in (None, "train")], several)
    if not several:
        return image_set(root, CLASS_TABLE, classes, _of_classes(rows, classes, pictures, problems), problems)
    entries: list[Entry] = []
    learned: list[tuple[int, ...]] = []
    for row in rows:
        labels = tuple(int(name in row.labels) for name in classes)
        entries.append((row.name, labels, row.part, pictures.paths[row.name]))
        learned += [labels] if row.part in (None, "train") else []
    problems += labels_of_all(str(columns.table.paths[0]), classes, learned)
    return replace(image_set(root, CLASS_TABLE, classes, entries, problems), labels_for="multilabel")


def _rows(
    columns: Columns, parts: PartColumns, pictures: Pictures, problems: list[Problem]
) -> Iterator[_Row]:
    """The rows that can be used, one for each picture; what is wrong with others becomes a problem."""
    several = _several(columns)
    seen: dict[str, tuple[str, ...]] = {}
    missing: list[str] = []
    for path, line, row in columns.table.rows:
        value = row[columns.file]
        of_table = part_of_table(path)
        found = pictures.called(value, of_table)
        if not found:
            missing.append(value)
            continue
        problem = _wrong_row(columns, path, line, row, found, several)
        labels = () if problem else _labels_of(columns, row, several)
        if found[0] in seen and seen[found[0]] != labels and problem is None:
            before, now = (", ".join(some) or "none" for some in (seen[found[0]], labels))
            problem = _of_row(path, line, value, "names a picture again", f"the same label, {before}", now)
        if problem is not None:
            problems.append(problem)
        elif found[0] not in seen and (labels or several):
            seen[found[0]] = labels
            part = parts.part_of(row) or part_of_folders(found[0]) or of_table
            yield _Row(found[0], labels, part)
    if missing:
        table = columns.table.paths[0]
        count = len(columns.table.rows)
        what = f"{len(missing)} of {count} pictures of {table.name} missing, such as {missing[0]}"
        problems += not_whole(table.parent, table.name, [what])


def _parts(columns: Columns) -> PartColumns:
    """The columns of parts."""
    names = [name for name in columns.table.head if name and name not in (columns.file, *columns.labels)]
    return part_columns(columns.table.rows, names)


def _wrong_row(
    columns: Columns, path: Path, line: int, row: Mapping[str, str], found: Sequence[str], several: bool
) -> Problem | None:
    """What is wrong with a row that names pictures; None where it can be used.

    Args:
        columns: of the table.
        path: of the table.
        line: of the row.
        row: its values.
        found: the pictures that it may mean.
        several: whether a picture may have several labels.
    """
    value = row[columns.file]
    if len(found) > 1:
        what = enumerate_words(found[:2])
        return _of_row(path, line, value, "may name several pictures", "one, such as folder/name.png", what)
    if len(columns.labels) == 1:
        return None
    wrong = next((name for name in columns.labels if row[name] not in ZERO_OR_ONE), None)
    if wrong is None:
        yes = [name for name in columns.labels if ZERO_OR_ONE[row[name]]]
        if several or len(yes) < 2:
            return None
        expected = f"one class, as the description says (`{SEVERAL}`)"
        return _of_row(path, line, value, "has 1 for several classes", expected, enumerate_words(yes[:4]))
    what = f"has a value of {wrong} that is neither 0 nor 1"
    return _of_row(
        path, line, value, what, "1 where the picture has the label, else 0", row[wrong] or "nothing"
    )


def _labels_of(columns: Columns, row: Mapping[str, str], several: bool) -> tuple[str, ...]:
    """The labels that a row tells: the names of columns with 1, or what one column has, one or several."""
    if len(columns.labels) > 1:
        return tuple(name for name in columns.labels if ZERO_OR_ONE[row[name]])
    value = row[columns.labels[0]]
    if not several:
        return (value,) if value else ()
    words = (word.strip() for word in value.split(SEPARATOR))
    return tuple(sorted({word for word in words if word.lower() not in _NO_LABEL}))


def _several(columns: Columns) -> bool:
    """Whether a picture may have several labels, or none."""
    if columns.several is not None:
        return columns.several
    rows = [row for _, _, row in columns.table.rows]
    if len(columns.labels) == 1:
        return any(SEPARATOR in row[columns.labels[0]] for row in rows)
    return any(sum(ZERO_OR_ONE.get(row[name], 0) for name in columns.labels) != 1 for row in rows)


def _at_most_one(columns: Columns) -> bool:
    """Whether columns of 0 and 1 may as well tell classes, as nobody says which and no row has 1 in two of them."""
    if len(columns.labels) == 1 or columns.several is not None:
        return False
    rows = (row for _, _, row in columns.table.rows)
    return all(sum(ZERO_OR_ONE.get(row[name], 0) for name in columns.labels) < 2 for row in rows)


def _classes(columns: Columns, learned: Sequence[_Row], several: bool) -> tuple[str, ...]:
    """The names of the classes that pictures to learn from have, or of the labels: in order of columns, or sorted."""
    there = {label for row in learned for label in row.labels}
    if len(columns.labels) > 1:
        return tuple(name for name in columns.labels if several or name in there)
    numbers = all(name.isdecimal() for name in there)
    return tuple(sorted(there, key=lambda name: (int(name) if numbers else 0, name)))


def _of_classes(
    rows: Sequence[_Row], classes: tuple[str, ...], pictures: Pictures, problems: list[Problem]
) -> list[Entry]:
    """Pictures of one class each. Those of a class that training lacks are left out, with a warning."""
    number = {name: index for index, name in enumerate(classes)}
    entries: list[Entry] = []
    unknown: list[_Row] = []
    for row in rows:
        label = number.get(row.labels[0])
        if label is None:
            unknown.append(row)
        else:
            entries.append((row.name, label, row.part, pictures.paths[row.name]))
    if unknown:
        what = f"is of a class ({unknown[0].labels[0]}) that training lacks"
        problems.append(
            ignored_file(pictures.paths[unknown[0].name], len(unknown), what, "a class that it has")
        )
    return entries


def _with_lists(root: Path, pictures: Pictures, rows: list[_Row]) -> list[_Row]:
    """The rows with the parts of lists of pictures in texts, where rows have no part."""
    part_of = listed_parts(root, pictures)
    return [replace(row, part=row.part or part_of.get(row.name)) for row in rows]


def _whole_parts(rows: list[_Row]) -> list[_Row]:
    """The rows with parts as they are: without, where all are of one part; what has no part is for training."""
    parts = {row.part or "train" for row in rows}
    if len(parts) == 1 or "train" not in parts:
        return [replace(row, part=None) for row in rows]
    return [replace(row, part=row.part or "train") for row in rows]


def _of_row(path: Path, line: int, value: str, what: str, expected: str, found: str) -> Problem:
    return Problem(
        "error",
        str(path),
        f"(line {line}, {value!r}) {what}",
        expected,
        found,
        "Correct the row.",
        "label-table",
    )


_OF_UNUSED = (
    "Pictures that it means for testing may be trained on. To use it, say --format class-table; or give --split-file "
    "a table with the columns case and part."
)


def _of_unused(columns: Columns, parts: PartColumns, count: int, rows: int) -> Problem:
    return Problem(
        "warning",
        str(columns.table.paths[0]),
        f"has parts in {enumerate_words([*parts.words, *parts.flags])}, which are not looked at beside folders of "
        "classes",
        expected="the parts that folders or lists say",
        found=f"others for {count} of {rows} pictures",
        advice=_OF_UNUSED,
        kind="unread-parts",
    )


def _of_groups(columns: Columns, group: str) -> Problem:
    rows = [row for _, _, row in columns.table.rows]
    return Problem(
        "warning",
        str(columns.table.paths[0]),
        f"has the same {group} for several pictures",
        expected="all of one in the same part",
        found=f"{len({row.get(group) for row in rows})} for {len(rows)} pictures",
        advice="Parts that are drawn do not look at it, so that one may be trained and tested on. To keep them "
        f"together, give --split-file a table with the columns case, part (empty) and group (the {group}).",
        kind="groups",
    )


def _of_assumed_labels(root: Path, columns: Columns) -> Problem:
    return Problem(
        "warning",
        str(columns.table.paths[0]),
        "is taken for several labels a picture, as some rows have no 1",
        expected="rows with 1 in several columns, or exactly one 1 in each row, which tells classes",
        found="none with more than one 1",
        advice=f"If these are classes, and pictures without a 1 are of another one, add a column for that class. To "
        f"leave such pictures out, say in a {DESCRIPTION}: {description_for(root, replace(columns, several=False))}.",
        kind="assumed-labels",
    )
