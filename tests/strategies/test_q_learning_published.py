"""The published multi-agent Q-learning against a transcription of the paper's algorithms, line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.spaces import SPACES
from netwright.strategies import Dimension, Observation
from netwright.strategies.base import Stamp
from netwright.strategies.q_learning import q_learning
from netwright.strategies.q_learning.algorithms import exploit, explore, update
from netwright.strategies.q_learning.published import PublishedQLearning, State
from netwright.strategies.q_learning.tables import TableLayout
from netwright.strategies.view import dimensions_of

Reward = Callable[[Sequence[int]], float | None]


class PaperChain:
    """Algorithms 1 to 3 for a chain, as printed; indices from 1, as in the paper.

    A cell that is "= 0" is one that is not in `visited`. Where the paper draws at random or several actions are
    as good, the answer is the set of what it permits.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.agents = len(counts)  # N_AG
        self.actions = {i: range(counts[i - 1]) for i in range(1, self.agents + 1)}  # A_i
        self.table = {
            i: dict.fromkeys(product(self.actions[i], self.actions[i + 1]), 0.0)
            for i in range(1, self.agents)
        }  # Qt_i
        self.visited: set[tuple[int, int, int]] = set()

    def zeros(self, i: int) -> list[tuple[int, int]]:
        return [(a, b) for a, b in self.table[i] if (i, a, b) not in self.visited]

    def permits_exploration(self, chosen: dict[int, int]) -> bool:
        """Algorithm 1."""
        for i in range(1, self.agents):
            if i == 1:
                if self.zeros(1) and (chosen[1], chosen[2]) not in self.zeros(1):
                    return False
            else:
                possible = [b for a, b in self.zeros(i) if a == chosen[i]]
                if possible and chosen[i + 1] not in possible:
                    return False
        return True

    def learn(self, chosen: dict[int, int], alpha: float, reward: float, gamma: float) -> None:
        """Algorithm 2."""
        for i in range(1, self.agents):
            cell = chosen[i], chosen[i + 1]
            if i == self.agents - 1 or any(a == chosen[i + 1] for a, _ in self.zeros(i + 1)):
                self.table[i][cell] = self.table[i][cell] + alpha * reward
            else:
                best = max(self.table[i + 1][chosen[i + 1], b] for b in self.actions[i + 2])
                self.table[i][cell] = (1 - alpha) * self.table[i][cell] + alpha * (reward + gamma * best)
        for i in range(1, self.agents):
            self.visited.add((i, chosen[i], chosen[i + 1]))

    def permits_exploitation(self, chosen: dict[int, int]) -> bool:
        """Algorithm 3, up to the rounding of 32 bits."""
        for i in range(1, self.agents):
            best = max(v for (a, _), v in self.table[i].items() if i == 1 or a == chosen[i])
            if not np.isclose(self.table[i][chosen[i], chosen[i + 1]], best, rtol=1e-5, atol=1e-5):
                return False
        return True


def dimensions(counts: Sequence[int]) -> list[Dimension]:
    return [
        Dimension(f"layer{i}", "categorical", 0, count - 1, 1, choices=tuple(range(count)))
        for i, count in enumerate(counts)
    ]


def observe(
    strategy: PublishedQLearning,
    state: State,
    choice: dict[str, Any],
    reward: float | None,
    stamp: Stamp | None = None,
    status: Any = "complete",
) -> State:
    return strategy.tell(state, Observation(state.episodes, choice, reward, status, stamp))


def run(
    strategy: PublishedQLearning, counts: Sequence[int], reward: Reward, episodes: int, seed: int = 0
) -> tuple[State, list[Stamp]]:
    """Episodes one after another; the last state and all stamps."""
    state, stamps = strategy.init(dimensions(counts)), []
    for episode in range(episodes):
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, episode]))
        state = observe(strategy, state, choice, reward(stamp["actions"]), stamp)
        stamps.append(stamp)
    return state, stamps


def tabled(seed: int, some_fail: bool = True) -> Reward:
    """Rewards by chance, a fifth of them exactly 0 and a fifth none at all; the same for the same set."""

    def reward(actions: Sequence[int]) -> float | None:
        rng = np.random.default_rng([seed, *actions])
        kind = rng.random()
        if some_fail and kind < 0.4:
            return 0.0 if kind < 0.2 else None
        return float(rng.normal())

    return reward


