"""Multi-agent Q-learning: one agent a layer, tables between connected agents, one reward for all.

A. Iranfar, M. Zapater, D. Atienza: "Multi-Agent Reinforcement Learning for Hyperparameter Optimization of
Convolutional Neural Networks" (2022), as published, and a better one whose agents choose jointly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from netwright.errors import SettingsError
from netwright.strategies.base import Strategy

VARIANTS = {
    "coordinated": ("netwright.strategies.q_learning.coordinated", "CoordinatedAgents"),
    "published": ("netwright.strategies.q_learning.published", "PublishedQLearning"),
}
"""Name to module and class, a dataclass whose fields are the settings; loaded when asked for."""


def q_learning(
    variant: str = "coordinated",
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
    """Multi-agent Q-learning: agents that choose jointly, or as published, one agent a layer.

    Args:
        variant: "coordinated", or "published" for the paper's own algorithm.
        agents: names of the dimensions that each agent decides, in topological order; None: one agent a
            dimension.
        edges: pairs (i, j), i < j, of agents that are connected; None: the chain where published, every pair where
            coordinated.
        levels: see either class, as every other option: `PublishedQLearning`, `CoordinatedAgents`; None: the class's
            own default.

    Raises:
        SettingsError: there is no such variant, it has no such option, or a value is wrong.
    """
    given = {name: value for name, value in locals().items() if name != "variant" and value is not None}
    if variant not in VARIANTS:
        raise SettingsError(f"q-learning has no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    module, name = VARIANTS[variant]
    maker: Callable[..., Strategy[Any]] = getattr(import_module(module), name)
    known = {field.name for field in fields(maker)}  # type: ignore[arg-type]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise SettingsError(
            f"the variant {variant!r} of q-learning has no option {unknown[0]!r}; its options are: "
            f"{', '.join(sorted(known))}"
        )
    return maker(**given)
