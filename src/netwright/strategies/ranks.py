"""Ranks of rewards: they keep the order of the rewards and drop their size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def middle_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value, (n,), from 1/2 for the least to n - 1/2; ties get their mean.

    >>> middle_ranks(np.array([0.2, 0.7, 0.7])).tolist()
    [0.5, 2.0, 2.0]
    """
    order = np.argsort(values)
    ascending = values[order]
    first = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])[: len(values)])
    count = np.diff(first, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + count / 2, count)
    return ranks
