"""What a search was worth: the default is trained alone for as long as all of the search took, and tested on its cases.

The training is that of the default in the race: the same protocol and first weights, with as many threads as a
training at the end of the search, and mirrored views under the same conditions as its end has them. It goes on from its
checkpoint when it was killed, and when the run gets more hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from netwright.comparison.choose_ensemble import choose_ensemble
from netwright.comparison.contestants import Entry
from netwright.comparison.finalists import EnsembleJob, Finalist, with_views
from netwright.comparison.finish import with_known
from netwright.comparison.kept_outputs import drop_outputs
from netwright.comparison.retrain import ContestantJob, finished, is_done, results_of, store_result
from netwright.comparison.seconds_at_end import choosing_seconds, seconds_to_finish
from netwright.data.open import open_prepared_once
from netwright.errors import RunError
from netwright.execution import heartbeat
from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Job, run_jobs
from netwright.files import read_json
from netwright.models.store import describe_trained
from netwright.report.results import DEFAULT_ALONE
from netwright.runs.data import RunData
from netwright.runs.folder import RunFolder
from netwright.runs.results import RESULT
from netwright.runs.start import start_weights
from netwright.searches.components import protocol_of
from netwright.searches.jobs import candidate_job, run_candidate
from netwright.searches.race_view import joins_of, threads_at_end
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.spaces.base import Space
from netwright.tasks import TASKS
from netwright.training.files import LOG
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

ALONE = DEFAULT_ALONE


def seconds_alone(settings: RunSettings, validation: int, test: int) -> float:
    """How long the default is trained alone, in s: all the hours but what planning, choice, test and report take.

    As much is kept for these as in the race at most, so that it is never trained for less time than that.

    Args:
        settings: of the run.
        validation: the number of validation cases.
        test: the number of test cases.
    """
    assert settings.race is not None
    measured = settings.race.validation_seconds
    beside = settings.race.used_seconds + seconds_to_finish(settings, measured, validation, test, networks=1)
    return max(settings.race.first_seconds, 3600.0 * (settings.budget.hours or 0.0) - beside)


def space_alone(settings: RunSettings, space: Space) -> Space:
    """The space whose starting choice is the default: without what was taken over from another run, unless it is said.

    Args:
        settings: of the run.
        space: that was searched.
    """
    start, options = settings.start_from, settings.space.options
    if start is None or start.default_alone or not start.choices or "start" not in options:
        return space
    return make_space(settings.space.model_copy(update={"start": start.own_start}))


def compare_default_alone(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    space: Space,
    executor: Executor,
    on_tick: Callable[[], None],
) -> None:
    """Trains and tests the default alone, unless that was done for the same hours.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        space: that was searched.
        executor: runs the training.
        on_tick: called about twice a second.
    """
    space = space_alone(settings, space)
    seconds = seconds_alone(settings, len(run_data.data.validation), len(run_data.test))
    path = folder.contestant(ALONE) / RESULT
    if is_done(folder, ALONE) and read_json(path)["share_seconds"] == seconds:
        return
    path.unlink(missing_ok=True)
    choice = dict(space.starting_choice())
    entry = Entry(ALONE, "the default, alone for all the hours", choice, None, None, space.describe(choice))
    job = Job(
        run_alone,
        partial(_job, folder, settings, run_data, space, entry, seconds),
        log=folder.contestant(ALONE) / LOG,
    )
    (done,) = run_jobs(
        executor,
        [job],
        settings.budget.retries,
        devices=devices(settings.training.device, settings.training.devices),
        crashed=lambda result: result["outcome"]["status"] == Status.CRASHED,
        on_tick=on_tick,
    )
    axes = () if done.result is None else done.result.get("mirror_axes", ())
    store_result(folder, replace(entry, words=with_views(entry.words, axes)), seconds, done)


@dataclass(frozen=True)
class AloneJob:
    """The training and test of the default, and within how many seconds its mirrored views are chosen."""

    contestant: ContestantJob
    choosing_seconds: float
    groups: dict[str, str]


def run_alone(job: AloneJob) -> dict[str, Any]:
    """Trains the default, takes mirrored views as the end of a search does, and tests it, in a worker.

    Returns what `netwright.comparison.retrain.run_contestant` does, and ``mirror_axes``, where these could be chosen.
    """
    candidate = job.contestant.candidate
    with heartbeat.watched(candidate.settings.machine.hang_seconds):
        prepared = open_prepared_once(candidate.prepared)
        describe_trained(candidate.folder, candidate.settings, prepared, candidate.choice, None)
    outcome = Outcome.from_dict(run_candidate(candidate))
    if outcome.status != Status.COMPLETE:
        return {"outcome": outcome.to_dict(), "scores": {}}
    timed_with = candidate.settings.machine.threads  # as the networks of the search
    if candidate.protocol.threads != timed_with:
        outcome = replace(outcome, cost=replace(outcome.cost, seconds_per_batch=None))
    finalist = Finalist(ALONE, candidate.folder, candidate.choice, None, 0.0, asdict(outcome.cost))
    choosing = EnsembleJob(
        settings=candidate.settings,
        prepared=candidate.prepared,
        validation=candidate.validation,
        finalists=(finalist,),
        protocol=replace(candidate.protocol, threads=timed_with),
        folder=candidate.folder,
        seconds=job.choosing_seconds,
        mirror_axes=TASKS[prepared.task].mirror_axes,
        groups=job.groups,
        threads=threads_at_end(candidate.settings),
    )
    try:
        choice = choose_ensemble(choosing)
    except RunError:  # then it is tested as it was trained
        return {"outcome": outcome.to_dict(), **_tested(job.contestant)}
    drop_outputs(candidate.folder)
    outcome = replace(outcome, metrics=choice["metrics"], cost=with_known(outcome.cost, choice["cost"]))
    return {"outcome": outcome.to_dict(), **_tested(job.contestant), "mirror_axes": choice["mirror_axes"]}


def _tested(job: ContestantJob) -> dict[str, Any]:
    from netwright.training.device import threads

    with threads(threads_at_end(job.candidate.settings)):
        return dict(results_of(finished(job.candidate), job))


def _job(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    space: Space,
    entry: Entry,
    seconds: float,
    device: str,
) -> AloneJob:
    protocol, start = protocol_of(settings, space, entry.choice), settings.start_from
    job = candidate_job(
        settings,
        run_data.data,
        entry.choice,
        replace(protocol, seconds=seconds),
        seed=derive_seed(settings.seed, "trial", 0),  # the default begins the race
        folder=folder.contestant(ALONE),
        device=device,
        weights=start_weights(folder, settings) if start is not None and start.default_alone else None,
    )
    protocol = replace(job.protocol, threads=settings.machine.threads * joins_of(settings))
    contestant = ContestantJob(replace(job, protocol=protocol, keep_checkpoint=True), run_data.test)
    return AloneJob(contestant, choosing_seconds(settings), dict(folder.splits().groups))
