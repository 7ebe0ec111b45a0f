"""Names of networks in the plot of sizes and scores: against brute force, and on networks that lie together."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netwright.report.draw.search_figures import spread
from netwright.report.draw.style import log_ticks

places = st.lists(st.floats(-50, 50, allow_nan=False), min_size=1, max_size=6)


@given(places, st.floats(1, 20))
def test_names_are_apart_in_the_order_of_their_points(found: list[float], gap: float) -> None:
    given = np.array(found)
    result = spread(given, gap)
    order = np.argsort(given, kind="stable")
    assert (np.diff(result[order]) >= gap - 1e-9).all()


@given(places, st.floats(1, 20))
def test_no_names_that_are_apart_lie_nearer_to_their_points(found: list[float], gap: float) -> None:
    """Every way to join successive names into blocks, each at its best place."""
    ordered = np.sort(np.array(found))
    steps, best = gap * np.arange(len(ordered)), np.inf
    for cuts in itertools.product((False, True), repeat=len(ordered) - 1):
        blocks = np.split(np.arange(len(ordered)), np.flatnonzero(cuts) + 1)
        offsets = np.concatenate([np.full(len(b), (ordered - steps)[b].mean()) for b in blocks])
        if (np.diff(offsets) >= -1e-9).all():
            best = min(best, float(((offsets + steps - ordered) ** 2).sum()))
    assert float(((spread(ordered, gap) - ordered) ** 2).sum()) <= best + 1e-6


def test_names_with_room_stay_beside_their_points() -> None:
    given = np.array([300.0, 10.0, 100.0])
    np.testing.assert_allclose(spread(given, 17.0), given)


@given(st.floats(2, 8), st.floats(0.19, 4))
def test_an_axis_of_sizes_always_has_two_marks_within(low: float, width: float) -> None:
    ticks = log_ticks(low, low + width)
    if "dtick" in ticks:
        assert math.floor(low + width) - math.ceil(low) >= 1
        return
    values = np.log10(ticks["tickvals"])
    assert len(set(ticks["tickvals"])) == len(set(ticks["ticktext"])) == 3
    assert (np.diff(values) > 0).all()
    assert low <= values[0]
    assert values[-1] <= low + width
