"""The joint choice against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.strategies.base import Dimension
from netwright.strategies.q_learning.joint_choice import (
    Tables,
    all_pairs,
    best_new,
    best_of_forest,
    enumerated,
    falling,
    improved,
    key_of,
    keys_of,
)
from netwright.strategies.q_learning.layout import Layout
from netwright.strategies.q_learning.posterior import Draw, no_pairs
from netwright.strategies.q_learning.proposal import corrected, node_tables, propose

Pairs = list[tuple[int, int]]


def make_tables(rng: np.random.Generator, sizes: list[int], edges: Pairs) -> Tables:
    count = sum(sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    linked = np.zeros((len(sizes), len(sizes)), dtype=bool)
    for i, j in edges:
        linked[i, j] = True
    upper = rng.normal(size=(count, count)) * linked[owner][:, owner]
    return Tables(tuple(sizes), rng.normal(size=count), upper + upper.T, tuple(edges))


def value(tables: Tables, actions: np.ndarray) -> float:
    """The sum of the tables, cell by cell."""
    total = 0.0
    for i, action in enumerate(actions):
        total += tables.single[tables.action_slices[i]][action]
    for i, j in tables.edges:
        total += tables.pairs[tables.action_slices[i], tables.action_slices[j]][actions[i], actions[j]]
    return float(total)


def everything(tables: Tables) -> list[tuple[int, ...]]:
    """Every joint action, the best first."""
    actions = itertools.product(*(range(size) for size in tables.sizes))
    return sorted(actions, key=lambda a: -value(tables, np.array(a)))


@st.composite
def forests(draw: st.DrawFn) -> Tables:
    agents = draw(st.integers(1, 6))
    sizes = draw(st.lists(st.integers(1, 4), min_size=agents, max_size=agents))
    edges = []
    for agent in range(1, agents):
        parent = draw(st.integers(-1, agent - 1))
        if parent >= 0:
            edges.append((parent, agent))
    return make_tables(np.random.default_rng(draw(st.integers(0, 10**6))), sizes, edges)


@st.composite
def graphs(draw: st.DrawFn) -> Tables:
    agents = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.integers(1, 4), min_size=agents, max_size=agents))
    pairs = all_pairs(agents)
    edges = [pair for pair in pairs if draw(st.booleans())]
    return make_tables(np.random.default_rng(draw(st.integers(0, 10**6))), sizes, edges)


@given(forests())
@settings(max_examples=60)
def test_a_forests_joint_actions_come_in_falling_order(tables: Tables) -> None:
    assert tables.is_forest
    found = [tuple(actions.tolist()) for actions in falling(tables)]
    expected = everything(tables)
    assert sorted(found) == sorted(expected)
    assert [value(tables, np.array(a)) for a in found] == pytest.approx(
        [value(tables, np.array(a)) for a in expected]
    )


@given(forests(), st.integers(0, 12))
@settings(max_examples=40)
def test_the_best_new_of_a_forest_is_the_best_that_is_left(tables: Tables, taken: int) -> None:
    expected = everything(tables)
    seen = keys_of(np.array(expected[:taken]).reshape(-1, len(tables.sizes)))
    found = best_of_forest(tables, seen)
    if taken >= len(expected):
        assert found is None
    else:
        assert found is not None
        assert value(tables, found) == pytest.approx(value(tables, np.array(expected[taken])))


@given(graphs(), st.integers(0, 12), st.booleans())
@settings(max_examples=40)
def test_enumeration_is_exact_on_any_graph(tables: Tables, taken: int, more: bool) -> None:
    added = np.random.default_rng(taken).normal(size=tables.sizes) if more else np.zeros(tables.sizes)
    order = sorted(everything(tables), key=lambda a: -(value(tables, np.array(a)) + added[a]))
    seen = np.array(order[:taken], dtype=np.int64).reshape(-1, len(tables.sizes))
    found = enumerated(tables, seen, added if more else None)
    if taken >= len(order):
        assert found is None
    else:
        assert found is not None
        assert value(tables, found) + added[tuple(found)] == pytest.approx(
            value(tables, np.array(order[taken])) + added[order[taken]]
        )


@given(graphs())
@settings(max_examples=60)
def test_a_graph_is_a_forest_where_it_has_no_cycle(tables: Tables) -> None:
    remaining = set(tables.edges)
    while leaves := [e for e in remaining if any(sum(end in other for other in remaining) == 1 for end in e)]:
        remaining -= {leaves[0]}
    assert tables.is_forest == (not remaining)


@pytest.mark.parametrize("seed", range(8))
def test_search_from_many_starts_finds_the_best_of_small_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = [pair for pair in all_pairs(7) if rng.random() < 0.6]
    tables = make_tables(rng, [3] * 7, edges)
    found = improved(tables, np.zeros((1, 7), dtype=np.int64), rng)
    expected = everything(tables)
    assert value(tables, found[0]) == pytest.approx(value(tables, np.array(expected[0])))
    new = best_new(tables, found, {key_of(found[0])})
    assert new is not None
    assert expected[0] != tuple(new.tolist())
    neighbours = [a for a in expected if sum(x != y for x, y in zip(a, found[0], strict=True)) == 1]
    assert value(tables, new) >= value(tables, np.array(neighbours[0])) - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_no_agent_and_no_pair_of_neighbours_improves_what_a_large_graph_settles_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = [(i, i + 1) for i in range(19)] + [(i, 19 - i) for i in range(8)]
    tables = make_tables(rng, [6] * 20, edges)
    assert not tables.is_forest
    found = improved(tables, rng.integers(0, 6, size=(2, 20)), rng)
    values = [value(tables, actions) for actions in found]
    assert values == sorted(values, reverse=True)
    for agent, action in itertools.product(range(20), range(6)):
        changed = found[0].copy()
        changed[agent] = action
        assert value(tables, changed) <= values[0] + 1e-9


# agents of several dimensions


def layered(agents: int) -> Layout:
    names = [[f"l{i}.{name}" for name in ("kernels", "kernel_size", "stride")] for i in range(agents)]
    dimensions = [
        Dimension(name, "categorical", 0, size - 1, 1, choices=tuple(range(1, size + 1)))
        for members in names
        for name, size in zip(members, (4, 3, 2), strict=True)
    ]
    return Layout(dimensions, names, [(i, i + 1) for i in range(agents - 1)], 32)


def random_draw(layout: Layout, rng: np.random.Generator, far: bool = False) -> Draw:
    upper = np.triu(rng.normal(size=(layout.count, layout.count)))
    kept = (layout.near if not far else ~np.eye(len(layout.sizes), dtype=bool))[layout.owner][:, layout.owner]
    return Draw(rng.normal(size=layout.count), (upper + upper.T) * kept)


def level_value(layout: Layout, draw: Draw, levels: np.ndarray) -> float:
    places = levels + layout.offsets
    total = float(draw.single[places].sum())
    return total + sum(float(draw.pairs[a, b]) for a, b in itertools.combinations(places.tolist(), 2))


@pytest.mark.parametrize("far", [False, True])
def test_agents_tables_hold_the_sums_of_their_dimensions(far: bool) -> None:
    layout, rng = layered(4), np.random.default_rng(0)
    draw = random_draw(layout, rng, far)
    tables = node_tables(layout, draw, far)
    assert tables.sizes == (24,) * 4
    assert tables.is_forest is not far
    levels = rng.integers(0, layout.sizes, size=(50, len(layout.sizes)))
    actions = layout.actions_of(levels)
    assert (layout.levels_at(actions) == levels).all()
    for row, chosen in zip(levels, actions, strict=True):
        assert value(tables, chosen) == pytest.approx(level_value(layout, draw, row))


def test_the_choice_of_a_chain_of_factored_agents_is_exact() -> None:
    layout, rng = layered(4), np.random.default_rng(1)
    draw = random_draw(layout, rng)
    best = enumerated(node_tables(layout, draw, False), np.empty((0, 4), dtype=np.int64))
    assert best is not None
    seen = rng.integers(0, layout.sizes, size=(20, len(layout.sizes)))
    found = propose(layout, draw, False, keys_of(seen), seen[:2], rng)
    assert layout.choices > 1 << 15
    assert found is not None
    assert level_value(layout, draw, found) == pytest.approx(
        level_value(layout, draw, layout.levels_at(best[None])[0])
    )


def test_without_tables_of_pairs_every_dimension_takes_its_best_level() -> None:
    layout, rng = layered(4), np.random.default_rng(1)
    draw = Draw(rng.normal(size=layout.count), no_pairs(layout.count), paired=False)
    assert layout.choices > 1 << 15
    best = np.array([draw.single[part].argmax() for part in layout.level_slices])
    fall = [np.diff(np.sort(draw.single[part])[-2:])[0] for part in layout.level_slices]
    dimension = int(np.argmin(fall))
    second = best.copy()
    second[dimension] = np.argsort(draw.single[layout.level_slices[dimension]])[-2]
    seen: set[bytes] = set()
    for expected in (best, second):
        found = propose(layout, draw, False, seen, best[None], rng)
        assert found is not None
        assert found.tolist() == expected.tolist()
        seen.add(key_of(found))


def test_corrections_are_counted_in_and_what_is_seen_left_out() -> None:
    layout, rng = layered(2), np.random.default_rng(2)
    told = rng.integers(0, layout.sizes, size=(9, len(layout.sizes)))
    columns = layout.one_hot(told)
    tables = random_draw(layout, rng)
    draw = Draw(tables.single, tables.pairs, None, rng.normal(size=9), 0.5 + 0.5 * columns)

    def total(levels: np.ndarray) -> float:
        same = (told == levels).sum(axis=1)
        assert draw.weights is not None
        return level_value(layout, draw, levels) + float(draw.weights @ 0.5 ** (told.shape[1] - same))

    everything = np.array(list(itertools.product(*(range(size) for size in layout.sizes))))
    values = np.array([total(levels) for levels in everything])
    best = everything[values.argmax()]
    by_dimension = Tables(layout.sizes, draw.single, draw.pairs, all_pairs(len(layout.sizes)))
    found = corrected(by_dimension, draw, everything[::37], set())
    assert found is not None
    assert total(found) == pytest.approx(values.max())
    other = corrected(by_dimension, draw, everything[::37], {key_of(best)})
    assert other is not None
    assert total(other) == pytest.approx(np.sort(values)[-2])
