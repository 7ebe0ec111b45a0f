"""Runs with trainings that go on: the search, its end, and more hours."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import optuna

from netwright.api.sharing import keep_in_step
from netwright.comparison.contestants import SEARCHED
from netwright.comparison.default_alone import ALONE, compare_default_alone
from netwright.comparison.finish import ENSEMBLE, Finish, keep_network
from netwright.comparison.seconds_at_end import choosing_seconds, seconds_to_finish
from netwright.errors import RunError, SettingsError
from netwright.execution.base import Executor
from netwright.files import read_json, remove_partial, write_json, write_text
from netwright.logs.follow import Follower
from netwright.report.results import DEFAULT
from netwright.runs.candidates import best_candidate, candidates_of
from netwright.runs.clock import SPENT
from netwright.runs.data import RunData
from netwright.runs.drivers import Driver
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, FINISHED, is_of_earlier_study, write_mark
from netwright.runs.place import place_of
from netwright.runs.results import RESULT, forget_results, openings_file
from netwright.runs.status import RunStatus, status_of
from netwright.runs.storage import drivers_elsewhere, reopen
from netwright.runs.trials import load_search, load_trials, record_of
from netwright.searches.components import open_study
from netwright.searches.multi_fidelity import SECONDS_BESIDE, MultiFidelitySearch
from netwright.searches.race_trials import await_others
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.spaces.base import Space

ROUNDS = 20
"""How often `fewest_hours` corrects what is kept for the end by the hours that it has found."""


def race_of(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    study: optuna.Study,
    space: Space,
    executor: Executor,
    driver: Driver | None = None,
) -> MultiFidelitySearch:
    """The search of a run with trainings that go on. It leaves enough time for the tests and the report.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        study: its study.
        space: that it searches.
        executor: trains the parts.
        driver: this process as one that works on the study; None: the only one.
    """
    data, race = run_data.data, settings.race
    measured = 0.0 if race is None else race.validation_seconds
    kept = seconds_to_finish(settings, measured, len(data.validation), len(run_data.test))
    return MultiFidelitySearch(folder, settings, data, study, space, executor, kept, driver=driver)


def end_race(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    executor: Executor,
    follower: Follower,
    on_status: Callable[[RunStatus], None] | None,
    driver: Driver,
) -> None:
    """Tests the best network and the default on the test cases. It is noted in the run how often these were opened.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        executor: runs the tests.
        follower: logs trials and epochs.
        on_status: called with the state of the run.
        driver: this process as one that works on the study.

    Raises:
        RunError: no candidate has a score.
    """
    study = open_study(folder, settings, driver.storage)
    if folder.shared_trials is not None:
        await_others(study, driver)
        remove_partial(folder.shared_trials)
    records = [record_of(t) for t in study.get_trials(deepcopy=False)]
    spent = float(study.user_attrs.get(SPENT, 0.0))
    candidates = candidates_of(records)
    best = best_candidate(candidates)
    if best is None or best.latest is None:
        raise RunError(f"{folder.root} has no trained candidate to test.")
    space = make_space(settings.space)
    work = Finish(
        folder,
        settings,
        space,
        run_data.data,
        run_data.test,
        candidates,
        choosing_seconds(settings),
    )
    comparing = {"trial": best.latest.number, "hours": 0.0, "share_seconds": None, "epochs": None}
    more = [ALONE] * (settings.race is not None and settings.race.compare == "full")
    _forget_end_of_earlier_study(folder)
    write_mark(folder, COMPARING, {**comparing, "entries": [SEARCHED, DEFAULT, *more]})
    openings = openings_file(folder)
    earlier = read_json(openings) if openings.exists() else []
    if not earlier or earlier[-1]["hours"] != settings.budget.hours:  # not again after a kill
        write_json(openings, [*earlier, {"time": time.time(), "hours": settings.budget.hours}])

    def tick() -> None:
        follower.follow(records)
        if on_status is not None:
            on_status(status_of(folder, settings, records, spent))

    tested = work.run(executor, tick)
    write_mark(folder, COMPARING, {**comparing, "entries": [*tested, *more]})
    if more:
        compare_default_alone(folder, settings, run_data, space, executor, tick)
    tick()


def extend(folder: RunFolder, hours: float | None = None, compare: str | None = None) -> None:
    """Gives a run more wall time, or a comparison with its default alone. A finished run is unfinished again.

    Of a study that several share, the database is told first: if this process is killed then, `keep_in_step` does the
    rest.

    Args:
        folder: of the run.
        hours: to add; None: none.
        compare: "full", as `netwright.settings.race.RaceSettings.compare`; None: as the run has it.

    Raises:
        RunError: another process holds the run, or works on its study.
        SettingsError: the hours are not over 0, or too few for a training to go on; there is no such comparison; or the
            run trains each candidate once.
    """
    if hours is not None and not hours > 0:
        raise SettingsError(f"--hours must be over 0, got {hours:g}.")
    if compare not in (None, "full"):
        raise SettingsError(f"--compare must be full, got {compare!r}.")
    with folder.locked():
        keep_in_step(folder)
        settings = folder.settings()
        if settings.race is None or settings.budget.hours is None:
            wanted, option = (
                ("have more hours", "--hours") if hours is not None else ("be compared", "--compare")
            )
            raise SettingsError(
                f"{folder.root} cannot {wanted}: it trains each candidate once. Start a new search, or resume it "
                f"without {option}."
            )
        changes: dict[str, Any] = {}
        if hours is not None:
            changes["budget.hours"] = round(settings.budget.hours + hours, 9)
        if compare is not None:
            changes["race.compare"] = compare
        if others := drivers_elsewhere(folder):
            raise RunError(
                f"{folder.root}: {others[0]}, works on this study with the hours that it had. Wait until it has ended, "
                "or end it (Ctrl-C); then give more. One that was killed is forgotten after "
                f"{place_of(folder).lease_seconds:.0f} s."
            )
        alone = "full" in (compare, settings.race.compare)  # then the default is trained in these hours
        if hours is not None and not alone:
            _require_a_training(folder, settings, hours)
        changed = folder.changed_settings(changes)
        reopen(folder, changed)
        _forget_end_of_earlier_study(folder)
        for name in (FINISHED, COMPARING):
            (folder.root / name).unlink(missing_ok=True)
        write_text(folder.settings_file, changed)


def _forget_end_of_earlier_study(folder: RunFolder) -> None:
    """Removes what the end of the race left before its space was changed, while its mark still tells."""
    if is_of_earlier_study(folder, COMPARING):
        forget_results(folder)
        (folder.root / ENSEMBLE).unlink(missing_ok=True)


def _require_a_training(folder: RunFolder, settings: RunSettings, hours: float) -> None:
    """Refuses more hours in which no training goes on: the test cases would be opened again for nothing.

    Args:
        folder: of the run.
        settings: of the run, before it gets them.
        hours: to add.

    Raises:
        SettingsError: they are too few.
    """
    fewest = fewest_hours(folder, settings)
    if hours < fewest:
        raise SettingsError(
            f"--hours {hours:g} is too few for {folder.root}: no training would go on beside the tests and the report, "
            f"and the test cases would be opened once more for nothing. Expected at least {fewest:g}."
        )


def fewest_hours(folder: RunFolder, settings: RunSettings) -> float:
    """The least hours to add to a run so that a training goes on; 0 where one does without more.

    Args:
        folder: of the run.
        settings: of the run, as they are.
    """
    race, before = settings.race, settings.budget.hours
    assert race is not None
    assert before is not None
    spent, splits = max(load_search(folder)[1], race.used_seconds), folder.splits()
    hours = 0.0
    for _ in range(ROUNDS):  # what is kept for the end grows with the hours, by a share that is well below 1
        given = settings.model_copy(
            update={"budget": settings.budget.model_copy(update={"hours": before + hours})}
        )
        kept = seconds_to_finish(given, race.validation_seconds, len(splits.validation), len(splits.test))
        seconds = spent + kept + SECONDS_BESIDE + race.first_seconds
        hours = max(0.0, seconds / 3600.0 - before)
    return math.ceil(hours * 1e4) / 1e4


def keep_best(folder: RunFolder, settings: RunSettings, run_data: RunData) -> None:
    """Makes the best network so far ready for use when a search is stopped before its end. It is not tested.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
    """
    if (folder.winner / RESULT).exists() and not is_of_earlier_study(folder, COMPARING):
        return  # it was tested before the run got more hours
    (folder.root / ENSEMBLE).unlink(missing_ok=True)
    best = best_candidate(candidates_of(map(record_of, load_trials(folder))))
    if best is not None and best.latest is not None:
        source = folder.trial(best.latest.number)
        keep_network(source, folder.winner, settings, run_data.prepared, best.choice)