# the chain


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    exploration=st.one_of(st.none(), st.integers(0, 25)),
    seed=st.integers(0, 1000),
)
def test_on_a_chain_it_is_the_algorithm_of_the_paper(
    counts: list[int], exploration: int | None, seed: int
) -> None:
    strategy = PublishedQLearning(exploration=exploration, gamma=0.8, epsilon_decay=0.9, alpha_decay=0.97)
    paper, reward_of = PaperChain(counts), tabled(seed)
    state, met, passed, exploring = strategy.init(dimensions(counts)), set(), 0, True
    for episode in range(60):
        unfilled = any(paper.zeros(i) for i in paper.table)
        exploring = unfilled if exploration is None else episode < exploration
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, episode]))
        chosen = {i: choice[f"layer{i - 1}"] for i in paper.actions}
        assert stamp["actions"] == list(chosen.values())
        assert (stamp["kind"] == "exploration") == exploring
        if exploring:
            assert paper.permits_exploration(chosen)
        elif stamp["kind"] == "exploitation":
            assert paper.permits_exploitation(chosen)
        reward = reward_of(stamp["actions"])
        state = observe(strategy, state, choice, reward, stamp)
        if tuple(chosen.values()) not in met:
            alpha = 0.95 if exploring else 0.95 * 0.97**passed
            paper.learn(chosen, alpha, -1.0 if reward is None else reward, 0.8)
        met.add(tuple(chosen.values()))
        passed += not exploring
        for i, table in enumerate(strategy.tables(state), start=1):
            expected = np.reshape(list(paper.table[i].values()), table.values.shape)
            np.testing.assert_allclose(np.nan_to_num(table.values), expected, rtol=1e-4, atol=1e-5)
            unvisited = np.isnan(table.values)
            assert list(map(tuple, np.argwhere(unvisited))) == paper.zeros(i)


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("reward", [0.0, None, 1.0])
def test_equal_layers_are_explored_in_as_many_episodes_as_a_table_has_cells(
    count: int, reward: float | None
) -> None:
    counts = [count] * 4
    state, stamps = run(PublishedQLearning(), counts, lambda _: reward, count**2)
    assert {stamp["kind"] for stamp in stamps} == {"exploration"}
    assert state.unvisited == 0
    _, stamp = PublishedQLearning().ask(state, np.random.default_rng(0))
    assert stamp["kind"] == "random"  # epsilon is 0.99^0


def test_the_first_pair_is_drawn_uniformly_among_the_unvisited() -> None:
    layout = TableLayout([3, 4, 2], [(0, 1), (1, 2)])
    values = np.full(layout.size, np.nan, np.float32)
    layout.table(values, 0)[...] = [[0, 0, 0, np.nan], [0, np.nan, np.nan, np.nan], [0, 0, 0, 0]]
    drawn = [tuple(explore(layout, values, np.random.default_rng(seed))[:2]) for seed in range(4000)]
    share = {pair: drawn.count(pair) / 4000 for pair in set(drawn)}
    assert set(share) == {(0, 3), (1, 1), (1, 2), (1, 3)}
    assert all(abs(value - 0.25) < 0.035 for value in share.values())  # 5 standard deviations


def test_exploration_ends_after_the_episodes_that_were_set() -> None:
    for exploration in (0, 5, 40):
        _, stamps = run(PublishedQLearning(exploration=exploration), [3, 3, 3], tabled(1), 60)
        assert [stamp["kind"] == "exploration" for stamp in stamps] == [i < exploration for i in range(60)]


@pytest.mark.parametrize("passed", [0, 10, 69, 300])
def test_a_random_set_has_the_probability_of_the_decayed_epsilon(passed: int) -> None:
    strategy = PublishedQLearning(exploration=10)
    state, _ = run(strategy, [3, 3, 3], tabled(1), 10 + passed)
    kinds = [strategy.ask(state, np.random.default_rng([7, i]))[1]["kind"] for i in range(1500)]
    expected = 0.99**passed
    deviation = np.sqrt(expected * (1 - expected) / 1500)
    assert abs(kinds.count("random") / 1500 - expected) <= 5 * deviation


