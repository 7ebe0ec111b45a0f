"""Conducts runs from the command line: shows how they go on, and says how to go on when they are stopped."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from netwright.cli.console import err, out, print_lines
from netwright.errors import SettingsError, SettingsWarning, StudyFinished

if TYPE_CHECKING:
    from netwright.api.runner import OnStatus
    from netwright.api.series import Series
    from netwright.planning.user_settings import UserSettings


@contextlib.contextmanager
def warnings_of_settings() -> Iterator[list[str]]:
    """The lines to print of settings that are probably not meant. They are there when the block has ended."""
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SettingsWarning)
        yield lines
    lines += [f"warning    {w.message}" for w in told if issubclass(w.category, SettingsWarning)]


def conduct(run: Any, hours: float | None = None, compare: str | None = None) -> None:
    """Take a run to its end, and say what came of it.

    Args:
        run: the run.
        hours: more wall time.
        compare: "full": what the search was worth.
    """
    from netwright.cli.tables import end_lines

    with _shown(run.folder.root) as show:
        run.resume(show, hours=hours, compare=compare)
    print_lines(end_lines(run))


def tell_finished(study: StudyFinished) -> None:
    """Say that a study needs no more. That is the end of a command, and not a failure: what queued it may be late."""
    out.print(f"finished   {study}", markup=False)


@contextlib.contextmanager
def _shown(root: Path) -> Iterator[OnStatus]:
    """Within it, the states of what lies in a folder are shown; if the user stops it, how to go on is said."""
    from netwright.cli.display import Display
    from netwright.cli.inspected import command

    display = Display(out)
    try:
        with display:
            yield display.show
    except KeyboardInterrupt:
        err.print(f"stopped    {command('resume', root)}   goes on where this left off", markup=False)
        raise typer.Exit(1) from None


def stage(text: str) -> None:
    """Say what is being done."""
    err.print(f"{text} ...", markup=False)


def conduct_series(
    dataset: Path,
    recipe: str | None,
    user: UserSettings,
    output: Path | None,
    *,
    splits: int | None,
    folds: int | None,
) -> None:
    """Make a series of runs and conduct it.

    Args:
        dataset: of all runs.
        recipe: of all runs; None: one that fits the data.
        user: what the user set.
        output: the folder; None: a new one.
        splits: how many runs; None: the folds of a cross-validation.
        folds: how many folds.
    """
    from netwright.api.series import create_series

    count = splits or folds or 0
    with warnings_of_settings() as told:
        series = create_series(dataset, recipe, user, output, count, on_stage=stage, folds=folds is not None)
    print_lines(told)
    _go_on(series)


def resume_series(root: Path, hours: float | None, compare: str | None, *, trust_code: bool) -> None:
    """Continue a series of runs.

    Args:
        root: its folder.
        hours: more wall time, which is for a single run.
        compare: likewise.
        trust_code: as for a run.

    Raises:
        SettingsError: hours or a comparison were given.
    """
    from netwright.api.series import open_series
    from netwright.runs.series import run_folder

    series = open_series(root)
    if hours is not None or compare is not None:
        raise SettingsError(
            f"{root} holds several runs: expected one for --hours and --compare. Name one of them, such as "
            f"{run_folder(root, 1, folds=series.plan.folds)}."
        )
    _go_on(series, trust_code=trust_code)


def _go_on(series: Series, *, trust_code: bool = False) -> None:
    from netwright.cli.compared import compared_lines, ensemble_lines
    from netwright.runs.results import read_results

    def told(run: Any) -> None:
        out.print(f"run        {run.folder.root}, of {series.splits}", markup=False)

    with _shown(series.root) as show:
        series.resume(told, show, trust_code=trust_code)
    for run in series.runs:
        out.print(f"report     {run.folder.report}", markup=False)
    if any(read_results(run.folder) for run in series.runs):
        compared = series.compared()
        print_lines(compared_lines(compared))
        out.print(f"report     {series.root / 'report.html'}", markup=False)
        if series.plan.folds:
            print_lines(ensemble_lines(series.root, series.runs[0].settings, compared))
