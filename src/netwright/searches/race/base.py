"""The contract of a rule: which candidate is trained next, and until when.

A race is many trainings of which each can go on at any moment. Each is a *candidate*, and its training is cut into
*parts*. Whenever a worker is free, a rule sees the whole race and says which candidate goes on, and until when, or that
a new one begins. Rules are pure functions of the race: they have no state, draw no random numbers, and need numpy
only. So a race that was killed goes on as it would have without the kill.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol


def _number(score: float) -> float:
    return -math.inf if math.isnan(score) else score


@dataclass(frozen=True)
class Candidate:
    """A choice of the space, and its training so far.

    Args:
        number: of its first trial.
        curve: its validations so far, ascending: (seconds trained in all, score). A score is to be maximised.
        running: whether a part of it is being trained now.
        ended: why it cannot go on, in words; empty: it can.
        default: whether it is the starting choice.
    """

    number: int
    curve: tuple[tuple[float, float], ...] = ()
    running: bool = False
    ended: str = ""
    default: bool = False

    @property
    def seconds(self) -> float:
        """Seconds trained in all, as far as is known; 0 before the first validation."""
        return self.curve[-1][0] if self.curve else 0.0

    @property
    def score(self) -> float:
        """The last validation's score; -inf where there is none, or where it is no number."""
        return _number(self.curve[-1][1]) if self.curve else -math.inf

    @property
    def waiting(self) -> bool:
        """Whether a worker could go on with it now."""
        return not self.running and not self.ended

    def score_after(self, seconds: float) -> float:
        """The last score at or before so many seconds of training; the first score where all are later.

        >>> Candidate(0, ((10, 0.5), (20, 0.7), (30, 0.6))).score_after(25)
        0.7
        """
        later = bisect_right(self.curve, seconds, key=lambda point: point[0])
        return _number(self.curve[max(later - 1, 0)][1]) if self.curve else -math.inf


@dataclass(frozen=True)
class GoOn:
    """Train a candidate further.

    Args:
        number: of the candidate's first trial.
        seconds: of training in all, at the end of the part.
        joined: whether it gets the threads of `Race.joins` workers.
    """

    number: int
    seconds: float
    joined: bool = False


@dataclass(frozen=True)
class Begin:
    """Begin a new candidate.

    Args:
        seconds: of its first part.
    """

    seconds: float


LONG_SHARE = 0.1
"""The length of a part, as a share of the race, once no new candidate can begin."""

Decision = GoOn | Begin | None
"""None: there is nothing to do now. The time is used up."""


@dataclass(frozen=True)
class Race:
    """The state of a race, as a rule sees it.

    Args:
        candidates: all that were begun, in any order.
        remaining: wall seconds to the end of the race.
        total: wall seconds of the whole race.
        workers: how many candidates are trained at once.
        first: the shortest useful part in seconds, as measured: the default's first epoch and a validation.
        joins: the threads of how many workers one candidate can have; 1: of its own alone.
    """

    candidates: tuple[Candidate, ...]
    remaining: float
    total: float
    workers: int
    first: float
    joins: int = 1

    @property
    def places(self) -> int:
        """How many candidates are trained at once where each has the threads of as many workers as it can."""
        return self.workers // self.joins

    def by_number(self) -> list[Candidate]:
        """The candidates in the order in which they began."""
        return sorted(self.candidates, key=lambda candidate: candidate.number)

    def over(self) -> bool:
        """Whether less time is left than the shortest useful part takes."""
        return self.remaining < self.first

    def part(self, wanted: float) -> float:
        """The length of a part that should last ``wanted`` seconds.

        It lasts at least the shortest useful part and at most to the end of the race. Where what is left after it would
        be too short for another part, it takes that, too.

        >>> race = Race((), remaining=100, total=600, workers=1, first=30)
        >>> [race.part(wanted) for wanted in (10, 60, 80, 500)]
        [30, 60, 100, 100]
        """
        length = max(wanted, self.first)
        return length if self.remaining - length >= self.first else self.remaining

    def go_on(self, candidate: Candidate, length: float) -> GoOn:
        """The decision that a candidate goes on for `part` (``length``) seconds."""
        return GoOn(candidate.number, candidate.seconds + self.part(length))


def best_waiting(race: Race) -> Decision:
    """What a search does where its rule begins a candidate and none can begin: the best one goes on."""
    waiting = [c for c in race.candidates if c.waiting and c.curve]
    if race.over() or not waiting:
        return None
    best = max(waiting, key=lambda c: (c.score, -c.number))
    return race.go_on(best, LONG_SHARE * race.total)


class Rule(Protocol):
    """Decides which candidate goes on. `tests/searches/race` tests this contract for every rule of `RULES`."""

    @property
    def name(self) -> str:
        """Its key in `RULES`."""

    @property
    def joins(self) -> bool:
        """Whether it gives one candidate the threads of several workers, where these can be joined."""

    def decide(self, race: Race) -> Decision:
        """What a free worker does now.

        A part ends before the race does, lasts at least ``race.first`` seconds, and is of a candidate that is neither
        running nor ended. There is a decision as long as ``race.remaining`` is at least ``race.first``. Where it
        needs the threads of more workers than are free, the search waits for the end of a part, and asks again.
        """

    def dropped(self, race: Race) -> dict[int, str]:
        """The candidates that would not go on now, by number, each with the reason in words."""
