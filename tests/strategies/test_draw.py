"""Choices drawn for comparison, as the strategies draw them."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from netwright.searches.random_choices import draw_choice

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "width": IntDistribution(1, 7, log=True),
    "depth": IntDistribution(2, 8, step=3),
    "kind": CategoricalDistribution(("a", "b")),
    "rate": FloatDistribution(0.0, 1.0),
}


def test_drawn_uniformly_on_each_scale() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_choice(DISTRIBUTIONS, rng) for _ in range(6000)]
    assert {tuple(choice) for choice in drawn} == {("width", "depth", "kind", "rate")}
    widths, depths, kinds = (Counter(choice[name] for choice in drawn) for name in ("width", "depth", "kind"))
    # A cell of the logarithmic scale reaches from log(k) to log(k + 1).
    for width in range(1, 8):
        assert widths[width] / 6000 == pytest.approx(math.log((width + 1) / width, 8), abs=0.025)
    assert sorted(depths) == [2, 5, 8]
    assert all(depths[depth] / 6000 == pytest.approx(1 / 3, abs=0.025) for depth in depths)
    assert kinds["a"] / 6000 == pytest.approx(0.5, abs=0.025)
    assert np.mean([choice["rate"] for choice in drawn]) == pytest.approx(0.5, abs=0.025)
