"""Conducts a run from beginning to end: search, final comparison, report. Each part goes on from its current state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from netwright.api.race import end_race, keep_best, race_of
from netwright.api.sharing import is_finished, keep_in_step, once
from netwright.comparison.contestants import entries, trainings
from netwright.comparison.retrain import FinalComparison, share_seconds
from netwright.comparison.start import starting_point
from netwright.errors import RunError, StrategyFailed
from netwright.execution.base import Executor
from netwright.execution.executors import make_executor
from netwright.execution.guard import require_guard
from netwright.execution.resources import process_limit_mb
from netwright.execution.signals import ended_by_signals
from netwright.files import read_json, write_json
from netwright.logs.follow import Follower, following
from netwright.runs.clock import SPENT
from netwright.runs.cost import metered
from netwright.runs.data import RunData, open_run_data
from netwright.runs.drawings import Drawer
from netwright.runs.drivers import Driver
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, FINISHED, has_mark, is_of_earlier_study, write_mark
from netwright.runs.results import forget_results
from netwright.runs.shared_trials import require_shared_trials
from netwright.runs.status import RunStatus, read_status, status_of
from netwright.runs.storage import driving, storage_errors
from netwright.runs.trials import Records, TrialRecord, best_of, count_statuses
from netwright.runs.versions import RESUMED, stated, version_warning, with_resumption
from netwright.searches.components import open_study, problem_of, require_dimensions
from netwright.searches.loop import Search
from netwright.searches.one_shot import search_shared
from netwright.searches.race_trials import await_others
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.training.outcome import Status

OnStatus = Callable[[RunStatus], None]


def conduct(folder: RunFolder, on_status: OnStatus | None = None) -> None:
    """Conducts the run to its end. Ctrl-C and kills lose nothing that was finished; call it again to go on.

    Raises:
        RunError: another process holds the run, the run is damaged, or no candidate could be trained.
        StrategyFailed: a strategy of the user's failed. Everything finished is stored.
        KeyboardInterrupt: the user stopped it (Ctrl-C, SIGTERM or SIGHUP). The workers have ended, and everything
            finished is stored.
    """
    from netwright.report.collect.run import write_report

    if is_finished(folder):
        return
    require_guard()
    with ended_by_signals(), folder.locked(), storage_errors(folder):
        if is_finished(folder):
            return
        _note_versions(folder)
        keep_in_step(folder)
        settings = folder.settings()
        run_data = open_run_data(folder, settings)
        machine = settings.machine
        limit = process_limit_mb(settings.training.device, machine.memory_limit_mb)
        cluster = machine.cluster(folder.root, folder.trials.parent, data=run_data.prepared.folder)
        finished = True
        try:
            # One executor for both parts: a worker takes seconds to start.
            with (
                metered(folder, settings),
                following(folder.root, settings.log) as follower,
                driving(folder) as driver,
                make_executor(
                    machine.workers, machine.threads, limit, name=machine.executor, cluster=cluster
                ) as executor,
            ):
                search(folder, settings, run_data, executor, follower, on_status, driver)
                context = folder, settings, run_data, executor, follower, on_status
                if settings.race is not None:
                    finished = once(folder, driver, "end of the run", partial(end_race, *context, driver))
                elif comparison_hours(folder, settings) > 0:
                    finished = once(folder, driver, "final comparison", partial(compare, *context, driver))
                if finished:
                    driver.finish()
        except StrategyFailed as error:
            raise StrategyFailed(
                f"{error} What was trained is kept: mend it; 'netwright resume {folder.root} --trust-code' goes on."
            ) from error
        except KeyboardInterrupt:
            if settings.race is not None:
                keep_best(folder, settings, run_data)
                write_report(folder, settings, run_data)
            raise
        write_report(folder, settings, run_data)
        if finished:
            write_mark(folder, FINISHED, {"finished": time.time()})
    if on_status is not None:
        on_status(read_status(folder))


def _note_versions(folder: RunFolder) -> None:
    """Stores the current versions and machine for the report, if they differ from those that the run was made with."""
    file = folder.root / RESUMED
    if version_warning(stated(folder.settings_file)) is not None or file.exists():
        write_json(file, with_resumption(read_json(file) if file.exists() else []))


def search(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    executor: Executor,
    follower: Follower,
    on_status: OnStatus | None,
    driver: Driver,
) -> None:
    """The search part of `conduct`, until its budget is spent.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        executor: trains candidates. A search inside one training has its own.
        follower: logs trials and epochs.
        on_status: called with the state of the run.
        driver: this process as one that works on the study.

    Raises:
        RunError: the budget is spent, and no candidate has a reward; or another driver works on a study that takes one.
    """
    if settings.supernet is not None or (settings.race is not None and folder.shared_trials is None):
        _require_alone(folder, settings, driver)
    require_shared_trials(folder)
    study = open_study(folder, settings, driver.storage)
    space = make_space(settings.space)
    require_dimensions(folder, settings, study, space)
    drawer = Drawer(folder, settings, space, problem_of(settings, run_data.prepared).task)
    trials = Records(study)

    def told(seconds: float) -> None:
        if on_status is not None or drawer.needed or follower.needed:
            records = trials.read()
            drawer.keep_best(records)
            follower.follow(records)
        if on_status is not None:
            on_status(status_of(folder, settings, records, seconds=seconds))

    if settings.supernet is not None:
        search_shared(folder, settings, run_data.data, study, told)
        follower.follow(trials.read())
        return
    work = (
        Search(folder, settings, run_data.data, study, space, executor, driver)
        if settings.race is None
        else race_of(folder, settings, run_data, study, space, executor, driver)
    )
    work.run(lambda: told(work.seconds_spent))
    told(work.seconds_spent)
    records = trials.read()
    if best_of(records) is None:
        raise RunError(_nothing_trained(folder, settings, records))


def _require_alone(folder: RunFolder, settings: RunSettings, driver: Driver) -> None:
    """Refuses a second driver where the study takes only one.

    Raises:
        RunError: there is another one.
    """
    other = driver.reserve("search")
    if other is not None:
        kind = (
            "a search whose networks share their weights is one training, so it is of one process"
            if settings.supernet is not None
            else "it was begun by a version in which only one process could search it"
        )
        raise RunError(
            f"{folder.root}: {other}, works on this study, and {kind}. Wait until that one has ended, or start a study "
            "of your own: with --recipe auto or segnas4, for example, several may search."
        )


def _nothing_trained(folder: RunFolder, settings: RunSettings, records: Sequence[TrialRecord]) -> str:
    counts = {k: v for k, v in count_statuses(records).items() if v and k not in ("total", "cached")}
    if not counts:
        return (
            f"No candidate of {folder.root} began in the time that there was (budget.hours={settings.budget.hours:g}). "
            "Give the search more of it (--hours)."
            if settings.budget.hours is not None
            else f"No candidate of {folder.root} was proposed: the space has none, or the search ended at once."
        )
    reasons = sorted({r.reason.rstrip(".") for r in records if r.reason})[:3]
    words = [
        f"No candidate of {folder.root} could be trained ({', '.join(f'{v} {k}' for k, v in counts.items())})."
    ]
    words += [f"The first reasons: {'; '.join(reasons)}."] if reasons else []
    if set(counts) == {Status.CRASHED.value}:
        words.append(
            "This is an error of the program, its installation, or a network of yours; the logs are in "
            f"{folder.trials}."
        )
    elif set(counts) <= {Status.LOSS_STALLED.value, Status.TOO_SLOW.value} and settings.training.early:
        thresholds = {
            Status.LOSS_STALLED: "termination.loss_of_guess (or training.early.loss)",
            Status.TOO_SLOW: "termination.slower_than_start (or training.early.batch_seconds)",
        }
        raised = " and ".join(words for status, words in thresholds.items() if status.value in counts)
        words.append(f"Raise {raised}, set training.early=null to end nothing early, or give it more time.")
    else:
        words.append("Give the search more time or memory, or a smaller space (--set space...).")
    return " ".join(words)


def comparison_hours(folder: RunFolder, settings: RunSettings) -> float:
    """The wall time of the final comparison in hours, by default half of the search's. It is fixed once begun."""
    if has_mark(folder, COMPARING):
        return float(read_json(folder.root / COMPARING)["hours"])
    if settings.verdict.hours is not None:
        return settings.verdict.hours
    return float(open_study(folder, settings).user_attrs.get(SPENT, 0.0)) / 3600.0 / 2


