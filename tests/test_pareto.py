"""The Pareto front against its definition, and the hypervolume against counted cells, a closed form and Optuna's."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.pareto import hypervolume, pareto_front

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2)), max_size=25)


@given(points)
def test_pareto_front_by_brute_force(rows: list[tuple[int, int, int]]) -> None:
    beaten = {
        i
        for i, a in enumerate(rows)
        for b in rows
        if all(y <= x for x, y in zip(a, b, strict=True)) and a != b
    }
    front = pareto_front(rows)
    assert set(front) == set(range(len(rows))) - beaten
    assert [rows[i][0] for i in front] == sorted(rows[i][0] for i in front)


def test_pareto_front_leaves_out_nan() -> None:
    assert pareto_front([(1.0, math.nan), (2.0, 1.0), (3.0, 2.0)]) == (1,)
    assert pareto_front([]) == ()


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_pareto_front_is_that_of_an_optuna_study(rows: list[tuple[int, int]]) -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=[float(v) for v in row]) for row in rows])
    assert set(pareto_front(rows)) == {trial.number for trial in study.best_trials}


@given(points)
def test_hypervolume_is_the_number_of_dominated_cells(rows: list[tuple[int, int, int]]) -> None:
    bound = (5, 6, 2)  # some points are not within it
    cells = np.stack(np.meshgrid(*map(np.arange, bound), indexing="ij"), axis=-1).reshape(-1, 3)
    dominated = [any(all(p <= c) for p in np.reshape(rows, (-1, 3))) for c in cells]
    assert hypervolume(rows, bound) == pytest.approx(sum(dominated))


def test_hypervolume_of_a_hyperbola() -> None:
    # Below the reference (1, 1) the curve y = a / x dominates 1 - a + a ln a.
    a = 0.1
    x = np.geomspace(a, 1, 20_000)
    assert hypervolume(np.column_stack([x, a / x]), (1, 1)) == pytest.approx(
        1 - a + a * math.log(a), abs=1e-3
    )


def test_nothing_is_dominated_by_no_points() -> None:
    assert hypervolume([], (1.0, 1.0)) == 0.0
    assert hypervolume([(1.0, 0.0)], (1.0, 1.0)) == 0.0
