"""A remembered fold equals a fold from the beginning, whatever is taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netwright.strategies.fold import SNAPSHOT_EVERY, Fold


@given(st.lists(st.tuples(st.integers(0, 3 * SNAPSHOT_EVERY), st.integers(0, 150)), max_size=8))
def test_taking_back_and_going_on_equals_a_fold_from_the_beginning(changes: list[tuple[int, int]]) -> None:
    fold: Fold[int, int] = Fold(7, lambda state, item: hash((state, item)))
    items: list[int] = []
    for place, count in changes:
        start = min(place, len(items))
        items[start:] = [len(items) + i for i in range(count)] + items[start:]
        fold.rewind(start)
        expected = 7
        for item in items:
            expected = hash((expected, item))
        assert fold.advance(items) == expected


def test_nothing_is_folded_twice() -> None:
    folded: list[int] = []

    def step(state: None, item: int) -> None:
        folded.append(item)

    fold: Fold[None, int] = Fold(None, step)
    for count in range(500):
        fold.advance(range(count))
    assert folded == list(range(499))
    fold.rewind(450)
    fold.advance(range(500))
    assert len(folded) <= 499 + SNAPSHOT_EVERY