def compare(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    executor: Executor,
    follower: Follower,
    on_status: OnStatus | None,
    driver: Driver,
) -> None:
    """The final comparison: the only part that opens the test cases. The arguments are those of `search`."""
    study = open_study(folder, settings, driver.storage)
    if driver.several:
        await_others(study, driver)
    records = Records(study).read()
    spent = float(study.user_attrs.get(SPENT, 0.0))
    best = best_of(records)
    if best is None:
        raise RunError(f"{folder.root} has no trained candidate to compare.")
    hours = comparison_hours(folder, settings)
    space = make_space(settings.space)
    start = starting_point(study, space)
    who = [
        entry if entry.reference is not None else replace(entry, words=space.describe(entry.choice))
        for entry in entries(settings, space, run_data.data, best.choice, start)
    ]
    who = trainings(who, settings.verdict.seeds)
    share = share_seconds(settings, hours, len(who))
    if is_of_earlier_study(folder, COMPARING):
        forget_results(folder)
    write_mark(
        folder,
        COMPARING,
        {
            "trial": best.number,
            "hours": hours,
            "entries": [e.name for e in who],
            "share_seconds": share,
            "epochs": settings.verdict.epochs,
        },
    )

    def tick() -> None:
        follower.follow(records)
        if on_status is not None:
            on_status(status_of(folder, settings, records, spent))

    FinalComparison(folder, settings, run_data.data, run_data.test, hours).run(who, executor, tick)
    tick()
