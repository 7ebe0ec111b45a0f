"""Expected improvement over all joint actions, against dense formulas and numerical integration."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import gamma, kv
from scipy.stats import multivariate_normal, norm

from netwright.strategies.base import Dimension
from netwright.strategies.q_learning.coordinated import CoordinatedAgents, State
from netwright.strategies.q_learning.improvement import Beliefs, log_expected_improvement, normal_scores
from netwright.strategies.q_learning.joint_choice import key_of
from netwright.strategies.q_learning.layout import Layout
from netwright.strategies.q_learning.prior import CONSTANT, JITTER, Prior, level_covariance
from netwright.strategies.q_learning.relevance import (
    Relevance,
    _Density,
    fit_relevance,
    level_distances,
    log_hyperprior,
    matern,
    relevance_covariance,
)

PRIOR = Prior("steps", 0.6)
RELEVANCE = Relevance(np.array([0.5, 2.0, 1.0, 0.1]), joint=0.7, single=0.3, pairs=0.4, noise=0.05)


def make_layout() -> Layout:
    dimensions = [
        Dimension("kernels", "categorical", 0, 3, 1, choices=(8, 16, 32, 64)),
        Dimension("kind", "categorical", 0, 2, 1, choices=("x", "y", "z")),
        Dimension("depth", "integer", 1, 3, 1),
        Dimension("skip", "categorical", 0, 1, 1, choices=("no", "yes")),
    ]
    return Layout(dimensions, None, [(0, 1), (1, 2), (2, 3)], 32)


def every_choice(layout: Layout) -> np.ndarray:
    return np.array(list(itertools.product(*(range(size) for size in layout.sizes))))


def data(layout: Layout, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    targets = rng.normal(size=rows)
    levels = every_choice(layout)[rng.permutation(layout.choices)[:rows]]
    return levels, (targets - targets.mean()) / targets.std()


def covariance_by_pairs(layout: Layout, relevance: Relevance, one: np.ndarray, other: np.ndarray) -> float:
    """The same, one pair of joint actions at a time, from its definition."""
    sharing, distances = level_covariance(layout, PRIOR), level_distances(layout)
    places = list(zip(one + layout.offsets, other + layout.offsets, strict=True))
    alike = [sharing[place] for place in places]
    distance = math.sqrt(sum(w * distances[p] for w, p in zip(relevance.weights, places, strict=True)))
    x = math.sqrt(5) * distance
    joint = 1.0 if x == 0 else 2 ** (1 - 2.5) / gamma(2.5) * x**2.5 * kv(2.5, x)  # equation 4.14
    pairs = np.mean([alike[i] * alike[i + 1] for i in range(3)])
    return float(
        CONSTANT + relevance.joint * joint + relevance.single * np.mean(alike) + relevance.pairs * pairs
    )


def test_the_covariance_is_its_definition_and_that_of_some_process() -> None:
    layout = make_layout()
    levels = every_choice(layout)
    found = relevance_covariance(
        layout, RELEVANCE, level_covariance(layout, PRIOR), levels, layout.one_hot(levels)
    )
    expected = [[covariance_by_pairs(layout, RELEVANCE, a, b) for b in levels] for a in levels]
    assert found == pytest.approx(np.array(expected), abs=1e-9)
    assert np.linalg.eigvalsh(found).min() > -1e-9


def test_a_dimension_of_no_weight_makes_no_distance() -> None:
    assert matern(np.zeros(1)) == pytest.approx(1.0)
    layout = make_layout()
    relevance = replace(RELEVANCE, weights=np.array([1.0, 0.0, 1.0, 1.0]), single=0.0, pairs=0.0)
    levels = np.array([[1, 0, 2, 1], [1, 2, 2, 1]])
    found = relevance_covariance(
        layout, relevance, level_covariance(layout, PRIOR), levels, layout.one_hot(levels)
    )
    assert found == pytest.approx(CONSTANT + relevance.joint)


def test_density_and_gradient_are_those_of_a_normal_distribution() -> None:
    layout = make_layout()
    levels, targets = data(layout, 25)
    sharing = level_covariance(layout, PRIOR)
    density = _Density(layout, sharing, levels, targets)
    rng = np.random.default_rng(0)
    values = []
    for logarithms in rng.normal(-0.5, 0.7, size=(3, 8)):
        settings = Relevance.of_logarithms(logarithms)
        covariance = relevance_covariance(layout, settings, sharing, levels, layout.one_hot(levels))
        covariance += (settings.noise + JITTER) * np.eye(25)
        expected = multivariate_normal(np.zeros(25), covariance).logpdf(targets) + log_hyperprior(settings)[0]
        found, gradient = density(logarithms)
        values.append(found + expected)
        slopes = approx_fprime(logarithms, lambda x: density(x)[0], 1e-6)
        assert gradient == pytest.approx(slopes, rel=1e-3, abs=1e-3)
    assert values == pytest.approx([values[0]] * 3)  # but for a constant


def test_the_dimensions_that_count_are_found() -> None:
    dimensions = [Dimension(f"x{i}", "categorical", 0, 3, 1, choices=(1, 2, 3, 4)) for i in range(5)]
    layout = Layout(dimensions, None, None, 32)
    levels = every_choice(layout)[np.random.default_rng(0).permutation(layout.choices)[:120]]
    table = np.random.default_rng(1).normal(size=(4, 4, 4))
    values = table[levels[:, 1], levels[:, 3], levels[:, 4]]
    found = fit_relevance(
        layout, level_covariance(layout, Prior()), levels, (values - values.mean()) / values.std()
    )
    counts, others = found.weights[[1, 3, 4]], found.weights[[0, 2]]
    assert counts.min() > 2 * others.max()
    assert found.noise < 0.1


@pytest.mark.parametrize("first", [1, 14, 30])
def test_the_posterior_is_that_of_dense_matrices_however_it_was_come_to(first: int) -> None:
    layout = make_layout()
    levels, targets = data(layout, 30)
    beliefs = Beliefs(layout, PRIOR, targets[:first], levels[:first])
    for row in levels[first:]:
        beliefs.extend(row)
    pending = np.array([[0, 1, 2, 1], [3, 2, 0, 0]])
    mean, variance = beliefs.posterior(targets, pending)

    sharing, relevance = level_covariance(layout, PRIOR), beliefs.relevance
    every = every_choice(layout)

    def covariance(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return relevance_covariance(layout, relevance, sharing, rows, layout.one_hot(others))

    def gain(rows: np.ndarray) -> np.ndarray:
        noise = (relevance.noise + JITTER) * np.eye(len(rows))
        return np.linalg.solve(covariance(rows, rows) + noise, covariance(rows, every)).T

    believed = gain(levels) @ targets
    assert mean == pytest.approx(believed, abs=2e-4)
    both = np.concatenate([levels, pending])
    left = covariance(every, every).diagonal() - (gain(both) * covariance(every, both)).sum(axis=1)
    assert variance == pytest.approx(left, abs=2e-4)
    # What is pending has its believed value: with that, the mean is the same.
    told = np.concatenate([targets, believed[np.ravel_multi_index(tuple(pending.T), layout.sizes)]])
    assert gain(both) @ told == pytest.approx(believed, abs=1e-6)


def test_without_noise_what_is_known_is_believed_and_nothing_better_is_expected_there() -> None:
    layout = make_layout()
    levels, _ = data(layout, 60)
    values = np.array([0.3 * a - b + 0.5 * (a == c) for a, b, c, _ in levels])
    targets = (values - values.mean()) / values.std()
    beliefs = Beliefs(layout, PRIOR, targets, levels)
    mean, variance = beliefs.posterior(targets, levels[:0])
    places = np.ravel_multi_index(tuple(levels.T), layout.sizes)
    assert mean[places] == pytest.approx(targets, abs=0.1)
    others = np.setdiff1d(np.arange(layout.choices), places)
    assert variance[places].max() < np.median(variance[others])
    left = every_choice(layout)[others]
    best = max(0.3 * a - b + 0.5 * (a == c) for a, b, c, _ in left)
    a, b, c, _ = beliefs.best_new(targets, levels, levels, levels[:0])  # type: ignore[misc]
    assert 0.3 * a - b + 0.5 * (a == c) == pytest.approx(best)


def test_what_is_seen_is_not_proposed_until_all_is() -> None:
    layout = make_layout()
    levels, targets = data(layout, 20)
    beliefs = Beliefs(layout, PRIOR, targets, levels)
    seen, none = levels, levels[:0]
    for _ in range(layout.choices - len(levels)):
        found = beliefs.best_new(targets, levels, seen, none)
        assert found is not None
        assert not (seen == found).all(axis=1).any()
        seen = np.concatenate([seen, found[None]])
    assert beliefs.best_new(targets, levels, seen, none) is None


@given(st.floats(-8, 8), st.floats(0.05, 10))
def test_expected_improvement_is_an_integral(gain: float, deviation: float) -> None:
    found = log_expected_improvement(np.array([gain * deviation]), np.array([deviation]))[0]
    integral = quad(
        lambda x: (gain + x) * norm.pdf(x), max(-gain, -10), max(-gain, 0) + 12, epsabs=0, limit=200
    )[0]
    assert found == pytest.approx(math.log(deviation * integral), abs=1e-6)


def test_small_improvements_are_told_apart() -> None:
    gains = -np.logspace(0, 7, 300)
    found = log_expected_improvement(gains, np.ones(300))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    far = gains[-100:]
    expected = -(far**2) / 2 - 0.5 * math.log(2 * math.pi) - 2 * np.log(-far)  # what it tends to
    assert found[-100:] == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40))
def test_normal_scores_keep_the_order(values: list[int]) -> None:
    places = [(sum(v < w for v in values) + 0.5 * values.count(w)) / len(values) - 0.5 for w in values]
    scores = normal_scores(np.array(places))
    assert np.argsort(scores, kind="stable").tolist() == np.argsort(values, kind="stable").tolist()
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.std() == pytest.approx(1 if len(set(values)) > 1 else 0)


def test_many_workers_propose_different_joint_actions() -> None:
    dimensions = [Dimension(f"x{i}", "categorical", 0, 3, 1, choices=(1, 2, 3, 4)) for i in range(5)]
    strategy = CoordinatedAgents()
    state = strategy.init(dimensions)
    rng = np.random.default_rng(0)
    rows = rng.permutation(4**5)[:40]
    levels = np.stack(np.unravel_index(rows, (4,) * 5), axis=1)
    state = State(state.layout, tuple(map(key_of, levels)), tuple(map(float, levels.sum(axis=1))))
    pending: list[dict[str, object]] = []
    for number in range(12):
        _, stamp = strategy.ask(state, np.random.default_rng(number), pending)
        pending.append(dict(stamp))
    assert len({tuple(stamp["levels"]) for stamp in pending}) == 12  # type: ignore[arg-type]
