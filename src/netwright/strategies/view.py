"""What a strategy sees of an Optuna study: its trials as observations, its distributions as dimensions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from netwright.errors import SettingsError, StrategyFailed
from netwright.strategies.base import FIDELITY, Choice, Dimension, Observation, Stamp, Status, Strategy
from netwright.strategies.fold import Fold
from netwright.strategies.own import called
from netwright.strategies.scalarisation import Ranges, counted_for_ranges, ranges_of, scalarised

Distributions = Mapping[str, BaseDistribution]


class View:
    """What a strategy sees of a study under one set of distributions.

    Args:
        distributions: by name.
        strategy: the strategy.
        directions: of the study's objectives.
    """

    def __init__(
        self,
        distributions: dict[str, BaseDistribution],
        strategy: Strategy[Any],
        directions: Sequence[StudyDirection],
    ) -> None:
        self.distributions = distributions
        self._signs = [1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions]
        spelled = [[name, repr(distribution)] for name, distribution in distributions.items()]
        key = json.dumps([strategy.settings, spelled], sort_keys=True)
        self.stamp_key = f"netwright:{strategy.name}:{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self._tell = strategy.tell
        self._init = partial(strategy.init, dimensions_of(distributions))
        self._init()  # what does not fit is told at once
        self._ranges: Ranges | None = None
        self._ranged = -1  # how many results they are from
        self._folds: dict[tuple[float, ...], Fold[Any, FrozenTrial]] = {}

    def stamp(self, trial: FrozenTrial) -> Stamp | None:
        """The strategy's own stamp on a trial."""
        return trial._system_attrs.get(self.stamp_key)

    def rewind(self, count: int) -> None:
        """Take back all trials from index ``count`` on, see `Fold.rewind`."""
        self._ranged = -1
        for fold in self._folds.values():
            fold.rewind(count)

    def state(self, finished: Sequence[FrozenTrial], weights: tuple[float, ...]) -> Any:
        """The strategy's state after trials. There is one for each weighting of several objectives.

        Args:
            finished: in order.
            weights: of the objectives. A single one is not weighed.
        """
        if len(self._signs) > 1:
            self._follow(finished)
        if weights not in self._folds:
            # Each from a state of its own: what states remember to save work is of one weighting.
            self._folds[weights] = Fold(self._init(), partial(self._step, weights))
        return self._folds[weights].advance(finished)

    def _follow(self, finished: Sequence[FrozenTrial]) -> None:
        """Takes the ranges of the objectives from the results. If they change, all rewards do."""
        valued = [trial for trial in finished if trial.values]
        count = counted_for_ranges(len(valued))
        if count == self._ranged:
            return
        self._ranged = count
        ranges = ranges_of([self._signed(trial) for trial in valued[:count]], len(self._signs))
        if ranges != self._ranges:
            self._ranges, self._folds = ranges, {}

    def _step(self, weights: tuple[float, ...], state: Any, trial: FrozenTrial) -> Any:
        observation = self._observation(trial, self._reward(trial, weights))
        return state if observation is None else self._tell(state, observation)

    def _reward(self, trial: FrozenTrial, weights: tuple[float, ...]) -> float | None:
        if not trial.values:
            return None
        values = self._signed(trial)
        return values[0] if self._ranges is None else scalarised(values, weights, self._ranges)

    def _signed(self, trial: FrozenTrial) -> list[float]:
        """The values of a trial, each to be maximised."""
        return [sign * value for sign, value in zip(self._signs, trial.values, strict=True)]

    def _observation(self, trial: FrozenTrial, reward: float | None) -> Observation | None:
        """The trial as an observation; None where it says nothing about these distributions."""
        stamp = self.stamp(trial)
        if trial.state == TrialState.FAIL:
            return None if stamp is None else Observation(trial.number, {}, None, "failed", stamp)
        params = trial.params
        choice = {}
        for name, distribution in self.distributions.items():
            if name not in params or not _holds(distribution, params[name]):
                return None
            choice[name] = params[name]
        status: Status = "complete" if trial.state == TrialState.COMPLETE else "pruned"
        return Observation(trial.number, choice, reward, status, stamp, _fidelity(trial))


def proposal_of(strategy: Strategy[Any], choice: Mapping[str, Any], distributions: Distributions) -> Choice:
    """What a strategy proposed, in Python's own types. Optuna would draw a value that does not fit at random.

    Args:
        strategy: the strategy.
        choice: its proposal.
        distributions: of the dimensions, by name.

    Raises:
        StrategyFailed: a dimension has no value, or one that it does not have; or there is no such dimension.
    """
    who = f"strategy: {called(strategy)}"
    if set(choice) != set(distributions):
        wrong = sorted(set(choice) ^ set(distributions))
        raise StrategyFailed(
            f"{who} proposed {dict(choice)}; expected a value for each of {', '.join(distributions)}, and no other. "
            f"See {', '.join(map(repr, wrong))}."
        )
    values: Choice = {}
    for name, distribution in distributions.items():
        if not _holds(distribution, choice[name]):
            raise StrategyFailed(
                f"{who} proposed {name} = {choice[name]!r}; expected a value of {distribution!r}."
            )
        values[name] = distribution.to_external_repr(distribution.to_internal_repr(choice[name]))
    return values


def _fidelity(trial: FrozenTrial) -> float | None:
    amount = trial.user_attrs.get(FIDELITY)
    return float(amount) if isinstance(amount, int | float) else None


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):
        return False


def dimensions_of(distributions: Distributions) -> list[Dimension]:
    """Optuna's distributions as dimensions for a strategy, in the same order.

    Raises:
        SettingsError: a distribution is not an integer, float or categorical one.
    """
    return [dimension_of(name, distribution) for name, distribution in distributions.items()]


def dimension_of(name: str, distribution: BaseDistribution) -> Dimension:
    """One of Optuna's distributions as a dimension.

    Raises:
        SettingsError: it is not an integer, float or categorical one.
    """
    match distribution:
        case CategoricalDistribution():
            choices = tuple(distribution.choices)
            return Dimension(name, "categorical", 0, len(choices) - 1, 1, choices=choices)
        case IntDistribution():
            return Dimension(
                name, "integer", distribution.low, distribution.high, distribution.step, distribution.log
            )
        case FloatDistribution():
            return Dimension(
                name, "float", distribution.low, distribution.high, distribution.step, distribution.log
            )
    raise SettingsError(
        f"{name!r} is distributed as {distribution!r}: a strategy knows integer, float and categorical only"
    )
