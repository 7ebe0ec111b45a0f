"""Top-1 accuracy: the share of images whose class of the largest logit is the true one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_1_correct(prediction: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """(images,), 1 where the predicted class is the true one, else 0; the mean is the top-1 accuracy.

    >>> top_1_correct(np.array([2, 0, 1]), np.array([2, 1, 1]))
    array([1., 0., 1.])

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
