"""A series of runs on disk: runs of one search with other divisions of the data, or the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netwright.errors import RunError
from netwright.files import number, read_json
from netwright.runs.folder import SERIES, RunFolder, open_run_folder

PARTS = "parts"
"""The folder with the parts of each fold of a cross-validation, as ``splits.json`` has them."""
TESTED = "tested.json"
"""Beside the weights of the folds' ensemble: its scores on test cases that all folds have."""


@dataclass(frozen=True)
class SeriesPlan:
    """What a series is made of.

    Args:
        splits: how many runs there are to be.
        split_file: the user's file of parts, read anew for each run; None: there is none.
        fold: which of its folds the first run has; the others follow. None: it has no folds.
        folds: whether the runs are the folds of a cross-validation, each with its own file of parts.
    """

    splits: int
    split_file: str | None = None
    fold: int | None = None
    folds: bool = False


def is_series(path: Path) -> bool:
    """Whether a folder is that of a series of runs."""
    return (Path(path) / SERIES).is_file()


def read_plan(root: Path) -> SeriesPlan:
    """What the series in a folder is made of.

    Raises:
        RunError: its description is damaged.
    """
    file = root / SERIES
    values = read_json(file)
    splits = values.get("splits") if isinstance(values, Mapping) else None
    if not isinstance(splits, int):
        raise RunError(f"{file} is damaged: expected the number of runs as splits. Restore it from a copy.")
    return SeriesPlan(splits, values.get("split_file"), values.get("fold"), bool(values.get("folds")))


def run_folder(root: Path, number: int, *, folds: bool) -> Path:
    """The folder of a run in a series, counted from 1.

    Args:
        root: of the series.
        number: of the run.
        folds: whether the runs are the folds of a cross-validation.
    """
    return root / f"{'fold' if folds else 'split'}-{number}"


def begun_runs(root: Path, plan: SeriesPlan) -> list[RunFolder]:
    """The runs of a series that have begun."""
    numbers = range(1, plan.splits + 1)
    folders = (RunFolder(run_folder(root, number, folds=plan.folds)) for number in numbers)
    return [folder for folder in folders if folder.settings_file.exists()]


def run_folders(path: Path) -> list[RunFolder]:
    """The folder of a run; of a series, those of the runs that have begun.

    Raises:
        RunError: it is neither.
    """
    return begun_runs(path, read_plan(path)) if is_series(path) else [open_run_folder(path)]


def parts_file(root: Path, number: int) -> Path:
    """The file with the parts of a fold, counted from 1."""
    return root / PARTS / f"{number}.json"


def ensemble_metrics(root: Path) -> dict[str, float] | None:
    """What the ensemble of the folds reached on test cases; None: it is not tested."""
    file = RunFolder(root).winner / TESTED
    return (
        {name: number(value) for name, value in read_json(file)["metrics"].items()} if file.exists() else None
    )
