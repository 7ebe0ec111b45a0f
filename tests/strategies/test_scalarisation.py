"""Several objectives as one reward: properties of the augmented Chebyshev function, and searches of a known front."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, IntDistribution

from netwright.pareto import hypervolume, pareto_front
from netwright.strategies.sampler import sampler
from netwright.strategies.scalarisation import (
    Ranges,
    equal_weights,
    lattice,
    ranges_of,
    scalarised,
    weights_for,
)

optuna.logging.set_verbosity(optuna.logging.ERROR)
rows = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=15
)


def rewards_of(values: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    ranges = ranges_of(values, len(weights))
    return [scalarised(row, weights, ranges) for row in values]


@given(rows, st.sampled_from(lattice(3)))
def test_what_is_beaten_has_a_smaller_reward(
    values: list[tuple[int, int, int]], weights: tuple[float, ...]
) -> None:
    rewards = rewards_of(values, weights)
    for a, reward in zip(values, rewards, strict=True):
        for b, better in zip(values, rewards, strict=True):
            if a != b and all(x <= y for x, y in zip(a, b, strict=True)):
                assert reward < better


@given(rows)
def test_units_do_not_count(values: list[tuple[int, int, int]]) -> None:
    weights = (0.2, 0.5, 0.3)
    scale, shift = np.array([1000.0, 0.01, 3.0]), np.array([5.0, -7.0, 0.0])
    other = (np.array(values) * scale + shift).tolist()
    assert rewards_of(other, weights) == pytest.approx(rewards_of(values, weights), abs=1e-6)


def test_members_of_a_front_that_no_weighted_sum_finds_are_the_best_for_some_weights() -> None:
    place = np.linspace(0, 1, 8)
    values = np.column_stack([place**1.2, (1 - place) ** 1.2]).tolist()
    best = {int(np.argmax(rewards_of(values, (w, 1 - w)))) for w in np.linspace(0.001, 0.999, 400)}
    assert best == set(range(8))
    sums = {int(np.argmax(np.array(values) @ [w, 1 - w])) for w in np.linspace(0.001, 0.999, 400)}
    assert sums == {0, 7}


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_each_weighting_has_its_turn(objectives: int) -> None:
    weights = lattice(objectives)
    assert len(set(weights)) == len(weights) == 10
    assert [sum(one) for one in weights] == pytest.approx([1.0] * 10)
    assert np.mean(weights, axis=0) == pytest.approx(equal_weights(objectives))
    turns = [weights_for(objectives, 7, number) for number in range(40)]
    assert all(set(turns[i : i + 10]) == set(weights) for i in range(0, 40, 10))
    assert turns[:10] != turns[10:20]


def test_values_that_are_not_finite_have_an_end() -> None:
    values = [(0.0, 1.0), (1.0, 0.0), (-math.inf, 1.0), (math.inf, 0.0)]
    rewards = rewards_of(values, (0.5, 0.5))
    assert rewards[2] < rewards[0] < 0
    assert rewards[3] >= rewards[1]
    assert all(map(math.isfinite, rewards))
    assert ranges_of([], 2) == Ranges((0.0, 0.0), (1.0, 1.0))


def test_ranges_are_those_of_the_front() -> None:
    # (0, 0) is beaten, and does not count; one point alone has no range of its own.
    assert ranges_of([(0.0, 0.0), (3.0, 1.0), (2.0, 5.0)], 2) == Ranges((3.0, 5.0), (1.0, 4.0))
    assert ranges_of([(0.0, 1.0), (3.0, 1.0)], 2) == Ranges((3.0, 1.0), (3.0, 1.0))


SPACE: dict[str, BaseDistribution] = {name: IntDistribution(0, 15) for name in "abc"}


def front_of(study: optuna.Study) -> float:
    """The hypervolume of the front of two conflicting distances."""
    points = [trial.values for trial in study.trials]
    return hypervolume([points[i] for i in pareto_front(points)], (700.0, 700.0))


def search(sampler_: optuna.samplers.BaseSampler, trials: int = 60) -> optuna.Study:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler_)
    for _ in range(trials):
        trial = study.ask(SPACE)
        choice = np.array([trial.params[name] for name in "abc"])
        study.tell(trial, [float(((choice - 3) ** 2).sum()), float(((choice - 12) ** 2).sum())])
    return study


def test_agents_find_a_better_front_than_chance() -> None:
    found = front_of(search(sampler("q-learning", 1, distributions=SPACE), 40))
    chance = [front_of(search(optuna.samplers.RandomSampler(seed=seed), 40)) for seed in range(5)]
    assert found > max(chance)


def test_a_study_goes_on_as_if_it_had_not_been_interrupted() -> None:
    def made() -> optuna.samplers.BaseSampler:
        return sampler("q-learning", 5, distributions=SPACE)

    whole = search(made(), 30)
    cut = optuna.create_study(directions=["minimize", "minimize"], sampler=made())
    cut.add_trials(whole.trials[:20])
    trial = cut.ask(SPACE)
    assert trial.params == whole.trials[20].params
