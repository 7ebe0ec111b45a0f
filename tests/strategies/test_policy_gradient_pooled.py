"""The policy gradient whose groups are estimated from many rounds."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest

from netwright.errors import SettingsError
from netwright.strategies import STRATEGIES, Dimension, Observation
from netwright.strategies.ladder import ladder_of
from netwright.strategies.policy_gradient import PooledPolicyGradient
from netwright.strategies.policy_gradient.pooled import ALIKE, CONSTANT, NOISE, State, effects
from netwright_tests import told

LETTERS = ("a", "b", "c", "d")
MIXED = [
    Dimension("n", "integer", 0, 5, 1),
    Dimension("c", "categorical", 0, 3, 1, choices=LETTERS),
    Dimension("k", "integer", 1, 11, 2),
]


def test_effects_are_those_of_a_ridge_regression_written_out() -> None:
    # In features: a one-hot vector for each category, the root of the covariance for each ordered value, a constant.
    ladders = [ladder_of(dimension, 32) for dimension in MIXED]
    rng = np.random.default_rng(0)
    rows = rng.integers(0, [6, 4, 6], (40, 3))
    rewards = rng.normal(size=40)
    ranks = np.argsort(np.argsort(rewards)).astype(float)
    targets = (ranks - ranks.mean()) / ranks.std()
    roots = []
    for size, ordered in ((6, True), (4, False), (6, True)):
        apart = np.abs(np.arange(size)[:, None] - np.arange(size))
        roots.append(np.linalg.cholesky(ALIKE**apart if ordered else np.eye(size)))
    parts = [root[rows[:, i]] / math.sqrt(3) for i, root in enumerate(roots)]
    features = np.concatenate([*parts, np.full((40, 1), math.sqrt(CONSTANT))], axis=1)
    weights = np.linalg.solve(features.T @ features + NOISE * np.eye(features.shape[1]), features.T @ targets)
    start = 0
    for root, found in zip(roots, effects(ladders, rows, rewards), strict=True):
        expected = root @ weights[start : start + len(root)] / math.sqrt(3)
        np.testing.assert_allclose(found, expected, atol=1e-9)
        start += len(root)


def test_only_the_order_of_rewards_counts_and_none_ranks_last() -> None:
    ladders = [ladder_of(dimension, 32) for dimension in MIXED]
    rng = np.random.default_rng(1)
    rows, rewards = rng.integers(0, [6, 4, 6], (20, 3)), rng.normal(size=20)
    rewards[:5] = -math.inf
    for one, other in zip(
        effects(ladders, rows, rewards), effects(ladders, rows, np.exp(rewards)), strict=True
    ):
        np.testing.assert_allclose(one, other)
    for flat in effects(ladders, rows, np.zeros(20)):
        np.testing.assert_array_equal(flat, 0)


def test_begins_at_the_best_of_a_uniform_round_and_moves_a_step_at_most() -> None:
    strategy = PooledPolicyGradient(perturbations=4)
    state = strategy.init(MIXED)
    asked = [strategy.ask(state, np.random.default_rng(seed)) for seed in range(4)]
    assert {stamp["kind"] for _, stamp in asked} == {"uniform"}
    for reward, (choice, stamp) in enumerate(asked):
        state = told(strategy, state, choice, float(reward), stamp)
    assert state.policy is not None
    assert state.policy.tolist() == asked[3][1]["levels"]
    for seed in range(40):
        choice, stamp = strategy.ask(state, np.random.default_rng(seed))
        assert stamp["kind"] == "perturbation"
        before = state.policy
        step = np.abs(np.array(stamp["levels"]) - before)
        assert (step[[0, 2]] <= 1).all()
        state = told(strategy, state, choice, None if seed % 7 == 0 else float(choice["n"]), stamp)
        moved = np.abs(np.asarray(state.policy) - before)
        assert (moved[[0, 2]] <= 1).all()
    assert len(state.rounds) == 10
    assert choice_of_n(state) == 5, "the only coordinate with a say"
    assert state.rounds[-1].means.shape == (3, 3)


def choice_of_n(state: State) -> int:
    assert state.policy is not None
    return int(state.policy[0])


def test_results_from_elsewhere_and_late_ones_teach_too() -> None:
    strategy = PooledPolicyGradient(perturbations=50, first={"n": 0, "c": "a", "k": 1})
    state = strategy.init(MIXED)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        choice = {"n": int(rng.integers(6)), "c": LETTERS[rng.integers(4)], "k": 1 + 2 * int(rng.integers(6))}
        reward = choice["n"] + 3 * (choice["c"] == "d") - choice["k"]
        state = told(strategy, state, choice, float(reward))
    assert state.policy is not None
    assert state.policy.tolist() == [1, 3, 0], "a step up, the best category whatever its place, the edge"
    assert strategy.tell(state, Observation(1, {}, None, "failed", None)) is state


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_is_nearer_than_where_it_began_on_76_coordinates(noise: float) -> None:
    dimensions = [Dimension(f"x{i}", "integer", 0, 11, 1) for i in range(76)]
    distances = []
    for seed in range(3):
        rng = np.random.default_rng([seed, 77, 7])
        best, weight = rng.integers(0, 12, 76), rng.uniform(0.5, 1.5, 76)
        spread = np.std([-(weight * (x - best) ** 2).sum() for x in rng.integers(0, 12, (500, 76))])
        strategy = PooledPolicyGradient()
        state = strategy.init(dimensions)
        for number in range(300):
            choice, stamp = strategy.ask(state, np.random.default_rng([seed, number]))
            x = np.array(list(choice.values()))
            reward = -(weight * (x - best) ** 2).sum() + noise * spread * rng.standard_normal()
            state = told(strategy, state, choice, float(reward), stamp)
        distances.append(float(np.abs(np.asarray(state.policy) - best).mean()))
    assert fmean(distances) < 2.5, "a random policy is 4 steps away in each coordinate"


def test_variants_and_settings_by_name() -> None:
    make = STRATEGIES["policy-gradient"]
    assert isinstance(make(variant="pooled", share=0.5), PooledPolicyGradient)
    assert make().settings["perturbations"] == 15
    with pytest.raises(SettingsError, match="no option 'share'"):
        make(share=0.5)
    with pytest.raises(SettingsError, match="no variant 'better'"):
        make(variant="better")
    for settings in ({"perturbations": 0}, {"memory": 2.5}, {"levels": 1}, {"share": 0.0}, {"share": "most"}):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            PooledPolicyGradient(**settings)
