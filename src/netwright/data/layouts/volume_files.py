"""What the layouts of volumes share: volumes in folders, official parts, and labels that a ``dataset.json`` names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from netwright.data.files import is_file, is_folder
from netwright.data.io.dicom import holds_slices, looks_like_dicom
from netwright.data.io.formats import VOLUME_ENDINGS, first_is_stack, is_paged
from netwright.data.io.images import read_head
from netwright.data.io.tiff import is_stack
from netwright.data.issues import Problem, UnusableFile
from netwright.data.layouts.description import DESCRIPTION, by_stem, read_labels, stem, value_first
from netwright.data.layouts.part_names import PARTS, part_in
from netwright.data.splits import Part
from netwright.data.volumes.dataset import Case
from netwright.errors import DatasetError

MANIFEST = "netwright-predictions.jsonl"
"""Lists what a prediction wrote into a folder; never an input."""

DEPTH = 4
"""How many levels of folders lie at most around the files of a dataset, as archives are unpacked."""

_LOOKED_AT = 300
_LOOKED_AT_IN_EACH = 30
"""At most this many folders are looked at to recognise a layout, and in each folder."""


def volume_files_in(folder: Path) -> list[Path]:
    """The files in a folder that are volumes by their names, sorted; without hidden ones, and without slices.

    So are all TIFF files in it, if the first one has several pages; otherwise they are pictures.
    """
    if not folder.is_dir():
        return []
    files = sorted(
        file
        for file in folder.iterdir()
        if (file.name.lower().endswith(VOLUME_ENDINGS) or is_paged(file))
        and file.name[0] != "."
        and not is_folder(file)
    )
    if not first_is_stack(files):
        files = [file for file in files if not is_paged(file)]
    slices = any(looks_like_dicom(file) for file in files) and holds_slices(folder)
    return [file for file in files if not (slices and looks_like_dicom(file))]


def page_problem(path: Path) -> Problem | None:
    """An error where a TIFF among volumes is a single page, or cannot be read; None of a stack, and other files."""
    if not is_paged(path) or not is_file(path) or is_stack(path):
        return None
    try:
        read_head(path)
    except UnusableFile as error:
        return error.problem
    return Problem(
        "error",
        str(path),
        "is a single page",
        expected="a stack of several pages, as the other files are",
        found="one page",
        advice="A page is no volume: save the whole stack, or remove the case. Stacks of 3 or 4 slices of 8 bits are "
        "written by tifffile as one page in colours, unless they are written with photometric='minisblack'.",
        kind="single-page",
    )


def series_in(folder: Path) -> list[Path]:
    """The folders in a folder that are DICOM series, sorted."""
    return [inner for inner in _visible(folder) if holds_slices(inner)]


def files_and_series_in(folder: Path) -> list[Path]:
    """The volumes in a folder: files, then DICOM series."""
    return [*volume_files_in(folder), *series_in(folder)]


def volumes_by_stem(folder: Path) -> dict[str, Path]:
    """The volumes in a folder by stem, files and DICOM series.

    Raises:
        DatasetError: two have one stem.
    """
    return by_stem(folder, files_and_series_in(folder))


class Tree(NamedTuple):
    """The folders of `folders_below`, and those with a description within them, which are datasets of their own."""

    folders: list[Path]
    described: list[Path]


def folders_below(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """A folder and those within it, the nearer ones first, and each once whatever links lead to it.

    Left out are hidden ones, those that a prediction wrote, and those with a description, as they are other datasets.

    Args:
        root: the folder.
        depth: how many levels below it are visited.
    """
    return _walk(root, depth, None, [])


def tree_below(root: Path) -> Tree:
    """A folder and all those within it, down to `DEPTH`."""
    described: list[Path] = []
    folders = list(_walk(root, DEPTH, None, described))
    return Tree(folders, sorted(described))


def folders_near_top(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Those of `folders_below` that are looked at to recognise a layout: some, also in folders with very many."""
    return islice(_walk(root, depth, _LOOKED_AT_IN_EACH, []), _LOOKED_AT)


