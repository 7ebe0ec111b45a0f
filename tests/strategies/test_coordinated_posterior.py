"""The posterior of the tables against normal equations, and the prior against densities computed otherwise."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from netwright.strategies.base import Dimension
from netwright.strategies.q_learning import posterior
from netwright.strategies.q_learning.layout import Layout
from netwright.strategies.q_learning.posterior import JOINT_BREADTH, Model
from netwright.strategies.q_learning.prior import (
    CONSTANT,
    JITTER,
    NUGGET,
    Prior,
    fit_priors,
    level_covariance,
    log_evidence,
    representative,
)

PLAIN = Prior(near=0.5, noise=0.05)
SMOOTH = Prior("steps", 0.6, near=0.3, far=0.3, noise=0.1)
JOINT = Prior("smooth", 2.0, near=0.4, far=0.1, joint=0.4, alike=0.5, noise=0.02)
ALONE = Prior("steps", 0.6, near=0.0, noise=0.1)
priors = pytest.mark.parametrize("prior", [PLAIN, SMOOTH, JOINT, ALONE])


def make_layout() -> Layout:
    dimensions = [
        Dimension("a.kernels", "categorical", 0, 3, 1, choices=(8, 16, 32, 64)),
        Dimension("a.kind", "categorical", 0, 2, 1, choices=("x", "y", "z")),
        Dimension("b.kernels", "integer", 1, 3, 1),
        Dimension("c.kernels", "categorical", 0, 1, 1, choices=("no", "yes")),
    ]
    return Layout(dimensions, [["a.kernels", "a.kind"], ["b.kernels"], ["c.kernels"]], [(0, 1), (1, 2)], 32)


def data(layout: Layout, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    return rng.integers(0, layout.sizes, size=(rows, len(layout.sizes))), rng.normal(size=rows)


def features(layout: Layout, prior: Prior, levels: np.ndarray) -> np.ndarray:
    """One feature a weight, independent and of variance 1 in the prior, by outer products."""
    near = {(0, 1), (0, 2), (1, 2), (2, 3)}
    covariance = level_covariance(layout, prior)
    roots = [
        np.linalg.cholesky(covariance[part, part] + 1e-12 * np.eye(part.stop - part.start))
        for part in layout.level_slices
    ]
    single, near_share, far_share, joint = prior.shares
    rows = []
    for row in levels:
        encoded = [root[level] for root, level in zip(roots, row, strict=True)]
        found = [np.array([CONSTANT**0.5])]
        found += [(single / 4) ** 0.5 * code for code in encoded]
        for i, j in itertools.combinations(range(4), 2):
            share = near_share / 4 if (i, j) in near else far_share / 2
            found.append(share**0.5 * np.outer(encoded[i], encoded[j]).ravel())
        own = np.ones(1)
        for code in encoded:
            own = np.outer(own, np.append((1 - prior.alike) ** 0.5 * code, prior.alike**0.5)).ravel()
        found.append(joint**0.5 * own)
        rows.append(np.concatenate(found))
    return np.array(rows)


def every_choice(layout: Layout) -> np.ndarray:
    return np.array(list(itertools.product(*(range(size) for size in layout.sizes))))


def said(layout: Layout, draw: object, levels: np.ndarray) -> np.ndarray:
    """What drawn tables say of some levels."""
    one_hot = layout.one_hot(levels)
    total = one_hot @ draw.single + 0.5 * ((one_hot @ draw.pairs) * one_hot).sum(axis=1)  # type: ignore[attr-defined]
    whole = draw.whole  # type: ignore[attr-defined]
    return total if whole is None else total + whole[tuple(levels.T)]


@priors
@pytest.mark.parametrize("rows", [3, 40])
def test_the_mean_is_that_of_the_normal_equations(prior: Prior, rows: int) -> None:
    layout = make_layout()
    levels, targets = data(layout, rows)
    x = features(layout, prior, levels)
    weights = np.linalg.solve(x.T @ x + (prior.noise + JITTER) * np.eye(x.shape[1]), x.T @ targets)
    draw = Model(layout, prior, levels).draw(targets, 0.0, np.random.default_rng(0))
    everything = every_choice(layout)
    expected = features(layout, prior, everything)[:, 1:] @ weights[1:]
    assert said(layout, draw, everything) == pytest.approx(expected, abs=2e-3)


@priors
def test_draws_have_the_covariance_of_the_posterior(prior: Prior) -> None:
    layout = make_layout()
    levels, targets = data(layout, 25)
    model, rng = Model(layout, prior, levels), np.random.default_rng(1)
    everything = every_choice(layout)[::3]
    drawn = np.array([said(layout, model.draw(targets, 1.0, rng), everything) for _ in range(2000)])
    x, at = features(layout, prior, levels), features(layout, prior, everything)
    own = x.shape[1] - int(np.prod([size + 1 for size in layout.sizes]))
    x[:, own:] *= JOINT_BREADTH  # the corrections' own deviations are drawn narrower ...
    at[:, own:] *= JOINT_BREADTH
    at[:, 0] = 0.0  # ... and the mean, which is the same for all, is left out
    full = features(layout, prior, levels)
    kept = features(layout, prior, everything)
    kept[:, 0] = 0.0
    gain = kept @ full.T @ np.linalg.inv(full @ full.T + (prior.noise + JITTER) * np.eye(25))
    scale = np.mean(
        targets @ np.linalg.inv(full @ full.T + (prior.noise + JITTER) * np.eye(25)) @ targets / 25
    )
    errors = at - gain @ x
    expected = scale * (errors @ errors.T + prior.noise * gain @ gain.T)
    found = np.cov(drawn.T)
    assert np.abs(found - expected).max() < 0.16 * expected.max()
    mean = model.draw(targets, 0.0, rng)
    assert np.abs(drawn.mean(axis=0) - said(layout, mean, everything)).max() < 5 * np.sqrt(
        expected.max() / 4000
    )


@priors
def test_a_model_that_grew_is_the_model_of_all_results(prior: Prior) -> None:
    layout = make_layout()
    levels, targets = data(layout, 90)
    grown = Model(layout, prior, levels[:5])
    for row in levels[5:]:
        grown.extend(row)
    whole = Model(layout, prior, levels)
    for breadth in (0.0, 1.0):
        a, b = (model.draw(targets, breadth, np.random.default_rng(3)) for model in (grown, whole))
        assert a.single == pytest.approx(b.single, abs=1e-6)
        assert a.pairs == pytest.approx(b.pairs, abs=1e-6)


@pytest.mark.parametrize("sharing", ["apart", "smooth"])
def test_draws_are_the_same_where_the_cells_of_pairs_are_looked_up(
    sharing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, prior = make_layout(), Prior(sharing, 2.0, near=0.6)
    levels, targets = data(layout, 40)
    products = Model(layout, prior, levels).draw(targets, 1.0, np.random.default_rng(3))
    monkeypatch.setattr(posterior, "FEW", 0)
    model = Model(layout, prior, levels[:5])
    for row in levels[5:]:
        model.extend(row)
    looked_up = model.draw(targets, 1.0, np.random.default_rng(3))
    assert looked_up.single == pytest.approx(products.single, abs=1e-6)
    assert looked_up.pairs == pytest.approx(products.pairs, abs=1e-6)
    assert np.abs(products.pairs).max() > 0.1


def test_corrections_are_the_same_enumerated_or_not() -> None:
    layout = make_layout()
    levels, targets = data(layout, 30)
    model = Model(layout, JOINT, levels)
    enumerated = model.draw(targets, 0.0, np.random.default_rng(0))
    layout.choices = 10**9
    summed = model.draw(targets, 0.0, np.random.default_rng(0))
    assert enumerated.whole is not None
    assert summed.weights is not None
    assert summed.alike is not None
    for row in every_choice(layout)[::5]:
        found = summed.weights @ summed.alike[:, row + layout.offsets].prod(axis=1)
        assert found == pytest.approx(enumerated.whole[tuple(row)], abs=1e-4)


# the prior


@priors
def test_evidence_is_the_density_of_the_targets_up_to_a_constant(prior: Prior) -> None:
    layout = make_layout()
    levels, targets = data(layout, 20)
    found, expected = [], []
    for noise in (0.05, 0.5):
        x = features(layout, replace(prior, noise=noise), levels)
        covariance = x @ x.T + noise * np.eye(20)
        found.append(log_evidence(covariance, targets))
        scales = np.exp(np.linspace(-6, 6, 4001))
        expected.append(
            max(multivariate_normal(None, scale * covariance).logpdf(targets) for scale in scales[::10])
        )
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1], abs=0.01)


def test_levels_share_as_the_prior_says() -> None:
    layout = make_layout()
    kernels, kind = layout.level_slices[0], layout.level_slices[1]
    steps = level_covariance(layout, Prior("steps", 0.6))
    assert steps[kernels, kernels] == pytest.approx(
        np.array([[0.6 ** abs(i - j) for j in range(4)] for i in range(4)])
    )
    assert (steps[kind, kind] == np.eye(3)).all()
    smooth = level_covariance(layout, Prior("smooth", 3.0))[kernels, kernels]
    assert smooth[0, 1] == pytest.approx((1 - NUGGET) * np.exp(-0.5))
    assert np.diag(smooth) == pytest.approx(np.ones(4))
    assert (level_covariance(layout, PLAIN) == np.eye(layout.count)).all()


def test_the_prior_that_made_the_targets_is_recognised() -> None:
    rng = np.random.default_rng(0)
    dimensions = [Dimension(f"x{i}", "integer", 0, 9, 1) for i in range(6)]
    layout = Layout(dimensions, None, None, 32)
    levels = rng.integers(0, 10, size=(200, 6))
    bowl = -((levels - 4.2) ** 2).sum(axis=1) / 30
    assert fit_priors(layout, levels, bowl)[0].sharing == "smooth"
    assert fit_priors(layout, levels, bowl)[0].noise <= 0.01
    shuffled = np.argsort(rng.random((6, 10)), axis=1)
    jumbled = bowl_of(np.take_along_axis(shuffled, levels.T, axis=1).T)
    assert fit_priors(layout, levels, jumbled)[0].sharing == "apart"
    noisy = bowl + 3 * bowl.std() * rng.normal(size=200)
    assert fit_priors(layout, levels, noisy)[0].noise >= 0.3


def bowl_of(levels: np.ndarray) -> np.ndarray:
    result: np.ndarray = -((levels - 4.2) ** 2).sum(axis=1) / 30
    return result


def test_the_best_and_others_of_all_ranks_represent_many_results() -> None:
    targets = np.random.default_rng(0).normal(size=1000)
    kept = representative(targets, 100)
    assert len(set(kept.tolist())) == 100
    assert (np.diff(kept) > 0).all()
    place = np.argsort(np.argsort(-targets))[kept]
    assert set(range(50)) <= set(place.tolist())
    assert np.diff(np.sort(place)).max() <= 21
    assert representative(targets[:7], 100).tolist() == list(range(7))
