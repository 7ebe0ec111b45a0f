"""Many items in threads: their order, and what is told while they are done."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.data.parallel import TOLD_SECONDS, counted, in_order, many_in_order, now_and_then


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=200), st.integers(1, 4))
def test_results_come_in_order_and_are_counted(items: list[int], workers: int) -> None:
    done: list[tuple[int, int]] = []
    results = counted(in_order(str, items, workers), len(items), lambda *one: done.append(one))
    assert list(results) == list(map(str, items))
    assert done == [(number, len(items)) for number in range(1, len(items) + 1)]
    assert list(many_in_order(str, items, workers)) == list(map(str, items))


def test_a_line_comes_every_five_seconds_and_not_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    told: list[str] = []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    on_case = now_and_then(told.append, "inspected")
    for number in range(1, 2001):  # two in a second
        now += 0.5
        on_case(number, 2000)
    assert told[:2] == ["inspected 10 of 2,000", "inspected 20 of 2,000"]
    assert len(told) == 1000 / TOLD_SECONDS - 1
