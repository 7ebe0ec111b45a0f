"""Multi-agent Q-learning: one agent per layer, tables between connected agents, one reward for all.

A. Iranfar, M. Zapater, D. Atienza: "Multi-Agent Reinforcement Learning for Hyperparameter Optimization of
Convolutional Neural Networks" (2022), as published, and a better variant whose agents choose jointly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from netwright.strategies.base import Strategy
from netwright.strategies.variants import make_variant

VARIANTS = {
    "coordinated": ("netwright.strategies.q_learning.coordinated", "CoordinatedAgents"),
    "published": ("netwright.strategies.q_learning.published", "PublishedQLearning"),
}
"""Name to module and class, as in `make_variant`."""


def q_learning(
    variant: Literal["coordinated", "published"] = "coordinated",
    agents: Sequence[Sequence[str]] | None = None,
    edges: Sequence[Sequence[int]] | None = None,
    levels: int | None = None,
    first: int | None = None,
    exploration: int | None = None,
    alpha: float | None = None,
    alpha_decay: float | None = None,
    epsilon_decay: float | None = None,
    gamma: float | None = None,
    penalty: float | None = None,
    convergence: int | None = None,
) -> Strategy[Any]:
    """Multi-agent Q-learning: agents that choose jointly, or the published algorithm with one agent per layer.

    Every other argument is described by the class of the variant, `PublishedQLearning` or `CoordinatedAgents`; None
    stands for its own default.

    Args:
        variant: "coordinated": agents choose jointly; "published": the paper's own algorithms.

    Raises:
        SettingsError: there is no such variant, it has no such option, or a value is wrong.
    """
    given = {name: value for name, value in locals().items() if name != "variant"}
    return make_variant("q-learning", VARIANTS, variant, given)
