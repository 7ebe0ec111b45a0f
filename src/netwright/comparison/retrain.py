"""Trains a network after the search: for the final comparison, and for ``netwright train``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from netwright.comparison.contestants import ORIGINAL, SEARCHED, Entry
from netwright.data.open import open_prepared_once
from netwright.errors import DatasetWarning, SettingsError
from netwright.execution import heartbeat
from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Done, Job, run_jobs
from netwright.files import read_json, write_json
from netwright.models.store import describe_trained, load_trained
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.results import RESULT
from netwright.runs.start import start_weights
from netwright.searches.components import with_own_training
from netwright.searches.jobs import CandidateJob, candidate_job, run_candidate
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.tasks.base import TestCase
from netwright.tasks.predictor import Predictor, Results
from netwright.training.checkpoint import remove_checkpoint
from netwright.training.config import TrainingProtocol
from netwright.training.files import CHECKPOINT, LOG
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

MOST_EPOCHS = 1000
"""The most epochs of a training that its wall time ends."""

ON_ALL = "training+validation"


def cases_of(settings: RunSettings, data: SearchData) -> tuple[int, ...]:
    """Indices of the cases that a network is trained on after the search. Test cases are never among them."""
    return (*data.training, *data.validation) if settings.train.cases == ON_ALL else data.training


def verdict_protocol(settings: RunSettings, share: float | None) -> TrainingProtocol:
    """The run's protocol with a given wall time, or with the comparison's epochs where there is none.

    The learning rate falls to 0, or follows the recipe (``verdict.schedule``). Where it falls there is no patience,
    which would end a training too early. Early termination is off. It saves time in a search, but the original network
    is slower than most candidates and would then get no result (Iranfar et al. 2022, Section VII).
    """
    as_published = settings.verdict.schedule == "recipe"
    schedule = settings.train.schedule or settings.training.schedule if as_published else "cosine"
    return replace(
        settings.training,
        seconds=share,
        epochs=settings.verdict.epochs or MOST_EPOCHS,
        steps=None,
        schedule=schedule,
        early=None,
        patience=_patience(settings) if as_published and schedule != "cosine" else None,
    )


def train_protocol(settings: RunSettings, epochs: int | None, hours: float | None) -> TrainingProtocol:
    """The protocol of ``netwright train``.

    Args:
        settings: of the run.
        epochs: in place of those of the settings.
        hours: wall time that epochs and schedule are fitted to, without patience; None: no limit.
    """
    training, own = settings.training, settings.train
    return replace(
        training,
        epochs=epochs or own.epochs or training.epochs,
        steps=None if epochs or own.epochs else training.steps,
        seconds=None if hours is None else hours * 3600.0,
        schedule=own.schedule or training.schedule,
        early=None,
        patience=_patience(settings) if hours is None else None,
        threads=settings.machine.whole_threads,
    )


def require_retraining(settings: RunSettings) -> None:
    """Refuses to train on the validation cases where these must judge the training.

    Raises:
        SettingsError: the message says what they judge, and what to do.
    """
    if settings.train.cases != ON_ALL:
        return
    judged = [
        f"{name} ({value}) goes by the validation cases. Set {name}={off}"
        for name, value, off in (
            ("training.patience", settings.training.patience, "null and train.epochs to a number"),
            ("train.patience", settings.train.patience, "null and train.epochs to a number"),
            ("postprocessing.crf", settings.postprocessing.crf, "false"),
        )
        if value
    ]
    if judged:
        raise SettingsError(
            f"train.cases={ON_ALL} trains on the validation cases, too, but {judged[0]}, or train.cases=training."
        )


def require_repeatable(settings: RunSettings) -> None:
    """Refuses several trainings of each network of the final comparison where none is trained there.

    Raises:
        SettingsError: the message says why, and what to do.
    """
    seeds = settings.verdict.seeds
    if seeds == 1:
        return
    if settings.race is not None:
        raise SettingsError(
            f"verdict.seeds={seeds} (--seeds) trains the networks of the final comparison again, but in a search whose "
            "trainings go on (race) they go on from their checkpoints, and are tested as they are. Repeat the whole "
            f"search with other seeds (--splits {seeds}), or name a recipe that trains each candidate once, such as "
            "segnas4 ('netwright recipes' lists them)."
        )
    if settings.verdict.hours == 0:
        raise SettingsError(
            f"verdict.seeds={seeds} (--seeds) trains the networks of the final comparison again, but verdict.hours=0 "
            "(--verdict-hours) leaves it out. Give it hours, or leave --seeds out."
        )


def _patience(settings: RunSettings) -> int | None:
    return settings.train.patience or settings.training.patience


@dataclass(frozen=True)
class ContestantJob:
    """Training like a candidate, then the test on ``cases``. ``searched``: whether it is the network that the search
    found.
    """

    candidate: CandidateJob
    cases: tuple[TestCase, ...]
    searched: bool = False


class FinalComparison:
    """Retrains and tests every entry that has no result yet. If it is killed, it goes on with the next entry."""

    def __init__(
        self,
        folder: RunFolder,
        settings: RunSettings,
        data: SearchData,
        cases: tuple[TestCase, ...],
        hours: float,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._data = data
        self._cases = cases
        self._hours = hours

    def run(self, who: list[Entry], executor: Executor, on_tick: Callable[[], None] | None = None) -> None:
        """Trains and tests the entries. ``on_tick`` is called about twice a second.

        Args:
            who: the entries.
            executor: runs the jobs.
            on_tick: called about twice a second.
        """
        settings = self._settings
        share = share_seconds(settings, self._hours, len(who))
        for entry in who:
            if is_done(self._folder, entry.name):  # just before a kill, perhaps
                remove_checkpoint(self._folder.contestant(entry.name) / CHECKPOINT)
        jobs = [
            Job(
                run_contestant,
                partial(self._job, entry, share),
                key=entry,
                log=self._folder.contestant(entry.name) / LOG,
            )
            for entry in who
            if not is_done(self._folder, entry.name)
        ]
        for done in run_jobs(
            executor,
            jobs,
            settings.budget.retries,
            at_once=settings.machine.workers,
            devices=devices(settings.training.device, settings.training.devices),
            crashed=lambda result: result["outcome"]["status"] == Status.CRASHED,
            on_tick=on_tick or (lambda: None),
        ):
            status = store_result(self._folder, done.job.key, share, done)
            if status != Status.CRASHED:
                # Not before the result is stored. An entry that crashed is tried again, and goes on from it.
                remove_checkpoint(self._folder.contestant(done.job.key.name) / CHECKPOINT)

    def _starts(self, entry: Entry) -> bool:
        """Whether an entry begins with the weights that the search started from: the others are what one has without.

        A network of the user's own has the user's own weights.
        """
        start, network = self._settings.start_from, entry.name.partition("/")[0]  # with whatever seed
        return network == SEARCHED or (network == ORIGINAL and start is not None and not start.choices)

    def _job(self, entry: Entry, share: float | None, device: str) -> ContestantJob:
        settings = self._settings
        own = settings if entry.reference is not None else with_own_training(settings, entry.choice)
        protocol = verdict_protocol(own, share)
        job = candidate_job(
            settings,
            self._data,
            entry.choice,
            protocol,
            seed=derive_seed(settings.seed, "verdict", entry.name),
            folder=self._folder.contestant(entry.name),
            device=device,
            weights=start_weights(self._folder, settings) if self._starts(entry) else None,
        )
        return ContestantJob(
            replace(job, training=cases_of(settings, self._data), reference=entry.reference),
            cases=self._cases,
            searched=entry.name.partition("/")[0] == SEARCHED,
        )


def store_result(folder: RunFolder, entry: Entry, share: float | None, done: Done) -> str:
    """Writes the result of an entry that was trained and tested, or failed. Returns its status.

    Args:
        folder: of the run.
        entry: the network.
        share: its wall time in s; None: epochs were given.
        done: the end of its job, `run_contestant`.
    """
    result = done.result
    if done.failure is not None:
        result = {"outcome": Outcome.of_failure(done.failure).to_dict(), "scores": {}}
    write_json(folder.contestant(entry.name) / RESULT, {**asdict(entry), "share_seconds": share, **result})
    status: str = result["outcome"]["status"]
    return status


def share_seconds(settings: RunSettings, hours: float, entries: int) -> float | None:
    """The wall time of each entry in s, if as many train at once as there are workers; None: epochs are given.

    Args:
        settings: of the run.
        hours: of the whole comparison.
        entries: how many networks are trained.
    """
    if settings.verdict.epochs is not None:
        return None
    return hours * 3600.0 / math.ceil(entries / settings.machine.workers)


def run_contestant(job: ContestantJob) -> dict[str, Any]:
    """Trains and tests one entry, in a worker.

    Returns ``outcome``, ``scores`` (case -> column -> score) and what else the task measures.
    """
    candidate = job.candidate
    with heartbeat.watched(candidate.settings.machine.hang_seconds):
        # Before the weights, so that weights are never without what it takes to use them.
        describe_trained(
            candidate.folder,
            candidate.settings,
            open_prepared_once(candidate.prepared),
            candidate.choice,
            candidate.reference,
        )
    outcome = Outcome.from_dict(run_candidate(candidate))
    if outcome.status != Status.COMPLETE:
        return {"outcome": outcome.to_dict(), "scores": {}}
    return {"outcome": outcome.to_dict(), **results_of(finished(candidate), job)}


def finished(candidate: CandidateJob) -> Predictor:
    """The trained network in a candidate's folder, with what its task fits after the training."""
    with heartbeat.watched(candidate.settings.machine.hang_seconds):
        prepared = open_prepared_once(candidate.prepared)
        trained = load_trained(candidate.folder, candidate.settings, candidate.protocol.device)
    return TASKS[prepared.task].finish(
        trained, candidate.folder, candidate.settings, prepared, candidate.validation
    )


def results_of(trained: Predictor, job: ContestantJob) -> Results:
    """The scores of a network on the job's cases. Warnings about the data were given when it was inspected."""
    folder, task = job.candidate.folder, TASKS[open_prepared_once(job.candidate.prepared).task]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        return task.final_results(trained, folder, job.cases, searched=job.searched)


def is_done(folder: RunFolder, name: str) -> bool:
    """Whether an entry has a final result. An entry that crashed is tried again when the run is resumed."""
    path = folder.contestant(name) / RESULT
    return path.exists() and read_json(path)["outcome"]["status"] != Status.CRASHED