def test_random_sets_are_uniform_over_every_agents_actions() -> None:
    strategy = PublishedQLearning(exploration=0)
    state = strategy.init(dimensions([2, 5]))
    drawn = [strategy.ask(state, np.random.default_rng(i))[1]["actions"] for i in range(2000)]
    for agent, count in enumerate((2, 5)):
        shares = np.bincount([actions[agent] for actions in drawn], minlength=count) / 2000
        assert np.abs(shares - 1 / count).max() < 0.06


def test_what_was_met_before_changes_no_table_but_passes_as_an_episode() -> None:
    strategy = PublishedQLearning()
    choice = {"layer0": 1, "layer1": 0}
    state = observe(strategy, strategy.init(dimensions([2, 2])), choice, 1.0)
    again = observe(strategy, state, choice, 5.0)
    np.testing.assert_array_equal(again.tables.values(), state.tables.values())
    assert again.episodes == 2
    assert strategy.tables(again)[0].values[1, 0] == np.float32(0.95)


def test_a_candidate_without_a_reward_teaches_the_penalty_and_a_failed_one_nothing() -> None:
    for penalty, reward in ((-1.0, None), (-3.0, None), (-3.0, float("nan")), (-3.0, float("inf"))):
        strategy = PublishedQLearning(penalty=penalty, alpha=0.5)
        start = strategy.init(dimensions([2, 2]))
        state = observe(strategy, start, {"layer0": 0, "layer1": 1}, reward, status="pruned")
        assert strategy.tables(state)[0].values[0, 1] == 0.5 * penalty
        failed = observe(strategy, start, {}, None, {"kind": "random", "actions": [0, 1]}, "failed")
        np.testing.assert_array_equal(failed.tables.values(), start.tables.values())
        assert (failed.episodes, failed.unvisited) == (start.episodes, start.unvisited)


def test_a_set_that_fails_is_not_the_greedy_one_for_ever() -> None:
    strategy = PublishedQLearning(exploration=20, epsilon_decay=0.0)
    state, _ = run(strategy, [3, 3, 3], tabled(1), 30)
    rng, seen = np.random.default_rng(0), []
    for _ in range(20):
        _, stamp = strategy.ask(state, rng)
        seen.append(tuple(stamp["actions"]))
        state = observe(strategy, state, {}, None, stamp, "failed")
    assert seen.count(seen[0]) <= 5
    assert len(set(seen)) >= 8


def test_rewards_of_any_size_leave_the_tables_finite() -> None:
    state, _ = run(PublishedQLearning(gamma=1.0), [2, 2, 2], lambda a: 1e308 * (-1) ** sum(a), 30)
    assert np.isfinite(state.tables.values()).all()
    assert state.unvisited == 0


def test_exploited_sets_are_better_than_random_ones() -> None:
    best = [1, 3, 0, 2, 1]
    found: dict[str, list[float]] = {"random": [], "exploitation": []}

    def reward(actions: Sequence[int]) -> float:
        return float(sum(action == right for action, right in zip(actions, best, strict=True)))

    for seed in range(5):
        _, stamps = run(PublishedQLearning(), [4] * 5, reward, 120, seed)
        for stamp in stamps[16:]:
            found[stamp["kind"]].append(reward(stamp["actions"]))
    assert np.mean(found["exploitation"]) > np.mean(found["random"]) + 0.5


# any graph


def filled(layout: TableLayout, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=layout.size).astype(np.float32)


def test_a_layer_that_feeds_several_is_first_with_an_action_that_is_new_to_all_of_them() -> None:
    layout = TableLayout([3, 2, 2], [(0, 1), (0, 2)])
    values = np.zeros(layout.size, np.float32)
    layout.table(values, 0)[[0, 1], [0, 1]] = np.nan
    layout.table(values, 1)[[1, 2], [0, 1]] = np.nan
    for seed in range(20):
        assert explore(layout, values, np.random.default_rng(seed)) == [1, 1, 0]
    layout.table(values, 0)[1, 1] = 0.0  # no action is new to both: one that is new to one
    found = {tuple(explore(layout, values, np.random.default_rng(seed))) for seed in range(200)}
    assert found == {(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0), (2, 0, 1), (2, 1, 1)}


