"""Each step of CRS2-LM against its closed form, alone and with many proposals under way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Value
from netwright.strategies.controlled_random_search import (
    ControlledRandomSearch,
    State,
    mutate,
    reflect,
)
from netwright.strategies.dimensions import choice_at, point_of

PLANE = [Dimension("x", "float", 0.0, 1.0), Dimension("y", "float", 0.0, 1.0)]
GRID = [Dimension("x", "integer", 0, 9, 1), Dimension("y", "integer", 0, 9, 1)]


def told(
    strategy: ControlledRandomSearch,
    state: State,
    number: int,
    proposal: tuple[Choice, Stamp],
    reward: float | None,
) -> State:
    choice, stamp = proposal
    return strategy.tell(state, Observation(number, choice, reward, "complete", stamp))


def run(
    strategy: ControlledRandomSearch,
    dimensions: list[Dimension],
    loss: Callable[[Mapping[str, Value]], float | None],
    proposals: int,
    seed: int = 0,
) -> tuple[State, list[tuple[Choice, Stamp]]]:
    """One worker: every proposal is told before the next."""
    state, rng, made = strategy.init(dimensions), np.random.default_rng(seed), []
    for number in range(proposals):
        proposal = strategy.ask(state, rng)
        value = loss(proposal[0])
        state = told(strategy, state, number, proposal, None if value is None else -value)
        made.append(proposal)
    return state, made


def population(points: list[tuple[float, float]], losses: list[float]) -> State:
    """A full population of the plane, told one by one."""
    strategy = ControlledRandomSearch(population=len(points))
    state = strategy.init(PLANE)
    for number, ((x, y), loss) in enumerate(zip(points, losses, strict=True)):
        state = strategy.tell(state, Observation(number, {"x": x, "y": y}, -loss, "complete", None))
    return state


FIVE = population([(0.5, 0.4), (0.45, 0.55), (0.6, 0.52), (0.38, 0.47), (0.52, 0.61)], [1, 2, 3, 4, 5])


def bowl(choice: Mapping[str, Value]) -> float:
    return sum((float(v) - 0.3) ** 2 for v in choice.values())  # type: ignore[arg-type]


# the steps


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_a_reflection_and_its_origin_are_symmetric_about_the_centroid(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    best, others, reflected = (0.45 + 0.1 * rng.random(shape) for shape in (n, (n - 1, n), n))
    centroid = np.vstack([best, others]).mean(axis=0)
    found = reflect(best, others, reflected)
    assert (found + reflected) / 2 == pytest.approx(centroid)


def test_one_dimension_reflects_through_the_best_alone() -> None:
    assert reflect(np.array([0.5]), np.empty((0, 1)), np.array([0.3])) == pytest.approx([0.7])


def test_a_reflection_is_clipped_in_each_coordinate() -> None:
    found = reflect(np.array([0.9, 0.5]), np.array([[0.9, 0.5]]), np.array([0.1, 0.6]))
    assert found == pytest.approx([1.0, 0.4])


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_a_mutation_lies_beyond_the_best_by_its_weights(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    best, failed, weights = 0.4 + 0.2 * rng.random(n), 0.4 + 0.2 * rng.random(n), rng.random(n)
    assert mutate(failed, best, weights) - best == pytest.approx(weights * (best - failed))
    assert mutate(failed, best, np.zeros(n)) == pytest.approx(best)
    assert mutate(failed, best, np.ones(n)) == pytest.approx(2 * best - failed)


def test_a_mutation_is_clipped_in_each_coordinate() -> None:
    found = mutate(np.array([0.2, 0.9]), np.array([0.9, 0.1]), np.array([1.0, 1.0]))
    assert found == pytest.approx([1.0, 0.0])


def test_every_pair_of_members_but_the_best_is_drawn_and_no_other() -> None:
    best, *others = FIVE.points
    possible = {
        tuple(np.round(best + a - b, 12)) for pair in combinations(others, 2) for a, b in (pair, pair[::-1])
    }
    assert len(possible) == 12
    rng = np.random.default_rng(0)
    asked = [ControlledRandomSearch().ask(FIVE, rng)[1]["x"] for _ in range(2400)]
    drawn, counts = np.unique(np.round(asked, 12), axis=0, return_counts=True)
    assert {tuple(point) for point in drawn} == possible
    assert counts == pytest.approx([200] * 12, abs=60)  # four standard deviations


# the population


def test_the_population_has_ten_times_n_plus_one_members() -> None:
    space = [Dimension(str(i), "integer", 0, 6, 1) for i in range(11)]
    state, made = run(ControlledRandomSearch(), space, lambda c: hash(tuple(c.values())) / 1e18, 130)
    assert len(state.losses) == 120
    assert [stamp["kind"] for _, stamp in made[:120]] == ["initial"] * 120
    assert {stamp["kind"] for _, stamp in made[120:]} <= {"reflection", "mutation"}


def test_only_a_strictly_better_result_replaces_the_worst() -> None:
    strategy = ControlledRandomSearch()
    proposal = strategy.ask(FIVE, np.random.default_rng(0))
    equal = told(strategy, FIVE, 9, proposal, -5.0)
    assert np.array_equal(equal.points, FIVE.points)
    better = told(strategy, FIVE, 9, proposal, -4.999)
    assert np.array_equal(better.points[:4], FIVE.points[:4])
    assert better.points[4] == pytest.approx(proposal[1]["x"])
    assert FIVE.losses.tolist() == [1, 2, 3, 4, 5]


def test_one_failed_reflection_brings_one_mutation_about_the_best() -> None:
    strategy, rng = ControlledRandomSearch(), np.random.default_rng(0)
    failed = strategy.ask(FIVE, rng)
    state = told(strategy, FIVE, 9, failed, -6.0)
    mutation = strategy.ask(state, rng)
    assert mutation[1]["kind"] == "mutation"
    assert mutation[1]["parent"] == 9
    weights = (np.array(mutation[1]["x"]) - FIVE.best) / (FIVE.best - np.array(failed[1]["x"]))
    assert np.all((weights >= 0) & (weights < 1))
    assert weights[0] != weights[1]
    for reward in (-7.0, -0.5):
        assert strategy.ask(told(strategy, state, 10, mutation, reward), rng)[1]["kind"] == "reflection"


def test_a_successful_reflection_brings_another_reflection() -> None:
    strategy, rng = ControlledRandomSearch(), np.random.default_rng(0)
    state = told(strategy, FIVE, 9, strategy.ask(FIVE, rng), -0.5)
    assert strategy.ask(state, rng)[1]["kind"] == "reflection"


@given(st.lists(st.one_of(st.none(), st.floats(-9, 9)), min_size=30, max_size=90), st.integers(0, 99))
def test_members_only_ever_get_better_and_stay_in_bounds(rewards: list[float | None], seed: int) -> None:
    strategy, rng = ControlledRandomSearch(restart=False), np.random.default_rng(seed)
    state, worst = strategy.init(GRID), np.inf
    for number, reward in enumerate(rewards):
        choice, stamp = proposal = strategy.ask(state, rng)
        assert all(type(v) is int and 0 <= v <= 9 for v in choice.values())
        assert json.loads(json.dumps(stamp)) == stamp
        state = told(strategy, state, number, proposal, reward)
        assert state.points.min() >= 0.0
        assert state.points.max() <= 1.0
        if state.full:
            assert state.losses.max() <= worst
            worst = state.losses.max()
    told_losses = sorted(np.inf if reward is None else -reward for reward in rewards)
    assert sorted(state.losses)[0] == told_losses[0]


def test_a_candidate_without_reward_ranks_behind_the_worst_with_one() -> None:
    strategy = ControlledRandomSearch(population=3)
    state = strategy.init(PLANE)
    for number, reward in enumerate([-1e9, None, -2.0]):
        choice: Choice = {"x": 0.1 * number, "y": 0.5}
        state = strategy.tell(state, Observation(number, choice, reward, "pruned", None))
    state = strategy.tell(state, Observation(3, {"x": 0.9, "y": 0.9}, -2e9, "complete", None))
    assert state.losses.tolist() == [1e9, 2e9, 2.0]
    assert (
        strategy.tell(state, Observation(4, {"x": 0.8, "y": 0.9}, None, "pruned", None)).losses.max() == 2e9
    )


# what was evaluated counts


def test_an_edited_choice_is_stored_at_the_centre_of_its_own_cell() -> None:
    strategy = ControlledRandomSearch()
    state = strategy.init(GRID)
    choice, stamp = strategy.ask(state, np.random.default_rng(0))
    assert (
        strategy.tell(state, Observation(0, choice, 1.0, "complete", stamp)).points[0].tolist() == stamp["x"]
    )
    edited = {"x": 3, "y": 9 - int(str(choice["y"]))}
    state = strategy.tell(state, Observation(0, edited, 1.0, "complete", stamp))
    assert state.points[0] == pytest.approx([0.35, (edited["y"] + 0.5) / 10])


def test_an_edited_reflection_that_fails_brings_no_mutation() -> None:
    strategy = ControlledRandomSearch()
    _, stamp = strategy.ask(FIVE, np.random.default_rng(0))
    assert strategy.tell(FIVE, Observation(9, {"x": 0.1, "y": 0.1}, -6.0, "complete", stamp)).queue == ()


def test_members_are_stored_at_cell_centres_where_asked_for() -> None:
    state, _ = run(
        ControlledRandomSearch(cell_centres=True), GRID, lambda c: hash(tuple(c.values())) / 1e18, 200
    )
    for point in state.points:
        assert point == pytest.approx(point_of(GRID, choice_at(GRID, point)))


# the first point


def test_the_first_point_is_given_once() -> None:
    strategy, rng = ControlledRandomSearch(first={"x": 7, "y": 2}), np.random.default_rng(0)
    state = strategy.init(GRID)
    choice, stamp = strategy.ask(state, rng)
    assert (choice, stamp["kind"]) == ({"x": 7, "y": 2}, "first")
    assert strategy.ask(state, rng, [stamp])[1]["kind"] == "initial"
    state = told(strategy, state, 0, (choice, stamp), -1.0)
    assert strategy.ask(state, rng)[1]["kind"] == "initial"


def test_a_first_point_that_crashed_is_not_given_for_ever_and_teaches_nothing() -> None:
    strategy, rng = ControlledRandomSearch(first={"x": 7, "y": 2}), np.random.default_rng(0)
    state = strategy.init(GRID)
    _, stamp = strategy.ask(state, rng)
    state = strategy.tell(state, Observation(0, {}, None, "failed", stamp))
    assert len(state.losses) == 0
    assert strategy.ask(state, rng)[1]["kind"] == "initial"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 2}, r"population is 2, but 2 dimensions need at least 3 members"),
        ({"first": {"x": 1}}, r"first names no value for 'y'"),
        ({"first": {"x": 1, "y": 10}}, r"'y' lies between 0 and 9, not at 10"),
    ],
)
def test_settings_that_do_not_fit_the_dimensions_are_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        ControlledRandomSearch(**settings).init(GRID)  # type: ignore[arg-type]


# many workers


def test_no_ask_waits_for_a_result() -> None:
    strategy, rng = ControlledRandomSearch(population=8), np.random.default_rng(0)
    state, pending = strategy.init(GRID), []
    for _ in range(40):
        pending.append(strategy.ask(state, rng, pending)[1])
    assert len({tuple(stamp["x"]) for stamp in pending}) == 40
    for number in range(4):
        stamp = pending.pop(0)
        choice = choice_at(GRID, np.array(stamp["x"]))
        state = told(strategy, state, number, (choice, stamp), -float(number))
    assert strategy.ask(state, rng, pending)[1]["kind"] == "reflection"
    assert strategy.ask(state, rng, pending[:4])[1]["kind"] == "reflection"
    assert strategy.ask(state, rng, pending[:3])[1]["kind"] == "initial"


def test_each_mutation_is_handed_out_to_one_worker() -> None:
    strategy, rng = ControlledRandomSearch(), np.random.default_rng(0)
    state = FIVE
    for number in (9, 10):
        state = told(strategy, state, number, strategy.ask(FIVE, rng), -6.0)
    first = strategy.ask(state, rng)[1]
    second = strategy.ask(state, rng, [first])[1]
    third = strategy.ask(state, rng, [first, second])[1]
    assert [(s["kind"], s["parent"]) for s in (first, second, third)] == [
        ("mutation", 9),
        ("mutation", 10),
        ("reflection", None),
    ]


def test_a_mutation_that_crashed_is_made_anew() -> None:
    strategy, rng = ControlledRandomSearch(), np.random.default_rng(0)
    state = told(strategy, FIVE, 9, strategy.ask(FIVE, rng), -6.0)
    _, stamp = strategy.ask(state, rng)
    state = strategy.tell(state, Observation(10, {}, None, "failed", stamp))
    assert np.array_equal(state.points, FIVE.points)


# collapse and restart


def plateau(choice: Mapping[str, Value]) -> float:
    """A floored bowl of 25 cells with a few values only."""
    return float((int(str(choice["x"])) // 2 - 2) ** 2 + (int(str(choice["y"])) // 2 - 1) ** 2)


def cells(made: list[tuple[Choice, Stamp]]) -> set[tuple[Value, ...]]:
    return {tuple(choice.values()) for choice, _ in made}


def test_without_restart_a_floored_objective_leaves_nothing_new_to_propose() -> None:
    state, made = run(ControlledRandomSearch(restart=False), GRID, plateau, 3000)
    assert state.losses.min() == state.losses.max() == 0
    assert cells(made[1500:]) <= cells(made[:1500])
    assert len(cells(made)) < 80


def test_a_collapsed_population_starts_again_with_the_best_kept() -> None:
    strategy = ControlledRandomSearch()
    state, made = run(strategy, GRID, plateau, 3000)
    assert len(cells(made)) == 100
    assert state.generation >= 2
    assert state.losses.min() == 0
    starts = [i for i in range(1, 3000) if made[i][1]["generation"] > made[i - 1][1]["generation"]]
    for start in starts:
        kinds = [stamp["kind"] for _, stamp in made[start : start + 29]]
        assert kinds == ["initial"] * 29  # and the best makes 30
    again, _ = run(strategy, GRID, plateau, starts[-1])
    assert len(again.losses) == 1
    assert plateau(choice_at(GRID, again.best)) == 0


def test_a_result_from_before_a_restart_joins_only_where_it_beats_the_best() -> None:
    strategy, rng = ControlledRandomSearch(population=3), np.random.default_rng(0)
    state = strategy.init(PLANE)
    late = [strategy.ask(state, rng) for _ in range(6)]
    for number in range(3):
        state = told(strategy, state, number, late[number], -1.0)
    assert (state.generation, len(state.losses)) == (1, 1)
    assert told(strategy, state, 3, late[3], -1.0) is state
    assert told(strategy, state, 4, late[4], -0.5).losses.tolist() == [1.0, 0.5]


def test_a_restart_forgets_what_was_under_way() -> None:
    strategy, rng = ControlledRandomSearch(population=8), np.random.default_rng(0)
    state = strategy.init(PLANE)
    old = [strategy.ask(state, rng) for _ in range(20)]
    for number, loss in enumerate([1.0] * 7 + [2.0]):
        state = told(strategy, state, number, old[number], -loss)
    failed = strategy.ask(state, rng)
    assert len(told(strategy, state, 8, failed, -3.0).queue) == 1
    state = told(strategy, told(strategy, state, 8, failed, -3.0), 9, old[9], -1.0)
    assert (state.generation, len(state.losses), state.queue) == (1, 1, ())
    for number in (10, 11):
        state = told(strategy, state, number, strategy.ask(state, rng), -float(number))
    pending = [stamp for _, stamp in old[10:]]
    assert strategy.ask(state, rng, pending)[1]["kind"] == "initial"


def test_a_constant_objective_is_searched_at_random() -> None:
    _, made = run(ControlledRandomSearch(), GRID, lambda choice: 1.0, 600)
    assert len(cells(made)) > 95


def test_it_minimises() -> None:
    state, _ = run(ControlledRandomSearch(), PLANE, bowl, 600)
    assert state.losses.max() < 1e-4
