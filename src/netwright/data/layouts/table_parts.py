"""What a table says of the official parts of its pictures: a column of words, columns of yes and no, or folds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.part_names import PARTS
from netwright.data.layouts.picture_tables import plain
from netwright.data.splits import PARTS as IN_ORDER
from netwright.data.splits import Part

Rows = Sequence[tuple[Path, int, Mapping[str, str]]]
"""Table, line and values of each row."""

_NAMES = ("split", "part", "partition", "set", "subset", "datasplit")
_FLAG = re.compile(rf"is({'|'.join(PARTS)})(?:set|part|split|data|image|picture|sample|case)?")
"""``is_test``, ``is_training_image``."""

_IS = re.compile("[Ii]s(?:[ _-]|(?=[A-Z]))")
_FOLD = re.compile("(?:k|cv|stratified|group|crossvalidation)?folds?(?:id|no|nr|number|index)?")
_YES_OR_NO = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "t", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "f", "n"), False),
}
_DEFAULTS: tuple[Part, ...] = ("train", "test", "val")
"""The part of a picture of which all columns of yes and no say no: the first of these that has no such column."""

_MOST_VALUES = 20
_SHOWN = 3


@dataclass(frozen=True)
class PartColumns:
    """The columns of a table that say parts; false where there are none.

    Args:
        words: those of words such as train and test; they say the same.
        flags: a column that says yes or no of a part -> the part.
        unread: columns that are called like one of these or like folds, or have names of parts, and are not looked at.
    """

    words: tuple[str, ...] = ()
    flags: Mapping[str, Part] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.flags)

    @property
    def names(self) -> tuple[str, ...]:
        """All these columns."""
        return (*self.words, *self.flags, *self.unread)

    def part_of(self, row: Mapping[str, str]) -> Part | None:
        """The part that a row says; None where it has none of the columns."""
        return next(iter(self.may_be(row)), None) if self.of_row(row) else None

    def of_row(self, row: Mapping[str, str]) -> list[str]:
        """Those of the columns that a row has: tables that were joined may have different ones."""
        return [name for name in (*self.words, *self.flags) if name in row]

    def may_be(self, row: Mapping[str, str]) -> list[Part]:
        """The parts that all columns of a row allow, the likeliest first."""
        names = self.of_row(row)
        return [part for part in _DEFAULTS if all(self._allows(name, row, part) for name in names)]

    def _allows(self, name: str, row: Mapping[str, str], part: Part) -> bool:
        value = row[name].lower()
        if name in self.words:
            return PARTS[value] == part
        return _YES_OR_NO[value] == (self.flags[name] == part)


def is_about_parts(name: str) -> bool:
    """Whether a column is called like one of parts or folds, and not like labels."""
    return plain(name) in _NAMES or is_fold(name) or is_flag(name)


def is_flag(name: str) -> bool:
    """Whether a column is called as if it said yes or no of a part."""
    return bool(_FLAG.fullmatch(plain(name)))


def is_fold(name: str) -> bool:
    """Whether a column is called like one of the folds of a cross-validation."""
    return bool(_FOLD.fullmatch(plain(name)))


def says_parts(values: Iterable[str]) -> bool:
    """Whether all values are names of parts, whatever the column is called."""
    return all(value.lower() in PARTS for value in values)


def names_parts(values: Iterable[str]) -> bool:
    """Whether all values are names of parts, or some are of two different ones, as no classes are."""
    parts = {PARTS.get(value.lower()) for value in set(values)}
    return None not in parts or len(parts - {None}) > 1


def part_columns(rows: Rows, names: Sequence[str]) -> PartColumns:
    """The columns that say parts: those of training and of another, as a column with one value may say anything.

    Args:
        rows: of the table.
        names: of the columns that are looked at.

    Raises:
        UnusableFile: some values of a column say a part and others do not, or two columns say different parts of one
            picture: it might be trained and tested on.
    """
    words: list[str] = []
    flags: dict[str, Part] = {}
    unread: list[str] = []
    for name in names:
        having = [one for one in rows if name in one[2]]
        flag = _FLAG.fullmatch(plain(name))
        if not is_about_parts(name):
            parts = {PARTS.get(value.lower()) for value in {row[name] for _, _, row in having}}
            if "train" in parts and len(parts) > 1 and None not in parts:
                words.append(name)
            elif len(parts - {None}) > 1:
                unread.append(name)
        elif not _says_parts(name, having, list(_YES_OR_NO if flag else PARTS)) or is_fold(name):
            unread.append(name)
        elif not flag:
            words.append(name)
        elif PARTS[flag[1]] == "val" and _most_say_yes(having, name):
            unread.append(name)  # `is_valid`, of pictures that are in order
        else:
            flags[name] = PARTS[flag[1]]
    if not (columns := PartColumns(tuple(words), flags, tuple(unread))):
        return columns
    _refuse_disagreement(rows, columns)
    told = {columns.part_of(row) or "train" for _, _, row in rows}
    return columns if len(told) > 1 and "train" in told else PartColumns(unread=columns.names)


def _says_parts(name: str, rows: Rows, known: Sequence[str]) -> bool:
    """Whether all values of a column are known.

    Raises:
        UnusableFile: some are, and others are not.
    """
    others = [one for one in rows if one[2][name].lower() not in known]
    if others and len(others) < len(rows):
        raise _mixed(name, others[0], known)
    return bool(rows) and not others


def part_problems(columns: PartColumns, rows: Rows, labels: Sequence[str]) -> list[Problem]:
    """Warnings of columns that may say parts or folds, and are not looked at, or that may be labels.

    Args:
        columns: of the table.
        rows: of the table.
        labels: the columns of labels.
    """
    problems = _of_flags(columns, rows, labels)
    for name in columns.unread:
        values = sorted(
            {row.get(name, "") for _, _, row in rows} - {""}, key=lambda value: (len(value), value)
        )
        if not 1 < len(values) <= _MOST_VALUES:
            continue
        shown = enumerate_words([*values[:_SHOWN], *(["others"] if len(values) > _SHOWN else [])])
        problems.append(
            Problem(
                "warning",
                str(next(path for path, _, row in rows if row.get(name))),
                f"has the column {name}, which is not looked at",
                expected=f"names of parts, such as {enumerate_words(IN_ORDER)}",
                found=shown,
                advice=_advice(name, values),
                kind="unread-parts",
            )
        )
    return problems


def _of_flags(columns: PartColumns, rows: Rows, labels: Sequence[str]) -> list[Problem]:
    """A warning where a column such as ``is_train`` says parts, and labels are called alike (``is_car``)."""
    alike = next(filter(_IS.match, labels), None)
    if alike is None or not columns.flags:
        return []
    flag = next(iter(columns.flags))
    count = Counter(columns.part_of(row) for _, _, row in rows)
    return [
        Problem(
            "warning",
            str(next(path for path, _, row in rows if flag in row)),
            f"has the column {flag}, which is taken for official parts",
            expected=f"no label, as {alike} is",
            found=enumerate_words([f"{count[part]} for {part}" for part in IN_ORDER if count[part]]),
            advice="If it is a label, give it a name without `is`.",
            kind="assumed-parts",
        )
    ]


def _advice(name: str, values: Sequence[str]) -> str:
    if is_fold(name):
        return _OF_WORDS if says_parts(values) else _OF_FOLDS.format(len(values))
    return _OF_PARTS


_OF_WORDS = (
    "Pictures that it means for testing may be trained on. If it says the official parts, call it split."
)
_OF_FOLDS = (
    "Parts that are drawn do not follow these folds. To use them, write them as a list of folds, as "
    "docs/layouts.md#folds-in-a-table shows, and give --split-file FOLDS.json --fold 0; --folds {} draws others."
)
_OF_PARTS = (
    "Pictures that it means for testing may be trained on. If it says parts, write train, val and test in it; or give "
    "--split-file a table with the columns case and part."
)


def _most_say_yes(rows: Rows, name: str) -> bool:
    return 2 * sum(_YES_OR_NO[row[name].lower()] for _, _, row in rows) > len(rows)


def _refuse_disagreement(rows: Rows, columns: PartColumns) -> None:
    """Refuse rows of which the columns say different parts, or none."""
    for path, line, row in rows:
        if not columns.may_be(row):
            said = enumerate_words([f"{name} {row[name]}" for name in columns.of_row(row)])
            what = f"(line {line}) says different parts, or none"
            advice = "Correct it, or give a column that says no official parts another name."
            raise _unusable(path, what, "one part for each picture", said, advice)


def _mixed(name: str, row: tuple[Path, int, Mapping[str, str]], known: Sequence[str]) -> UnusableFile:
    path, line, values = row
    value = values.get(name, "")
    return _unusable(
        path,
        f"(line {line}) has the {name} {value!r}",
        f"one of {', '.join(known)}, as in other rows",
        repr(value),
        "Correct it, or give the column another name.",
    )


def _unusable(path: Path, what: str, expected: str, found: str, advice: str) -> UnusableFile:
    return UnusableFile(Problem("error", str(path), what, expected, found, advice, kind="part-column"))
