"""Uniformly random choices. A search is compared with them, and a plan measures them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from netwright.strategies import RandomSearch
from netwright.strategies.view import dimensions_of


def draw_choice(distributions: Mapping[str, BaseDistribution], rng: np.random.Generator) -> dict[str, Any]:
    """A random value for each dimension, uniform on its scale."""
    search = RandomSearch()
    choice, _ = search.ask(search.init(dimensions_of(distributions)), rng)
    return choice
