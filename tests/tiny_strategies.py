"""A user's own strategy: a module that is named on the command line as ``tiny_strategies:OneChange``."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from netwright.strategies.base import Observation
from netwright.strategies.dimensions import choice_at


@dataclass(frozen=True)
class OneChange:
    """Changes one dimension of the best choice so far.

    Args:
        random: choices that are drawn first.
    """

    random: int = 1
    name = "one-change"

    @property
    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def init(self, dimensions: Any) -> Any:
        return tuple(dimensions), 0, None, -np.inf

    def ask(self, state: Any, rng: np.random.Generator, pending: Any = ()) -> Any:
        dimensions, known, best, _ = state
        drawn = choice_at(dimensions, rng.random(len(dimensions)))
        if best is None or known < self.random:
            return drawn, {"kind": "random"}
        name = dimensions[rng.integers(len(dimensions))].name
        return {**best, name: drawn[name]}, {"kind": "change"}

    def tell(self, state: Any, observation: Observation) -> Any:
        dimensions, known, best, value = state
        if observation.reward is not None and observation.reward > value:
            best, value = dict(observation.choice), observation.reward
        return dimensions, known + 1, best, value