def test_a_layer_that_is_fed_by_several_takes_what_is_new_to_most_of_them() -> None:
    layout = TableLayout([1, 1, 1, 4], [(0, 3), (1, 3), (2, 3)])
    values = np.zeros(layout.size, np.float32)
    for edge, columns in enumerate(([0, 2], [1, 2], [1])):
        layout.table(values, edge)[0, columns] = np.nan
    found = {tuple(explore(layout, values, np.random.default_rng(seed))) for seed in range(100)}
    assert found == {(0, 0, 0, 1), (0, 0, 0, 2)}


def test_where_nothing_is_new_actions_are_uniform() -> None:
    layout = TableLayout([2, 2, 2], [(0, 1), (0, 2), (1, 2)])
    values = np.zeros(layout.size, np.float32)
    drawn = [tuple(explore(layout, values, np.random.default_rng(seed))) for seed in range(2400)]
    shares = [drawn.count(found) / 2400 for found in product(range(2), repeat=3)]
    assert np.abs(np.array(shares) - 1 / 8).max() < 0.035


def test_a_table_learns_from_all_that_its_target_feeds() -> None:
    layout = TableLayout([2, 2, 3, 2], [(0, 1), (1, 2), (1, 3), (2, 3)])
    values = filled(layout)
    actions = np.array([1, 0, 2, 1, 0])
    into, first, second, last = (layout.table(values, edge) for edge in range(4))
    learned = update(layout, values, actions, 0.5, 2.0, 0.9)
    following = max(*first[0], *second[0])
    expected = [
        0.5 * into[1, 0] + 0.5 * (2.0 + 0.9 * following),
        0.5 * first[0, 2] + 0.5 * (2.0 + 0.9 * last[2].max()),
        second[0, 1] + 0.5 * 2.0,  # layer 3 feeds none
        last[2, 1] + 0.5 * 2.0,
    ]
    np.testing.assert_allclose(learned, expected, rtol=1e-5)
    second[0, 0] = np.nan  # one unvisited cell in one of the rows is enough
    learned = update(layout, values, actions, 0.5, 2.0, 0.9)
    np.testing.assert_allclose(learned[0], into[1, 0] + 0.5 * 2.0, rtol=1e-5)


def test_a_layer_that_feeds_several_takes_the_action_of_the_greatest_value_in_any_table() -> None:
    layout = TableLayout([3, 2, 2], [(0, 1), (0, 2)])
    values = np.zeros(layout.size, np.float32)
    layout.table(values, 0)[...] = [[1, 5], [2, 3], [0, 0]]
    layout.table(values, 1)[...] = [[1, 0], [2, 3], [6, 1]]
    assert exploit(layout, values) == [2, 0, 0]
    layout.table(values, 1)[2, 0] = np.nan  # read as 0
    assert exploit(layout, values) == [0, 1, 0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[9, 0, 0], [0, 1, 2], [0, 1, 2]], 2),  # the action that maximises most tables
        ([[9, 0, 8], [0, 9, 8], [0, 0, 8]], 2),  # one each: the highest average
        ([[9, 0, 8], [0, 9, 8]], 2),  # the average's best may maximise none
        ([[3, 3, 0], [0, 3, 0]], 1),  # maximises both, if not alone
        ([[5, 1, 0], [5, 1, 0], [0, 9, 0], [0, 9, 1]], 1),  # two each: the highest average
        ([[1, 4, 4]], 1),
    ],
)
def test_a_layer_that_is_fed_by_several_goes_with_most_of_them(rows: list[list[int]], expected: int) -> None:
    fed = len(rows)
    layout = TableLayout([1] * fed + [3], [(i, fed) for i in range(fed)])
    values = np.array(rows, np.float32).ravel()
    assert exploit(layout, values)[-1] == expected


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    pairs = [(i, j) for j in range(len(counts)) for i in range(j)]
    return counts, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


