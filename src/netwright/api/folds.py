"""Cross-validation: a series of runs, each of which holds out other cases, and the ensemble of their networks."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from netwright.api import create_run
from netwright.api.run import Run
from netwright.data.base import AnyDataset
from netwright.data.checked_parts import given_parts
from netwright.data.open import folds_any
from netwright.data.split_file import read_split_file
from netwright.data.splits import Splits
from netwright.errors import DatasetWarning, RunError, SettingsError, SettingsWarning
from netwright.files import read_json, write_json, write_text
from netwright.models.store import join_folds, load_trained, saved_task
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.recipe import first_draft
from netwright.planning.resolve import Chapter, take_steps
from netwright.planning.start_from import leaks_of_folds
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_own, open_run_data
from netwright.runs.folder import RunFolder
from netwright.runs.marks import FINISHED
from netwright.runs.results import winner_folder
from netwright.runs.series import PARTS, TESTED, parts_file
from netwright.training.files import WEIGHTS


def create_first_fold(
    dataset: Path,
    recipe: str | None,
    user: UserSettings,
    root: Path,
    folder: Path,
    count: int,
    on_stage: Callable[[str], None],
) -> None:
    """Writes the parts of all folds, and makes the run of the first one. Does not search yet.

    Args:
        dataset: the path of the dataset.
        recipe: its name; None: one that fits the data.
        user: what the user set.
        root: the folder of the series.
        folder: of the first run.
        count: how many folds.
        on_stage: called with a few words about what is being done.

    Raises:
        DatasetError: there are too few cases for so many folds.
        SettingsError: a setting has a wrong name or value, a file of folds was given, or no network would be trained
            after the search.
    """
    draft, context = first_draft(dataset, recipe, user), Context(user, on_stage=on_stage)
    take_steps(draft, context, Chapter.SETTINGS)
    if draft.race is None and draft.verdict.hours == 0:
        raise SettingsError(
            f"verdict.hours=0 (--verdict-hours) leaves out the training after the search, but the networks of "
            f"{count} --folds are those that it makes. Give it some hours, or leave it out."
        )
    own = open_own(draft)
    folds = _folds(draft, own, count)
    leak = None if context.other is None else leaks_of_folds(own, context.other, folds)
    if leak is not None:
        warnings.warn(leak, SettingsWarning, stacklevel=3)
    try:
        parts_file(root, 1).parent.mkdir(parents=True)
        for number, parts in enumerate(folds, 1):
            write_json(parts_file(root, number), parts.to_dict())
        assignments = dict(user.assignments or {}) | {"dataset.split_file": str(parts_file(root, 1))}
        assignments.pop("dataset.fold", None)
        create_run(dataset, recipe, replace(user, assignments=assignments), folder, on_stage)
    except BaseException:
        shutil.rmtree(root / PARTS, ignore_errors=True)
        if root.exists() and not any(root.iterdir()):
            root.rmdir()
        raise


def _folds(draft: Draft, dataset: AnyDataset, count: int) -> tuple[Splits, ...]:
    path = draft.dataset.split_file
    if path is None:
        return folds_any(dataset, count, draft.seed, draft.split)
    file = read_split_file(path.expanduser(), draft.dataset.fold)
    if file.fold is not None:
        raise SettingsError(
            f"{path} has folds of its own: expected a file with test cases at most, since --folds divides the others. "
            f"Take its folds by --splits {file.folds}."
        )
    given, _ = given_parts(file, dataset)
    return folds_any(dataset, count, draft.seed, draft.split, given)


def keep_ensemble(root: Path, runs: Sequence[Run]) -> None:
    """Makes the folder of a series a run whose network is the ensemble of the folds' networks. It is tested on the test
    cases that all folds have, if there are any.

    Nothing is done where that was done after the last run had ended.

    Args:
        root: of the series.
        runs: of all folds, finished.

    Raises:
        RunError: a run has no network, or the networks cannot be used together.
    """
    folder, first = RunFolder(root), runs[0]
    ended = max(read_json(run.folder.root / FINISHED)["finished"] for run in runs)
    finished = root / FINISHED
    if finished.exists() and read_json(finished)["finished"] > ended:
        return
    first.code()
    lacking = next((run for run in runs if not (winner_folder(run.folder) / WEIGHTS).exists()), None)
    if lacking is not None:
        raise RunError(
            f"{lacking.folder.root} has no trained network, so there is no ensemble of all folds. Its report says why."
        )
    with folder.locked():
        finished.unlink(missing_ok=True)
        parts = [run.folder.splits() for run in runs]
        write_json(folder.splits_file, _all_parts(parts).to_dict())
        write_text(folder.settings_file, first.folder.settings_file.read_text(encoding="utf-8"))
        (folder.winner / TESTED).unlink(missing_ok=True)
        join_folds([winner_folder(run.folder) for run in runs], folder.winner, folder.settings())
        if folder.splits().test:
            _test(folder, first)
        write_json(finished, {"finished": time.time()})


def _all_parts(parts: Sequence[Splits]) -> Splits:
    """The parts of the ensemble: it has seen every case but the test cases that all folds have."""
    test = set.intersection(*(set(one.test) for one in parts))
    seen = {name for one in parts for name in (*one.training, *one.validation, *one.test)} - test
    return replace(
        parts[0],
        training=tuple(sorted(seen)),
        validation=(),
        test=tuple(sorted(test)),
        origin=f"{len(parts)} folds",
    )


def _test(folder: RunFolder, first: Run) -> None:
    """Tests the ensemble on the test cases, which are those of the first run."""
    settings = folder.settings()
    run_data = open_run_data(first.folder, first.settings)
    task = saved_task(folder.winner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        trained = load_trained(folder.winner, settings)
        results = task.final_results(trained, folder.winner, run_data.test, searched=True)
    write_json(folder.winner / TESTED, {"metrics": trained.means(results), **results})
