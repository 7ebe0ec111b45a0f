"""Agents that choose jointly: what they are told, what they never do, and that they find what is there."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Observation, Stamp
from netwright.strategies.q_learning import q_learning
from netwright.strategies.q_learning.coordinated import CoordinatedAgents, State, last_fit, ranks

TABLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "nas-bench-201-cifar10.json"
LETTERS = tuple("abcdefgh")

Reward = Callable[[Choice], float | None]


def categorical(*sizes: int) -> list[Dimension]:
    return [Dimension(f"x{i}", "categorical", 0, n - 1, 1, choices=LETTERS[:n]) for i, n in enumerate(sizes)]


def table_reward(table: np.ndarray) -> Reward:
    return lambda choice: float(table[tuple(LETTERS.index(value) for value in choice.values())])


def told(
    strategy: CoordinatedAgents, state: State, number: int, choice: Choice, reward: float | None, stamp: Any
) -> State:
    status = "pruned" if reward is None else "complete"
    return strategy.tell(state, Observation(number, choice, reward, status, stamp))  # type: ignore[arg-type]


def search(
    strategy: CoordinatedAgents, dimensions: Sequence[Dimension], reward: Reward, trials: int, seed: int = 0
) -> tuple[list[Choice], list[Stamp], State]:
    state, choices, stamps = strategy.init(dimensions), [], []
    for number in range(trials):
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, number]))
        state = told(strategy, state, number, choice, reward(choice), stamp)
        choices.append(choice)
        stamps.append(stamp)
    return choices, stamps, state


def keys(choices: Sequence[Choice]) -> list[str]:
    return [json.dumps(choice, sort_keys=True) for choice in choices]


def pairwise_table(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = np.zeros(shape)
    for i, j in itertools.combinations(range(len(shape)), 2):
        table += rng.normal(size=[n if k in (i, j) else 1 for k, n in enumerate(shape)])
    return table


# what counts


@pytest.mark.parametrize("change", [lambda r: 3 * r - 100, math.exp, lambda r: r**3, math.atan])
def test_nothing_but_the_order_of_the_rewards_counts(change: Callable[[float], float]) -> None:
    reward = table_reward(pairwise_table(0, 4, 4, 4, 4))
    changed = lambda choice: change(reward(choice))  # type: ignore[arg-type]  # noqa: E731
    strategy = CoordinatedAgents()
    found, _, _ = search(strategy, categorical(4, 4, 4, 4), reward, 45)
    assert search(strategy, categorical(4, 4, 4, 4), changed, 45)[0] == found


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), min_size=1, max_size=30))
def test_ranks_are_midranks_and_what_has_no_reward_ties_at_the_end(rewards: list[float | None]) -> None:
    values = [-math.inf if reward is None else reward for reward in rewards]
    expected = [
        (sum(v < value for v in values) + 0.5 * sum(v == value for v in values)) / len(values) - 0.5
        for value in values
    ]
    assert ranks(rewards) == pytest.approx(expected)
    assert ranks(rewards).sum() == pytest.approx(0, abs=1e-9)


def test_a_reward_that_is_no_number_is_none() -> None:
    strategy = CoordinatedAgents()
    states = []
    for reward in (math.nan, None):
        state = strategy.init(categorical(3, 3))
        states.append(told(strategy, state, 0, {"x0": "a", "x1": "b"}, reward, None))
    assert states[0].rewards == states[1].rewards == (None,)


def test_infeasible_choices_are_learned_from() -> None:
    def reward(choice: Choice) -> float | None:
        if choice["x0"] in "abc" or choice["x3"] == "d":
            return None
        return float(LETTERS.index(str(choice["x1"])) + LETTERS.index(str(choice["x2"])))

    choices, _, state = search(CoordinatedAgents(), categorical(5, 5, 5, 5), reward, 120)
    infeasible = [reward is None for reward in state.rewards]
    assert sum(infeasible[:10]) >= 4
    assert sum(infeasible[40:90]) <= 20  # at random: 34
    assert {"x1": "e", "x2": "e"}.items() <= max(choices, key=lambda c: reward(c) or 0).items()


def test_nothing_but_infeasible_choices_is_no_dead_end() -> None:
    choices, _, _ = search(CoordinatedAgents(), categorical(4, 4, 4), lambda _: None, 64)
    assert len(set(keys(choices))) == 64


@pytest.mark.parametrize("reward", [None, 1.0])
def test_while_nothing_is_better_than_another_all_values_are_tried_alike(reward: float | None) -> None:
    choices, _, _ = search(CoordinatedAgents(), categorical(*[4] * 12), lambda _: reward, 60)
    values = [value for choice in choices[10:] for value in choice.values()]
    shares = [values.count(letter) / len(values) for letter in "abcd"]
    assert all(0.15 < share < 0.35 for share in shares), shares


# what is never done


@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    first=st.integers(1, 12),
    workers=st.integers(1, 4),
)
@settings(max_examples=25)
def test_every_choice_comes_once_before_one_is_repeated(
    sizes: list[int], seed: int, first: int, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    strategy = CoordinatedAgents(first=first)
    state, running, seen, kinds = strategy.init(categorical(*sizes)), [], [], []
    total = math.prod(sizes)
    for number in range(total + 3):
        choice, stamp = strategy.ask(
            state, np.random.default_rng([seed, number]), [stamp for _, _, stamp in running]
        )
        assert json.loads(json.dumps(stamp)) == stamp
        seen.append(choice)
        kinds.append(stamp["kind"])
        running.append((number, choice, stamp))
        while len(running) >= workers:
            state = told(strategy, state, *_with_reward(running.pop(rng.integers(len(running))), rng))
    assert len(set(keys(seen[:total]))) == total
    assert "repeat" not in kinds[:total]
    assert kinds[total:] == ["repeat"] * 3


def _with_reward(
    run: tuple[int, Choice, Stamp], rng: np.random.Generator
) -> tuple[int, Choice, float | None, Stamp]:
    return run[0], run[1], None if rng.random() < 0.2 else float(rng.integers(3)), run[2]


def test_what_is_seen_is_never_proposed_on_a_graph_that_is_too_large_to_enumerate() -> None:
    dimensions = [
        Dimension(f"l{i}.{n}", "categorical", 0, 3, 1, choices=(1, 2, 4, 8)) for i in range(6) for n in "kc"
    ]
    agents = [[f"l{i}.k", f"l{i}.c"] for i in range(6)]
    edges = [(i, i + 1) for i in range(5)]
    for more in ([], [(0, 3), (1, 5)]):
        strategy = CoordinatedAgents(agents=agents, edges=[*edges, *more])
        best = {d.name: d.choices[i % 4] for i, d in enumerate(dimensions)}
        choices, stamps, _ = search(
            strategy, dimensions, lambda c, best=best: float(sum(c[n] == v for n, v in best.items())), 130
        )
        assert len(set(keys(choices))) == 130
        assert best in choices
        assert {stamp["kind"] for stamp in stamps} == {"first", "joint"}


def test_a_failed_candidate_teaches_nothing_but_is_not_proposed_again() -> None:
    strategy = CoordinatedAgents(first=3)
    _, _, state = search(strategy, categorical(2, 3), lambda c: float(c["x0"] == "a"), 4)
    rng_of = lambda: np.random.default_rng(5)  # noqa: E731
    choice, stamp = strategy.ask(state, rng_of())
    after = strategy.tell(state, Observation(4, {}, None, "failed", stamp))
    assert (after.rows, after.rewards) == (state.rows, state.rewards)
    others = [strategy.ask(after, np.random.default_rng(i))[0] for i in range(20)]
    assert choice not in others
    assert strategy.tell(state, Observation(4, {}, None, "failed", None)) is state


def test_cells_of_many_values_are_visited_again_with_other_values() -> None:
    dimensions = [
        Dimension("rate", "float", 1e-4, 1.0, None, True),
        Dimension("width", "integer", 1, 1000, 1),
    ]

    def reward(choice: Choice) -> float:
        return -abs(math.log10(float(choice["rate"])) + 2) - abs(int(choice["width"]) - 300) / 500  # type: ignore[arg-type]

    choices, stamps, _ = search(CoordinatedAgents(), dimensions, reward, 80)
    cells = [tuple(stamp["levels"]) for stamp in stamps]
    assert len(set(keys(choices))) == 80
    assert len(set(cells)) < 80
    assert all(1e-4 <= c["rate"] <= 1 and isinstance(c["width"], int) for c in choices)  # type: ignore[operator]
    assert max(map(reward, choices)) > -0.1


# the fold


def test_a_model_that_was_gone_on_with_proposes_what_a_new_one_does() -> None:
    reward = table_reward(pairwise_table(2, 3, 3, 3, 3, 3))
    strategy = CoordinatedAgents()
    state = warm = strategy.init(categorical(3, 3, 3, 3, 3))
    for number in range(60):
        choice, stamp = strategy.ask(warm, np.random.default_rng(number))
        cold = strategy.init(categorical(3, 3, 3, 3, 3))
        cold = State(cold.layout, warm.rows, warm.rewards, warm.failed)
        assert strategy.ask(cold, np.random.default_rng(number)) == (choice, stamp)
        if number == 30:
            state = warm
        warm = told(strategy, warm, number, choice, reward(choice), stamp)
    first = strategy.ask(state, np.random.default_rng(30))
    other = told(strategy, state, 30, first[0], -99.0, first[1])
    again = told(strategy, state, 30, first[0], 99.0, first[1])
    asked = [strategy.ask(s, np.random.default_rng(1)) for s in (other, again, other, warm, other)]
    assert asked[0] == asked[2] == asked[4]
    assert asked[0] != asked[1]


@given(results=st.integers(10, 5000), first=st.integers(2, 10))
def test_the_prior_is_found_at_rising_numbers_of_results(results: int, first: int) -> None:
    fitted = last_fit(results, first)
    assert first <= fitted <= results < fitted + min(max(fitted // 5, 1), 100)
    assert last_fit(fitted, first) == fitted


# finding what is there


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_a_pairwise_table_is_found(seed: int) -> None:
    table = pairwise_table(seed, 4, 4, 4, 4, 4, 4)
    choices, _, _ = search(CoordinatedAgents(), categorical(4, 4, 4, 4, 4, 4), table_reward(table), 150, seed)
    assert max(map(table_reward(table), choices)) == table.max()


@pytest.mark.slow  # the tables above
@pytest.mark.skipif(not TABLE.exists(), reason="needs NAS-Bench-201's table")
def test_the_best_of_nas_bench_201_is_found() -> None:
    table = np.zeros((5,) * 6)
    for name, (accuracy, _) in json.loads(TABLE.read_text(encoding="utf-8"))["table"].items():
        table[tuple(map(int, name))] = accuracy

    def regrets(seeds: int, trials: int) -> NDArray[np.float64]:
        found = np.empty((seeds, trials))
        for seed in range(seeds):
            choices, _, _ = search(
                CoordinatedAgents(), categorical(*[5] * 6), table_reward(table), trials, seed
            )
            found[seed] = table.max() - np.maximum.accumulate(list(map(table_reward(table), choices)))
        return found

    assert regrets(3, 300)[:, 299].mean() <= 0.01
    assert regrets(10, 100)[:, 99].mean() <= 0.15  # at random 1.2, evolution 0.5, TPE 0.3


# settings


def test_settings_are_plain_values_that_make_the_strategy_again() -> None:
    strategy = q_learning("coordinated", agents=[["x0"], ["x1"]], edges=[[0, 1]], levels=8, first=5)
    stored = json.loads(json.dumps(dict(strategy.settings)))
    assert dict(q_learning(**stored).settings) == dict(strategy.settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 1}, "levels is 1"),
        ({"first": 0}, "first is 0"),
        ({"agents": [["x0"]]}, "'x1' does not"),
        ({"edges": [[1, 0]]}, "edges: expected pairs"),
    ],
)
def test_wrong_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        q_learning("coordinated", **options).init(categorical(2, 2))


def test_too_many_levels_are_told() -> None:
    with pytest.raises(SettingsError, match=r"3,200 values in all.*fewer values, or set levels below 32"):
        CoordinatedAgents().init([Dimension(f"x{i}", "float", 0, 1) for i in range(100)])
