"""The trials of a search whose trainings go on: each part of a training is a trial of one driver.

Several drivers decide in turn, in the storage. A part is stored whole and leased in one transaction, which fails if
another trial was made since its driver looked: then it looks again, and decides anew. A candidate that begins is stored
in steps, since the strategy must know its number; until its choice is noted, the others make nothing.

A part whose driver is gone is made again as a new trial with a folder of its own, which goes on from what the old one
left. So a driver that was only cut off spoils nothing, and its late result is dropped.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from netwright.runs.candidates import TrainedCandidate, candidates_of
from netwright.runs.drivers import Driver, finished_by
from netwright.runs.trials import (
    CONTINUES,
    DEFAULT,
    JOINED,
    WORDS,
    Records,
    TrialRecord,
    network_key,
    stop_trial,
    store_outcome,
)
from netwright.searches.others import POLL_SECONDS
from netwright.spaces.base import Choice, Space
from netwright.training.outcome import Cost, Outcome

UNTIL = "until_seconds"
"""The user attribute of a trial with the seconds of training in all at which its part ends. It is the last of those
that a new candidate gets.
"""
GONE = "the process that trained it is gone"


@dataclass(frozen=True)
class Look:
    """What the storage held of a race at a moment.

    Args:
        candidates: all that have begun.
        trials: how many there are.
        others: the unfinished trials of other drivers.
    """

    candidates: tuple[TrainedCandidate, ...]
    trials: int
    others: tuple[FrozenTrial, ...]

    @property
    def whole(self) -> bool:
        """Whether no other driver is beginning a candidate, of which the choice is not known yet."""
        return all(UNTIL in trial.user_attrs for trial in self.others)

    def of(self, number: int) -> TrainedCandidate:
        """The candidate that a trial is a part of."""
        return next(c for c in self.candidates if any(part.number == number for part in c.parts))

    def goes_on(self, number: int) -> bool:
        """Whether a later part goes on with a trial."""
        return any(part.continues == number for c in self.candidates for part in c.parts)


class RaceTrials:
    """Reads and makes the trials of a race.

    Args:
        study: of the run.
        space: that is searched.
        driver: this process as one that works on the study.
    """

    def __init__(self, study: optuna.Study, space: Space, driver: Driver) -> None:
        self._study = study
        self._space = space
        self._driver = driver
        self._records = Records(study)
        self._distributions = space.distributions()
        self._default = network_key(space.canonical(space.starting_choice()))

    def look(self, own: Collection[int] = ()) -> Look:
        """The race as it is now. ``own`` are the trials that this driver is training, by their ids in the storage."""
        trials = self._study.get_trials(deepcopy=False)
        others = tuple(t for t in trials if not t.state.is_finished() and t._trial_id not in own)
        return Look(
            candidates_of(self._records.of(trials)), len(trials), others if self._driver.several else ()
        )

    def ask(self, look: Look) -> optuna.Trial | None:
        """A new trial, of which the strategy proposes the choice.

        None: another driver has made one since that look, or makes the end.
        """
        return self._driver.ask(self._study, look.trials)

    def go_on(
        self,
        look: Look,
        candidate: TrainedCandidate,
        seconds: float,
        *,
        joined: bool,
        after: int | None = None,
    ) -> optuna.Trial | None:
        """A new trial that goes on with a candidate; None: another driver has made one since, or makes the end.

        Args:
            look: in which this was decided.
            candidate: to go on with.
            seconds: of training in all, at the end of the part.
            joined: whether it gets the threads of several workers.
            after: the trial to go on with; None: the last one with a score.
        """
        if after is None:  # one that was cut off in its first part has no checkpoint, and begins again
            after = (candidate.latest or candidate.parts[-1]).number
        # A run that is older than a dimension of its space has trained with that one's start.
        choice = {**self._space.starting_choice(), **candidate.choice}
        born = FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={name: choice[name] for name in self._distributions},
            distributions=self._distributions,
            user_attrs={
                CONTINUES: after,
                **self._notes(choice),
                UNTIL: seconds,
                JOINED: joined,
            },
            system_attrs={},
            intermediate_values={},
        )
        return self._driver.ask(self._study, look.trials, born)

    def suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """The choice of a trial; the strategy proposes what it lacks."""
        return {name: trial._suggest(name, d) for name, d in self._distributions.items()}

    def note(self, trial: optuna.Trial, choice: Choice) -> None:
        """Stores what a choice is like."""
        for name, value in self._notes(choice).items():
            trial.set_user_attr(name, value)

    def _notes(self, choice: Choice) -> dict[str, Any]:
        network = network_key(self._space.canonical(choice))
        return {
            "network": network,
            DEFAULT: network == self._default,
            WORDS: self._space.describe(choice),
        }

    def ended_as_repeat(self, trial: optuna.Trial, choice: Choice, look: Look) -> bool:
        """Ends a trial whose network an earlier candidate has, with what that one has reached; else does nothing.

        Args:
            trial: that began no training yet.
            choice: of the trial.
            look: with all earlier candidates.
        """
        network = network_key(self._space.canonical(choice))
        twins = (c for c in look.candidates if c.parts[0].network == network and c.number < trial.number)
        twin = next(twins, None)
        if twin is None:
            return False
        last = twin.latest or twin.parts[-1]

        def store() -> None:
            if last.outcome is None:
                trial.set_user_attr("cached_from", last.number)
                stop_trial(self._study, trial, "the same network is in training")
            else:
                store_outcome(self._study, trial, last.outcome, last.reward, cached_from=last.number)

        self.settle(trial, store)
        return True

    def take_up(self, look: Look, fits: Callable[[FrozenTrial], bool]) -> FrozenTrial | None:
        """A trial of a driver that is gone, which this one holds now; None: there is none that ``fits``."""
        lapsed = {trial._trial_id: trial for trial in look.others if fits(trial)}
        taken = self._driver.take_up(lapsed) if lapsed else None
        return None if taken is None else lapsed[taken]

    def stop(self, trial: optuna.Trial, reason: str) -> bool:
        """Ends a trial that was cut off. Returns what `settle` does."""
        return self.settle(trial, lambda: stop_trial(self._study, trial, reason))

    def settle(self, trial: optuna.Trial, store: Callable[[], None]) -> bool:
        """Finishes a trial by ``store``; False if another driver holds it, because this one was away for too long."""
        if not finished_by(self._driver, self._study, trial, store):
            return False
        self._driver.release(trial._trial_id)
        return True

    def before(self, number: int | None) -> Iterator[TrialRecord]:
        """The earlier parts of a training, from a trial backwards."""
        records = self._records.read()
        while number is not None:
            yield records[number]
            number = records[number].continues

    def cost(self, number: int | None) -> Cost | None:
        """What a network costs, as the last part up to a trial has measured it; None: none has."""
        outcomes: Iterator[Outcome] = (part.outcome for part in self.before(number) if part.outcome)
        with contextlib.suppress(StopIteration):
            return next(outcomes).cost
        return None


def timed_as_others(outcome: Outcome, before: Cost | None) -> Outcome:
    """An outcome of a part with the threads of several workers, with the time of a batch that other candidates have.

    Args:
        outcome: of the part.
        before: the cost that the parts before it have measured; None: there are none.
    """
    if before is None or before.seconds_per_batch is None:
        return outcome
    return replace(outcome, cost=replace(outcome.cost, seconds_per_batch=before.seconds_per_batch))


def await_others(study: optuna.Study, driver: Driver) -> None:
    """Waits for parts that other drivers began before they knew that this one makes the end.

    Args:
        study: of the run, of which no part is this driver's.
        driver: this process.
    """
    while unfinished := [t._trial_id for t in study.get_trials(deepcopy=False) if not t.state.is_finished()]:
        taken = driver.take_up(unfinished)
        if taken is None:
            time.sleep(POLL_SECONDS)
        else:
            stop_trial(study, optuna.Trial(study, taken), GONE)
            driver.release(taken)
