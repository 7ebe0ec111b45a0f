"""CMA-ES, against Optuna's own and in cases that can be told without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import CmaEsSampler

from netwright.errors import SettingsError
from netwright.strategies import CmaEs, Dimension, Observation, RandomSearch
from netwright.strategies.base import Strategy
from netwright.strategies.cma_es import State
from netwright.strategies.sampler import sampler

DIMENSIONS = (
    Dimension("depth", "integer", 1, 5, 1),
    Dimension("share", "float", 0.0, 1.0),
    Dimension("width", "integer", 4, 20, 2),
)
OPERATIONS = (Dimension("operation", "categorical", 0, 4, 1, choices=("none", "a", "b", "c", "d")),)


def told(strategy: CmaEs, state: State, rewards: list[float | None]) -> State:
    """The state after candidates with these rewards."""
    for number, reward in enumerate(rewards):
        choice, stamp = strategy.ask(state, np.random.default_rng(number))
        status = "pruned" if reward is None else "complete"
        state = strategy.tell(state, Observation(number, choice, reward, status, stamp))  # type: ignore[arg-type]
    return state


def mean_of(state: State) -> Any:
    return state.optimizer.mean.copy()


def test_it_learns_what_optunas_own_learns_of_the_same_candidates() -> None:
    """Of floats alone: of integers Optuna's default takes no care."""
    dimensions = [Dimension(name, "float", 0.0, 1.0) for name in ("a", "b", "c")]
    theirs = CmaEsSampler(seed=1, popsize=8, warn_independent_sampling=False)
    study = optuna.create_study(sampler=theirs)
    strategy = CmaEs(population=8)
    state, generations = strategy.init(dimensions), 0
    for number in range(1 + 8 * 6):
        trial = study.ask()
        choice = {d.name: trial.suggest_float(d.name, d.low, d.high) for d in dimensions}
        reward = -sum((value - 0.2 * i) ** 2 for i, value in enumerate(choice.values()))
        study.tell(trial, -reward)
        attributes = study.trials[number].system_attrs
        stored = theirs._restore_optimizer([study.trials[number]])
        if stored is not None:
            # With the first candidate of a generation; ours is made of the last of the one before.
            np.testing.assert_allclose(mean_of(state), stored.mean, atol=1e-9)
            np.testing.assert_allclose(state.optimizer._cma._C, stored._C, atol=1e-9)
            generations += 1
        if number > 0:  # the first is random
            x = list(choice.values())
            stamp = {"generation": attributes["cma:generation"], "x": x, "at": x}
            state = strategy.tell(state, Observation(number, {**choice}, reward, "complete", stamp))
    assert generations == 5


def best_of(strategy: Strategy[Any], trials: int, seed: int) -> float:
    dimensions = [Dimension(f"x{i}", "integer", 0, 30, 1) for i in range(6)]
    state, best = strategy.init(dimensions), np.inf
    for number in range(trials):
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, number]))
        found = sum((int(choice[d.name] or 0) - 5 * i) ** 2 for i, d in enumerate(dimensions))
        best = min(best, found)
        state = strategy.tell(state, Observation(number, choice, -float(found), "complete", stamp))
    return float(best)


def test_a_bowl_of_whole_numbers_is_searched_better_than_by_chance() -> None:
    ours = [best_of(CmaEs(), 150, seed) for seed in range(5)]
    chance = [best_of(RandomSearch(), 150, seed) for seed in range(5)]
    assert np.mean(ours) < np.mean(chance) / 5


def test_the_first_generation_lies_about_the_first_choice() -> None:
    strategy = CmaEs(first={"depth": 5, "share": 0.9, "width": 4}, sigma=1e-6)
    choice, _ = strategy.ask(strategy.init(DIMENSIONS), np.random.default_rng(0))
    assert (choice["depth"], choice["width"]) == (5, 4)
    assert choice["share"] == pytest.approx(0.9, abs=1e-4)


def test_categories_stand_at_their_index() -> None:
    for index, name in enumerate(OPERATIONS[0].choices):
        strategy = CmaEs(first={"operation": name}, sigma=1e-6)
        state = strategy.init(OPERATIONS)
        assert mean_of(state) == pytest.approx([(index + 0.5) / 5])
        assert strategy.ask(state, np.random.default_rng(0))[0] == {"operation": name}


def test_a_candidate_without_a_reward_ranks_last() -> None:
    strategy = CmaEs(population=6)
    without = told(strategy, strategy.init(DIMENSIONS), [0.5, None, 0.7, 0.1, float("nan"), 0.3])
    worst = told(strategy, strategy.init(DIMENSIONS), [0.5, -1e9, 0.7, 0.1, -1e9, 0.3])
    np.testing.assert_array_equal(mean_of(without), mean_of(worst))
    assert without.optimizer.generation == 1


def test_a_generation_without_any_reward_moves_nothing() -> None:
    strategy = CmaEs(population=4)
    start = strategy.init(DIMENSIONS)
    state = told(strategy, start, [None] * 4)
    np.testing.assert_array_equal(mean_of(state), mean_of(start))
    assert (state.results, state.optimizer.generation) == ((), 0)
    assert told(strategy, state, [1.0, 2.0, 3.0, None]).optimizer.generation == 1


def test_late_foreign_and_failed_candidates_teach_nothing() -> None:
    strategy = CmaEs(population=4)
    start = strategy.init(DIMENSIONS)
    choice, late = strategy.ask(start, np.random.default_rng(9))
    state = told(strategy, start, [1.0, 2.0, 3.0, 4.0])
    for status, stamp in (("complete", late), ("complete", None), ("failed", late)):
        observation = Observation(9, choice, 9.0, status, stamp)  # type: ignore[arg-type]
        assert strategy.tell(state, observation) is state


def test_an_edited_candidate_counts_where_it_was_evaluated() -> None:
    strategy = CmaEs(population=4)
    state = strategy.init(DIMENSIONS)
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    edited = {"depth": 1, "share": 0.25, "width": 20}
    state = strategy.tell(state, Observation(0, edited, 1.0, "complete", stamp))
    np.testing.assert_allclose(state.results[0][0], [0.1, 0.25, 17 / 18])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"population": 3}, "at least 4"),
        ({"population": True}, "at least 4"),
        ({"sigma": 0}, "above 0"),
        ({"sigma": "wide"}, "above 0"),
        ({"first": {"depth": 1}}, "share"),
        ({"first": {"depth": 9, "share": 0.1, "width": 4}}, "depth"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        CmaEs(**settings).init(DIMENSIONS)


def test_dimensions_of_one_value_are_left_out() -> None:
    space: dict[str, BaseDistribution] = {"one": IntDistribution(3, 3), "few": IntDistribution(0, 2)}
    for distributions in (space, {"one": space["one"]}):
        study = optuna.create_study(sampler=sampler("cma-es", 0, distributions=distributions))
        for _ in range(9):
            trial = study.ask(distributions)
            study.tell(trial, float(trial.params.get("few", 0)))
        assert {trial.params["one"] for trial in study.trials} == {3}


def test_nothing_in_the_storage_is_a_pickle() -> None:
    study = optuna.create_study(sampler=sampler("cma-es", 0, population=4))
    study.optimize(lambda trial: trial.suggest_float("a", 0, 1) + trial.suggest_int("b", 0, 9), n_trials=12)
    for trial in study.trials[1:]:
        for stamp in trial.system_attrs.values():
            assert set(stamp) == {"kind", "generation", "x", "at"}
