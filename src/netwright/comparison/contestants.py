"""The final comparison: the winner and the networks one would have taken without a search, retrained alike.

All get the same protocol and the same wall time, as many at once as the search had workers and each with a worker's
threads, and are then tested on the cases that the search never saw. The winner's test is the only one that a user
should quote; the others say what it is worth.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from netwright.comparison.retrain import cases_of, verdict_protocol
from netwright.data.open import open_prepared_once
from netwright.errors import (
    DatasetWarning,
    InfeasibleArchitecture,
    RunError,
    SettingsError,
    concerns_all,
)
from netwright.execution.base import Executor
from netwright.execution.memory import kills_for_memory
from netwright.execution.resources import devices
from netwright.files import read_json, write_json
from netwright.models.store import describe_trained, load_trained
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder, open_run_folder
from netwright.runs.results import RESULT
from netwright.runs.trials import best_of, load_trials, record_of
from netwright.searches.components import problem_of
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.searches.loop import TICK_SECONDS, is_hanging, outcome_of_loss
from netwright.searches.random_choices import draw_choice
from netwright.settings import RunSettings
from netwright.spaces import same_space
from netwright.spaces.base import HasBase, Layered, Space
from netwright.tasks import TASKS
from netwright.tasks.base import Predictor, Results, TestCase
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

SEARCHED, ORIGINAL, BASE, RIVAL, START = "searched", "original", "base", "rival", "start"
RANDOM = "random network"
FEASIBLE_TRIES = 1000


@dataclass(frozen=True)
class Entry:
    """A network that takes part: a choice of the space, or a hand-made reference.

    ``role``: its part in the table of costs beside the original, None where it has none there. ``words``: its choice as
    its space tells it.
    """

    name: str
    title: str
    choice: dict[str, Any]
    reference: str | None
    role: str | None = None
    words: str = ""


@dataclass(frozen=True)
class ContestantJob:
    """Training as a candidate, then the test on ``cases``. ``searched``: whether it is the search's own network."""

    candidate: CandidateJob
    cases: tuple[TestCase, ...]
    searched: bool = False


def entries(
    settings: RunSettings,
    space: Space,
    data: SearchData,
    best: dict[str, Any],
    start: tuple[str, dict[str, Any]] | None = None,
) -> list[Entry]:
    """Who takes part: the winner, the network whose layers were tuned, the hand-made network of the winner's depth, the
    policy that the search started from, a rival run's best, random choices of the same space, the references.

    ``start``: title and choice of the policy that the search started from, where it had one.
    """
    from netwright.spaces.references import REFERENCES

    result = [Entry(SEARCHED, "the searched network", best, None, SEARCHED)]
    if isinstance(space, Layered):
        result.append(Entry(ORIGINAL, "the original network", space.original_choice(), None, ORIGINAL))
    if isinstance(space, HasBase):
        title, base = space.base_choice(best)
        if space.canonical(base) != space.canonical(best):
            result.append(Entry(BASE, title, base, None))
    if start is not None and space.canonical(start[1]) != space.canonical(best):
        result.append(Entry(START, *start, None))
    if settings.verdict.rival is not None:
        result.append(rival(settings, settings.verdict.rival))
    for index in range(settings.verdict.random_choices):
        name = "random" if index == 0 else f"random-{index + 1}"
        choice = random_choice(settings, space, data, index)
        result.append(Entry(name, "a random network of the same space", choice, None, RANDOM))
    for name in reference_names(settings, space, data):
        result.append(Entry(name, REFERENCES[name].title, {}, name))
    return result


def reference_names(settings: RunSettings, space: Space, data: SearchData) -> tuple[str, ...]:
    """The hand-made networks that take part: those named; else those made for such a task, or none where the space
    has an original or a base of its own.
    """
    from netwright.spaces.references import suiting

    if settings.verdict.references is not None:
        return settings.verdict.references
    if isinstance(space, Layered | HasBase):
        return ()
    return suiting(problem_of(settings, open_prepared_once(data.prepared)).task)


