"""A set that shares its keys with others: like frozenset, from whichever of them it is grown."""

from __future__ import annotations

import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st

from netwright.strategies.growing import GrowingSet


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=40))
def test_it_is_like_frozenset(steps: list[tuple[int, int]]) -> None:
    """Each step grows one of the sets so far. No set changes afterwards, whatever was grown from it."""
    sets, expected = [GrowingSet[int]()], [frozenset[int]()]
    for which, key in steps:
        at = which % len(sets)
        sets.append(sets[at].with_key(key))
        expected.append(expected[at] | {key})
    for found, right in zip(sets, expected, strict=True):
        assert len(found) == len(right)
        assert {key for key in range(-1, 9) if key in found} == right


def test_copies_grow_apart() -> None:
    first = GrowingSet[str]().with_key("a")
    for other in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert "b" in other.with_key("b")
        assert "b" not in other
    assert "b" not in first
