"""A choice drawn uniformly from distributions: what a search is compared with, and what a plan measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def draw_choice(distributions: Mapping[str, BaseDistribution], rng: np.random.Generator) -> dict[str, Any]:
    """A value for each dimension, uniform on its scale."""
    return {name: _drawn(distribution, rng) for name, distribution in distributions.items()}


def _drawn(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
        return round(value) if isinstance(distribution, IntDistribution) else value
    if step is not None:
        value = low + step * int(rng.integers(round((high - low) / step) + 1))
        return int(value) if isinstance(distribution, IntDistribution) else value
    return float(rng.uniform(low, high))