def rival(settings: RunSettings, path: Path) -> Entry:
    """The best network of another run, with what that run spent in its title.

    Raises:
        RunError: there is no such run, it has no best network, or it searched another space or on other cases.
    """
    folder = open_run_folder(path)
    other = folder.settings()
    if not same_space(other.space, settings.space):
        raise RunError(
            f"verdict.rival: {path} searched another space ({other.space.model_dump()}) than this run "
            f"({settings.space.model_dump()}); expected one space, so that both could have found the same networks."
        )
    if (other.dataset, other.seed, other.split) != (settings.dataset, settings.seed, settings.split):
        raise RunError(
            f"verdict.rival: {path} has other training, validation and test cases than this run; expected the same "
            "dataset, seed and split, so that no test case was seen by either."
        )
    records = [record_of(trial) for trial in load_trials(folder)]
    best = best_of(records)
    if best is None:
        raise RunError(f"verdict.rival: {path} has no trained candidate.")
    by_chance = other.strategy.name in ("random", "optuna-random")
    title = f"{'random search' if by_chance else other.strategy.name}, {len(records)} trials ({path.name})"
    if other.supernet is not None:
        title = f"one training with shared weights ({path.name})"
    return Entry(RIVAL, title, best.choice, None, "random search" if by_chance else "another search")


def random_choice(settings: RunSettings, space: Space, data: SearchData, index: int) -> dict[str, Any]:
    """A choice drawn uniformly among those that make a network that fits, whether or not it keeps the objective's
    limits: they hold for the search.

    Raises:
        RunError: none was found in many tries.
    """
    from netwright.training.cost import fits
    from netwright.training.trial import predicted_cost

    task = problem_of(settings, open_prepared_once(data.prepared)).task
    rng = np.random.default_rng(derive_seed(settings.seed, "random choice", index))
    distributions = space.distributions()
    for _ in range(FEASIBLE_TRIES):
        choice = draw_choice(distributions, rng)
        try:
            cost = predicted_cost(partial(space.build, choice), task, settings.training)
        except InfeasibleArchitecture:
            continue
        if fits(cost, settings.machine.memory_limit_mb):
            return choice
    raise RunError(f"None of {FEASIBLE_TRIES} random choices of {space.name} makes a network that fits.")


class Verdict:
    """Retrains and tests every entry that has no result yet; a killed one is continued by the next entry."""

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
        """Go through the entries; ``on_tick`` is called about twice a second."""
        workers = self._settings.machine.workers
        share = share_seconds(self._settings, self._hours, len(who))
        waiting = [entry for entry in who if not is_done(self._folder, entry.name)]
        running: list[_Turn] = []
        while waiting or running:
            while waiting and len(running) < workers:
                busy = [turn.device for turn in running]
                device = min(devices(self._settings.training.device), key=busy.count)
                running.append(self._start(waiting.pop(0), executor, share, device))
            done, _ = wait([turn.future for turn in running], TICK_SECONDS, FIRST_COMPLETED)
            for turn in [turn for turn in running if turn.future in done]:
                running.remove(turn)
                result, again = _result(turn)
                if again and turn.attempt < self._settings.budget.retries:
                    running.append(self._start(turn.entry, executor, share, turn.device, turn.attempt + 1))
                    continue
                write_json(
                    self._folder.contestant(turn.entry.name) / RESULT,
                    {**asdict(turn.entry), "share_seconds": share, **result},
                )
            if on_tick is not None:
                on_tick()

    def _start(
        self, entry: Entry, executor: Executor, share: float | None, device: str, attempt: int = 0
    ) -> _Turn:
        kills = kills_for_memory()
        future = executor.submit(run_contestant, self._job(entry, share, device))
        return _Turn(entry, device, future, kills, attempt)

    def _job(self, entry: Entry, share: float | None, device: str) -> ContestantJob:
        settings = self._settings
        protocol = verdict_protocol(settings, share)
        return ContestantJob(
            candidate=CandidateJob(
                settings=settings,
                prepared=self._data.prepared,
                training=cases_of(settings, self._data),
                validation=self._data.validation,
                choice=entry.choice,
                reference=entry.reference,
                protocol=replace(protocol, threads=settings.machine.threads, device=device),
                seed=derive_seed(settings.seed, "verdict", entry.name),
                folder=self._folder.contestant(entry.name),
                memory_limit_mb=settings.machine.memory_limit_mb,
            ),
            cases=self._cases,
            searched=entry.name == SEARCHED,
        )


