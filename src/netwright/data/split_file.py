"""Reads a file that says which part each case lies in: CSV, JSON, or the folds of nnU-Net."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright.data.files import reading
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.part_names import PARTS as PART_WORDS
from netwright.data.splits import PARTS, Part
from netwright.errors import DatasetError, SettingsError

COLUMNS = ("case", "part", "group")

_SEPARATORS = (",", ";", "\t")
"""Between the columns: programs write semicolons in languages with decimal commas."""

_FORMS = (
    "a CSV file with the columns case, part and, if you like, group; or a JSON file with the lists train, val and "
    "test, or with a list of folds"
)


@dataclass(frozen=True)
class SplitFile:
    """A file that says which part each case lies in.

    Args:
        path: of the file.
        parts: the part of each case; None: the file leaves it open.
        groups: the group of each case that has one, such as the patient.
        origin: where the parts come from, in words.
        fold: the fold that was read; None: the file is not of folds. Cases that a fold does not name are left out.
        folds: how many there are.
        left_out: cases that the file names and leaves out.
    """

    path: Path
    parts: Mapping[str, Part | None]
    groups: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    fold: int | None = None
    folds: int = 0
    left_out: tuple[str, ...] = ()


def read_split_file(path: Path, fold: int | None = None) -> SplitFile:
    """Reads a file of parts. Its name ends in ``.csv`` or ``.json``.

    Args:
        path: of the file.
        fold: which fold is read of a file with several, counted from 0; None: the first.

    Raises:
        DatasetError: the file is missing, cannot be read, or has another form; or a case is in it twice.
        SettingsError: there is no such fold.
    """
    if not path.is_file():
        raise DatasetError(
            f"{path} does not exist: expected {_FORMS}. Check --split-file (dataset.split_file)."
        )
    ending = path.suffix.lower()
    if ending == ".csv":
        _require_no_fold(path, fold)
        parts, groups = _read_table(path)
        return SplitFile(path, parts, groups, f"as {path.name} says")
    if ending != ".json":
        pickled = " Pickled files are not read: save the folds as JSON." if ending == ".pkl" else ""
        raise DatasetError(f"{path} is of no form that is known for parts: expected {_FORMS}.{pickled}")
    with reading(path, "JSON in UTF-8", "Save it again as JSON."):
        values = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    if isinstance(values, list):
        return _fold_of(path, values, fold)
    _require_no_fold(path, fold)
    if not isinstance(values, dict):
        raise _wrong(path, "holds no parts", _FORMS, type(values).__name__)
    if values.keys() & {"training", "validation"}:
        return _of_run(path, values)
    return SplitFile(path, _listed(path, values), origin=f"as {path.name} says")


def _require_no_fold(path: Path, fold: int | None) -> None:
    if fold is not None:
        raise SettingsError(
            f"--fold {fold} is for a file with a list of folds, such as nnU-Net's splits_final.json, but {path} has "
            "none. Leave it out."
        )


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Python would keep the last value of a key that occurs twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return values


def _fold_of(path: Path, folds: Sequence[Any], fold: int | None) -> SplitFile:
    """A fold of a list, as nnU-Net has them: a table with the lists ``train`` and ``val``, here perhaps ``test``."""
    if not folds:
        raise _wrong(path, "has an empty list of folds", "at least one fold", "none")
    if fold is not None and not 0 <= fold < len(folds):
        raise SettingsError(
            f"--fold {fold} does not exist: expected a number from 0 to {len(folds) - 1}, as {path} has {len(folds)} "
            "folds and they are counted from 0."
        )
    number = fold or 0
    if not isinstance(folds[number], dict):
        raise _wrong(
            path,
            f"(fold {number}) is no fold",
            "a table with the lists train and val",
            type(folds[number]).__name__,
        )
    parts = _listed(path, folds[number], f"(fold {number})")
    return SplitFile(
        path, parts, origin=f"as fold {number} of {path.name} says", fold=number, folds=len(folds)
    )


def _of_run(path: Path, values: Mapping[str, Any]) -> SplitFile:
    """The ``splits.json`` of a run."""
    groups, origin, left_out = (
        values.get(name, other) for name, other in (("groups", {}), ("origin", ""), ("left_out", []))
    )
    if not isinstance(groups, dict) or not all(isinstance(group, str) for group in groups.values()):
        raise _wrong(
            path, "has groups of another form", "the group of each case by its name", repr(groups)[:80]
        )
    if not isinstance(left_out, list) or not all(isinstance(case, str) for case in left_out):
        raise _wrong(path, "has no list of names as left_out", "a list of cases", repr(left_out)[:80])
    lists = {name: value for name, value in values.items() if name not in ("groups", "origin", "left_out")}
    parts = _listed(path, lists)
    if wrong := [case for case in left_out if case in parts]:
        raise _twice(path, wrong[0], f"{parts[wrong[0]]} and left_out", "")
    return SplitFile(path, parts, groups, str(origin) or f"as {path.name} says", left_out=tuple(left_out))


def _listed(path: Path, values: Mapping[str, Any], where: str = "") -> dict[str, Part | None]:
    """The parts that lists of cases give.

    Args:
        path: of the file.
        values: the list of each part, which may have the names that folders of parts may have.
        where: the place in the file, for messages; empty: all of it.
    """
    expected = f"lists with the names {enumerate_words(PARTS)}"
    found = enumerate_words(list(values))
    known = {name: PART_WORDS[name.lower()] for name in values if name.lower() in PART_WORDS}
    if other := [name for name in values if name not in known]:
        raise _wrong(path, f"{where} has a part {other[0]!r}", expected, found)
    for part in PARTS:
        if len(twice := [name for name in known if known[name] == part]) > 1:
            what = f"{where} has two lists for {part}"
            raise _wrong(path, what, "one list for each part", enumerate_words(twice))
    parts: dict[str, Part | None] = {}
    for name, cases in values.items():
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise _wrong(path, f"{where} has no list of names as {name}", expected, repr(cases)[:80])
        for case in cases:
            if case in parts:
                raise _twice(path, case, f"{parts[case]} and {known[name]}", where)
            parts[case] = known[name]
    return parts


def _read_table(path: Path) -> tuple[dict[str, Part | None], dict[str, str]]:
    """The parts and the groups in a table."""
    with (
        reading(path, "a table in UTF-8", "Save it again as CSV."),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        first = file.readline()
        file.seek(0)
        lines = csv.reader(file, delimiter=_separator(first), strict=True)
        head = [_column(name) for name in next(lines, [])]
        rows = [(lines.line_num, [value.strip() for value in row]) for row in lines if any(row)]
    _require_columns(path, head)
    parts: dict[str, Part | None] = {}
    groups: dict[str, str] = {}
    known: dict[str, Part | None] = {"": None, **PART_WORDS}
    for line, values in rows:
        if len(values) != len(head):
            what = f"(line {line}) has too few or too many values"
            raise _wrong(path, what, str(len(head)), str(len(values)))
        row = dict(zip(head, values, strict=True))
        case, part = row["case"], row["part"].lower()
        if not case:
            raise _wrong(path, f"(line {line}) names no case", "the name of a case", "nothing")
        if part not in known:
            raise _wrong(
                path, f"(line {line}, {case}) has an unknown part", "train, val, test or nothing", row["part"]
            )
        if case in parts:
            raise _twice(path, case, f"{parts[case] or 'no part'} and {part or 'no part'}", f"(line {line})")
        parts[case] = known[part]
        if row.get("group"):
            groups[case] = row["group"]
    return parts, groups


def _separator(head: str) -> str:
    """What separates the columns of a table whose first line is given."""
    return next((one for one in _SEPARATORS if "case" in map(_column, head.split(one))), _SEPARATORS[0])


def _column(name: str) -> str:
    """The name of a column, known ones in lower case."""
    name = name.strip()
    bare = name.strip('"').lower()
    return bare if bare in COLUMNS else name


def _require_columns(path: Path, head: Sequence[str]) -> None:
    expected = "the columns case, part and, if you like, group, with commas, semicolons or tabs between them"
    found = enumerate_words(head) or "nothing"
    if missing := [name for name in COLUMNS[:2] if name not in head]:
        raise _wrong(path, f"lacks the column {missing[0]}", expected, found, "Name it in the first row.")
    other = [name for name in head if name not in COLUMNS or head.count(name) > 1]
    if other:
        # A column of patients that is called otherwise must not be passed over.
        advice = "If these are patients, call the column group; otherwise remove it."
        raise _wrong(path, f"has the column {other[0] or 'without a name'}", expected, found, advice)


def _twice(path: Path, case: str, parts: str, where: str) -> UnusableFile:
    return _wrong(path, f"{where} names the case {case} twice", "each case once", parts)


def _wrong(
    path: Path, what: str, expected: str, found: str, advice: str = "Correct the file."
) -> UnusableFile:
    return UnusableFile(Problem("error", str(path), what.strip(), expected, found, advice, kind="split-file"))
