"""Multi-agent Q-learning: one agent a layer, tables between connected agents, one reward for all.

A. Iranfar, M. Zapater, D. Atienza: "Multi-Agent Reinforcement Learning for Hyperparameter Optimization of
Convolutional Neural Networks" (2022), as published, and a better one whose agents choose jointly.
"""

from __future__ import annotations

import inspect
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
    first: int = 10,
    exploration: int | None = None,
    alpha: float = 0.95,
    alpha_decay: float = 0.999,
    epsilon_decay: float = 0.99,
    gamma: float = 0.9,
    penalty: float = -1.0,
    convergence: int = 5,
) -> Strategy[Any]:
    """The strategy "q-learning" in one of its variants.

    Args:
        variant: "coordinated", or "published" for the paper's own algorithm.
        agents: names of the dimensions that each agent decides, in topological order; None: one agent a
            dimension.
        edges: pairs (i, j), i < j, of agents that are connected; None: the chain where published, every pair where
            coordinated.
        levels: see either class, as every other option: `PublishedQLearning`, `CoordinatedAgents`; None: its own
            default.

    Raises:
        SettingsError: there is no such variant, it has no such option, or a value is wrong.
    """
    given = dict(locals())
    if variant not in VARIANTS:
        raise SettingsError(f"q-learning has no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    module, name = VARIANTS[variant]
    maker: Callable[..., Strategy[Any]] = getattr(import_module(module), name)
    known = {field.name for field in fields(maker)}  # type: ignore[arg-type]
    default = {name: p.default for name, p in inspect.signature(q_learning).parameters.items()}
    del given["variant"]
    unknown = [name for name, value in given.items() if name not in known and value != default[name]]
    if unknown:
        raise SettingsError(
            f"the variant {variant!r} of q-learning has no option {unknown[0]!r}; its options are: "
            f"{', '.join(sorted(known))}"
        )
    return maker(**{name: value for name, value in given.items() if name in known and value != default[name]})