@settings(max_examples=30)
@given(graph=graphs(), seed=st.integers(0, 100))
def test_every_table_of_any_graph_is_filled_and_then_exploited(
    graph: tuple[list[int], list[tuple[int, int]]], seed: int
) -> None:
    counts, edges = graph
    names = [[f"layer{i}"] for i in range(len(counts))]
    strategy = PublishedQLearning(agents=names, edges=edges, epsilon_decay=0.0)
    alone = set(range(len(counts))) - {i for edge in edges for i in edge}
    sizes = [counts[i] * counts[j] for i, j in edges] + [counts[i] for i in alone]
    state, reward = strategy.init(dimensions(counts)), tabled(seed)
    assert state.unvisited == sum(sizes)
    for episode in range(400):
        choice, stamp = strategy.ask(state, np.random.default_rng([seed, episode]))
        assert [choice[f"layer{i}"] for i in range(len(counts))] == stamp["actions"]
        assert all(0 <= action < count for action, count in zip(stamp["actions"], counts, strict=True))
        if stamp["kind"] != "exploration":
            break
        state = observe(strategy, state, choice, reward(stamp["actions"]), stamp)
    assert state.episodes >= max(sizes)
    assert not any(np.isnan(table.values).any() for table in strategy.tables(state))
    state = observe(strategy, state, choice, 1.0, stamp)
    assert strategy.ask(state, np.random.default_rng(0))[1]["kind"] == "exploitation"


def test_an_agent_that_is_connected_to_none_learns_all_the_same() -> None:
    state, stamps = run(PublishedQLearning(epsilon_decay=0.0), [5], lambda a: -abs(a[0] - 3.0), 8)
    assert sorted(stamp["actions"][0] for stamp in stamps[:5]) == [0, 1, 2, 3, 4]
    assert [stamp["actions"] for stamp in stamps[6:]] == [[3], [3]]
    (table,) = PublishedQLearning().tables(state)
    assert (table.source, table.target, table.values.shape) == ("", "layer0", (1, 5))


# workers


def test_running_episodes_are_not_explored_twice() -> None:
    strategy = PublishedQLearning()
    state = strategy.init(dimensions([3, 3, 3]))
    running: list[Stamp] = []
    for worker in range(9):
        running.append(strategy.ask(state, np.random.default_rng(worker), running)[1])
    for i in (0, 1):
        assert len({tuple(stamp["actions"][i : i + 2]) for stamp in running}) == 9
    assert strategy.ask(state, np.random.default_rng(9), running)[1]["kind"] == "exploration"


def test_running_episodes_count_for_the_length_of_exploration() -> None:
    strategy = PublishedQLearning(exploration=3)
    state, running = strategy.init(dimensions([3, 3])), []
    for worker in range(5):
        running.append(strategy.ask(state, np.random.default_rng(worker), running)[1])
    assert [stamp["kind"] for stamp in running] == ["exploration"] * 3 + ["random"] * 2


def test_a_running_set_is_exploited_half_as_often_and_never_blocked() -> None:
    strategy = PublishedQLearning(exploration=4, epsilon_decay=0.0)
    state, _ = run(strategy, [4, 4], tabled(2), 5)
    _, greedy = strategy.ask(state, np.random.default_rng(0))
    assert greedy["kind"] == "exploitation"
    kinds = [strategy.ask(state, np.random.default_rng(i), [greedy])[1]["kind"] for i in range(400)]
    assert 150 < kinds.count("random") == 400 - kinds.count("exploitation") < 250
    other = {**greedy, "actions": [(action + 1) % 4 for action in greedy["actions"]]}
    assert strategy.ask(state, np.random.default_rng(0), [other])[1] == greedy


# convergence


def exploited(actions: list[int], kind: str = "exploitation") -> tuple[dict[str, Any], Stamp]:
    return {"layer0": actions[0], "layer1": actions[1]}, {"kind": kind, "actions": actions}