@dataclass(frozen=True)
class _Turn:
    """An entry in training."""

    entry: Entry
    device: str
    future: Future[Any]
    system_kills: int | None
    attempt: int


def _result(turn: _Turn) -> tuple[dict[str, Any], bool]:
    """What came of an entry, and whether it may be tried again."""
    try:
        result: dict[str, Any] = turn.future.result()
    except Exception as error:
        if concerns_all(error):
            raise
        outcome = outcome_of_loss(error, turn.attempt, turn.system_kills, kills_for_memory())
        again = outcome.status == Status.CRASHED and not is_hanging(error)
        return {"outcome": outcome.to_dict(), "scores": {}}, again
    return result, result["outcome"]["status"] == Status.CRASHED


def share_seconds(settings: RunSettings, hours: float, entries: int) -> float | None:
    """The wall time of each entry, in s, when as many train at once as there are workers; None: epochs are given."""
    if settings.verdict.epochs is not None:
        return None
    return hours * 3600.0 / math.ceil(entries / settings.machine.workers)


def run_contestant(job: ContestantJob) -> dict[str, Any]:
    """Train and test one entry, in a worker. Returns ``outcome``, ``scores`` (case -> column -> score) and what else
    the task measures.
    """
    candidate = job.candidate
    prepared = open_prepared_once(candidate.prepared)
    # Before the weights, so that weights are never without what it takes to use them.
    describe_trained(
        candidate.folder,
        candidate.settings,
        prepared,
        candidate.choice,
        candidate.reference,
    )
    outcome = Outcome.from_dict(run_candidate(candidate))
    if outcome.status != Status.COMPLETE:
        return {"outcome": outcome.to_dict(), "scores": {}}
    trained = TASKS[prepared.task].finish(
        load_trained(candidate.folder, candidate.settings, candidate.protocol.device),
        candidate.folder,
        candidate.settings,
        prepared,
        candidate.validation,
    )
    return {"outcome": outcome.to_dict(), **results_of(trained, job)}


def results_of(trained: Predictor, job: ContestantJob) -> Results:
    """How a network does on the job's cases. What is odd about the data was told when they were inspected."""
    folder, task = job.candidate.folder, TASKS[open_prepared_once(job.candidate.prepared).task]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        return task.final_results(trained, folder, job.cases, searched=job.searched)


def is_done(folder: RunFolder, name: str) -> bool:
    """Whether an entry has a result that stands; one that crashed is tried again when the run is resumed."""
    path = folder.contestant(name) / RESULT
    return path.exists() and read_json(path)["outcome"]["status"] != Status.CRASHED


def require_references(settings: RunSettings) -> None:
    """Refuse reference networks that there are not.

    Raises:
        SettingsError: there is no such network; there are named.
    """
    from netwright.spaces.references import REFERENCES

    unknown = [name for name in settings.verdict.references or () if name not in REFERENCES]
    if unknown:
        raise SettingsError(
            f"verdict.references: there is no reference network {unknown[0]!r}. There are: {', '.join(REFERENCES)}."
        )


def require_rival(settings: RunSettings) -> None:
    """Refuse a rival that could not take part.

    Raises:
        RunError: as `rival`.
    """
    if settings.verdict.rival is not None:
        rival(settings, settings.verdict.rival)
