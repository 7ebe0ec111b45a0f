"""Metrics of segmentation and classification, of class indices in numpy, and the means of any metric over cases.

A score is NaN where it is not defined. Every mean leaves it out, and is NaN where nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


def dice_per_label(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
    """Dice of each foreground label, (classes - 1,): 2 |A and B| / (|A| + |B|).

    NaN where a label is absent from both, 0 where it is absent from one of them.

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


def mean_known(values: Iterable[float]) -> float:
    """The mean of those that are defined; NaN where none is."""
    known = [float(value) for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def mean_dice(dice: NDArray[np.float64]) -> float:
    """The mean over cases of each case's mean over its labels, of scores (cases, classes - 1); NaN left out."""
    return mean_known(mean_known(row) for row in dice.tolist())


def mean_scores(scores: Mapping[str, Mapping[str, float]], metric: str) -> dict[str, float]:
    """The means of case -> label or class -> score: the metric, and each label's own.

    Returns:
        ``metric``: as `mean_dice`. "<metric>.<label>": the mean over the cases in which the label's score is defined;
        left out where it is in none. Empty where there are no cases.
    """
    if not scores:
        return {}
    labels = dict.fromkeys(label for case in scores.values() for label in case)
    of_labels = {
        f"{metric}.{label}": mean_known(case[label] for case in scores.values() if label in case)
        for label in labels
    }
    return {
        metric: mean_known(mean_known(case.values()) for case in scores.values()),
        **{name: mean for name, mean in of_labels.items() if not math.isnan(mean)},
    }


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
