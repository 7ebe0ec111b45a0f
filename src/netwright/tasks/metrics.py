"""Metrics of segmentation and classification, of class indices in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice_per_label(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
    """Dice of each foreground label, (classes - 1,): 2 |A and B| / (|A| + |B|); NaN where absent from both.

    Args:
        prediction: class indices under ``classes``, of any shape.
        truth: the same.
        classes: background included.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"Prediction and truth must have one shape, got {prediction.shape} and {truth.shape}."
        )
    pairs = truth.ravel().astype(np.int64) * classes + prediction.ravel()
    confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    sizes = confusion.sum(0) + confusion.sum(1)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * confusion.diagonal() / sizes)[1:]


def mean_dice(dice: NDArray[np.float64]) -> float:
    """Mean over the cases of (cases, classes - 1) of each case's mean, labels absent from its truth and prediction left
    out; 0 where all are.
    """
    means = [row[~np.isnan(row)].mean() for row in dice if not np.isnan(row).all()]
    return float(np.mean(means)) if means else 0.0


def top_1_correct(prediction: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """(images,), 1 where the predicted class is the true one, else 0; the mean is the top-1 accuracy.

    Args:
        prediction: class indices (images,), of the largest logit.
        truth: the same.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"Prediction and truth must have one shape, got {prediction.shape} and {truth.shape}."
        )
    return np.asarray(prediction == truth, dtype=np.float64)
