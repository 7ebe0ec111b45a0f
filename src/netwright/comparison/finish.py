"""The end of a search with trainings that go on: the trained networks are chosen and tested; none is trained again.

On the validation cases it is decided which of the best networks are used, alone or together, and with which mirrored
views. The default, which is the space's starting choice, was trained from the first second. It is used if nothing is
significantly better, and is always tested.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from netwright.comparison.choose_ensemble import choose_ensemble
from netwright.comparison.contestants import SEARCHED, Entry
from netwright.comparison.finalists import (
    EnsembleJob,
    Finalist,
    composition_of,
    finalists_of,
    network_of,
    with_views,
)
from netwright.comparison.kept_outputs import drop_outputs
from netwright.comparison.retrain import ContestantJob, finished, results_of
from netwright.data.base import AnyPrepared
from netwright.data.open import open_prepared_once
from netwright.errors import NetwrightError, RunError
from netwright.execution import heartbeat
from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Done, Job, run_jobs
from netwright.files import PARTIAL, write_json
from netwright.models.store import describe_trained
from netwright.report.results import DEFAULT
from netwright.runs.candidates import TrainedCandidate
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.results import RESULT
from netwright.runs.trials import TrialRecord
from netwright.searches.components import protocol_of
from netwright.searches.jobs import candidate_job
from netwright.searches.race_view import threads_at_end
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.tasks import TASKS
from netwright.tasks.base import TestCase
from netwright.training.files import CURVES, LOG, WEIGHTS
from netwright.training.outcome import Cost, Status
from netwright.training.seeding import derive_seed
from netwright.training.weights import is_readable, save_weights

ENSEMBLE = "ensemble.json"
"""What was chosen in the end and why: members, mirrored views, gains."""


@dataclass(frozen=True)
class FinishJob:
    """A network that is tested, and where it comes from.

    Args:
        test: how it is tested.
        threads: with which it is tested.
        source: the trial's folder; None: the network is in its own folder already.
        mirror_axes: the spatial axes along which views are mirrored, of a network from a trial.
    """

    test: ContestantJob
    threads: int
    source: Path | None = None
    mirror_axes: tuple[int, ...] = ()


class Finish:
    """The end of a run whose trainings went on.

    Args:
        folder: of the run.
        settings: of the run.
        space: that was searched.
        data: the run's training and validation cases.
        cases: to test on.
        candidates: of the search.
        seconds: within which the finalists are compared on the validation cases.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: RunSettings,
        space: Space,
        data: SearchData,
        cases: tuple[TestCase, ...],
        candidates: Sequence[TrainedCandidate],
        seconds: float,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._space = space
        self._data = data
        self._cases = cases
        self._candidates = [c for c in candidates if c.latest is not None]
        self._seconds = seconds

    def run(self, executor: Executor, on_tick: Callable[[], None]) -> tuple[str, ...]:
        """Chooses, tests, and keeps the networks in their folders, ready for use. Returns the names of those.

        Args:
            executor: runs the jobs.
            on_tick: called about twice a second.

        Where the finalists cannot be compared, as memory is short or their files are damaged, the best network that
        can be read is used alone.

        Raises:
            RunError: no network can be read.
        """
        try:
            choice = self._run_one(executor, choose_ensemble, self._choosing, on_tick)
        except RunError as error:
            choice = self._best_alone(str(error))
        self._drop_old_outputs()
        entries = self._entries(choice)
        write_json(self._folder.root / ENSEMBLE, choice)
        self._test(choice, entries, executor, on_tick)
        return tuple(entry.name for entry, _ in entries)

    def _drop_old_outputs(self) -> None:
        """Removes the outputs that an earlier end kept, before the run got more hours, of what is no finalist now."""
        finalists = {finalist.folder for finalist in finalists_of(self._folder, self._candidates)}
        for part in (part for candidate in self._candidates for part in candidate.parts):
            if self._folder.trial(part.number) not in finalists:
                drop_outputs(self._folder.trial(part.number))

    def _test(
        self,
        choice: dict[str, Any],
        entries: Sequence[tuple[Entry, TrainedCandidate]],
        executor: Executor,
        on_tick: Callable[[], None],
    ) -> None:
        for name in (SEARCHED, DEFAULT):  # of an earlier end, before the run got more hours
            (self._folder.contestant(name) / RESULT).unlink(missing_ok=True)
        threads = threads_at_end(self._settings, at_once=len(entries))
        jobs = [
            Job(
                run_finalist,
                partial(self._testing, entry, candidate, choice, threads),
                key=(entry, candidate),
                log=self._folder.contestant(entry.name) / LOG,
            )
            for entry, candidate in entries
        ]
        for done in self._done(executor, jobs, on_tick):
            entry, candidate = done.job.key
            assert candidate.latest is not None
            assert candidate.latest.outcome is not None
            outcome = candidate.latest.outcome
            decided = choice if entry.name == SEARCHED else choice.get("default")
            if decided is not None:
                cost = with_known(outcome.cost, decided["cost"])
                outcome = replace(outcome, metrics=decided["metrics"], cost=cost)
            if done.failure is not None:
                outcome = replace(outcome, status=Status.CRASHED, reason=done.failure.reason)
            write_json(
                self._folder.contestant(entry.name) / RESULT,
                {
                    **asdict(entry),
                    "share_seconds": candidate.seconds,
                    "outcome": outcome.to_dict(),
                    **(done.result or {"scores": {}}),
                },
            )

    def _best_alone(self, reason: str) -> dict[str, Any]:
        """The best network as it is, where the finalists could not be compared; as `choose_ensemble` tells it.

        Args:
            reason: why they could not.
        """
        parts = [part for candidate in self._candidates for part in candidate.complete]
        ranked = sorted(parts, key=lambda part: (-(part.reward or 0.0), part.number))
        best = next((part for part in ranked if self._is_readable(part)), None)
        if best is None:
            raise RunError(
                f"No network of {self._folder.root} can be read: all of trials/*/{WEIGHTS} are missing or damaged. "
                "Restore them from a copy, or give the run more time (netwright resume --hours)."
            )
        assert best.outcome is not None
        prepared = open_prepared_once(self._data.prepared)
        source = self._folder.trial(best.number)
        keep_network(source, self._folder.winner, self._settings, prepared, best.choice)
        return {
            "members": [{"name": str(best.number), "weight": 1.0, "alone": best.reward, "without": None}],
            "mirror_axes": [],
            "metrics": best.outcome.metrics,
            "cost": asdict(best.outcome.cost),
            "reward": best.reward,
            "selection": {
                "reason": f"the best network alone, since the finalists could not be compared: {reason}"
            },
            "left_out": [],
        }

    def _is_readable(self, part: TrialRecord) -> bool:
        return is_readable(self._folder.trial(part.number) / WEIGHTS)

    def _run_one(
        self,
        executor: Executor,
        function: Callable[[Any], Any],
        argument: Callable[[str], Any],
        on_tick: Callable[[], None],
    ) -> Any:
        (done,) = self._done(executor, [Job(function, argument)], on_tick)
        if done.failure is None:
            return done.result
        if isinstance(done.failure.error, NetwrightError):
            raise done.failure.error
        raise RunError(f"No finalist of {self._folder.root} can be used: {done.failure.reason}.")

    def _done(self, executor: Executor, jobs: Sequence[Job], on_tick: Callable[[], None]) -> Iterator[Done]:
        return run_jobs(
            executor,
            jobs,
            self._settings.budget.retries,
            at_once=self._settings.machine.workers,
            devices=devices(self._settings.training.device, self._settings.training.devices),
            on_tick=on_tick,
        )

    def _choosing(self, device: str) -> EnsembleJob:
        settings, task = self._settings, TASKS[open_prepared_once(self._data.prepared).task]
        assert settings.race is not None
        protocol = replace(settings.training, threads=settings.machine.threads, device=device)
        return EnsembleJob(
            settings=settings,
            prepared=self._data.prepared,
            validation=self._data.validation,
            finalists=finalists_of(self._folder, self._candidates),
            protocol=protocol,
            folder=self._folder.winner,
            seconds=self._seconds,
            mirror_axes=task.mirror_axes,
            single=settings.race.single,
            groups=dict(self._folder.splits().groups),
            threads=threads_at_end(settings),
        )

    def _entries(self, choice: dict[str, Any]) -> list[tuple[Entry, TrainedCandidate]]:
        """What is tested, each with a candidate that is part of it. A default that cannot be is noted in ``choice``."""
        by_name = {str(part.number): c for c in self._candidates for part in c.parts}
        first = by_name[choice["members"][0]["name"]]
        words = first.words if len(choice["members"]) == 1 else f"{len(choice['members'])} networks together"
        words = with_views(words, choice["mirror_axes"])
        default = next((c for c in self._candidates if c.default), None)
        alone = len(choice["members"]) == 1 and first is default
        start = self._settings.start_from
        usual = (
            "the default" if start is None or not start.choices else f"the best of {start.name}, trained here"
        )
        title = usual if alone else "the searched network"
        entries = [(Entry(SEARCHED, title, first.choice, None, SEARCHED, words), first)]
        if default is not None and not any(map(self._is_readable, default.complete)):
            reason = "its files cannot be read, so the default is not tested"
            choice["left_out"] = [*choice["left_out"], {"name": str(default.number), "reason": reason}]
        elif default is not None and not alone:
            words = with_views(default.words, _default_axes(choice))
            entry = Entry(DEFAULT, usual, default.choice, None, None, words)
            entries.append((entry, default))
        return entries

    def _testing(
        self, entry: Entry, candidate: TrainedCandidate, choice: dict[str, Any], threads: int, device: str
    ) -> FinishJob:
        """The test of a network.

        Args:
            entry: the network.
            candidate: of which it is, or one of its members.
            choice: what was chosen.
            threads: with which it is tested.
            device: where it is tested.
        """
        settings = self._settings
        protocol = protocol_of(settings, self._space, entry.choice)
        job = candidate_job(
            settings,
            self._data,
            entry.choice,
            protocol,
            seed=derive_seed(settings.seed, "trial", candidate.number),
            folder=self._folder.contestant(entry.name),
            device=device,
        )
        test = ContestantJob(job, self._cases, searched=entry.name == SEARCHED)
        if test.searched:
            return FinishJob(test, threads)
        latest = next(part for part in reversed(candidate.complete) if self._is_readable(part))
        return FinishJob(test, threads, self._folder.trial(latest.number), _default_axes(choice))


