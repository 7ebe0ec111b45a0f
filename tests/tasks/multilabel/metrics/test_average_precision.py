"""Average precision, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from netwright.tasks.multilabel.metrics.average_precision import (
    average_precision,
    average_precision_shares,
    mean_average_precision,
)


def ranked(seed: int, pictures: int, *, ties: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 5, pictures) / 4 if ties else rng.random(pictures)
    truth = (rng.random(pictures) < 0.4).astype(np.int64)
    truth[0] = 1
    return probabilities, truth


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("pictures", [1, 2, 7, 60])
def test_it_is_that_of_scikit_learn(pictures: int, ties: bool) -> None:
    for seed in range(3):
        probabilities, truth = ranked(seed, pictures, ties=ties)
        expected = average_precision_score(truth, probabilities)
        assert average_precision(probabilities, truth) == pytest.approx(expected, rel=1e-12)


def test_a_label_that_no_picture_has_is_left_out_where_scikit_learn_counts_it_as_0() -> None:
    rng = np.random.default_rng(0)
    probabilities, truths = rng.random((20, 3)), (rng.random((20, 3)) < 0.5).astype(np.int64)
    truths[:, 1] = 0
    with pytest.warns(UserWarning, match="No positive class"):
        each = average_precision_score(truths, probabilities, average=None)
    assert each[1] == 0
    assert math.isnan(average_precision(probabilities[:, 1], truths[:, 1]))
    assert mean_average_precision(probabilities, truths) == pytest.approx((each[0] + each[2]) / 2)
    assert math.isnan(mean_average_precision(probabilities[:, 1:2], truths[:, 1:2]))


@pytest.mark.parametrize("ties", [False, True])
def test_shares_are_slopes_by_the_weight_of_a_picture(ties: bool) -> None:
    probabilities, truth = ranked(3, 15, ties=ties)
    shares = average_precision_shares(probabilities, truth)
    whole = average_precision_score(truth, probabilities)
    assert shares.mean() == pytest.approx(whole, rel=1e-12)
    step = 1e-5
    for picture in range(15):
        up, down = (
            average_precision_score(truth, probabilities, sample_weight=1 + sign * step * np.eye(15)[picture])
            for sign in (1, -1)
        )
        assert shares[picture] == pytest.approx(whole + 15 * (up - down) / (2 * step), abs=1e-6)
    assert np.isnan(average_precision_shares(probabilities, np.zeros(15))).all()
