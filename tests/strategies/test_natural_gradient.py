"""The natural gradient on a categorical distribution: formulas against others, invariances, how soon it settles."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies import STRATEGIES, Dimension, Observation
from netwright.strategies.natural_gradient import Distribution, NaturalGradient, uniform, utilities

SIZES = st.lists(st.integers(2, 6), min_size=1, max_size=8)


def walked(
    sizes: list[int], seed: int, steps: int, *, adaptive: bool = True, samples: int = 2
) -> Distribution:
    """A distribution after steps by random losses."""
    rng = np.random.default_rng(seed)
    found = uniform(sizes, adaptive=adaptive)
    for _ in range(steps):
        rows = np.array([found.sample(rng) for _ in range(samples)])
        found = found.updated(rows, rng.normal(size=samples))
    return found


@settings(max_examples=60)
@given(SIZES, st.integers(0, 10**6), st.booleans(), st.integers(2, 9))
def test_probabilities_add_up_and_keep_their_bounds(
    sizes: list[int], seed: int, adaptive: bool, samples: int
) -> None:
    found = walked(sizes, seed, 40, adaptive=adaptive, samples=samples)
    count = len(sizes)
    for size, theta in zip(sizes, found.probabilities(), strict=True):
        lowest = 1 / (count * (size - 1))
        lowest = lowest if size * lowest < 1 - 1e-9 else 1 / (2 * size)
        assert theta.sum() == pytest.approx(1, abs=1e-12)
        assert (theta >= lowest - 1e-12).all()
        if count > 2:
            assert (theta <= 1 - 1 / count + 1e-12).all()
    assert 0 < found.eta <= found.free**-0.5 + 1e-15


@settings(max_examples=40)
@given(SIZES, st.integers(0, 10**6))
def test_a_step_is_the_one_of_the_formulas_written_out(sizes: list[int], seed: int) -> None:
    before = walked(sizes, seed, 15)
    rng = np.random.default_rng([seed, 1])
    rows = np.array([before.sample(rng), before.sample(rng)])
    after = before.updated(rows, np.array([1.0, 2.0]))
    s, square, theta_after = [], 0.0, []
    for i, (size, theta) in enumerate(zip(sizes, before.probabilities(), strict=True)):
        best, worst = (np.eye(size)[rows[n, i]] for n in (0, 1))
        g = (best - worst) / 2
        square += float((g**2 / theta).sum())
        r, q, v = theta[:-1], theta[-1], g[:-1]
        for j in range(size - 1):
            s.append(v[j] / math.sqrt(r[j]) + math.sqrt(r[j]) * v.sum() / (q + math.sqrt(q)))
        lowest = before.lowest[i]
        moved = np.maximum(theta + before.eta * g, lowest)
        moved += (1 - moved.sum()) / (moved.sum() - size * lowest) * (moved - lowest)
        theta_after.append(moved)
    a = np.array(s)
    assert float(a @ a) == pytest.approx(square), "the square of a is that of the Fisher metric"
    np.testing.assert_allclose(np.concatenate(theta_after), after.theta, atol=1e-12)
    free = sum(sizes) - len(sizes)
    eta = before.eta
    path = (1 - eta) * before.s + math.sqrt(eta * (2 - eta)) * a / math.sqrt(free / 2)
    gamma = (1 - eta) ** 2 * before.gamma + eta * (2 - eta)
    np.testing.assert_allclose(after.s, path, atol=1e-12)
    assert after.gamma == pytest.approx(gamma)
    rate = eta * math.exp(eta * (float(path @ path) / 1.5 - gamma))
    assert after.eta == pytest.approx(min(rate, free**-0.5))


def test_the_whitened_gradient_takes_the_root_of_the_fisher_information() -> None:
    # F = diag(1 / r) + 1 1^T / q; A^T v and A v have different lengths, and only the first has that of the metric.
    theta = np.array([0.5, 0.3, 0.2])
    found = Distribution((3,), theta, 0.1, np.zeros(2))
    g = np.array([0.5, -0.5, 0.0])
    r, q, v = theta[:2], theta[2], g[:2]
    fisher = np.diag(1 / r) + np.ones((2, 2)) / q
    assert float(found.whitened(g) @ found.whitened(g)) == pytest.approx(float(v @ fisher @ v))
    other = v / np.sqrt(r) + np.sqrt(r) @ v / (q + math.sqrt(q))
    assert float(other @ other) != pytest.approx(float(v @ fisher @ v))


@given(st.integers(0, 10**6), st.sampled_from([np.exp, np.arctan, lambda x: 5 * x - 3]))
def test_nothing_but_the_order_of_losses_counts_and_not_that_of_the_pair(seed: int, change: Any) -> None:
    rng = np.random.default_rng(seed)
    before = walked([3, 4, 2], seed, 5)
    rows, losses = np.array([before.sample(rng), before.sample(rng)]), rng.normal(size=2)
    one = before.updated(rows, losses)
    for other in (before.updated(rows, change(losses)), before.updated(rows[::-1], losses[::-1])):
        assert one.theta.tobytes() == other.theta.tobytes()
        assert (one.eta, one.gamma) == (other.eta, other.gamma)


def test_a_tie_moves_nothing() -> None:
    before = walked([3, 4], 0, 5)
    rows = np.array([[0, 1], [2, 3]])
    assert before.updated(rows, np.array([0.3, 0.3])) is before
    assert before.updated(rows, np.array([math.inf, math.inf])) is before


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1, 2], [1, -1]),
        ([2, 1], [-1, 1]),
        ([1, 2, 3, 4, 5], [1, 1, 0, -1, -1]),
        ([5, 1, 3, 2, 4, 8, 7, 6], [0, 1, 0, 1, 0, -1, -1, 0]),
        ([1, 1, 2], [0.5, 0.5, -1]),
        ([math.inf, 0], [-1, 1]),
    ],
)
def test_utilities_are_those_of_the_quarters(losses: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(utilities(np.array(losses, dtype=float)), expected)


def test_samples_have_the_probabilities_of_theta() -> None:
    found = walked([2, 5, 3], 3, 30)
    rng = np.random.default_rng(0)
    drawn = np.array([found.sample(rng) for _ in range(20_000)])
    for variable, theta in enumerate(found.probabilities()):
        counts = np.bincount(drawn[:, variable], minlength=len(theta)) / len(drawn)
        np.testing.assert_allclose(counts, theta, atol=5 * 0.5 / math.sqrt(len(drawn)))
    assert found.likeliest().tolist() == [int(theta.argmax()) for theta in found.probabilities()]


def test_under_random_losses_the_rate_falls_as_three_over_the_steps() -> None:
    rates = [3000 * walked([5] * 40, seed, 3000).eta for seed in range(3)]
    assert 2 < median(rates) < 4


def iterations_until_settled(seed: int, *, adaptive: bool, most: int) -> int:
    """On D = 40, K = 5, a unit of cost for each wrong variable: when the mean largest probability is 0.9."""
    rng = np.random.default_rng(seed)
    found = uniform([5] * 40, adaptive=adaptive)
    for iteration in range(1, most + 1):
        rows = np.array([found.sample(rng), found.sample(rng)])
        costs: NDArray[np.float64] = (rows != 0).sum(axis=1).astype(np.float64)
        found = found.updated(rows, costs)
        if found.theta.reshape(40, 5).max(axis=1).mean() >= 0.9:
            return iteration
    return most + 1


@pytest.mark.parametrize(
    ("adaptive", "least", "most"), [(True, 0, 1600), pytest.param(False, 2500, 3300, marks=pytest.mark.slow)]
)
def test_settles_as_soon_as_it_should(adaptive: bool, least: int, most: int) -> None:
    found = [iterations_until_settled(seed, adaptive=adaptive, most=most) for seed in range(20)]
    assert least <= min(found)
    assert max(found) <= most
    if adaptive:
        assert 900 < median(found) < 1200


def test_searches_by_whole_trials() -> None:
    dimensions = [
        Dimension("a", "categorical", 0, 3, 1, choices=("w", "x", "y", "z")),
        Dimension("b", "integer", 1, 9, 2),
        Dimension("c", "float", 0.0, 1.0, None),
        Dimension("d", "integer", 7, 7, 1),
    ]
    strategy = NaturalGradient(levels=5)
    state = strategy.init(dimensions)
    for number in range(300):
        choice, stamp = strategy.ask(state, np.random.default_rng([4, number]))
        assert choice["d"] == 7
        reward = (choice["a"] == "y") + (choice["b"] == 3) - abs(float(str(choice["c"])) - 0.5)
        told = None if choice["a"] == "w" else float(reward)
        status = "pruned" if told is None else "complete"
        state = strategy.tell(state, Observation(number, choice, told, status, stamp))  # type: ignore[arg-type]
    a, b, c = state.distribution.probabilities()
    assert (int(a.argmax()), int(b.argmax()), int(c.argmax())) == (2, 1, 2)
    assert strategy.tell(state, Observation(1, {}, None, "failed", None)) is state


def test_dimensions_of_one_value_are_no_variables() -> None:
    strategy = NaturalGradient()
    state = strategy.init([Dimension("a", "integer", 3, 3, 1)])
    for number in range(3):
        choice, stamp = strategy.ask(state, np.random.default_rng(number))
        assert choice == {"a": 3}
        state = strategy.tell(state, Observation(number, choice, float(number), "complete", stamp))


def test_settings() -> None:
    assert STRATEGIES["natural-gradient"](samples=4).settings["samples"] == 4
    for values in ({"samples": 1}, {"samples": 2.5}, {"levels": 1}):
        with pytest.raises(SettingsError, match=next(iter(values))):
            NaturalGradient(**values)
    with pytest.raises(ValueError, match="two categories"):
        uniform([3, 1])
