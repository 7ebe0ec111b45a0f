"""What the layouts of volumes share: volumes in folders, official parts, and labels that a ``dataset.json`` names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.data.files import is_folder
from netwright.data.io.dicom import holds_slices, looks_like_dicom
from netwright.data.io.formats import VOLUME_ENDINGS
from netwright.data.issues import Problem
from netwright.data.layouts.class_folders import PARTS
from netwright.data.layouts.description import DESCRIPTION, read_labels, stem, value_first
from netwright.data.splits import Part
from netwright.data.volumes.dataset import Case
from netwright.errors import DatasetError

MANIFEST = "netwright-predictions.jsonl"
"""Lists what a prediction wrote into a folder; never an input."""

DEPTH = 4
"""How many levels of folders lie at most around the files of a dataset, as archives are unpacked."""

LOOKED_AT = 100
"""At most this many folders are looked at to recognise a layout."""


def volume_files_in(folder: Path) -> list[Path]:
    """The files in a folder that are volumes by their names, sorted; without hidden ones, and without slices."""
    if not folder.is_dir():
        return []
    files = sorted(
        file
        for file in folder.iterdir()
        if file.name.lower().endswith(VOLUME_ENDINGS) and file.name[0] != "." and not is_folder(file)
    )
    slices = any(looks_like_dicom(file) for file in files) and holds_slices(folder)
    return [file for file in files if not (slices and looks_like_dicom(file))]


def series_in(folder: Path) -> list[Path]:
    """The folders in a folder that are DICOM series, sorted, if the first of its folders is one."""
    inner = sorted(one for one in folder.iterdir() if one.name[0] != "." and is_folder(one))
    return [one for one in inner if holds_slices(one)] if inner and holds_slices(inner[0]) else []


def volumes_by_stem(folder: Path) -> dict[str, Path]:
    """The volumes in a folder by stem, sorted.

    Raises:
        DatasetError: two have one stem.
    """
    files: dict[str, Path] = {}
    for file in volume_files_in(folder):
        if (other := files.setdefault(stem(file), file)) is not file:
            raise DatasetError(
                f"{folder} holds {other.name} and {file.name}: expected one file for each stem. Remove or rename one."
            )
    return files


def folders_below(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """A folder and those within it, the nearer ones first.

    Left out are hidden ones, those that a prediction wrote, and those with a description, as they are other datasets.

    Args:
        root: the folder.
        depth: how many levels below it are visited.
    """
    level = [root]
    for number in range(depth + 1):
        yield from level
        if number < depth:
            level = [inner for folder in level for inner in _inner(folder)]


def _inner(folder: Path) -> list[Path]:
    return sorted(
        inner
        for inner in folder.iterdir()
        if inner.name[0] != "."
        and inner.name != "__MACOSX"
        and inner.is_dir()
        and not any((inner / name).is_file() for name in (MANIFEST, DESCRIPTION))
    )


def named_labels(root: Path, description: Mapping[str, Any]) -> dict[int, str] | None:
    """The labels that the ``dataset.json`` of a folder names; None where it names none.

    Raises:
        DatasetError: they cannot be used.
    """
    labels = description.get("labels")
    return read_labels(root, labels, value_first(labels)) if isinstance(labels, dict) else None


def ending_of(files: Collection[Path]) -> str:
    """The ending of the label maps that are written for these images: that of the first."""
    return next((file.name[len(stem(file)) :] for file in files), ".nii.gz")


def require_one_folder_each(folders: Iterable[tuple[str, Path]], what: str) -> None:
    """Refuse a name that two folders have.

    Args:
        folders: (name, folder) of each.
        what: is named, for the error.

    Raises:
        DatasetError: naming both.
    """
    seen: dict[str, Path] = {}
    for name, folder in folders:
        if (other := seen.setdefault(name, folder)) is not folder:
            raise DatasetError(
                f"{folder} and {other} are of one {what} ({name}): expected each {what} once. Rename or remove one."
            )


def strays(root: Path, folders: Iterable[Path], known: Collection[Path]) -> tuple[Problem, ...]:
    """A warning of the volumes in folders that belong to no case; empty where there are none.

    Args:
        root: the dataset's folder.
        folders: those to look in.
        known: the files of cases.
    """
    files = set(known)
    others = [file for folder in folders for file in volume_files_in(folder) if file not in files]
    if not others:
        return ()
    problem = Problem(
        "warning",
        str(others[0]),
        "belongs to no case",
        expected="volumes with the names that the files of a case have",
        found=f"{len(others)} with other names",
        advice="They are left out: rename them if they are of the dataset.",
        kind="ignored-file",
    )
    return (problem.relative_to(root),)


_PART_WORDS: dict[str, Part] = {**PARTS, "tr": "train", "va": "val", "ts": "test"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def part_of(root: Path, file: Path) -> Part | None:
    """The official part of a file: that which a folder around it, below ``root``, is named after.

    ``Training``, ``averaged-training-images`` and ``imagesTr`` are training.
    """
    for folder in reversed(file.relative_to(root).parent.parts):
        for word in _WORD.findall(folder):
            if part := _PART_WORDS.get(word.lower()):
                return part
    return None


def with_parts(root: Path, cases: Sequence[Case]) -> list[Case]:
    """The cases with their official parts by their folders; without, where all are of one part."""
    parts = [part_of(root, case.label or case.images[0]) for case in cases]
    if not {"val", "test"} & set(parts) or len(set(parts)) == 1:
        return list(cases)
    return [replace(case, part=part) for case, part in zip(cases, parts, strict=True)]


def in_order_of_name(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases, sorted by name."""
    return tuple(sorted(cases, key=lambda case: case.name))
