"""Uniform random search: the baseline that every strategy must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.strategies.base import Choice, Dimension, Observation, Stamp
from netwright.strategies.dimensions import choice_at

State = tuple[Dimension, ...]


@dataclass(frozen=True)
class RandomSearch:
    """Draws every dimension uniformly (on its own scale) and independently, whatever was observed before.

    >>> import numpy as np
    >>> from netwright.strategies.base import Dimension
    >>> search = RandomSearch()
    >>> state = search.init([Dimension("kernel", "categorical", 0, 0, 1, choices=(3,))])
    >>> search.ask(state, np.random.default_rng(0))[0]
    {'kernel': 3}
    """

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "random"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Empty: it has no settings."""
        return {}

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The dimensions; nothing else is kept."""
        return tuple(dimensions)

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A uniform choice."""
        return choice_at(state, rng.random(len(state))), {"kind": "uniform"}

    def tell(self, state: State, observation: Observation) -> State:
        """The same state: nothing is learned."""
        return state
