"""Ranks of rewards: nothing but their order is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def middle_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value, (n,), from 1/2 for the least to n - 1/2; the mean of those that tie."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - count / 2)[place]
    return ranks
