"""Several runs of one search, each with its own seed and its own division of the dataset, or its own fold of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from netwright.api import create_run, open_run
from netwright.api.folds import create_first_fold, keep_ensemble
from netwright.api.run import Run
from netwright.api.runner import OnStatus
from netwright.data.split_file import read_split_file
from netwright.errors import RunError, SettingsError, SettingsWarning
from netwright.files import write_json
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.runs import compare_runs
from netwright.report.collect.series import write_series
from netwright.report.compared import ComparedRuns
from netwright.runs.folder import SERIES, default_output, require_new_folder
from netwright.runs.marks import FINISHED, has_mark
from netwright.runs.results import read_results
from netwright.runs.series import SeriesPlan, begun_runs, is_series, parts_file, read_plan, run_folder


class Series:
    """Runs in the folders ``split-1``, ``split-2``, ... of one folder, or ``fold-1``, ``fold-2``, ... All but the first
    repeat its settings.

    Args:
        root: the folder.
        plan: how many runs there are, and how they differ.
    """

    def __init__(self, root: Path, plan: SeriesPlan) -> None:
        self.root = root
        self.plan = plan

    @property
    def splits(self) -> int:
        """How many runs there are to be."""
        return self.plan.splits

    @property
    def runs(self) -> list[Run]:
        """Those that have begun."""
        return [Run(folder) for folder in begun_runs(self.root, self.plan)]

    def compared(self) -> ComparedRuns:
        """The runs side by side: means and standard deviations over them. See `compare_runs`."""
        return compare_runs([run.folder for run in self.runs])

    def report(self, output: Path | str | None = None) -> Path:
        """Writes a page with the runs side by side, and its numbers as CSV. Returns the path of the page.

        Args:
            output: the file, or a folder for ``report.html``; by default the folder of the series.

        Raises:
            RunError: no run has been tested yet.
            StorageError: it cannot be written.
        """
        return write_series(self.root, None if output is None else Path(output))

    def resume(
        self,
        on_run: Callable[[Run], None] = lambda run: None,
        on_status: OnStatus | None = None,
        *,
        trust_code: bool = False,
    ) -> None:
        """Conducts the runs to their ends, one after the other. What was finished stays.

        At the end of a cross-validation, the folder is a run whose network is the ensemble of the folds' networks.

        Args:
            on_run: called with each run before it goes on.
            on_status: called about twice a second with the state of the current run.
            trust_code: see `open_run`.

        Raises:
            KeyboardInterrupt: the user stopped it; `resume` goes on.
            RunError: a run cannot go on.
        """
        for number in range(1, self.splits + 1):
            run = self._run(number, trust_code=trust_code)
            if not has_mark(run.folder, FINISHED):
                on_run(run)
                run.resume(on_status)
        try:
            if self.plan.folds:
                runs = [self._run(number, trust_code=trust_code) for number in range(1, self.splits + 1)]
                keep_ensemble(self.root, runs)
        finally:  # a fold without a network leaves no ensemble, but the others their results
            if any(read_results(run.folder) for run in self.runs):
                self.report()

    def _folder(self, number: int) -> Path:
        return run_folder(self.root, number, folds=self.plan.folds)

    def _run(self, number: int, *, trust_code: bool) -> Run:
        """A run, begun where it has not been yet: the first one's settings with the next seed, and the next fold."""
        folder = self._folder(number)
        if (folder / "run.yaml").exists():
            return open_run(folder, trust_code=trust_code)
        if not self.runs:
            raise RunError(
                f"{self.root} has lost its first run, {self._folder(1).name}, whose settings the others repeat."
            )
        first, later = self.runs[0].settings, number - 1
        given: dict[str, Any] = {}
        file = str(parts_file(self.root, number)) if self.plan.folds else self.plan.split_file
        if file is not None:
            given["dataset.split_file"] = file
        if self.plan.fold is not None:
            given["dataset.fold"] = self.plan.fold + later
        user = UserSettings(seed=first.seed + later, assignments=given, repeat=first, trust_code=trust_code)
        return create_run(Path(first.dataset.path), None, user, folder)


