"""The prior of the tables, and how it is fitted to the results.

The reward's rank is a sum of tables (one for each dimension, one for each pair of dimensions) and a correction for each
joint action, which is similar for similar joint actions. All are Gaussian, so the covariance of the ranks depends on a
few numbers. Those with the greatest marginal likelihood are used (C. E. Rasmussen, C. K. I. Williams: "Gaussian
processes for machine learning", 2006, section 5.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.q_learning.layout import Layout, Levels

Matrix = NDArray[np.float64]

CONSTANT = 0.1
"""Variance of the mean, as a share of the tables' variance: ranks have mean 0, but the seen ones may not be typical."""

NUGGET = 0.02
"""Share of a smooth dimension's variance that each level has for itself."""

JITTER = 1e-6

MOST_FAR = 100
"""Up to this many levels, dimensions that are not connected in the agents' graph may share tables, too."""

MOST_COMPARED = 256
"""The marginal likelihood is computed from at most this many results: the better half, and a sample of the rest."""


@dataclass(frozen=True)
class Prior:
    """Shares of the variance, which add up to 1, and the similarity of neighbouring levels.

    ``near``: share of pairs of dimensions that share a table in the agents' graph. ``far``: share of all other pairs.
    The rest is the share of the single dimensions. ``joint``: share of the joint action's own correction in the whole;
    its covariance falls by the factor ``alike`` with every dimension that differs. ``noise``: variance of what the
    tables cannot explain, in units of their variance. ``sharing``: the kind of covariance between the levels of an
    ordered dimension. For "steps", ``amount`` is the correlation between neighbouring levels; for "smooth", it is the
    number of length scales in the range; levels that are "apart" share nothing.
    """

    sharing: Literal["apart", "steps", "smooth"] = "apart"
    amount: float = 0.0
    near: float = 0.6
    far: float = 0.0
    joint: float = 0.0
    alike: float = 0.5
    noise: float = 0.03

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """The shares of single dimensions, near pairs, far pairs and joint actions."""
        tables = 1.0 - self.joint
        return tables * (1.0 - self.near - self.far), tables * self.near, tables * self.far, self.joint


SHARING: list[Mapping[str, Any]] = [
    {"sharing": kind, "amount": amount}
    for kind, amount in (
        ("apart", 0.0),
        ("steps", 0.6),
        ("steps", 0.9),
        ("smooth", 1.0),
        ("smooth", 2.0),
        ("smooth", 4.0),
    )
]
NEAR: list[Mapping[str, Any]] = [{"near": near, "far": 0.0} for near in (0.0, 0.3, 0.6, 0.85)]
FAR: list[Mapping[str, Any]] = [
    {"near": near, "far": far} for near, far in ((0.2, 0.1), (0.4, 0.2), (0.5, 0.35))
]
NOISE: list[Mapping[str, Any]] = [{"noise": noise} for noise in (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)]
JOINT: list[Mapping[str, Any]] = [
    {"joint": joint, "alike": alike} for joint in (0.0, 0.1, 0.3, 0.6, 0.9) for alike in (0.4, 0.7)
]


def level_covariance(layout: Layout, prior: Prior) -> Matrix:
    """Covariance of the levels within each dimension, with ones on the diagonal: shape (count, count)."""
    covariance = np.zeros((layout.count, layout.count))
    for axis, part in zip(layout.axes, layout.level_slices, strict=True):
        size = len(axis)
        distance = np.abs(np.arange(size)[:, None] - np.arange(size))
        if not axis.ordered or prior.sharing == "apart":
            block = np.eye(size)
        elif prior.sharing == "steps":
            block = prior.amount**distance
        else:
            smooth = np.exp(-0.5 * (distance * prior.amount / max(size - 1, 1)) ** 2)
            block = (1 - NUGGET) * smooth + NUGGET * np.eye(size)
        covariance[part, part] = block
    return covariance