def _default_axes(choice: Mapping[str, Any]) -> tuple[int, ...]:
    """The mirrored views with which the default was compared."""
    return tuple((choice.get("default") or {}).get("mirror_axes", ()))


def with_known(cost: Cost, known: Mapping[str, Any]) -> Cost:
    """A cost, with what is known of it by names in place of its own."""
    names = {one.name for one in fields(Cost)}
    return replace(cost, **{n: value for n, value in known.items() if n in names and value is not None})


def run_finalist(job: FinishJob) -> dict[str, Any]:
    """Tests a network, in a worker, from its folder or after it was copied there. Returns what `results_of` does."""
    from netwright.training.device import threads

    candidate = job.test.candidate
    with heartbeat.watched(candidate.settings.machine.hang_seconds):
        prepared = open_prepared_once(candidate.prepared)
        if job.source is not None:
            keep_network(
                job.source,
                candidate.folder,
                candidate.settings,
                prepared,
                candidate.choice,
                job.mirror_axes,
            )
    with threads(job.threads):
        return results_of(finished(candidate), job.test)


def keep_network(
    source: Path,
    folder: Path,
    settings: RunSettings,
    prepared: AnyPrepared,
    choice: dict[str, Any],
    mirror_axes: tuple[int, ...] = (),
) -> None:
    """Copies a candidate's network into a folder from which it can be used.

    Args:
        source: the trial's folder.
        folder: to copy to.
        settings: of the run.
        prepared: the run's data.
        choice: of the candidate.
        mirror_axes: the spatial axes along which it mirrors views.
    """
    (folder / WEIGHTS).unlink(missing_ok=True)  # weights are never with the description of others
    used = [(Finalist(source.name, source, choice, None, 0.0), 1.0)]
    describe_trained(folder, settings, prepared, choice, None, composition_of(used, mirror_axes))
    for name in (CURVES,) if mirror_axes else (CURVES, WEIGHTS):
        if (source / name).exists():
            partial_copy = folder / f"{name}{PARTIAL}"
            shutil.copyfile(source / name, partial_copy)
            partial_copy.replace(folder / name)
    if mirror_axes:
        task = TASKS[prepared.task].problem(prepared, settings).task
        save_weights(network_of(used, mirror_axes, settings, task), folder / WEIGHTS)
