"""The policy gradient: its groups, its update, its rounds, and how soon it is where it should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.strategies import CmaEs, ControlledRandomSearch, Dimension, Observation
from netwright.strategies.base import Stamp
from netwright.strategies.ladder import choice_of, ladder_of
from netwright.strategies.policy_gradient import PolicyGradient, PooledPolicyGradient
from netwright.strategies.policy_gradient.published import State, group_means, moves_by
from netwright_tests import told

EMPTY = math.nan


def integers(count: int, values: int = 12) -> list[Dimension]:
    return [Dimension(f"x{i}", "integer", 0, values - 1, 1) for i in range(count)]


def go_on(
    strategy: PolicyGradient,
    state: State,
    reward: Callable[[np.ndarray], float | None],
    rounds: int,
    seed: int,
) -> State:
    """The state after so many more rounds, one candidate after another."""
    end, number = len(state.rounds) + rounds, 0
    while len(state.rounds) < end:
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, len(state.rounds), number]))
        state = told(strategy, state, choice, reward(np.array(list(choice.values()))), stamp)
        number += 1
    return state


@pytest.mark.parametrize(
    ("minus", "zero", "plus", "move"),
    [
        (3, 2, 1, -1),
        (1, 2, 3, 1),  # printed with Ave_- in place of Ave_+
        (1, 3, 2, 0),
        (2, 2, 1, 0),
        (1, 2, 2, 0),
        (2, 2, 2, 0),
        (3, 1, 3, 0),  # two that are greater, none greatest
        (EMPTY, 1, 2, 1),
        (EMPTY, 2, 1, 0),
        (2, EMPTY, 1, -1),
        (EMPTY, EMPTY, 1, 0),  # nothing to compare with
        (1, EMPTY, EMPTY, 0),
        (-5, -math.inf, -6, -1),
    ],
)
def test_the_policy_moves_to_the_greatest_mean(minus: float, zero: float, plus: float, move: int) -> None:
    assert moves_by(np.array([[minus, zero, plus]], dtype=float)).tolist() == [move]


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3), min_size=n, max_size=n),
            st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n),
        )
    )
)
def test_means_are_those_of_the_groups(found: tuple[list[list[int]], list[float]]) -> None:
    offsets, rewards = found
    means = group_means(np.array(offsets), np.array(rewards))
    for coordinate in range(3):
        for place, sign in enumerate((-1, 0, 1)):
            group = [r for row, r in zip(offsets, rewards, strict=True) if row[coordinate] == sign]
            expected = fmean(group) if group else math.nan
            assert means[coordinate, place] == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_a_perturbation_takes_each_of_the_three_steps_equally_often() -> None:
    strategy, dimensions = PolicyGradient(first={"x0": 5, "x1": 6}), integers(2)
    state = strategy.init(dimensions)
    drawn = [strategy.ask(state, np.random.default_rng(seed))[0] for seed in range(3000)]
    for name, centre in (("x0", 5), ("x1", 6)):
        counts = np.bincount([int(choice[name]) - centre + 1 for choice in drawn])
        assert len(counts) == 3
        assert (abs(counts - 1000) < 5 * math.sqrt(3000 * 2 / 9)).all()


def test_a_perturbation_beyond_the_edge_is_a_zero() -> None:
    strategy = PolicyGradient(perturbations=2, first={"x0": 0})
    state = strategy.init(integers(1))
    seen = {strategy.ask(state, np.random.default_rng(seed))[0]["x0"] for seed in range(50)}
    assert seen == {0, 1}
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    state = told(strategy, state, {"x0": 0}, 1.0, stamp)
    state = told(strategy, state, {"x0": 1}, 0.0, stamp)
    np.testing.assert_array_equal(state.rounds[0].means, [[EMPTY, 1.0, 0.0]])
    assert choice_of(state.ladders, state.policy) == {"x0": 0}


def test_a_coordinate_without_a_say_stays_and_a_linear_one_climbs() -> None:
    strategy = PolicyGradient(perturbations=400, first={"x0": 3, "x1": 9})
    state = go_on(strategy, strategy.init(integers(2)), lambda x: float(-x[1]), 4, seed=0)
    assert [finished.moves[1] for finished in state.rounds] == [-1] * 4
    assert strategy.init(integers(2)).policy is None
    still = go_on(strategy, strategy.init(integers(2)), lambda x: 0.0, 2, seed=0)
    assert choice_of(still.ladders, still.policy) == {"x0": 3, "x1": 9}
    assert strategy.converged(still)
    assert not strategy.converged(state)
    assert not PolicyGradient(rest=3).converged(still)


def test_candidates_without_a_reward_count_as_the_worst() -> None:
    strategy = PolicyGradient(perturbations=3, first={"x0": 5})
    state = strategy.init(integers(1))
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    rewards: Sequence[tuple[int, float | None]] = [(5, 0.7), (4, 0.6), (6, None)]
    for value, reward in rewards:
        state = told(strategy, state, {"x0": value}, reward, stamp)
    np.testing.assert_allclose(state.rounds[0].means, [[0.6, 0.7, 0.6]])
    nothing = strategy.init(integers(1))
    for value in (4, 5, 6):
        nothing = told(strategy, nothing, {"x0": value}, None, stamp)
    assert nothing.rounds[0].moves.tolist() == [0]
    nan = told(strategy, strategy.init(integers(1)), {"x0": 4}, math.nan, stamp)
    assert nan.rewards == (None,)


@pytest.mark.parametrize("before", [False, True])
def test_rounds_without_a_reward_are_no_rest(before: bool) -> None:
    """All candidates of a round fail: that says nothing of the policy, and ends no search."""
    strategy = PolicyGradient(perturbations=3, first={"x0": 5, "x1": 5})
    state = strategy.init(integers(2))

    def rounds(state: Any, count: int, reward: float | None) -> Any:
        for _ in range(3 * count):
            choice, stamp = strategy.ask(state, np.random.default_rng(len(state.tried)))
            state = told(strategy, state, choice, reward, stamp)
        return state

    if before:
        state = rounds(state, 1, 0.5)
    state = rounds(state, 3, None)
    assert len(state.rounds) == 3 + before
    assert not strategy.converged(state)
    for finished in state.rounds[-3:]:
        assert not finished.moves.any()
        assert np.isnan(finished.rewards).all()
        assert np.isnan(finished.means).all()
    state = rounds(state, 1, 0.5)
    assert strategy.converged(state) is before, "two rounds with rewards, in which the policy stayed"
    assert strategy.converged(rounds(state, 1, 0.5))


def test_no_worker_waits_and_a_late_result_moves_nothing() -> None:
    strategy = PolicyGradient(perturbations=2)
    state = strategy.init(integers(4))
    stamps: list[Stamp] = []
    asked = []
    for seed in range(6):  # six workers: more than a round has perturbations
        choice, stamp = strategy.ask(state, np.random.default_rng(seed), stamps)
        stamps.append(stamp)
        asked.append((choice, stamp))
    assert len({tuple(stamp["policy"]) for stamp in stamps}) == 1, "all perturb one policy"
    for choice, stamp in asked[:2]:
        state = told(strategy, state, choice, float(sum(choice.values())), stamp)
    assert len(state.rounds) == 1
    before = state
    for choice, stamp in asked[2:]:
        state = told(strategy, state, choice, 100.0, stamp)
    assert (state.rewards, len(state.rounds)) == (before.rewards, 1)
    np.testing.assert_array_equal(state.policy, before.policy)


def test_a_round_waits_for_slow_networks_but_not_for_ever() -> None:
    strategy = PolicyGradient(perturbations=2, late=3)
    state = strategy.init(integers(8))
    asked: list[tuple[dict[str, Any], Stamp]] = []
    for seed in range(6):
        asked.append(strategy.ask(state, np.random.default_rng(seed), [stamp for _, stamp in asked]))
    assert [stamp["place"] for _, stamp in asked] == [0, 1, 2, 3, 4, 5]
    for choice, stamp in asked[1:4]:
        state = told(strategy, state, choice, 1.0, stamp)
    assert (len(state.rounds), len(state.rewards)) == (0, 3), "the first of the two is still in training"
    waited = told(strategy, state, *asked[0][:1], 0.5, asked[0][1])
    assert len(waited.rounds[0].rewards) == 4, "what came meanwhile counts too"
    for choice, stamp in asked[4:]:
        state = told(strategy, state, choice, 1.0, stamp)
    assert [len(finished.rewards) for finished in state.rounds] == [5], "2 and 3 further ones are enough"


def test_the_place_of_a_failed_candidate_is_handed_out_again() -> None:
    strategy = PolicyGradient(perturbations=2)
    state = strategy.init(integers(3))
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    state = strategy.tell(state, Observation(0, {}, None, "failed", stamp))
    assert strategy.ask(state, np.random.default_rng(1))[1]["place"] == 0


@given(st.floats(-1e6, 1e6), st.integers(0, 10**6))
def test_rewards_that_are_all_alike_never_move_the_policy(reward: float, seed: int) -> None:
    offsets = np.random.default_rng(seed).integers(-1, 2, (15, 40))
    assert not moves_by(group_means(offsets, np.full(15, reward))).any(), "whatever order they are added in"


def test_what_was_trained_counts_not_what_was_proposed() -> None:
    strategy = PolicyGradient(perturbations=3, first={"x0": 5, "x1": 5})
    state = strategy.init(integers(2))
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    state = told(strategy, state, {"x0": 6, "x1": 4}, 1.0, stamp)
    np.testing.assert_array_equal(state.offsets[0], [1, -1])
    assert len(told(strategy, state, {"x0": 5, "x1": 6}, 1.0, None).offsets) == 2, "a user's own, a step away"
    assert told(strategy, state, {"x0": 5, "x1": 7}, 1.0, None).offsets == state.offsets, "too far"
    assert strategy.tell(state, Observation(1, {}, None, "failed", stamp)).offsets == state.offsets


def test_the_first_policy_is_that_of_the_first_candidate_even_where_it_failed() -> None:
    strategy = PolicyGradient()
    state = strategy.init(integers(5))
    _, stamp = strategy.ask(state, np.random.default_rng(1))
    state = strategy.tell(state, Observation(0, {}, None, "failed", stamp))
    assert strategy.ask(state, np.random.default_rng(2))[1]["policy"] == stamp["policy"]
    other = strategy.ask(strategy.init(integers(5)), np.random.default_rng(3))[1]
    assert other["policy"] != stamp["policy"], "drawn anew for another seed"
    assert (
        told(strategy, strategy.init(integers(5)), dict.fromkeys(map("x{}".format, range(5)), 3), 1.0).policy
        is None
    )


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Dimension("a", "integer", 32, 208, 16), tuple(range(32, 209, 16))),
        (Dimension("a", "categorical", 0, 1, 1, choices=("max", "average")), ("max", "average")),
        (Dimension("a", "float", 0.0, 1.0, 0.25), (0.0, 0.25, 0.5, 0.75, 1.0)),
        (Dimension("a", "integer", 1, 1000, 1, log=True), None),
        (Dimension("a", "float", 1e-4, 1.0, None, log=True), None),
        (Dimension("a", "integer", 0, 10**6, 1), None),
    ],
)
def test_ladders_have_every_value_or_evenly_spaced_ones(dimension: Dimension, values: Any) -> None:
    ladder = ladder_of(dimension, 32)
    if values is not None:
        assert ladder.values == values
    else:
        assert len(ladder.values) <= 32
        assert ladder.values[0] == dimension.low
        assert ladder.values[-1] == pytest.approx(dimension.high)
        assert list(ladder.values) == sorted(set(ladder.values))
    assert [ladder.level_of(value) for value in ladder.values] == list(range(len(ladder.values)))


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(("coordinates", "distance"), [(6, 1.0), (76, 2.0)])
def test_is_near_the_optimum_after_as_many_rounds_as_it_promises(
    coordinates: int, distance: float, noise: float
) -> None:
    # A separable bowl, noise in standard deviations of random choices' rewards; the promise of the module's docstring.
    distances = []
    for seed in range(6):
        rng = np.random.default_rng([seed, 5])
        best, weight = rng.integers(0, 12, coordinates), rng.uniform(0.5, 1.5, coordinates)
        spread = np.std([-(weight * (x - best) ** 2).sum() for x in rng.integers(0, 12, (500, coordinates))])

        def reward(
            x: np.ndarray, best: Any = best, weight: Any = weight, rng: Any = rng, spread: Any = spread
        ) -> float:
            return float(-(weight * (x - best) ** 2).sum() + noise * spread * rng.standard_normal())

        strategy = PolicyGradient()
        state = go_on(strategy, strategy.init(integers(coordinates)), reward, 20, seed)
        distances.append(float(np.abs(np.asarray(state.policy) - best).mean()))
    assert fmean(distances) < distance


@pytest.mark.parametrize(
    "settings",
    [
        {"perturbations": 1},
        {"perturbations": 2.5},
        {"levels": 1},
        {"rest": 0},
        {"rest": 1.5},
        {"late": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        PolicyGradient(**settings)


@pytest.mark.parametrize("first", [{"x0": 1}, {"x0": 1, "x1": 99}, "begin", 3])
@pytest.mark.parametrize("make", [PolicyGradient, PooledPolicyGradient, ControlledRandomSearch, CmaEs])
def test_a_first_choice_that_is_none_is_refused(make: Any, first: Any) -> None:
    with pytest.raises(SettingsError, match="first"):
        make(first=first).init(integers(2))