def test_it_has_converged_when_one_set_is_exploited_several_times_running() -> None:
    strategy = PublishedQLearning(convergence=3)
    state = strategy.init(dimensions([2, 2]))
    found = []
    for actions, kind in (
        ([1, 0], "exploitation"),
        ([1, 0], "exploitation"),
        ([0, 0], "exploitation"),  # another one: from the beginning
        ([1, 0], "exploitation"),
        ([0, 1], "random"),  # passed over
        ([1, 0], "exploitation"),
        ([1, 0], "random"),  # by chance: does not count
        ([1, 0], "exploitation"),
        ([0, 1], "exploitation"),
    ):
        choice, stamp = exploited(actions, kind)
        state = observe(strategy, state, choice, 1.0, stamp)
        found.append(strategy.converged(state))
    assert found == [False] * 7 + [True, False]


def test_an_edited_proposal_is_no_exploitation() -> None:
    strategy = PublishedQLearning(convergence=1)
    _, stamp = exploited([1, 1])
    state = observe(strategy, strategy.init(dimensions([2, 2])), {"layer0": 0, "layer1": 1}, 1.0, stamp)
    assert not strategy.converged(state)


def test_a_search_converges_in_the_end() -> None:
    strategy = PublishedQLearning(epsilon_decay=0.9)
    state, stamps = run(strategy, [3] * 4, tabled(3, some_fail=False), 200)
    assert strategy.converged(state)
    last = [stamp["actions"] for stamp in stamps if stamp["kind"] == "exploitation"][-5:]
    assert last == [last[0]] * 5


# states, settings


def test_an_older_state_stays_as_it_was() -> None:
    strategy, reward = PublishedQLearning(), tabled(5)
    state = strategy.init(dimensions([3, 3, 3]))
    kept = []
    for episode in range(40):
        choice, stamp = strategy.ask(state, np.random.default_rng(episode))
        kept.append((state, choice, stamp, state.tables.values()))
        state = observe(strategy, state, choice, reward(stamp["actions"]), stamp)
    for episode, (state, choice, stamp, values) in enumerate(kept):
        np.testing.assert_array_equal(state.tables.values(), values)
        assert strategy.ask(state, np.random.default_rng(episode)) == (choice, stamp)


def test_agents_choose_tuples_of_all_their_dimensions() -> None:
    layers = [
        Dimension("a.kernels", "categorical", 0, 2, 1, choices=(16, 32, 64)),
        Dimension("a.kernel_size", "categorical", 0, 1, 1, choices=(3, 5)),
        Dimension("b.units", "integer", 1, 4, 1),
    ]
    strategy = PublishedQLearning(agents=[["a.kernels", "a.kernel_size"], ["b.units"]])
    state = strategy.init(layers)
    chosen = set()
    for episode in range(24):
        choice, stamp = strategy.ask(state, np.random.default_rng(episode))
        chosen.add(tuple(choice[d.name] for d in layers))
        state = observe(strategy, state, choice, float(len(chosen)), stamp)
    assert chosen == set(product((16, 32, 64), (3, 5), (1, 2, 3, 4)))
    assert state.unvisited == 0
    (table,) = strategy.tables(state)
    assert (table.source, table.target) == ("a", "b")
    assert table.rows == ((16, 3), (32, 3), (64, 3), (16, 5), (32, 5), (64, 5))  # section V-B's order
    assert table.columns == ((1,), (2,), (3,), (4,))
    told = observe(
        strategy,
        strategy.init(layers),
        dict(zip(table.row_names, (64, 5), strict=True)) | {"b.units": 2},
        1.0,
    )
    assert np.argwhere(~np.isnan(strategy.tables(told)[0].values)).tolist() == [[5, 1]]


def test_a_candidate_from_elsewhere_is_learned_from_though_its_values_lie_between_the_levels() -> None:
    strategy = PublishedQLearning(levels=4)
    state = strategy.init([Dimension("rate", "float", 0.0, 1.0), Dimension("width", "integer", 1, 100, 1)])
    state = observe(strategy, state, {"rate": 0.3, "width": 99}, 1.0)
    assert np.argwhere(~np.isnan(strategy.tables(state)[0].values)).tolist() == [[1, 3]]


