"""A search with trainings that go on from their checkpoints, so that nothing is trained twice.

A candidate's training is cut into parts. Each part is a trial of its own, which goes on from the checkpoint of the part
before. A rule (`netwright.searches.race`) decides which candidate is trained next and for how long. The strategy
proposes new candidates from the scores of all parts, each with its seconds of training (its fidelity).

Storage and trial folders hold everything. A search that is killed goes on with the parts that were in training. Several
searches may share a study (`netwright.searches.race_trials`), if they share the folder of its trainings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Cause, Done, Job, run_jobs
from netwright.runs.candidates import TrainedCandidate
from netwright.runs.clock import Clock
from netwright.runs.data import SearchData
from netwright.runs.drivers import Driver, SoleDriver
from netwright.runs.folder import RunFolder
from netwright.runs.start import start_weights
from netwright.runs.trials import CONTINUES, JOINED, RUNNING, store_outcome
from netwright.searches.components import protocol_of, reward_of, within_limits
from netwright.searches.jobs import CandidateJob, candidate_job, run_candidate
from netwright.searches.others import train_beside_others
from netwright.searches.race import Begin, GoOn, Race, best_waiting
from netwright.searches.race_trials import GONE, UNTIL, Look, RaceTrials, timed_as_others
from netwright.searches.race_view import joins_of, rule_of, view_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.training.checkpoint import remove_checkpoint, seconds_in
from netwright.training.files import CHECKPOINT, LOG, WEIGHTS
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

GRACE_SECONDS = 30.0
"""How long after the end of the race a part may take to score its network and write its files."""
SECONDS_BESIDE = 3.0
"""The assumed time of a part besides its training, until it was measured."""
REPEATS = 50
"""After so many known networks in a row, the search begins no more candidates."""
NETWORKS_KEPT = 2
"""Of so many of its last parts a candidate keeps the networks: the last one, and a snapshot."""
TIME_IS_UP = "the time was up"


@dataclass(eq=False)
class _Part:
    """A part in training: its trial, its candidate's first trial, its choice, and how long it is to be trained in all.

    ``before`` are the seconds of training from which it goes on. ``joined``: whether it gets the threads of several
    workers.
    """

    trial: optuna.Trial
    root: int
    choice: dict[str, Any]
    until: float
    before: float
    begun: float
    joined: bool = False


class _Again(Enum):
    """The storage has changed: the search looks again."""

    AGAIN = "again"


_AGAIN = _Again.AGAIN


class MultiFidelitySearch:
    """One search, from its current state to the end of its time.

    Args:
        folder: of the run.
        settings: of the run, with `RaceSettings`.
        data: the cases that candidates are trained and scored on.
        study: of the run, with its strategy.
        space: that it searches.
        executor: trains the parts.
        kept_seconds: how much of the hours is left for what comes after the search.
        now: gives the time in seconds; tests pass their own.
        driver: this process as one that works on the study; None: the only one.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: RunSettings,
        data: SearchData,
        study: optuna.Study,
        space: Space,
        executor: Executor,
        kept_seconds: float,
        now: Callable[[], float] = time.monotonic,
        driver: Driver | None = None,
    ) -> None:
        assert settings.race is not None
        self._folder = folder
        self._settings = settings
        self._race = settings.race
        self._data = data
        self._study = study
        self._driver = driver or SoleDriver(study._storage)
        self._trials = RaceTrials(study, space, self._driver)
        self._space = space
        self._executor = executor
        self._rule = rule_of(settings)
        self._clock = Clock(study, settings.budget.hours, used=settings.race.used_seconds, now=now)
        self._kept = kept_seconds
        self._unfinished: list[optuna.Trial] = []
        self._beside = SECONDS_BESIDE
        self._repeats = 0
        self._joins = joins_of(settings)
        self._running: list[_Part] = []
        self._waits = False
        self._others = 0

    @property
    def seconds_spent(self) -> float:
        """Wall time of the run so far, over all processes that worked on it."""
        return self._clock.spent()

    def run(self, on_tick: Callable[[], None] | None = None) -> None:
        """Searches until the time is up. ``on_tick`` is called about twice a second."""
        self._read_storage()
        train_beside_others(self._train, lambda: self._others, self._clock, on_tick)
        for trial in self._unfinished:
            self._trials.stop(trial, TIME_IS_UP)
        self._clock.save(now=True)

    def _train(self, tick: Callable[[], None]) -> None:
        """Trains parts until there is none to train."""
        for done in run_jobs(
            self._executor,
            self._jobs(),
            self._settings.budget.retries,
            at_once=self._settings.machine.workers,
            devices=devices(self._settings.training.device, self._settings.training.devices),
            crashed=lambda result: result["status"] == Status.CRASHED,
            on_tick=tick,
        ):
            self._finish(done)

    def candidates(self) -> tuple[TrainedCandidate, ...]:
        """All candidates so far."""
        return self._trials.look().candidates

    def _read_storage(self) -> None:
        """Reads which parts an earlier process left in training, or queued, and removes checkpoints that it left."""
        unfinished = () if self._driver.several else self._study.get_trials(deepcopy=False)
        for frozen in unfinished:
            if frozen.state.is_finished():
                continue
            queued = frozen.state == TrialState.WAITING
            trial = self._study.ask() if queued else optuna.Trial(self._study, frozen._trial_id)
            if CONTINUES in trial.user_attrs or not self._is_repeat(trial):
                self._unfinished.append(trial)
        for candidate in self.candidates():
            self._drop_unneeded(candidate)

    def _is_repeat(self, trial: optuna.Trial) -> bool:
        """Ends a trial that was killed before it was noted that it repeats a candidate."""
        return self._trials.ended_as_repeat(trial, self._trials.suggested(trial), self._trials.look())

    def _remaining(self) -> float:
        return self._clock.remaining() - self._kept

    def _jobs(self) -> Iterator[Job | None]:
        while True:
            part = None if self._waits else self._next_part()
            # Until a part ends, the answer is the same, unless others search, too.
            self._waits = part is None and bool(self._running) and not self._driver.several
            if part is None:
                yield None
                continue
            self._running.append(part)
            yield Job(
                run_candidate,
                partial(self._job, part),
                key=part,
                log=self._folder.trial(part.trial.number) / LOG,
                until=self._clock.ends() - self._kept + GRACE_SECONDS,
            )

    def _next_part(self) -> _Part | None:
        """The part to train next; None where there is none before another one ends."""
        if self._unfinished and self._has_time():
            joined = bool(self._unfinished[0].user_attrs.get(JOINED))
            return self._again(self._unfinished.pop(0), joined) if self._has_room(joined) else None
        while True:
            if self._driver.ends_elsewhere():
                self._others = 0
                return None
            look = self._trials.look({part.trial._trial_id for part in self._running})
            self._others = len(look.others)
            lapsed = self._trials.take_up(look, self._fits)
            part = self._decided(look) if lapsed is None else self._taken_up(lapsed, look)
            if part is not _AGAIN:
                return part

    def _decided(self, look: Look) -> _Part | _Again | None:
        """The part that the rule wants; `_AGAIN` where the storage has changed."""
        if not look.whole:
            return None
        known, race = look.candidates, self._view(look.candidates)
        decision = self._rule.decide(race)
        if isinstance(decision, Begin) and not self._may_begin(known):
            decision = best_waiting(race)
        if decision is None:
            return None
        if isinstance(decision, GoOn):
            whole = decision.joined or (self._joins > 1 and self._only(decision.number, known))
            if not self._has_room(whole):
                return None
            return self._go_on(look, look.of(decision.number), decision.seconds, whole)
        if not self._has_room(joined=False):
            return None
        trial = self._trials.ask(look)
        return _AGAIN if trial is None else self._begin(trial, decision.seconds, look)

    def _taken_up(self, lapsed: FrozenTrial, look: Look) -> _Part | _Again | None:
        """The part of a driver that is gone, made again; `_AGAIN` where there is nothing to make of it."""
        trial = optuna.Trial(self._study, lapsed._trial_id)
        until = lapsed.user_attrs.get(UNTIL)
        if look.goes_on(lapsed.number):  # whoever took it up is gone, too
            self._trials.stop(trial, GONE)
            return _AGAIN
        if not self._has_time():
            self._trials.stop(trial, TIME_IS_UP)
            return _AGAIN
        if until is None:
            return self._begin(trial, self._race.first_seconds, look)
        joined = bool(lapsed.user_attrs.get(JOINED))
        part = self._go_on(look, look.of(lapsed.number), float(until), joined, after=lapsed.number)
        if isinstance(part, _Part):
            self._trials.stop(trial, GONE)
        return part

    def _fits(self, lapsed: FrozenTrial) -> bool:
        """Whether there is room for the part of a driver that is gone."""
        return not self._has_time() or self._has_room(bool(lapsed.user_attrs.get(JOINED)))

    def _has_time(self) -> bool:
        return self._remaining() > self._beside

    def _view(self, known: tuple[TrainedCandidate, ...]) -> Race:
        """What the rule sees. The remaining time is what parts can still get for training alone."""
        remaining = max(0.0, self._remaining() - self._beside)
        workers = self._driver.workers(self._settings.machine.workers)
        return view_of(
            self._folder, self._settings, known, remaining=remaining, kept=self._kept, workers=workers
        )

    def _has_room(self, joined: bool) -> bool:
        """Whether the parts in training leave enough workers their threads."""
        used = sum(self._joins if part.joined else 1 for part in self._running)
        return used + (self._joins if joined else 1) <= self._settings.machine.workers

    def _only(self, number: int, known: tuple[TrainedCandidate, ...]) -> bool:
        """Whether a candidate is the only one that there is, and no other may begin."""
        return not self._may_begin(known) and {c.number for c in known if not c.ended} == {number}

    def _may_begin(self, known: tuple[TrainedCandidate, ...]) -> bool:
        most = self._settings.budget.trials
        if self._race.only_default:  # another one begins where that could not be trained
            most = 1 + sum(bool(candidate.ended) and candidate.latest is None for candidate in known)
        return self._repeats < REPEATS and (most is None or len(known) < most)

    def _begin(self, trial: optuna.Trial, seconds: float, look: Look) -> _Part | _Again:
        """A new candidate; `_AGAIN` where the strategy proposed one that there is, which teaches it what is known."""
        choice = self._trials.suggested(trial)
        self._trials.note(trial, choice)
        if self._trials.ended_as_repeat(trial, choice, look):
            self._repeats += 1
            return _AGAIN
        self._repeats = 0
        trial.set_user_attr(UNTIL, seconds)
        if not self._driver.holds(trial._trial_id):  # this process was away for too long, and another has it
            return _AGAIN
        return _Part(trial, trial.number, choice, seconds, 0.0, self._clock.spent())

    def _go_on(
        self,
        look: Look,
        candidate: TrainedCandidate,
        seconds: float,
        joined: bool,
        after: int | None = None,
    ) -> _Part | _Again:
        trial = self._trials.go_on(look, candidate, seconds, joined=joined, after=after)
        if trial is None:
            return _AGAIN
        begun = self._clock.spent()
        return _Part(trial, candidate.number, candidate.choice, seconds, candidate.seconds, begun, joined)

    def _again(self, trial: optuna.Trial, joined: bool) -> _Part:
        """The part of a trial that was killed. Its training goes on from its own checkpoint."""
        choice = self._trials.suggested(trial)
        continued = trial.user_attrs.get(CONTINUES)
        whole = self._trials.look().of(trial.number)
        before = whole.seconds if continued is not None else 0.0
        if UNTIL not in trial.user_attrs:
            self._trials.note(trial, choice)
            trial.set_user_attr(UNTIL, before + self._race.first_seconds)
        until = float(trial.user_attrs[UNTIL])
        return _Part(trial, whole.number, choice, until, before, self._clock.spent(), joined)

    def _job(self, part: _Part, device: str) -> CandidateJob:
        settings = self._settings
        # A driver or worker that is gone may have left a checkpoint of the part itself, from which it goes on.
        own = seconds_in(self._folder.trial(part.trial.number) / CHECKPOINT)
        if own > part.before:
            part.before, part.begun = own, self._clock.spent()
        # What was lost in waiting, building and retries shortens a part: the race ends on time.
        most = max(1.0, self._remaining() - self._beside)
        until = max(part.before + 1.0, min(part.until, part.before + most))
        protocol = protocol_of(settings, self._space, part.choice)
        continued = part.trial.user_attrs.get(CONTINUES)
        job = candidate_job(
            settings,
            self._data,
            part.choice,
            replace(protocol, seconds=until),
            seed=derive_seed(settings.seed, "trial", part.root),
            folder=self._folder.trial(part.trial.number),
            device=device,
            weights=start_weights(self._folder, settings),
        )
        if part.joined:
            threads = settings.machine.threads * self._joins
            job = replace(job, protocol=replace(job.protocol, threads=threads))
        return replace(
            job,
            limited=True,
            resume_from=None if continued is None else self._source(continued),
            keep_checkpoint=True,
            begin_again=True,
            cost=self._trials.cost(continued),
            most_seconds=most,
        )

    def _source(self, continued: int) -> Path:
        """The checkpoint of the part before. A driver that is gone may have left none: then that of an earlier part."""
        paths = [self._folder.trial(part.number) / CHECKPOINT for part in self._trials.before(continued)]
        return next((path for path in paths if path.exists()), paths[0])

    def _finish(self, done: Done) -> None:
        """Stores the result of a part. Only then is what the part before left removed."""
        part: _Part = done.job.key
        self._running, self._waits = [other for other in self._running if other is not part], False
        if done.failure is not None and done.failure.cause == Cause.OVERDUE:
            if self._trials.stop(part.trial, TIME_IS_UP):
                self._drop_checkpoint(part.trial.number)
            return
        outcome = (
            Outcome.of_failure(done.failure) if done.failure is not None else Outcome.from_dict(done.result)
        )
        if part.joined:
            outcome = timed_as_others(outcome, self._trials.cost(part.trial.user_attrs.get(CONTINUES)))
        outcome = within_limits(outcome, self._settings.objective)
        reward = reward_of(outcome, self._settings.objective)
        stored = self._trials.settle(
            part.trial, lambda: store_outcome(self._study, part.trial, outcome, reward)
        )  # else another driver has made the part again
        if stored and outcome.status is Status.COMPLETE:
            trained = (outcome.fidelity.amount if outcome.fidelity else part.until) - part.before
            beside = self._clock.spent() - part.begun - trained
            self._beside = max(0.0, 0.7 * self._beside + 0.3 * beside)
        self._drop_unneeded(self._trials.look().of(part.root))

    def _drop_unneeded(self, candidate: TrainedCandidate) -> None:
        """Removes what no training goes on from, and networks that the end does not compare.

        The last checkpoint stays, unless the candidate ended for good: a run may get more hours.
        """
        last, kept = candidate.latest or candidate.parts[-1], candidate.complete[-NETWORKS_KEPT:]
        going_on = {part.continues for part in candidate.parts if part.status == RUNNING}
        for part in (part for part in candidate.parts if part.status != RUNNING):
            if candidate.ended or (part is not last and part.number not in going_on):
                self._drop_checkpoint(part.number)
            if part not in kept:
                (self._folder.trial(part.number) / WEIGHTS).unlink(missing_ok=True)

    def _drop_checkpoint(self, number: int) -> None:
        remove_checkpoint(self._folder.trial(number) / CHECKPOINT)
