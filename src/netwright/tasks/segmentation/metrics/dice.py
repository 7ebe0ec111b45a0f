"""The Dice coefficient: how far a predicted label and the true one overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netwright.means import mean_known


def dice_per_label(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    classes: int,
    regions: Sequence[Sequence[int]] | None = None,
) -> NDArray[np.float64]:
    """Dice of each foreground label, (classes - 1,), or of each region: 2 |A and B| / (|A| + |B|).

    NaN where a label is absent from both, 0 where it is absent from one of them.

    >>> dice_per_label(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), classes=4).round(3)
    array([0.667, 0.667,   nan])
    >>> dice_per_label(np.array([0, 1, 1, 2]), np.array([1, 1, 2, 255]), classes=3, regions=[(1, 2), (2,)])
    array([0.8, 0. ])

    Args:
        prediction: class indices under ``classes``, of any shape.
        truth: the same; where it is ``classes`` or above, voxels are ignored.
        classes: background included.
        regions: the labels of each, which may overlap; None: each foreground label is one.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"Prediction and truth must have one shape, got {prediction.shape} and {truth.shape}."
        )
    pairs = truth.ravel().astype(np.int64) * classes + prediction.ravel()
    counts = np.bincount(pairs, minlength=classes * classes)[: classes * classes]
    confusion = counts.reshape(classes, classes)
    within = np.eye(classes, dtype=np.int64)[1:]  # (what is scored, classes)
    if regions is not None:
        within = np.array([[index in region for index in range(classes)] for region in regions], np.int64)
    sizes = within @ (confusion.sum(0) + confusion.sum(1))
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * (within @ confusion * within).sum(1) / sizes)


def mean_dice(dice: NDArray[np.float64]) -> float:
    """The mean over cases of each case's mean over its labels, of scores (cases, classes - 1); NaN left out.

    >>> mean_dice(np.array([[1.0, 0.5], [0.5, np.nan]]))
    0.625
    """
    return mean_known(mean_known(row) for row in dice.tolist())