def test_settings_and_stamps_are_plain_json() -> None:
    strategy = q_learning("published", agents=(("layer0",), ("layer1",)), edges=((0, 1),), exploration=7)
    assert isinstance(strategy, PublishedQLearning)
    stored = json.loads(json.dumps(strategy.settings))
    assert stored["variant"] == "published"
    assert q_learning(**stored).settings.keys() == strategy.settings.keys()
    state = strategy.init(dimensions([2, 2]))
    _, stamp = strategy.ask(state, np.random.default_rng(0))
    assert json.loads(json.dumps(stamp)) == stamp


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"alpha": 1.5}, "alpha"),
        ({"alpha_decay": "0.9"}, "alpha_decay"),
        ({"epsilon_decay": -0.1}, "epsilon_decay"),
        ({"gamma": float("nan")}, "gamma"),
        ({"penalty": float("-inf")}, "penalty"),
        ({"exploration": -1}, "exploration"),
        ({"exploration": 2.5}, "exploration"),
        ({"convergence": 0}, "convergence"),
        ({"levels": 1}, "levels"),
        ({"variant": "improved"}, "improved"),
        ({"variant": "coordinated", "exploration": 5}, "'coordinated'.*'exploration'"),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        q_learning(**{"variant": "published", **options})


def test_tables_that_no_machine_could_hold_are_refused() -> None:
    wide = [Dimension(f"x{i}", "float", 0.0, 1.0) for i in range(8)]
    agents = [[f"x{i}" for i in range(4)], [f"x{i}" for i in range(4, 8)]]
    with pytest.raises(SettingsError, match="fewer"):
        PublishedQLearning(agents=agents).init(wide)
    assert PublishedQLearning(agents=agents, levels=2).init(wide).unvisited == 16 * 16


@pytest.mark.parametrize(("first", "second"), [(1, 1), (4, 3), (12, 42)])
def test_two_agents_explore_their_table_cell_by_cell(first: int, second: int) -> None:
    dimensions = [Dimension("a", "integer", 1, first, 1), Dimension("b", "integer", 1, second, 1)]
    strategy = PublishedQLearning(levels=64)
    assert strategy.exploration_episodes(dimensions, np.random.default_rng(3)) == first * second


def test_the_exploration_that_is_counted_is_the_one_that_is_played() -> None:
    dimensions = [
        Dimension(name, "integer", 1, count, 1) for name, count in zip("abcd", (5, 7, 6, 3), strict=True)
    ]
    strategy, rng = PublishedQLearning(edges=((0, 1), (0, 2), (1, 3), (2, 3))), np.random.default_rng(11)
    state, kinds = strategy.init(dimensions), []
    for number in range(200):
        choice, stamp = strategy.ask(state, rng)
        kinds.append(stamp["kind"])
        state = strategy.tell(state, Observation(number, choice, 0.5, "complete", stamp))
    counted = strategy.exploration_episodes(dimensions, np.random.default_rng(11))
    assert 35 <= counted < 200, "5 x 7 cells of the largest table"
    assert kinds[:counted] == ["exploration"] * counted
    assert "exploration" not in kinds[counted:]


def test_an_exploration_of_a_given_length_is_so_long() -> None:
    dimensions = [Dimension("a", "integer", 1, 4, 1), Dimension("b", "integer", 1, 4, 1)]
    assert PublishedQLearning(exploration=9).exploration_episodes(dimensions, np.random.default_rng(0)) == 9


@pytest.mark.parametrize(
    ("space", "channels", "episodes", "least"),
    [
        ("vgg16", 3, 658, 400),
        pytest.param("unet", 1, 2895, 1764, marks=pytest.mark.slow),
        pytest.param("googlenet", 3, 5448, 3600, marks=pytest.mark.slow),
    ],
)
def test_the_explorations_of_table_iii_are_as_long_as_was_counted(
    space: str, channels: int, episodes: int, least: int
) -> None:
    """More than max(N_A(i) x N_A(j)), which Section VIII-D states for these networks as the least."""
    network = SPACES[space](channels=channels, classes=2, size=(32, 32))
    graph = network.agent_graph()
    strategy = PublishedQLearning(agents=graph.agents, edges=graph.edges)
    dimensions = dimensions_of({n: d for n, d in network.distributions().items() if not d.single()})
    assert strategy.exploration_episodes(dimensions, np.random.default_rng(0), most=least) == least
    assert strategy.exploration_episodes(dimensions, np.random.default_rng(0)) == episodes
