"""Controlled random search with local mutation (CRS2-LM), the strategy of SegNAS3D, in ask/tell form.

P. Kaelo, M. M. Ali: "Some variants of the controlled random search algorithm for global optimization",
Journal of Optimization Theory and Applications 130 (2006), 253-264, in the form of NLopt's ``GN_CRS2_LM``;
used by K. C. L. Wong and M. Moradi, "SegNAS3D" (2019), section 2.3, over a continuous relaxation of the
choices.

It minimises loss = -reward. Only the order of losses counts, never their size. So a candidate without a reward (an
illegal block, out of memory) gets an infinite loss, where the paper gives it f = 10, the ceiling of the largest
possible -ln(max(Dice, 1e-4)). Either way such candidates rank behind every trained network and tie with each other.

The papers describe one evaluation after another. Here no proposal waits for a result: the best member is
looked up at `ask`, the worst at `tell`, and a failed reflection queues its own mutation in the state. With
one worker this is NLopt's sequence of steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.dimensions import Point, choice_at, point_of, point_of_first

Kind = Literal["first", "initial", "reflection", "mutation"]


@dataclass(frozen=True, eq=False)
class State:
    """The population and the mutations that are still to be tried; immutable.

    ``points``: (members, dimensions) in [0, 1]; ``losses``: (members,); ``size``: members of a full
    population. ``queue``: number and point of each failed reflection whose mutation has no result yet.
    ``generation``: the number of restarts. ``first_given``: whether the given first point was tried.
    """

    dimensions: tuple[Dimension, ...]
    size: int
    points: Point
    losses: NDArray[np.float64]
    queue: tuple[tuple[int, Point], ...] = ()
    generation: int = 0
    first_given: bool = False

    @property
    def full(self) -> bool:
        """Whether the population is full, so that a new member must replace another."""
        return len(self.losses) >= self.size

    @property
    def best(self) -> Point:
        """The member with the least loss, shape (dimensions,)."""
        best: Point = self.points[self.losses.argmin()]
        return best


@dataclass(frozen=True)
class ControlledRandomSearch:
    """Controlled random search with local mutation, CRS2-LM, as in SegNAS3D.

    The default population is that of NLopt and the paper, 10 (n + 1) for n dimensions.

    Args:
        population: number of members, at least n + 1; None: 10 (n + 1) for n dimensions, and 2 (n + 1) in a search
            limited in hours.
        first: the first point, a value for every dimension; None: drawn like the others. In a run, "start" is the
            space's starting choice.
        restart: whether a new population is drawn around the best member when all members have one loss. With a
            discrete objective that happens; from then on every proposal would land on networks that are known. Both
            papers say nothing about this.
        cell_centres: whether members are stored at the centre of their cell. So the position inside the cell, about
            which the loss says nothing, does not influence later reflections. Not in the paper; on in a search limited
            in hours whose population is not set.
    """

    population: int | None = None
    first: Mapping[str, Value] | None = None
    restart: bool = True
    cell_centres: bool = False

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "controlled-random-search"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return asdict(self)

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """An empty population.

        Raises:
            SettingsError: ``population`` is too small for the number of dimensions, or ``first`` is not a choice of
                them.
        """
        n = len(dimensions)
        size = 10 * (n + 1) if self.population is None else self.population
        if size < n + 1:
            raise SettingsError(
                f"population is {size}, but {n} dimensions need at least {n + 1} members: "
                f"set population to {n + 1} or more, or leave it out for {10 * (n + 1)}"
            )
        if self.first is not None:
            point_of_first(dimensions, self.first)
        return State(tuple(dimensions), size, np.empty((0, n)), np.empty(0))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """The next point and its stamp: ``kind``, ``x`` (in [0, 1]), ``generation``, ``parent``.

        It is an initial point while members and pending initial points do not fill the population, or where there
        are too few results for a reflection. Otherwise it is the mutation of a failed reflection, unless a pending
        candidate already tries it. Otherwise it is a reflection.
        """
        current = [stamp for stamp in pending if stamp["generation"] == state.generation]
        if self.first is not None and not state.first_given and not _count(current, "first"):
            return _proposal(state, "first", point_of_first(state.dimensions, self.first))
        n, members = len(state.dimensions), len(state.losses)
        if members <= n or members + _count(current, "first", "initial") < state.size:
            return _proposal(state, "initial", rng.random(n))
        claimed = {stamp["parent"] for stamp in current}
        for number, failed in state.queue:
            if number not in claimed:
                return _proposal(state, "mutation", mutate(failed, state.best, rng.random(n)), number)
        return _proposal(state, "reflection", _random_reflection(state, rng))

    def tell(self, state: State, observation: Observation) -> State:
        """The population after one more result.

        While the population is not full every result joins it. After that a result replaces the worst member if it
        is strictly better. A reflection that is not better queues its mutation. A result that was asked for before
        a restart joins only if it beats the best.
        """
        stamp = observation.stamp
        if stamp is not None:
            state = _settle(state, stamp)
        if observation.status == "failed":
            return state
        point, as_proposed = _observed_point(state, observation)
        loss = math.inf if observation.reward is None else -observation.reward
        if math.isnan(loss):
            loss = math.inf
        if stamp is not None and stamp["generation"] < state.generation and not loss < state.losses.min():
            return state
        worst = int(state.losses.argmax()) if state.full else None
        if worst is not None and not loss < state.losses[worst]:
            if stamp is None or not as_proposed or stamp["kind"] != "reflection":
                return state
            return replace(state, queue=(*state.queue, (observation.number, point)))
        if self.cell_centres:
            point = point_of(state.dimensions, observation.choice)
        state = _admit(state, point, loss, worst)
        if self.restart and state.full and state.losses.min() == state.losses.max():
            return _restarted(state)
        return state


def reflect(best: Point, others: Point, reflected: Point) -> Point:
    """Reflect a member through the centroid of the best and n - 1 other members, and clip the result to [0, 1].

    Args:
        best: shape (n,).
        others: shape (n - 1, n).
        reflected: shape (n,).

    >>> reflect(np.array([0.5, 0.5]), np.array([[0.7, 0.3]]), np.array([0.9, 0.1])).round(2).tolist()
    [0.3, 0.7]
    """
    n = len(best)
    point: Point = (2.0 / n) * (best + others.sum(axis=0)) - reflected  # x = 2 G - x_r
    return np.minimum(np.maximum(point, 0.0), 1.0)


def mutate(failed: Point, best: Point, weights: Point) -> Point:
    """Mutate a failed point around the best, clipped to [0, 1].

    Args:
        failed: the point, shape (n,).
        best: the best member, shape (n,).
        weights: random numbers in [0, 1), shape (n,).
    """
    point: Point = best * (1.0 + weights) - weights * failed  # x_i <- best_i (1 + w_i) - w_i x_i
    return np.minimum(np.maximum(point, 0.0), 1.0)


def _random_reflection(state: State, rng: np.random.Generator) -> Point:
    """Reflect one of n distinct random members, none of them the best, through the centroid of the rest."""
    n = len(state.dimensions)
    best = int(state.losses.argmin())
    drawn = rng.choice(len(state.losses) - 1, size=n, replace=False)
    members = state.points[drawn + (drawn >= best)]
    return reflect(state.points[best], members[1:], members[0])


def _proposal(state: State, kind: Kind, point: Point, parent: int | None = None) -> tuple[Choice, Stamp]:
    stamp: Stamp = {"kind": kind, "x": point.tolist(), "generation": state.generation, "parent": parent}
    return choice_at(state.dimensions, point), stamp


def _count(stamps: Sequence[Stamp], *kinds: Kind) -> int:
    return sum(stamp["kind"] in kinds for stamp in stamps)


def _settle(state: State, stamp: Stamp) -> State:
    """Remove the mutation that a finished candidate was from the queue."""
    if stamp["kind"] == "first":
        return replace(state, first_given=True)
    if stamp["kind"] == "mutation":
        return replace(state, queue=tuple(entry for entry in state.queue if entry[0] != stamp["parent"]))
    return state


def _observed_point(state: State, observation: Observation) -> tuple[Point, bool]:
    """The point of a candidate, and whether it is the proposed one.

    If another choice was evaluated than the proposed one, it is the centre of the evaluated choice's cell.
    """
    if observation.stamp is not None:
        proposed = np.array(observation.stamp["x"])
        if choice_at(state.dimensions, proposed) == observation.choice:
            return proposed, True
    return point_of(state.dimensions, observation.choice), False


def _admit(state: State, point: Point, loss: float, worst: int | None) -> State:
    """The state with a new member, which replaces the worst if the population is full."""
    if worst is None:
        points, losses = np.vstack([state.points, point]), np.append(state.losses, loss)
    else:
        points, losses = state.points.copy(), state.losses.copy()
        points[worst], losses[worst] = point, loss
    return replace(state, points=points, losses=losses)


def _restarted(state: State) -> State:
    """A population that holds the best member only and is to be filled again."""
    best = state.losses.argmin()
    return replace(
        state,
        points=state.points[best : best + 1],
        losses=state.losses[best : best + 1],
        queue=(),
        generation=state.generation + 1,
    )
