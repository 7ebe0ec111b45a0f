"""Choices of a space: at random, and each value in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import nn

from netwright.spaces import Space
from netwright.strategies.dimensions import value_at
from netwright.strategies.view import dimensions_of


def random_choices(space: Space, count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    dimensions = dimensions_of(space.distributions())
    for _ in range(count):
        yield {
            d.name: value_at(d, position)
            for d, position in zip(dimensions, generator.random(len(dimensions)), strict=True)
        }


def each_value(space: Space) -> Iterator[dict[str, Any]]:
    """The starting choice with every other value of each dimension in turn."""
    start = space.starting_choice()
    for name, distribution in space.distributions().items():
        if isinstance(distribution, CategoricalDistribution):
            values: Any = distribution.choices
        elif isinstance(distribution, IntDistribution):
            values = range(distribution.low, distribution.high + 1, distribution.step)
        else:
            values = (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in values:
            if value != start[name]:
                yield {**start, name: value}


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
