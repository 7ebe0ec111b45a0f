"""F1 of labels, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from netwright.tasks.multilabel.metrics.f1 import f1, f1_shares, macro_f1


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decided, truths = (rng.random((2, 30, 4)) < 0.4).astype(np.int64)
    each = f1_score(truths, decided, average=None)
    np.testing.assert_allclose([f1(decided[:, at], truths[:, at]) for at in range(4)], each, rtol=1e-12)
    assert macro_f1(decided, truths) == pytest.approx(f1_score(truths, decided, average="macro"), rel=1e-12)


def test_a_label_neither_there_nor_found_is_left_out() -> None:
    decided, truths = np.array([[1, 0, 0], [1, 0, 1]]), np.array([[1, 0, 0], [0, 0, 0]])
    assert math.isnan(f1(decided[:, 1], truths[:, 1]))
    assert f1(decided[:, 2], truths[:, 2]) == 0, "found where it is not"
    expected = f1_score(truths, decided, average="macro", zero_division=np.nan)
    assert macro_f1(decided, truths) == pytest.approx(expected) == pytest.approx(1 / 3)


def test_shares_are_slopes_by_the_weight_of_a_picture() -> None:
    rng = np.random.default_rng(1)
    decided, truth = (rng.random((2, 12)) < 0.5).astype(np.int64)
    shares, whole, step = f1_shares(decided, truth), f1_score(truth, decided), 1e-5
    assert shares.mean() == pytest.approx(whole, rel=1e-12)
    for picture in range(12):
        up, down = (
            f1_score(truth, decided, sample_weight=1 + sign * step * np.eye(12)[picture]) for sign in (1, -1)
        )
        assert shares[picture] == pytest.approx(whole + 12 * (up - down) / (2 * step), abs=1e-6)
    assert np.isnan(f1_shares(np.zeros(3), np.zeros(3))).all()