def pair_counts(layout: Layout) -> tuple[int, int]:
    """The numbers of near and far pairs of dimensions; at least 1 each."""
    dimensions = len(layout.sizes)
    near = int(layout.near.sum()) // 2
    return max(near, 1), max(dimensions * (dimensions - 1) // 2 - near, 1)


def tables_covariance(layout: Layout, columns: Matrix, one_hot: Matrix, *, pairs: bool = True) -> Matrix:
    """Covariance between the tables' sums for some rows and for others; each kind of table has variance 1.

    Args:
        layout: of the dimensions.
        columns: covariance of the rows' levels with all levels, (rows, count).
        one_hot: the others, (others, count).
        pairs: False: those of pairs are not needed, and are 0.

    Returns:
        For single dimensions, near pairs and far pairs: shape (3, rows, others).
    """
    total = columns @ one_hot.T
    if not pairs:
        return np.stack([total / len(layout.sizes), np.zeros_like(total), np.zeros_like(total)])
    both = 0.5 * (total**2 - columns**2 @ one_hot.T)
    near = both if layout.complete else _near_covariance(layout, columns, one_hot)
    near_count, far_count = pair_counts(layout)
    return np.stack([total / len(layout.sizes), near / near_count, (both - near) / far_count])


def _near_covariance(layout: Layout, columns: Matrix, one_hot: Matrix) -> Matrix:
    agents = []
    near = np.zeros((len(columns), len(one_hot)))
    for members in layout.members:
        levels = layout.levels_in(members)
        own, other = columns[:, levels], one_hot[:, levels].T
        agents.append(own @ other)
        if members.stop - members.start > 1:
            near += 0.5 * (agents[-1] ** 2 - own**2 @ other)
    for a, b in layout.links:
        near += agents[a] * agents[b]
    return near


def joint_covariance(columns: Matrix, one_hot: Matrix, alike: float) -> Matrix:
    """Covariance of the corrections of joint actions: a product over the dimensions, (rows, others).

    Args:
        columns: of the correlation of levels, for each row.
        one_hot: levels of the others.
        alike: the correlation of two different levels.
    """
    covariance: Matrix = np.exp(np.log(alike + (1 - alike) * columns) @ one_hot.T)
    return covariance


def combined(prior: Prior, tables: Matrix, joint: Matrix) -> Matrix:
    """The total covariance, without noise.

    Args:
        prior: with the share of each part.
        tables: covariances of the parts.
        joint: from `joint_covariance`.
    """
    single, near, far, own = prior.shares
    covariance: Matrix = CONSTANT + single * tables[0] + near * tables[1] + far * tables[2] + own * joint
    return covariance


def log_evidence(covariance: Matrix, targets: Matrix) -> float:
    """Log marginal likelihood of targets (n,) up to a constant, at the scale of the covariance that maximises it.

    The targets are appended as one more row. So one Cholesky factor is enough: its last row is L^-1 y.
    """
    n = len(targets)
    bordered = np.empty((n + 1, n + 1))
    bordered[:n, :n] = covariance
    bordered[n, :n] = targets
    bordered[n, n] = 1e12
    factor = np.linalg.cholesky(bordered)
    scale = float(np.mean(factor[n, :n] ** 2)) + 1e-9
    return -0.5 * n * float(np.log(scale)) - float(np.log(np.diag(factor)[:n]).sum())


def fit_priors(layout: Layout, levels: Levels, targets: Matrix) -> tuple[Prior, ...]:
    """The priors with the greatest marginal likelihood; their settings are improved in turn, twice.

    The first prior is the best of those in which the tables explain everything. The second one leaves joint actions a
    correction of their own; it is returned only if it is likelier.

    Args:
        layout: of the dimensions.
        levels: (n, dimensions).
        targets: (n,).
    """
    kept = representative(targets, MOST_COMPARED)
    evidence = _Evidence(layout, levels[kept], targets[kept])
    small = not layout.complete and layout.count <= MOST_FAR
    groups: list[Sequence[Mapping[str, Any]]] = [NEAR + FAR if small else NEAR, NOISE]
    if any(axis.ordered for axis in layout.axes):
        groups.insert(0, SHARING)
    tables = _improved(_improved(Prior(), groups, evidence), groups, evidence)
    whole = _improved(_improved(tables, [JOINT, *groups], evidence), [JOINT, *groups], evidence)
    return (tables, whole) if whole.joint else (tables,)


def _improved(prior: Prior, groups: Sequence[Sequence[Mapping[str, Any]]], evidence: _Evidence) -> Prior:
    for group in groups:
        prior = max((replace(prior, **settings) for settings in group), key=evidence)
    return prior


class _Evidence:
    """Log evidence of a prior. Costly parts are computed once."""

    def __init__(self, layout: Layout, levels: Levels, targets: Matrix) -> None:
        self._layout, self._targets = layout, targets
        self._one_hot = layout.one_hot(levels)
        self._tables: dict[tuple[str, float], tuple[Matrix, Matrix]] = {}
        self._joint: dict[tuple[str, float, float], Matrix] = {}
        self._found: dict[Prior, float] = {}

    def __call__(self, prior: Prior) -> float:
        if prior not in self._found:
            covariance = combined(prior, *self._parts(prior))
            covariance[np.diag_indices_from(covariance)] += prior.noise + JITTER
            self._found[prior] = log_evidence(covariance, self._targets)
        return self._found[prior]

    def _parts(self, prior: Prior) -> tuple[Matrix, Matrix]:
        kind = (prior.sharing, prior.amount)
        if kind not in self._tables:
            columns = self._one_hot @ level_covariance(self._layout, prior)
            self._tables[kind] = columns, tables_covariance(self._layout, columns, self._one_hot)
        columns, tables = self._tables[kind]
        if not prior.joint:
            return tables, np.zeros(tables.shape[1:])
        key = (*kind, prior.alike)
        if key not in self._joint:
            self._joint[key] = joint_covariance(columns, self._one_hot, prior.alike)
        return tables, self._joint[key]


def representative(targets: Matrix, most: int) -> NDArray[np.int64]:
    """Indices of at most ``most`` results, sorted: the better half, and others spread evenly over the remaining ranks.

    >>> representative(np.array([0.1, 0.5, 0.4, 0.2, 0.3, 0.0]), most=4).tolist()
    [1, 2, 4, 5]
    """
    if len(targets) <= most:
        return np.arange(len(targets))
    order = np.argsort(-targets, kind="stable")
    best = most // 2
    others = np.linspace(best, len(order) - 1, most - best).astype(np.int64)
    return np.sort(order[np.concatenate([np.arange(best), others])])
