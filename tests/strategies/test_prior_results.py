"""Results in columns: like a dictionary, and what they rank is what a plain definition ranks."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netwright.strategies.prior_results import Result, Results

STEPS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(0, 9),
        st.none() | st.tuples(st.integers(1, 3), st.integers(0, 4) | st.just(-math.inf)),
    ),
    max_size=50,
)


def result(key: int, told: tuple[float, float] | None) -> Result | None:
    return None if told is None else Result(np.array([key / 10]), (told,))


@given(STEPS)
def test_they_are_like_a_dictionary(steps: list[tuple[int, int, tuple[float, float] | None]]) -> None:
    """Each step adds to one of the results so far. None changes afterwards, whatever came of it."""
    grown: list[tuple[Results, dict[tuple[float, ...], Result | None]]] = [(Results(), {})]
    for which, key, told in steps:
        results, expected = grown[which % len(grown)]
        item = result(key, told)
        grown.append((results.with_result((key / 10,), item), {**expected, (key / 10,): item}))
    for results, expected in grown:
        assert list(results.items()) == list(expected.items())
        assert results.known == sum(item is not None for item in expected.values())
        known = [r for r in expected.values() if r is not None and r.reward > -math.inf]
        count = max(3, math.ceil(len(known) / 9))
        least = min(sorted((r.fidelity for r in known), reverse=True)[:count], default=0)
        longest = [r for r in known if r.fidelity >= least]
        best_first = sorted(longest, key=lambda r: -r.reward)
        third = best_first[: max(3, math.ceil(len(best_first) / 3))]
        assert results.top(3).tolist() == [results.place_of(r.point) for r in third]
        best = results.best(3)
        assert best is None if not third else best is third[0].point
        assert results.place_of(np.array([99.0])) == -1


@given(STEPS, st.sampled_from([0.0, 0.3, 0.7]))
def test_densities_are_kept_and_right(
    steps: list[tuple[int, int, tuple[float, float] | None]], middle: float
) -> None:
    results, centre, asked = Results(), np.array([middle]), []

    def density(point: np.ndarray, about: np.ndarray) -> float:
        asked.append(float(point[0]))
        return float(abs(point - about)[0])

    for _, key, told in steps:
        results = results.with_result((key / 10,), result(key, told))
        places, items = results.top(3), list(results.values())
        found = results.densities(places, centre, density)
        points = [item.point[0] for place in places.tolist() if (item := items[place]) is not None]
        assert found.tolist() == [abs(point - middle) for point in points]
    before = len(asked)
    results.densities(results.top(3), centre, density)
    assert len(asked) == before
