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


def away(point: np.ndarray, centre: np.ndarray) -> float:
    return float(abs(point - centre)[0])


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
        best = results.best(3)
        assert best is None if not best_first else best is best_first[0].point
        for centres in ((0.3, 0.7), (0.3, 0.3), (0.1, 0.9)):
            third = best_first[: max(3, math.ceil(len(best_first) / 3))]
            weights = [len(third) - i if r.point[0] not in centres else 0 for i, r in enumerate(third)]
            gaps = [
                away(r.point, np.array(centres[:1])) - away(r.point, np.array(centres[1:])) for r in third
            ]
            evidence, weight = results.evidence(*(np.array([c]) for c in centres), away, 3)
            assert weight == sum(weights)
            assert math.isclose(
                evidence, sum(w * g for w, g in zip(weights, gaps, strict=True)), abs_tol=1e-12
            )
        assert results.place_of(np.array([99.0])) == -1


@given(STEPS)
def test_a_density_is_computed_once(steps: list[tuple[int, int, tuple[float, float] | None]]) -> None:
    results, asked, centres = Results(), list[float](), (np.array([0.3]), np.array([0.7]))

    def density(point: np.ndarray, about: np.ndarray) -> float:
        asked.append(float(point[0]))
        return away(point, about)

    for _, key, told in steps:
        results = results.with_result((key / 10,), result(key, told))
        results.evidence(*centres, density, 3)
    before = len(asked)
    results.evidence(*centres, density, 3)
    assert len(asked) == before
