"""The search: a sampler proposes candidates, workers train them, and each is stored as it finishes.

Nothing is kept in memory alone: the storage holds the trials and the results of equal networks, and the trial folders
hold curves and weights. If a search is killed, its unfinished trials are run again first. Several searches may share a
study (`netwright.runs.drivers`): each learns the others' results, and takes up the trials of one that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Cause, Done, Job, run_jobs
from netwright.runs.clock import Clock
from netwright.runs.data import SearchData
from netwright.runs.drivers import Driver, SoleDriver, finished_by
from netwright.runs.folder import RunFolder
from netwright.runs.left_out import WAS
from netwright.runs.start import start_weights
from netwright.runs.trials import ENDED, FOLDER, WORDS, network_key, stop_trial, store_outcome
from netwright.searches.components import objective_of, protocol_of, values_of, within_limits
from netwright.searches.jobs import CandidateJob, candidate_job, run_candidate
from netwright.searches.others import train_beside_others
from netwright.searches.reuse import KnownResults
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.strategies.base import Converging
from netwright.strategies.sampler import StrategySampler
from netwright.training.checkpoint import fetch_checkpoint, remove_checkpoint
from netwright.training.config import TrainingProtocol
from netwright.training.fidelity import fidelity_of
from netwright.training.files import CHECKPOINT, LOG, WEIGHTS
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

GRACE_SECONDS = 60.0
TIME_IS_UP = "the search's time was up"
EPOCHS = "epochs"
"""The user attribute with the number of epochs of a trial, if the study chooses it."""
REPEATS = 300
"""After this many known networks in a row, a search has nothing new to propose."""


@dataclass(eq=False)
class _Candidate:
    """A candidate in training, and the trials that wait for its result because they propose the same network."""

    trial: optuna.Trial
    choice: dict[str, Any]
    key: str
    followers: list[optuna.Trial] = field(default_factory=list)


class Search:
    """One search, from its current state to the end of its budget.

    `run` returns when the budget is spent, and raises KeyboardInterrupt when the user stops it. The trials that were
    running then stay unfinished in the storage. The next `run` starts with them.
    ``driver`` is this process as one that works on the study; None: the only one.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: RunSettings,
        data: SearchData,
        study: optuna.Study,
        space: Space,
        executor: Executor,
        driver: Driver | None = None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._data = data
        self._study = study
        self._space = space
        self._executor = executor
        self._objective = settings.objective
        self._distributions = space.distributions()
        self._clock = Clock(study, settings.budget.hours)
        self._running: list[_Candidate] = []
        self._known = KnownResults()
        self._counted = 0
        self._repeats = 0
        self._epochs = settings.training.epochs
        self._best: tuple[float, int] | None = None
        self._unfinished: list[optuna.Trial] = []
        self._driver = driver or SoleDriver(study._storage)
        self._settled: set[int] = set()
        self._trials, self._others = 0, 0

    def run(self, on_tick: Callable[[], None] | None = None) -> None:
        """Searches until the budget is spent. ``on_tick`` is called about twice a second."""
        self._read_storage()
        train_beside_others(self._train, lambda: self._others, self._clock, on_tick)
        self._clock.save(now=True)

    def _train(self, tick: Callable[[], None]) -> None:
        """Trains candidates until there is nothing to train."""
        settings = self._settings
        for done in run_jobs(
            self._executor,
            self._jobs(),
            settings.budget.retries,
            at_once=settings.machine.workers,
            devices=devices(settings.training.device, settings.training.devices),
            crashed=lambda result: result["status"] == Status.CRASHED,
            on_tick=tick,
        ):
            self._running.remove(done.job.key)
            self._finish(done)

    @property
    def seconds_spent(self) -> float:
        """Wall time of the search so far, over all processes that worked on it."""
        return self._clock.spent()

    def _read_storage(self) -> None:
        """Reads what an earlier process left: results to reuse, and trials to run again."""
        self._objective = objective_of(self._study, self._settings)
        free = self._catch_up()
        if not self._driver.several:
            self._unfinished = [optuna.Trial(self._study, trial) for trial in free]

    def _catch_up(self) -> list[int]:
        """Learns the results that are new in the storage. Returns the ids of unfinished trials that are not its own."""
        trials = self._study.get_trials(deepcopy=False)
        waiting = [trial for c in self._running for trial in (c.trial, *c.followers)]
        own = {trial._trial_id for trial in (*waiting, *self._unfinished)}
        for frozen in trials:
            if frozen.state.is_finished() and frozen._trial_id not in self._settled:
                self._learn(frozen)
        self._trials = len(trials)
        return [t._trial_id for t in trials if not t.state.is_finished() and t._trial_id not in own]

    def _learn(self, frozen: FrozenTrial) -> None:
        """Takes a finished trial into account that this process has not finished itself.

        One that is not of the space any more only lends its result to its network, and keeps its files.
        """
        self._settled.add(frozen._trial_id)
        of_space, cached = WAS not in frozen.user_attrs, frozen.user_attrs.get("cached_from") is not None
        if of_space:
            if all(running.trial._trial_id != frozen._trial_id for running in self._running):
                self._drop_checkpoint(frozen.number)  # of one that was stored just before a kill
            self._count(cached=cached)
            self._repeats = self._repeats + 1 if cached else 0
        key, outcome = frozen.user_attrs.get("network"), frozen.user_attrs.get("outcome")
        if key and outcome and "cached_from" not in frozen.user_attrs:
            if of_space:
                self._keep_weights(frozen.number, frozen.values[0] if frozen.values else None)
            self._remember(key, frozen.number, Outcome.from_dict(outcome))

    def _meet_others(self) -> None:
        """Learns what other drivers have done, and takes up a trial of one that is gone."""
        others = self._catch_up()
        taken = self._driver.take_up(others)
        if taken is not None:
            trial = optuna.Trial(self._study, taken)
            self._fetch_checkpoint(trial)
            self._unfinished.append(trial)
        self._others = len(others) - (taken is not None)

    def _count(self, *, cached: bool) -> None:
        if not (cached and self._settings.budget.count == "distinct"):
            self._counted += 1

    def _remember(self, key: str, number: int, outcome: Outcome) -> None:
        self._learn_epochs(outcome)
        self._known.add(key, number, outcome)

    def _keep_weights(self, number: int, reward: float | None) -> None:
        """Keeps the weights of the best candidate so far and deletes those of the other: networks may be large."""
        if self._settings.machine.keep_weights == "all":
            return
        lost = number
        if reward is not None and (self._best is None or (reward, -number) > (self._best[0], -self._best[1])):
            lost, self._best = (number if self._best is None else self._best[1]), (reward, number)
            if lost == number:
                return
        (self._folder.trial(lost) / WEIGHTS).unlink(missing_ok=True)

    def _learn_epochs(self, outcome: Outcome) -> None:
        """Sets the number of epochs of the candidates (Iranfar et al. 2022, Section VI-A).

        It is the smallest number that any candidate needed to bring its loss below the threshold, but at least the
        budget's minimum.
        """
        fewest, met = self._settings.budget.fewest_epochs, outcome.loss_met_epoch
        if fewest is not None and met is not None and outcome.status == Status.COMPLETE:
            self._epochs = min(self._epochs, max(fewest, met))

    def _protocol(self, trial: optuna.Trial, choice: dict[str, Any]) -> TrainingProtocol:
        """The protocol of a trial. A trial that is run again keeps its first number of epochs."""
        protocol = protocol_of(self._settings, self._space, choice)
        if self._settings.budget.fewest_epochs is not None:
            protocol = replace(protocol, epochs=int(trial.user_attrs.get(EPOCHS, self._epochs)), steps=None)
        if protocol.seconds is not None:
            protocol = replace(protocol, seconds=max(1.0, min(protocol.seconds, self._clock.remaining())))
        return protocol

    def _jobs(self) -> Iterator[Job | None]:
        """The trainings, one candidate after the other; None where there is nothing to train now."""
        while True:
            yield self._next_job()

    def _next_job(self) -> Job | None:
        """Proposes until there is a network to train, or until another trial must end first."""
        workers = self._settings.machine.workers
        while not any(len(candidate.followers) >= workers for candidate in self._running):
            trial = self._next_trial()
            if trial is None:
                return None
            chosen = self._chosen(trial)
            if chosen is None:
                continue
            choice, key = chosen
            known = self._known.get(key, fidelity_of(self._protocol(trial, choice)))
            if known is not None:
                self._repeats += 1
                self._reuse(trial, *known)
                continue
            twin = next((candidate for candidate in self._running if candidate.key == key), None)
            if twin is not None:
                twin.followers.append(trial)
                continue
            self._repeats = 0
            candidate = _Candidate(trial, choice, key)
            self._running.append(candidate)
            return self._job(candidate)
        return None

    def _chosen(self, trial: optuna.Trial) -> tuple[dict[str, Any], str] | None:
        """The choice of a trial and the key of its network; None if another search has finished it meanwhile."""
        try:
            choice = {n: trial._suggest(n, d) for n, d in self._distributions.items()}
            key = network_key(self._space.canonical(choice))
            trial.set_user_attr("network", key)
            trial.set_user_attr(WORDS, self._space.describe(choice))
            if self._driver.several:
                trial.set_user_attr(FOLDER, str(self._folder.root.resolve()))
        except UpdateFinishedTrialError:
            return None
        return choice, key

    def _job(self, candidate: _Candidate) -> Job:
        grace = GRACE_SECONDS if self._settings.training.seconds is not None else 0.0
        return Job(
            run_candidate,
            partial(self._candidate_job, candidate.trial, candidate.choice),
            key=candidate,
            log=self._folder.trial(candidate.trial.number) / LOG,
            until=self._clock.ends() + grace,
        )

    def _fetch_checkpoint(self, trial: optuna.Trial) -> None:
        """Fetches the checkpoint of a trial that was taken up from the folder of the search that began it."""
        earlier, own = trial.user_attrs.get(FOLDER), self._folder.trial(trial.number)
        if earlier is not None and Path(earlier) != self._folder.root.resolve():
            fetch_checkpoint(RunFolder(Path(earlier)).trial(trial.number) / CHECKPOINT, own / CHECKPOINT)

    def _next_trial(self) -> optuna.Trial | None:
        """The next trial to train; None where there is none now."""
        while True:
            with self._driver.turn():
                if self._driver.several:
                    self._meet_others()
                if self._unfinished and self._has_time():
                    waiting = self._unfinished.pop(0)
                    if self._driver.holds(waiting._trial_id):
                        return waiting
                    continue
                if not self._may_ask():
                    return None
                trial = self._driver.ask(self._study, self._trials)
            if trial is not None or self._driver.ends_elsewhere():
                return trial

    def _may_ask(self) -> bool:
        """Whether the budget allows another trial, and the strategy has more to explore."""
        if not self._has_time():
            self._give_up_unfinished()
            return False
        if self._repeats >= REPEATS and self._settings.budget.count == "distinct":
            return False
        pending = self._others + sum(1 + len(r.followers) for r in self._running)
        trials = self._settings.budget.trials
        if trials is not None and self._counted + pending >= trials:
            return False
        ended = self._converged()
        if ended is not None:
            self._study.set_user_attr(ENDED, ended)
        return ended is None

    def _converged(self) -> str | None:
        """Why the strategy has nothing more to explore, if it can tell. It cannot for several objectives."""
        sampler, several = self._study.sampler, self._objective.several
        if several or not (isinstance(sampler, StrategySampler) and isinstance(sampler.strategy, Converging)):
            return None
        strategy = sampler.strategy
        return strategy.converged_words if strategy.converged(sampler.state(self._study)) else None

    def _has_time(self) -> bool:
        """Whether a candidate that begins now has time for at least half of its share."""
        share = self._settings.training.seconds
        remaining = self._clock.remaining()
        return remaining > 0 and (share is None or remaining >= share / 2)

    def _give_up_unfinished(self) -> None:
        for trial in self._unfinished:
            self._stop(trial)
        self._unfinished.clear()

    def _stop(self, trial: optuna.Trial) -> None:
        self._stored(trial, lambda: stop_trial(self._study, trial, TIME_IS_UP))

    def _drop_checkpoint(self, number: int) -> None:
        """Removes the checkpoint of a trial whose result is stored. Before that, a kill would cost its training."""
        remove_checkpoint(self._folder.trial(number) / CHECKPOINT)

    def _candidate_job(self, trial: optuna.Trial, choice: dict[str, Any], device: str) -> CandidateJob:
        settings, protocol = self._settings, self._protocol(trial, choice)
        if settings.budget.fewest_epochs is not None and EPOCHS not in trial.user_attrs:
            trial.set_user_attr(EPOCHS, protocol.epochs)
        job = candidate_job(
            settings,
            self._data,
            choice,
            protocol,
            seed=derive_seed(settings.seed, "trial", trial.number),
            folder=self._folder.trial(trial.number),
            device=device,
            weights=start_weights(self._folder, settings),
        )
        return replace(job, limited=True)

    def _finish(self, done: Done) -> None:
        """Stores the result of a candidate."""
        candidate: _Candidate = done.job.key
        trial = candidate.trial
        if done.failure is not None and done.failure.cause == Cause.OVERDUE:
            for stopped in (trial, *candidate.followers):
                self._stop(stopped)
            return
        outcome = (
            Outcome.of_failure(done.failure) if done.failure is not None else Outcome.from_dict(done.result)
        )
        outcome = within_limits(outcome, self._objective)
        values = values_of(outcome, self._objective)
        if not self._stored(trial, lambda: store_outcome(self._study, trial, outcome, values)):
            self._unfinished += [f for f in candidate.followers if self._driver.holds(f._trial_id)]
            return
        self._keep_weights(trial.number, values[0] if values else None)
        self._count(cached=False)
        if not self._shortened():
            self._remember(candidate.key, trial.number, outcome)
        for follower in candidate.followers:
            if outcome.status == Status.CRASHED:
                self._unfinished.append(follower)
            else:
                self._reuse(follower, trial.number, outcome)

    def _shortened(self) -> bool:
        """Whether the end of the search cut the candidate's training short. Its result then says less."""
        return self._settings.training.seconds is not None and self._clock.remaining() <= 0

    def _stored(self, trial: optuna.Trial, store: Callable[[], None]) -> bool:
        """Finishes a trial; False if that is another search's, because this one was away for longer than its lease."""
        if not finished_by(self._driver, self._study, trial, store):
            self._leave(trial)
            return False
        self._settled.add(trial._trial_id)
        self._drop_checkpoint(trial.number)
        self._driver.release(trial._trial_id)
        return True

    def _leave(self, trial: optuna.Trial) -> None:
        """Removes what a training has left whose trial another search has taken up meanwhile."""
        self._drop_checkpoint(trial.number)
        best = None if self._best is None else self._best[1]
        if self._settings.machine.keep_weights != "all" and trial.number != best:
            (self._folder.trial(trial.number) / WEIGHTS).unlink(missing_ok=True)

    def _reuse(self, trial: optuna.Trial, number: int, outcome: Outcome) -> None:
        values = values_of(outcome, self._objective)
        if self._stored(
            trial, lambda: store_outcome(self._study, trial, outcome, values, cached_from=number)
        ):
            self._count(cached=True)
