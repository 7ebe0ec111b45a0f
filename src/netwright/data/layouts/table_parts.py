"""What a table says of the official parts of its pictures: a column of words, columns of yes and no, or folds."""

from __future__ import annotations

import re
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
        words: that of words such as train and test; empty: there is none.
        flags: part -> the column that says yes or no of it.
        unread: columns that are called like one of these or like folds, and whose values say no parts.
    """

    words: str = ""
    flags: Mapping[Part, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.flags)

    @property
    def names(self) -> tuple[str, ...]:
        """All these columns."""
        return (*filter(None, [self.words]), *self.flags.values(), *self.unread)

    def part_of(self, row: Mapping[str, str]) -> Part | None:
        """The part that a row says; None where the columns say none."""
        if self.words:
            return PARTS[row[self.words].lower()]
        yes = [part for part, name in self.flags.items() if _YES_OR_NO[row[name].lower()]]
        return next((part for part in (*yes, *_DEFAULTS) if part in yes or part not in self.flags), None)


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


def part_columns(rows: Rows, names: Sequence[str]) -> PartColumns:
    """The columns that say parts.

    Args:
        rows: of the table.
        names: of the columns that are looked at.

    Raises:
        UnusableFile: some values of a column say a part and others do not, or two columns say yes of one picture: it
            might be trained and tested on.
    """
    words: list[str] = []
    flags: dict[Part, str] = {}
    unread: list[str] = []
    for name in names if rows else ():
        called_so = is_about_parts(name)
        if not called_so and rows[0][2].get(name, "").lower() not in PARTS:
            continue
        flag = _FLAG.fullmatch(plain(name))
        known = list(_YES_OR_NO) if flag else list(PARTS)
        others = [one for one in rows if one[2].get(name, "").lower() not in known]
        if others and called_so and len(others) < len(rows):
            raise _mixed(name, others[0], known)
        if others:
            unread += [name] if called_so else []
        elif flag:
            flags.setdefault(PARTS[flag[1]], name)
        else:
            words.append(name)
    if "val" in flags and _most_say_yes(rows, flags["val"]):
        unread.append(flags.pop("val"))  # `is_valid`, of pictures that are in order
    _require_one(rows, flags)
    return PartColumns(words[0] if words else "", flags, tuple(unread))


def unread_problems(columns: PartColumns, rows: Rows) -> list[Problem]:
    """Warnings of columns that may say parts or folds, and are not looked at.

    Args:
        columns: of the table.
        rows: of the table.
    """
    problems = []
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
                str(rows[0][0]),
                f"has the column {name}, which is not looked at",
                expected=f"names of parts, such as {enumerate_words(IN_ORDER)}",
                found=shown,
                advice=_OF_FOLDS.format(len(values)) if is_fold(name) else _OF_PARTS,
                kind="unread-parts",
            )
        )
    return problems


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


def _require_one(rows: Rows, flags: Mapping[Part, str]) -> None:
    """Refuse rows that say yes of two parts."""
    for path, line, row in rows if len(flags) > 1 else ():
        yes = [name for name in flags.values() if _YES_OR_NO[row[name].lower()]]
        if len(yes) > 1:
            what = f"(line {line}) says yes in the columns {enumerate_words(yes)}"
            raise _unusable(path, what, "one part for each picture", f"{len(yes)}", "Correct it.")


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
