"""Thresholds with the greatest F1, against trying all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from netwright.errors import RunError
from netwright.tasks.multilabel.thresholds import (
    FILE,
    Thresholds,
    best_threshold,
    best_thresholds,
    read_thresholds,
)


@pytest.mark.parametrize("seed", range(2))
def test_no_other_threshold_has_a_greater_f1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, truth = rng.random(25).astype(np.float32), rng.integers(0, 2, 25)
    chosen = f1_score(truth, probabilities >= best_threshold(probabilities, truth))
    others = [f1_score(truth, probabilities >= value) for value in probabilities]  # more do not differ
    assert chosen >= max(others) - 1e-12


def test_of_equal_thresholds_it_is_the_usual_one_or_the_nearest() -> None:
    assert best_threshold([0.2, 0.7, 0.8], [0, 1, 1]) == 0.5
    assert best_threshold([0.6, 0.8], [0, 1]) == pytest.approx(0.7)
    assert best_threshold([0.1, 0.3], [0, 1]) == pytest.approx(0.2)
    # one of two: from 0.9 on F1 is 2/3, from 0.1 on 4/6
    assert best_threshold([0.9, 0.8, 0.7, 0.1], [1, 0, 0, 1]) == pytest.approx(0.85)
    assert best_threshold([0.3, 0.3], [1, 0]) == pytest.approx(0.15), "what is equal is decided alike"
    assert best_threshold([0.9, 0.8], [0, 0]) == 0.5, "nothing to choose by"


def test_they_are_kept_with_the_network(tmp_path: Path) -> None:
    assert read_thresholds(tmp_path, 2) == Thresholds((0.5, 0.5), chosen=False)
    chosen = best_thresholds(np.array([[0.1, 0.9], [0.3, 0.6]]), np.array([[0, 1], [1, 0]]))
    chosen.write(tmp_path)
    assert read_thresholds(tmp_path, 2) == chosen == Thresholds((pytest.approx(0.2), 0.75), chosen=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(chosen.decide(np.array([[0.2, 0.75], [0.15, 0.7]])), [[1, 1], [0, 0]])
    with pytest.raises(RunError, match=r"damaged.*2 numbers for 3 labels"):
        read_thresholds(tmp_path, 3)
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        read_thresholds(tmp_path, 2)
