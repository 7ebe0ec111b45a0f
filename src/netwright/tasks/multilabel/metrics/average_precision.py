"""Average precision of a label, and its mean over labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.means import mean_known

Values = NDArray[np.floating] | NDArray[np.integer]


def average_precision(probabilities: Values, truth: Values) -> float:
    """The mean, over the pictures that have a label, of the precision at their probability; NaN where none has it.

    That is the sum of (R_n - R_{n-1}) P_n over the thresholds, without interpolation, as scikit-learn's.

    >>> average_precision(np.array([0.9, 0.8, 0.3]), np.array([1, 0, 1]))
    0.8333333333333333

    Args:
        probabilities: of the label (pictures,), or whatever else ranks them.
        truth: 1 for pictures that have the label, else 0, (pictures,).
    """
    reached, right, _ = _at_thresholds(probabilities, truth)
    has = np.asarray(truth, dtype=bool)
    return float((right / reached)[has].mean()) if has.any() else float("nan")


def mean_average_precision(probabilities: Values, truths: Values) -> float:
    """The mean of the labels' average precision, both (pictures, labels); labels that no picture has are left out."""
    return mean_known(map(average_precision, np.asarray(probabilities).T, np.asarray(truths).T))


def average_precision_shares(probabilities: Values, truth: Values) -> NDArray[np.float64]:
    """What each picture contributes to a label's average precision, (pictures,); NaN where none has the label.

    The infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6): the
    average precision, and the number of pictures times its slope by the weight of the picture. The mean is the average
    precision exactly; the spread is what resampling pictures would find. A share may lie beyond 0 and 1.

    Args:
        probabilities: as in `average_precision`.
        truth: the same.
    """
    reached, right, groups = _at_thresholds(probabilities, truth)
    has = np.asarray(truth, dtype=bool)
    positives = int(has.sum())
    if not positives:
        return np.full(len(has), np.nan)
    precision = right / reached
    mean = precision[has].mean()
    slope = np.where(has, precision - mean, 0.0)
    # A picture counts in the precision at its own probability and at all below.
    wrong = reached - right
    for_positive, for_negative = (
        _from_here_down(np.where(has, one / reached**2, 0.0), groups) for one in (wrong, -right)
    )
    slope += np.where(has, for_positive, for_negative)
    return np.asarray(mean + len(has) * slope / positives, dtype=np.float64)


def _at_thresholds(
    probabilities: Values, truth: Values
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """For each picture, at its probability as a threshold: how many reach it, and how many of these have the label.
    The third is its threshold's number, the highest first.
    """
    values, groups = np.unique(-np.asarray(probabilities, dtype=np.float64), return_inverse=True)
    reached = np.bincount(groups, minlength=len(values)).cumsum()
    right = np.bincount(groups, weights=np.asarray(truth, dtype=np.float64), minlength=len(values)).cumsum()
    return reached[groups].astype(np.float64), right[groups], np.asarray(groups, dtype=np.int64)


def _from_here_down(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each picture the sum of the values of those whose probability is the same or lower."""
    sums = np.bincount(groups, weights=values)
    return np.asarray(sums[::-1].cumsum()[::-1][groups], dtype=np.float64)
