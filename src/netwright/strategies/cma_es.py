"""CMA-ES with margin, from the library cmaes, which Optuna's own `CmaEsSampler` uses too.

N. Hansen: "The CMA evolution strategy: a tutorial" (2016); R. Hamano, S. Saito, M. Nomura, S. Shirakawa: "CMA-ES with
margin: lower-bounding marginal probability for mixed-integer black-box optimization" (GECCO 2022). The margin keeps a
shrinking variance from settling on one value of a discrete dimension.

It does not use Optuna's sampler, because that one stores the optimiser as a pickle in the study's database, and a run
folder from somebody else must not be able to execute code. Here the optimiser is rebuilt from the results.

Dimensions are scaled to [0, 1]. A category is represented by its index; Optuna's sampler does not support categories.
Two things differ from Optuna. A candidate without a reward ranks last in its generation, while Optuna ignores it. And
the first candidate belongs to the first generation, while Optuna draws it at random.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.checks import require_whole
from netwright.strategies.dimensions import Point, choice_at, point_of, point_of_first

if TYPE_CHECKING:
    from cmaes import CMAwM

RESAMPLING = 10
"""A point outside a continuous dimension is drawn again, at most this many times per dimension, as in Optuna."""

FEWEST = 4
"""The least number of candidates in a generation: variances cannot be learned from fewer."""


@dataclass(frozen=True, eq=False)
class State:
    """The distribution, and the results of the current generation as (point, loss); immutable."""

    dimensions: tuple[Dimension, ...]
    optimizer: CMAwM
    results: tuple[tuple[Point, float], ...] = ()


@dataclass(frozen=True)
class CmaEs:
    """CMA-ES with margin: samples a normal distribution, which moves and reshapes towards the better samples.

    Args:
        population: candidates of a generation, at least 4; None: 4 + 3 ln n for n dimensions.
        sigma: standard deviation of the first generation, as a share of each dimension.
        first: the choice at the centre of the first generation, a value for every dimension; None: the middle of each
            dimension. In a run, "start" is the space's starting choice.

    Raises:
        SettingsError: a value is out of range.
    """

    own_proposals_only: ClassVar[Literal[True]] = True

    population: int | None = None
    sigma: float = 1 / 6
    first: Mapping[str, Value] | None = None

    def __post_init__(self) -> None:
        if self.population is not None:
            require_whole(population=(self.population, FEWEST))
        if not isinstance(self.sigma, (int, float)) or not 0 < self.sigma < math.inf:
            raise SettingsError(f"sigma is {self.sigma!r}, but expected a number above 0, for example 0.2")

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "cma-es"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return asdict(self)

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The distribution of the first generation.

        Raises:
            SettingsError: ``first`` is not a choice of the dimensions.
        """
        from cmaes import CMAwM  # takes long to load, and every command loads this module

        widths, lows = np.array([_lattice(d) for d in dimensions]).T
        optimizer = CMAwM(
            mean=self._mean(dimensions),
            sigma=self.sigma,
            bounds=np.stack([lows, 1 - lows], axis=1),
            steps=widths,
            n_max_resampling=RESAMPLING * len(dimensions),
            seed=0,  # every ask has a seed of its own
            population_size=self.population,
        )
        return State(tuple(dimensions), optimizer)

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A point of the current generation and its stamp.

        The stamp holds ``kind``, ``generation``, the point before rounding as ``x`` and after rounding as ``at``.
        """
        optimizer = copy.deepcopy(state.optimizer)
        optimizer.reseed_rng(int(rng.integers(2**32)))
        rounded, x = optimizer.ask()
        stamp = {
            "kind": "sample",
            "generation": optimizer.generation,
            "x": x.tolist(),
            "at": rounded.tolist(),
        }
        return choice_at(state.dimensions, rounded), stamp

    def tell(self, state: State, observation: Observation) -> State:
        """The state with one more result; a complete generation moves the distribution.

        Three things are ignored: a late result of an older generation, a result that was not asked for, and a
        generation in which no candidate has a reward.
        """
        stamp, optimizer = observation.stamp, state.optimizer
        if stamp is None or observation.status == "failed" or stamp["generation"] != optimizer.generation:
            return state
        loss = math.inf if observation.reward is None else -observation.reward
        as_proposed = choice_at(state.dimensions, np.array(stamp["at"])) == observation.choice
        point = np.array(stamp["x"]) if as_proposed else point_of(state.dimensions, observation.choice)
        results = (*state.results, (point, math.inf if math.isnan(loss) else loss))
        if len(results) < optimizer.population_size:
            return replace(state, results=results)
        if all(loss == math.inf for _, loss in results):
            return replace(state, results=())
        optimizer = copy.deepcopy(optimizer)
        optimizer.tell(list(results))
        return replace(state, optimizer=optimizer, results=())

    def _mean(self, dimensions: Sequence[Dimension]) -> Point:
        if self.first is None:
            return np.full(len(dimensions), 0.5)
        return point_of_first(dimensions, self.first)


def _lattice(dimension: Dimension) -> tuple[float, float]:
    """The width of a value's cell in [0, 1] and the centre of the first cell; 0 and 0 for continuous values.

    A logarithmic dimension counts as continuous, as in Optuna.
    """
    if dimension.step is None or dimension.log:
        return 0.0, 0.0
    width = 1 / (round((dimension.high - dimension.low) / dimension.step) + 1)
    return width, width / 2
