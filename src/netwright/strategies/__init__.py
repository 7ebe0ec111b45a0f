"""Search strategies, one file each: pure functions that `ask` for a choice and `tell` its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netwright.strategies.base import Dimension, Observation, Strategy
from netwright.strategies.cma_es import CmaEs
from netwright.strategies.controlled_random_search import ControlledRandomSearch
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.policy_gradient import policy_gradient as make_policy_gradient
from netwright.strategies.prior import Prior
from netwright.strategies.q_learning import q_learning as make_q_learning
from netwright.strategies.random_search import RandomSearch

# These two names without `make_` are taken by their packages.
STRATEGIES: dict[str, Callable[..., Strategy[Any]]] = {
    "cma-es": CmaEs,
    "controlled-random-search": ControlledRandomSearch,
    "natural-gradient": NaturalGradient,
    "policy-gradient": make_policy_gradient,
    "prior": Prior,
    "q-learning": make_q_learning,
    "random": RandomSearch,
}
"""Name to constructor. The keywords of the constructor are the strategy's settings."""

__all__ = [
    "STRATEGIES",
    "CmaEs",
    "ControlledRandomSearch",
    "Dimension",
    "NaturalGradient",
    "Observation",
    "Prior",
    "RandomSearch",
    "Strategy",
]
