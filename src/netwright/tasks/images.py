"""Pictures to test on and to predict, as networks that classify and networks that restore have them in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwright.data.images.prepared import PreparedImages
from netwright.data.io.images import is_picture
from netwright.data.layouts.class_folders import files_below
from netwright.data.layouts.paired import refuse_masks_to_predict
from netwright.data.layouts.unlabelled import not_predicted, tell_others
from netwright.data.open import open_prepared_once
from netwright.errors import DatasetError

BATCH = 64


@dataclass(frozen=True)
class LabelledPicture:
    """A picture to test on, with its class or itself for a label: where it is kept prepared, and its index there."""

    name: str
    prepared: Path
    index: int


def prepared_pictures(folder: Path) -> PreparedImages:
    """The prepared pictures in a folder, opened once a process.

    Raises:
        DatasetError: they are volumes.
    """
    prepared = open_prepared_once(folder)
    if not isinstance(prepared, PreparedImages):
        raise DatasetError(f"{folder} holds prepared volumes: expected pictures.")
    return prepared


def find_pictures(path: Path, beside: Collection[str] = (), *, alone: bool = True) -> list[Path]:
    """A picture, or those in a folder and its folders: in order of name and without hidden ones, as a dataset has them.

    What a prediction wrote to a folder below is none of them. ``beside``: names of files that belong to pictures and
    are read with them. ``alone``: that no masks may lie among them.

    Warns:
        DatasetWarning: other files lie there, which are left out.

    Raises:
        DatasetError: nothing is there to read, or masks lie among the images.
    """
    path = path.expanduser()
    files, there = [path], [path]
    if path.is_dir():
        there = [file for file in not_predicted(path, files_below(path)) if file.name not in beside]
        files = sorted(filter(is_picture, there), key=lambda file: file.relative_to(path).as_posix())
    if not files or not files[0].is_file() or not is_picture(files[0]):
        raise DatasetError(
            f"{path} holds nothing to read: expected a picture (PNG, JPEG, TIFF, BMP) or a folder."
        )
    if path.is_dir() and alone:
        refuse_masks_to_predict(path, files)
    tell_others(path, there, files, "pictures")
    return files


def names_within(path: Path, files: Sequence[Path]) -> list[str]:
    """What files found by `find_pictures` are called: within the folder, or the one by its own name."""
    base = path.expanduser() if path.expanduser().is_dir() else path.expanduser().parent
    return [file.relative_to(base).as_posix() for file in files]


def runs_of(cases: Sequence[LabelledPicture], most: int = BATCH) -> list[Sequence[LabelledPicture]]:
    """Runs of cases kept in one place, at most ``most`` long."""
    result: list[list[LabelledPicture]] = []
    for case in cases:
        if not result or len(result[-1]) == most or result[-1][0].prepared != case.prepared:
            result.append([])
        result[-1].append(case)
    return list(result)
