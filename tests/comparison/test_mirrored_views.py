"""Which mirrored views are taken, where what each brings is made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from netwright.comparison.ensemble import Rule
from netwright.comparison.mirrored_views import Axes, Viewed, choose_views

CASES = 30
UNITS = np.arange(CASES)
NOISE = np.random.default_rng(0).normal(0.0, 0.01, (CASES, 1))


def viewed(gains: dict[Axes, float], most: int = 99, price: float = 0.0) -> Viewed:
    """Scores that rise by a known gain with each set of axes; None of them: there is no time."""
    rows = np.random.default_rng(1).uniform(0.4, 0.6, (CASES, 1))

    def mirrored(axes: Axes) -> NDArray[np.float64] | None:
        return rows + gains[axes] + NOISE if axes in gains else None

    return Viewed(rows, mirrored, lambda some, views: float(some.mean()) - price * views, lambda n: n <= most)


@pytest.mark.parametrize(
    ("gains", "taken"),
    [
        ({(0,): 0.05, (1,): 0.02, (0, 1): 0.08}, (0, 1)),
        ({(0,): 0.02, (1,): 0.05, (0, 1): 0.05}, (1,)),
        ({(0,): -0.05, (1,): 0.0005, (0, 1): 0.1}, ()),
        ({(1,): 0.05}, (1,)),
    ],
)
def test_axes_are_taken_one_by_one_while_each_is_better_beyond_chance(
    gains: dict[Axes, float], taken: Axes
) -> None:
    views = choose_views(viewed(gains), (0, 1), UNITS, Rule())
    assert views.axes == taken
    assert bool(taken) == any(one["taken"] for one in views.tried)
    assert views.rows.mean() == pytest.approx(viewed(gains).rows.mean() + gains.get(taken, 0.0), abs=0.01)


def test_limits_and_prices_of_views_are_kept() -> None:
    gains = {(0,): 0.05, (1,): 0.02, (0, 1): 0.08}
    limited = choose_views(viewed(gains, most=2), (0, 1), UNITS, Rule())
    assert limited.axes == (0,)
    assert limited.tried[-1]["reason"] == "the limits do not allow it"
    assert choose_views(viewed(gains, price=0.1), (0, 1), UNITS, Rule()).axes == ()


def test_a_view_without_time_is_told() -> None:
    views = choose_views(viewed({}), (0,), UNITS, Rule())
    assert (views.axes, [one["reason"] for one in views.tried]) == ((), ["no time"])
