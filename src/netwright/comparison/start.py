"""The network that a search started from, for the final comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

from netwright.spaces.base import Space
from netwright.strategies.base import Starting
from netwright.strategies.dimensions import choice_at
from netwright.strategies.sampler import StrategySampler
from netwright.strategies.view import dimensions_of


def starting_point(study: optuna.Study, space: Space) -> tuple[str, dict[str, Any]] | None:
    """The choice that the strategy started from, and its name in sentences; None where it has none.

    A strategy does not see dimensions with a single value. That value is added.
    """
    sampler = study.sampler
    if not isinstance(sampler, StrategySampler) or not isinstance(sampler.strategy, Starting):
        return None
    start = sampler.strategy.starting_point(sampler.state(study))
    if start is None:
        return None
    dimensions = dimensions_of(space.distributions())
    fixed = choice_at(dimensions, np.zeros(len(dimensions)))
    title, choice = start
    return title, dict(fixed) | choice