def create_series(
    dataset: Path,
    recipe: str | None,
    user: UserSettings,
    output: Path | None,
    splits: int,
    on_stage: Callable[[str], None] = lambda text: None,
    *,
    folds: bool = False,
) -> Series:
    """Makes the folder of a series and its first run. Does not search yet.

    Seeds count up from the user's: each gives another division of the dataset, and another search. So do the folds of a
    file of folds, from the one that the user names, or from the first. What another file of parts leaves open is drawn
    for each run. In a cross-validation the dataset is divided once, by the user's seed.

    Args:
        dataset: the path of the dataset.
        recipe: its name; None: one that fits the data.
        user: what the user set.
        output: the folder of the series, new or empty; None: a new one is chosen.
        splits: how many runs, two or more.
        on_stage: called with a few words about what is being done.
        folds: whether the runs are the folds of a cross-validation: each holds out other cases.

    Raises:
        DatasetError: there are too few cases for so many folds.
        SettingsError: fewer than two runs, or a setting has a wrong name or value.
        FolderTaken: the folder is not empty.
    """
    what = "folds" if folds else "splits"
    if splits < 2:
        raise SettingsError(f"--{what} is {splits}: expected 2 or more runs. Leave it out for one.")
    repeated = None if user.repeat is None else user.repeat.storage.url
    if repeated is not None or "storage.url" in user.values():
        raise SettingsError(
            f"--{what} makes runs with a study each, and --storage is for one. Leave one of them out."
        )
    root = output or default_output(dataset, f"{splits}-{what}")
    require_new_folder(root)
    seed = user.seed if user.seed is not None else user.repeat.seed if user.repeat is not None else 0
    user, first = replace(user, seed=seed), run_folder(root, 1, folds=folds)
    if folds:
        plan = SeriesPlan(splits, folds=True)
        create_first_fold(dataset, recipe, user, root, first, splits, on_stage)
    else:
        plan = SeriesPlan(splits, *_parts_given(user, splits))
        given = dict(user.assignments or {}) | ({} if plan.fold is None else {"dataset.fold": plan.fold})
        made = create_run(dataset, recipe, replace(user, assignments=given), first, on_stage).settings
        if made.start_from is not None and plan.split_file is None and made.dataset.split_file is not None:
            warnings.warn(
                f"All runs have the same test cases, since cases keep the part that they have in "
                f"{made.start_from.name} (--start-from): the runs differ in their seeds alone.",
                SettingsWarning,
                stacklevel=2,
            )
    write_json(root / SERIES, asdict(plan))
    return Series(root, plan)


def _parts_given(user: UserSettings, splits: int) -> tuple[str | None, int | None]:
    """The user's file of parts, and the fold of it that the first run has.

    Raises:
        SettingsError: it has fewer folds than there are runs.
    """
    given = user.values().get("dataset.split_file")
    if given is None:
        return None, None
    path = Path(given).expanduser().absolute()
    file = read_split_file(path, user.values().get("dataset.fold"))
    if file.fold is None:
        return str(path), None
    if file.fold + splits > file.folds:
        raise SettingsError(
            f"{path.name} has {file.folds} folds: expected {splits} from fold {file.fold} on, one for each of the "
            f"--splits. Give at most --splits {file.folds - file.fold}."
        )
    return str(path), file.fold


def open_series(path: Path) -> Series:
    """Opens the series in a folder.

    Raises:
        RunError: its description is damaged.
    """
    return Series(Path(path), read_plan(Path(path)))


def runs_in(paths: list[Path]) -> list[Run]:
    """The runs in the given folders, each that of a run or of a series. A run that is given twice counts once.

    Raises:
        RunError: a folder holds neither.
    """
    runs = [
        run for path in paths for run in (open_series(path).runs if is_series(path) else [open_run(path)])
    ]
    return list({run.folder.root.resolve(): run for run in runs}.values())
