"""Search about a starting choice that is known to be good: uniform choices, changes of it, and changes of the best.

After N. Mallik, E. Bergman, C. Hvarfner, D. Stoll, M. Janowski, M. Lindauer, L. Nardi, F. Hutter: "PriorBand: practical
hyperparameter optimization in the age of deep learning" (NeurIPS 2023), section 4 and its appendix: a mixture of the
uniform distribution, of an expert's prior, and of the neighbourhood of the incumbent, whose weights follow how much of
the best results either of the two explains. What differs:

- Fidelity is any number, the seconds of a training that may go on, where PriorBand has rungs. Each choice counts with
  its longest training, and compared are those that were trained longest. All proposals begin with the shortest
  training, so the share of uniform ones is a constant.
- The prior is a point. Both neighbourhoods change few dimensions, where PriorBand moves all of them about the prior.
- Neither centre is evidence for itself: the incumbent always explains itself best. Evidence is a mean of logarithms, so
  that no single choice decides.
- A prior may know more than a point: changes of it that often help. They are tried first, one by one, then those
  together that were better than the starting choice after as much training. Portfolios of good choices do as much for
  algorithm selection (M. Feurer, K. Eggensperger, S. Falkner, M. Lindauer, F. Hutter: "Auto-sklearn 2.0", JMLR 2022);
  where the choices of a portfolio are whole, these are changes that can be added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.checks import require_whole
from netwright.strategies.dimensions import Point, choice_at, point_of, point_of_first
from netwright.strategies.prior_results import Key, Result, Results, key_of

ATTEMPTS = 50
"""A choice that was proposed before is drawn again, at most this many times."""

NARROW = 0.02
"""Values of a continuous dimension that are this near to each other count as the same."""

MOST_TOGETHER = 4
"""At most so many of the suggested changes are tried together."""

LEAST = 0.1
"""Neither neighbourhood gets less than this share of what is not uniform."""


@dataclass(frozen=True, eq=False)
class State:
    """The dimensions, the starting point, and results by choice, in the order in which they first came; immutable."""

    dimensions: tuple[Dimension, ...]
    start: Point | None
    results: Results


@dataclass(frozen=True)
class Prior:
    """Samples about the starting choice and about the best choice so far, by how well either explains the best results.

    Args:
        first: the starting choice, a value for every dimension, which is proposed first; None: there is none, and only
            the best choice so far is changed. In a run, "start" is the space's starting choice.
        suggestions: changes of the starting choice, each a value for one or more dimensions: proposed next, in this
            order; then the best two together of those that were better than the starting choice after as much
            training, the best three, and so on. In a run, "space" is what the space suggests. None: there are none.
        uniform: share of the proposals that are drawn uniformly.
        changes: about how many dimensions of the starting choice, or of the best choice so far, are changed.
        spread: by how much a number is changed: a standard deviation, as a share of its dimension.
        reduction: at least this many choices are compared, and the best one of this many says which of the two explains
            the best results.

    Raises:
        SettingsError: a value is out of range.

    >>> import numpy as np
    >>> strategy = Prior(first={"depth": 3})
    >>> state = strategy.init([Dimension("depth", "integer", 1, 4, step=1)])
    >>> strategy.ask(state, np.random.default_rng(0))[0]
    {'depth': 3}
    """

    first: Mapping[str, Value] | None = None
    suggestions: Sequence[Mapping[str, Value]] | None = None
    uniform: float = 0.25
    changes: float = 2.0
    spread: float = 0.2
    reduction: int = 3

    def __post_init__(self) -> None:
        require_whole(reduction=(self.reduction, 2))
        if self.suggestions is not None and not (
            isinstance(self.suggestions, Sequence)
            and not isinstance(self.suggestions, str)
            and all(isinstance(change, Mapping) for change in self.suggestions)
        ):
            raise SettingsError(
                f"suggestions is {self.suggestions!r}, but expected a list of tables, each with a value for one or "
                "more dimensions: [{depth: 4}]; in a run also space, for what the space suggests"
            )
        for name, most in (("uniform", 1.0), ("spread", 1.0), ("changes", math.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
                upper = "" if most == math.inf else f" and at most {most:g}"
                raise SettingsError(f"{name} is {value!r}, but expected a number above 0{upper}")

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "prior"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return asdict(self)

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The state before any observation.

        Raises:
            SettingsError: ``first`` is not a choice of the dimensions, or a suggestion is no change of it.
        """
        if self.first is None:
            if self.suggestions:
                raise SettingsError("suggestions are changes of the starting choice: give it as first")
            return State(tuple(dimensions), None, Results())
        for change in self.suggestions or ():
            if unknown := [name for name in change if name not in self.first]:
                known = ", ".join(self.first)
                raise SettingsError(
                    f"suggestions: there is no dimension {unknown[0]!r} to be changed; there are {known}"
                )
            try:
                point_of_first(dimensions, {**self.first, **change})
            except SettingsError as error:
                raise SettingsError(
                    f"suggestions: {dict(change)} is no change of the start: {error}"
                ) from None
        return State(tuple(dimensions), point_of_first(dimensions, self.first), Results())

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """The starting choice, if it was not asked for yet; then what is suggested; else one of the mixture.

        If possible it is a new one. The stamp holds ``kind`` ("start", "suggestion", "together", "uniform", "prior" or
        "incumbent") and the proposal's point as ``at``.
        """
        running = {tuple(stamp["at"]) for stamp in pending}
        for kind, known in self._known_beforehand(state):
            key = _key(state.dimensions, known)
            if key not in state.results and key not in running:
                return known, {"kind": kind, "at": list(key)}
        incumbent = self.incumbent(state)
        weights = self._weights(state, incumbent)
        for _ in range(ATTEMPTS):
            kind = str(rng.choice(list(weights), p=list(weights.values())))
            centre = state.start if kind == "prior" else incumbent
            drawn = rng.random(len(state.dimensions))
            if kind != "uniform" and centre is not None:
                drawn = self._changed(state.dimensions, centre, drawn, rng)
            choice = choice_at(state.dimensions, drawn)
            key = _key(state.dimensions, choice)
            if key not in state.results and key not in running:
                break
        return choice, {"kind": kind, "at": list(key)}

    def _known_beforehand(self, state: State) -> Iterator[tuple[str, Choice]]:
        """The starting choice, the suggestions, and those together that were better, with their kinds."""
        if self.first is None or state.start is None:
            return
        start = choice_at(state.dimensions, state.start)
        for dimension in state.dimensions:
            value = self.first[dimension.name]
            if dimension.kind == "float" and isinstance(value, int | float):
                start[dimension.name] = float(value)  # of which its position holds a few digits only
        yield "start", start
        changes = self.suggestions or ()
        yield from (("suggestion", {**start, **change}) for change in changes)
        together: dict[str, Value] = {}
        for count, change in enumerate(self._better(state, start, changes)[:MOST_TOGETHER]):
            together = {**change, **together}
            if count:
                yield "together", {**start, **together}

    def _better(
        self, state: State, start: Choice, changes: Sequence[Mapping[str, Value]]
    ) -> list[Mapping[str, Value]]:
        """The changes that were better than the start after as much training, the best first.

        Args:
            state: with the results.
            start: the starting choice.
            changes: of it.
        """
        of_start = state.results.get(_key(state.dimensions, start))
        if of_start is None:
            return []
        gains = []
        for change in changes:
            result = state.results.get(_key(state.dimensions, {**start, **change}))
            if result is not None:
                shared = min(result.fidelity, of_start.fidelity)
                gains.append((result.reward_after(shared) - of_start.reward_after(shared), change))
        better = [(gain, change) for gain, change in gains if 0 < gain < math.inf]
        return [change for _, change in sorted(better, key=lambda pair: -pair[0])]

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result. Of a choice with several results, the one after the longest training counts.

        For a failed candidate only the proposal is stored, so that it is not repeated.
        """
        if observation.status == "failed":
            if observation.stamp is None:
                return state
            key = tuple(observation.stamp["at"])
            return replace(state, results=state.results.with_result(key, state.results.get(key)))
        key = _key(state.dimensions, observation.choice)
        before = state.results.get(key)
        reward, fidelity = observation.reward, observation.fidelity or 0.0
        known = reward if reward is not None and not math.isnan(reward) else -math.inf
        # Of two results after as much training, the one that came last.
        others = () if before is None else tuple(pair for pair in before.curve if pair[0] != fidelity)
        curve = tuple(sorted((*others, (fidelity, known))))
        result = Result(point_of(state.dimensions, observation.choice), curve)
        return replace(state, results=state.results.with_result(key, result))

    def incumbent(self, state: State) -> Point | None:
        """The best of the choices that were trained longest; None: none has a reward."""
        return state.results.best(self.reduction)

    def weights(self, state: State) -> dict[str, float]:
        """The shares of "uniform", "prior" and "incumbent"; their sum is 1."""
        return self._weights(state, self.incumbent(state))

    def _weights(self, state: State, incumbent: Point | None) -> dict[str, float]:
        """`weights`, where the incumbent is known."""
        rest = 1 - self.uniform
        if incumbent is None:
            return {"uniform": 1.0} if state.start is None else {"uniform": self.uniform, "prior": rest}
        if state.start is None:
            return {"uniform": self.uniform, "incumbent": rest}
        share = self._share_of_prior(state, incumbent)
        return {"uniform": self.uniform, "prior": rest * share, "incumbent": rest * (1 - share)}

    def _share_of_prior(self, state: State, incumbent: Point) -> float:
        """The share of the prior, by how well it explains the best results; 1 until enough choices are known.

        The i-th best of n has the weight n - i + 1, as in the paper.
        """
        start, results = state.start, state.results
        if start is None or results.known < self.reduction or np.array_equal(start, incumbent):
            return 1.0
        density = partial(self._log_density, state.dimensions)
        evidence, weight = results.evidence(start, incumbent, density, self.reduction)
        share = 1 / (1 + math.exp(-min(max(evidence / weight, -30), 30))) if weight else 0.5
        return min(max(share, LEAST), 1 - LEAST)

    def _rate(self, dimensions: Sequence[Dimension]) -> float:
        """The chance that a dimension is changed."""
        return min(self.changes / len(dimensions), 0.9)

    def _changed(
        self, dimensions: Sequence[Dimension], centre: Point, drawn: Point, rng: np.random.Generator
    ) -> Point:
        """A neighbour: some dimensions of the centre changed, one at least.

        Args:
            dimensions: of the choice.
            centre: what is changed.
            drawn: a uniform position in each dimension.
            rng: the source of random numbers.
        """
        able = np.array([_values(dimension) > 1 for dimension in dimensions])
        changed = able & (rng.random(len(dimensions)) < self._rate(dimensions))
        if not changed.any() and able.any():
            changed[rng.choice(np.flatnonzero(able))] = True
        point = centre.copy()
        for i in np.flatnonzero(changed).tolist():
            point[i] = self._moved(dimensions[i], centre[i], drawn[i], rng)
        return point

    def _moved(self, dimension: Dimension, at: float, drawn: float, rng: np.random.Generator) -> float:
        """Another position: of a category any other one, of a number one near by, and never the same value."""
        if dimension.kind == "categorical":
            values = len(dimension.choices)
            cell = min(int(at * values), values - 1)
            other = int(drawn * (values - 1))
            return (other + (other >= cell) + 0.5) / values
        for _ in range(ATTEMPTS):
            position = float(at + self.spread * rng.normal())
            before, after = (
                choice_at([dimension], np.array([p])) for p in (at, min(max(position, 0.0), 1.0))
            )
            if 0 <= position <= 1 and before != after:
                return position
        return drawn

    def _log_density(self, dimensions: Sequence[Dimension], point: Point, centre: Point) -> float:
        """How well a centre explains a point: the logarithm of a density that has most of it near the centre."""
        rate, total = self._rate(dimensions), 0.0
        for dimension, x, z in zip(dimensions, point.tolist(), centre.tolist(), strict=True):
            values = _values(dimension)
            if values == 1:
                continue
            if dimension.kind == "categorical":
                total += math.log(1 - rate if x == z else rate / (values - 1))
                continue
            narrow = max(NARROW, 0.25 / values)
            total += math.log((1 - rate) * _normal(x - z, narrow) + rate * _normal(x - z, self.spread) + 1e-9)
        return total


def _key(dimensions: Sequence[Dimension], choice: Mapping[str, Value]) -> Key:
    """A key that is equal for equal choices."""
    return key_of(point_of(dimensions, choice))


def _values(dimension: Dimension) -> float:
    """How many values a dimension has; infinitely many where it is continuous and not one number."""
    if dimension.high <= dimension.low:
        return 1
    return (
        math.inf if dimension.step is None else round((dimension.high - dimension.low) / dimension.step) + 1
    )


def _normal(away: float, sd: float) -> float:
    return math.exp(-((away / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