def _walk(root: Path, depth: int, most: int | None, described: list[Path]) -> Iterator[Path]:
    """The folders to visit, at most so many in each; those with a description are added to ``described`` instead."""
    seen = {root.resolve()}
    level = [root]
    for number in range(depth + 1):
        yield from level
        if number < depth:
            level = [inner for folder in level for inner in _unseen_in(folder, root, seen, described)[:most]]


def _unseen_in(folder: Path, root: Path, seen: set[Path], described: list[Path]) -> list[Path]:
    """The folders in a folder that are to be visited and not ``seen``; they are then.

    Args:
        folder: in which to look.
        root: the dataset's folder.
        seen: the folders that were found, with links followed.
        described: gets those that have a description.
    """
    unseen: list[Path] = []
    for inner in _visible(folder):
        target = inner.resolve()
        if (
            target in seen
            or (inner / MANIFEST).is_file()
            or (inner.is_symlink() and _is_around(root.resolve(), target))
        ):
            continue
        seen.add(target)
        (described if (inner / DESCRIPTION).is_file() else unseen).append(inner)
    return unseen


def _is_around(root: Path, target: Path) -> bool:
    """Whether a link leads to what is visited without it, or back to the folders around the dataset."""
    if target.is_relative_to(root):
        return not any(part[0] == "." for part in target.relative_to(root).parts)
    return root.is_relative_to(target)


def _visible(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and what systems leave; none where it must not be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name != "__MACOSX"]


def named_labels(root: Path, description: Mapping[str, Any]) -> dict[int, str] | None:
    """The labels that the ``dataset.json`` of a folder names; None where it names none.

    Raises:
        DatasetError: they cannot be used.
    """
    labels = description.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, dict):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a value for each name, for example "
            '{"background": 0, "tumour": 1}. Correct it, or leave it out.'
        )
    return read_labels(root, labels, value_first(labels))


def ending_of(files: Collection[Path]) -> str:
    """The ending of the label maps that are written for these images: that of the first file, as series have none."""
    return next((file.name[len(stem(file)) :] for file in files if stem(file) != file.name), ".nii.gz")


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


def strays(root: Path, others: Sequence[Path], described: Sequence[Path]) -> tuple[Problem, ...]:
    """Warnings of what is left out below a folder; empty where nothing is.

    Args:
        root: the dataset's folder.
        others: volumes that belong to no case.
        described: folders that are datasets of their own.
    """
    problems = []
    if others:
        problems.append(
            Problem(
                "warning",
                str(others[0]),
                "belongs to no case",
                expected="volumes with the names that the files of a case have",
                found=f"{len(others)} with other names",
                advice="They are left out: rename them if they are of the dataset.",
                kind="ignored-file",
            )
        )
    if described:
        problems.append(
            Problem(
                "warning",
                str(described[0]),
                "is a dataset of its own",
                expected="one dataset in a folder",
                found=f"{len(described)} with a {DESCRIPTION}",
                advice="It is left out: give its own folder to read it.",
                kind="ignored-dataset",
            )
        )
    return tuple(problem.relative_to(root) for problem in problems)


def part_of(root: Path, file: Path, case: str = "") -> Part | None:
    """The official part of a file: that which a folder around it, below ``root``, is named after.

    The outermost folder that is called like a part decides, else the outermost with a part in its name.

    Args:
        root: the dataset's folder.
        file: below it.
        case: the name of the case. A folder that is called so is the patient's.
    """
    folders = list(file.relative_to(root).parent.parts)
    if folders and folders[-1] == case:
        folders.pop()
    named = [PARTS.get(folder.lower()) for folder in folders]
    return next(filter(None, [*named, *map(part_in, folders)]), None)


def with_parts(root: Path, cases: Sequence[Case]) -> list[Case]:
    """The cases with their official parts by their folders; without, where all are of one part."""
    parts = [part_of(root, case.label or case.images[0], case.group) for case in cases]
    if not {"val", "test"} & set(parts) or len(set(parts)) == 1:
        return list(cases)
    return [replace(case, part=part) for case, part in zip(cases, parts, strict=True)]


def in_order_of_name(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases, sorted by name."""
    return tuple(sorted(cases, key=lambda case: case.name))
