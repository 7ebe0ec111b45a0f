"""The Pareto front of points, and the hypervolume that it dominates. Every coordinate is a cost: smaller is better."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(points: ArrayLike) -> tuple[int, ...]:
    """Indices of the points that no other point beats, in order of the first coordinate.

    Args:
        points: shape (n, d). Every coordinate is a cost: smaller is better (negate what is to be maximised). One point
            beats another if it is nowhere larger and somewhere smaller. Equal points are all kept. Points with a NaN
            are left out.
    """
    costs = np.asarray(points, dtype=np.float64)
    if costs.size == 0:
        return ()
    usable = np.flatnonzero(~np.isnan(costs).any(axis=1))
    ordered = usable[np.lexsort(costs[usable].T[::-1])]  # a point can only be beaten by one before it
    front: list[int] = []
    kept = np.empty((0, costs.shape[1]))
    for index in ordered.tolist():
        point = costs[index]
        if not ((kept <= point).all(axis=1) & (kept < point).any(axis=1)).any():
            front.append(index)
            kept = costs[front]
    return tuple(front)


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume of what the points dominate within a reference point.

    E. Zitzler, L. Thiele: "Multiobjective optimization using evolutionary algorithms", PPSN V (1998). The volume is
    cut into slabs along the last coordinate, each of which is a hypervolume of one coordinate less.

    Args:
        points: shape (n, d), costs. Points that are not below the reference in every coordinate add nothing.
        reference: shape (d,).

    Example:
        >>> hypervolume([(1.0, 3.0), (2.0, 1.0), (2.0, 2.0)], (4.0, 4.0))
        7.0
    """
    bound = np.asarray(reference, dtype=np.float64)
    costs = np.asarray(points, dtype=np.float64).reshape(-1, len(bound))
    return _volume(costs[(costs < bound).all(axis=1)], bound)


def _volume(costs: NDArray[np.float64], bound: NDArray[np.float64]) -> float:
    if not len(costs):
        return 0.0
    if len(bound) == 1:
        return float(bound[0] - costs.min())
    costs = costs[np.argsort(costs[:, -1], kind="stable")]
    if len(bound) == 2:
        best = np.minimum.accumulate(costs[:, 0])
        return float(np.diff(np.append(costs[:, 1], bound[1])) @ (bound[0] - best))
    levels = np.unique(costs[:, -1])
    heights = np.diff(np.append(levels, bound[-1]))
    return float(
        sum(
            height * _volume(costs[costs[:, -1] <= level, :-1], bound[:-1])
            for level, height in zip(levels, heights, strict=True)
        )
    )
