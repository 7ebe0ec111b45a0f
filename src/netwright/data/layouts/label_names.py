"""Label values and their names: in FreeSurfer's colour table or the label descriptions of ITK-SNAP, which are text
files, or in DICOM segmentations.

A line of FreeSurfer's is ``17  Left-Hippocampus  220 216 20 0``; one of ITK-SNAP's is
``1  255 0 0  1 1 1  "Hippocampus"`` (colour, opacity, visible, mesh visible, name). Lines that start with ``#`` are
comments. 3D Slicer writes colour tables as FreeSurfer does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from netwright.data.files import read_text
from netwright.data.io.formats import segment_names
from netwright.data.issues import UnusableFile, enumerate_words
from netwright.data.layouts.description import DESCRIPTION
from netwright.errors import DatasetError

ENDINGS = (".txt", ".label", ".ctbl", ".lut")

_FREESURFER = re.compile(r"(?P<value>\d+)\s+(?P<name>\S*[^\W\d]\S*)(?:\s+\d+){3,5}")
_ITK_SNAP = re.compile(r'(?P<value>\d+)(?:\s+\d+){3}\s+\d*\.?\d+\s+[01]\s+[01]\s+"(?P<name>[^"]*)"')

_LARGEST = 1_000_000
"""A table of labels has fewer bytes: FreeSurfer's own has 100,000."""

_MOSTLY = 0.5
"""A file with this share of such lines is meant as a table, and its other lines are faults."""


def table_in(folder: Path) -> Path | None:
    """The table of labels in a folder; None where there is none.

    Raises:
        DatasetError: there are several.
    """
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    tables = [
        file
        for file in files
        if file.name.lower().endswith(ENDINGS) and file.name[0] != "." and file.is_file() and _is_table(file)
    ]
    if len(tables) > 1:
        raise DatasetError(
            f"{folder} holds {len(tables)} tables of labels, {enumerate_words([file.name for file in tables])}: "
            "expected one. Remove the others."
        )
    return tables[0] if tables else None


def nearest_table(folders: Iterable[Path]) -> Path | None:
    """The table of labels in the first of some folders that has one; None where there is none.

    Args:
        folders: the dataset's own and those within it, the nearer ones first.

    Raises:
        DatasetError: there are several in a folder, or those in folders on one level do not say the same.
    """
    found: list[Path] = []
    for folder in folders:
        if found and len(folder.parts) >= len(found[0].parts):
            break
        if table := table_in(folder):
            found.append(table)
    for other in found[1:]:
        if read_table(other) != read_table(found[0]):
            raise DatasetError(
                f"{found[0]} and {other} are tables of labels that differ: expected one meaning of each value. Put one "
                f"beside the folders of the dataset, or name the labels in a {DESCRIPTION} there."
            )
    return found[0] if found else None


def read_table(path: Path) -> dict[int, str]:
    """Value -> name, as a table of labels has them.

    Raises:
        DatasetError: a line is none of a table's, or a value has two names.
    """
    names: dict[int, str] = {}
    for number, line in _lines(path):
        match = _read(line)
        if match is None:
            raise DatasetError(
                f"{path}, line {number} is {line!r}: expected a value, a name and a colour, such as "
                "17 Left-Hippocampus 220 216 20 0, or a line of ITK-SNAP's label descriptions. Correct the line."
            )
        value, name = int(match["value"]), match["name"].strip() or f"label {match['value']}"
        if names.setdefault(value, name) != name:
            raise DatasetError(
                f"{path}, line {number} names {value} {name!r}, which is {names[value]!r} above: expected one name for "
                "each value. Remove one."
            )
    return names


def _is_table(path: Path) -> bool:
    if not 0 < path.stat().st_size < _LARGEST:
        return False
    try:
        lines = _lines(path)
    except DatasetError:
        return False  # whatever it is, it is no text
    return bool(lines) and sum(_read(line) is not None for _, line in lines) > _MOSTLY * len(lines)


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(read_text(path, "a table of labels").splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip() and line.strip()[0] != "#"]


def _read(line: str) -> re.Match[str] | None:
    return _ITK_SNAP.fullmatch(line) or _FREESURFER.fullmatch(line)


def names_of_segments(root: Path, files: Sequence[Path]) -> dict[int, str]:
    """The names of labels by value, where all label maps that can be read are DICOM segmentations; empty otherwise.

    Raises:
        DatasetError: a number has two names.
    """
    named: dict[int, tuple[str, Path]] = {}
    for file in files:
        try:
            names = segment_names(file)
        except UnusableFile:  # its inspection says why
            continue
        if not names:
            return {}
        for number, name in names.items():
            first, other = named.setdefault(number, (name, file))
            if first != name:
                raise DatasetError(
                    f"{root} has segments of one number and two names: segment {number} is {first!r} in "
                    f"{other.relative_to(root)} and {name!r} in {file.relative_to(root)}. Expected one meaning of a "
                    "number in all label maps, as the number is the label. Export the segmentations again with the "
                    f"same numbers; if both names mean the same, name the labels in a {DESCRIPTION}: "
                    f'{{"labels": {{"0": "background", "{number}": {json.dumps(first)}}}}}.'
                )
    return {number: named[number][0] for number in sorted(named)}
