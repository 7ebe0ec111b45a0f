"""F1 of a label, and its mean over labels: macro F1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.means import mean_known

Decisions = NDArray[np.bool_] | NDArray[np.integer]


def f1(decided: Decisions, truth: Decisions) -> float:
    """2 TP / (2 TP + FP + FN) over pictures; NaN where no picture has the label, in truth or by decision.

    >>> f1(np.array([1, 1, 0]), np.array([1, 0, 0]))
    0.6666666666666666

    Args:
        decided: 1 for pictures that are taken to have the label, else 0, (pictures,).
        truth: 1 for those that have it.
    """
    right, counted = _counts(decided, truth)
    total = counted.sum()
    return float(2 * right.sum() / total) if total else float("nan")


def macro_f1(decided: Decisions, truths: Decisions) -> float:
    """The mean of the labels' F1, both (pictures, labels); labels without an F1 are left out."""
    return mean_known(map(f1, np.asarray(decided).T, np.asarray(truths).T))


def f1_shares(decided: Decisions, truth: Decisions) -> NDArray[np.float64]:
    """What each picture contributes to a label's F1, (pictures,), as `average_precision_shares`: their mean is the F1.

    Args:
        decided: as in `f1`.
        truth: the same.
    """
    right, counted = _counts(decided, truth)
    total = counted.sum()
    if not total:
        return np.full(len(right), np.nan)
    mean = 2 * right.sum() / total
    return np.asarray(mean + len(right) * (2 * right - mean * counted) / total, dtype=np.float64)


def _counts(decided: Decisions, truth: Decisions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each picture: 1 where it is a true positive, and what it adds to 2 TP + FP + FN."""
    taken, has = np.asarray(decided, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    return taken * has, taken + has
