"""The posterior of the tables: a Bayesian linear model that is sampled without a matrix of all its weights.

Thompson sampling in linear models: S. Agrawal, N. Goyal, "Thompson sampling for contextual bandits with linear
payoffs", ICML 2013. A draw from the posterior is a draw from the prior, corrected by what the results say about its
errors (G. Matheron's rule; J. T. Wilson et al., "Efficiently sampling functions from Gaussian process
posteriors", ICML 2020). The size of the matrices depends on the number of results, not on the size of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.q_learning.layout import Layout, Levels
from netwright.strategies.q_learning.prior import (
    CONSTANT,
    JITTER,
    Matrix,
    Prior,
    combined,
    joint_covariance,
    level_covariance,
    pair_counts,
    tables_covariance,
)

MOST_ENUMERATED = 1 << 15
"""Up to this many joint actions, a correction is drawn for each."""

FEW = 64
"""Pairs of dimensions are few where so many times as many are fewer than the cells of the table of all levels. Then the
cells of a result are looked up, which takes less than products of whole matrices."""

JOINT_BREADTH = 0.6
"""How far the drawn corrections stray, in standard deviations. With more, the largest of very many independent errors
would win, not the largest mean."""


@dataclass(frozen=True, eq=False)
class Draw:
    """Tables to maximise.

    ``single``: (count,). ``pairs``: (count, count), symmetric. ``whole``: the correction of each joint action, one axis
    per dimension; None: there are too many. Then ``weights`` (n,) and ``alike`` (n, count) give its mean: the sum over
    the results of their weight times the product of ``alike`` over the dimensions. ``paired``: False where all
    ``pairs`` are 0, so that each dimension counts by itself.
    """

    single: Matrix
    pairs: Matrix
    whole: Matrix | None = None
    weights: Matrix | None = None
    alike: Matrix | None = None
    paired: bool = True


class Model:
    """The posterior of the tables for one prior. Results are added one by one.

    ``inverse`` is the inverse of the Cholesky factor of the results' covariance: a new result adds a row and
    changes no other.
    """

    def __init__(self, layout: Layout, prior: Prior, levels: Levels) -> None:
        self.layout, self.prior, self.size = layout, prior, len(levels)
        self._paired = prior.near > 0 or prior.far > 0
        self._near = np.array(np.nonzero(np.triu(layout.near)))
        few = self._paired and prior.far == 0 and FEW * self._near.shape[1] < layout.count**2
        self._levels_covariance = level_covariance(layout, prior)
        capacity = 2 * self.size + 64
        self._levels = np.zeros((capacity, len(layout.sizes)), dtype=np.int64)
        self._one_hot = np.zeros((capacity, layout.count))
        self._columns = np.zeros((capacity, layout.count))
        self._inverse = np.zeros((capacity, capacity))
        self._cells = np.zeros((capacity, self._near.shape[1]), dtype=np.int64) if few else None
        self._put(slice(0, self.size), levels)
        covariance = self._covariance(slice(0, self.size), slice(0, self.size))
        covariance[np.diag_indices_from(covariance)] += prior.noise + JITTER
        self._inverse[: self.size, : self.size] = np.tril(np.linalg.inv(np.linalg.cholesky(covariance)))
        self._single, self._pairs = self._variances()
        jitter = JITTER * np.eye(layout.count)
        self._covariances = [self._levels_covariance[p, p] for p in layout.level_slices]
        self._roots = [
            np.linalg.cholesky((self._levels_covariance + jitter)[p, p]) for p in layout.level_slices
        ]

    def _variances(self) -> tuple[float, Matrix]:
        """The variance of a single level's weight, and of each pair's weight, in one of two triangles."""
        single, near, far, _ = self.prior.shares
        near_count, far_count = pair_counts(self.layout)
        by_dimension = np.where(self.layout.near, near / near_count, far / far_count)
        spread = np.triu(by_dimension, 1)
        return single / len(self.layout.sizes), spread[self.layout.owner][:, self.layout.owner]

    def _put(self, rows: slice, levels: Levels) -> None:
        self._levels[rows] = levels
        self._one_hot[rows] = self.layout.one_hot(levels)
        self._columns[rows] = self._one_hot[rows] @ self._levels_covariance
        if self._cells is not None:
            first, second = (levels + self.layout.offsets)[:, self._near].transpose(1, 0, 2)
            self._cells[rows] = first * self.layout.count + second

    def _covariance(self, rows: slice, others: slice) -> Matrix:
        columns, one_hot = self._columns[rows], self._one_hot[others]
        tables = tables_covariance(self.layout, columns, one_hot, pairs=self._paired)
        joint = np.zeros(tables.shape[1:])
        if self.prior.joint:
            joint = joint_covariance(columns, one_hot, self.prior.alike)
        return combined(self.prior, tables, joint)

    def extend(self, levels: Levels) -> None:
        """Add one result at levels (dimensions,)."""
        n = self.size
        if n == len(self._inverse):
            self._grow()
        last = slice(n, n + 1)
        self._put(last, levels[None])
        covariance = self._covariance(last, slice(0, n + 1))[0]
        inverse = self._inverse[:n, :n]
        row = inverse @ covariance[:n]
        own = max(covariance[n] + self.prior.noise + JITTER - row @ row, JITTER) ** 0.5
        self._inverse[n, :n] = -(row @ inverse) / own
        self._inverse[n, n] = 1.0 / own
        self.size = n + 1

    def _grow(self) -> None:
        more = self.size
        self._levels = np.pad(self._levels, ((0, more), (0, 0)))
        self._one_hot = np.pad(self._one_hot, ((0, more), (0, 0)))
        self._columns = np.pad(self._columns, ((0, more), (0, 0)))
        self._inverse = np.pad(self._inverse, ((0, more), (0, more)))
        if self._cells is not None:
            self._cells = np.pad(self._cells, ((0, more), (0, 0)))

    def draw(self, targets: Matrix, breadth: float, rng: np.random.Generator) -> Draw:
        """Tables from the posterior.

        Args:
            targets: of the results, (n,).
            breadth: factor for the deviations from the posterior's mean; 0 gives the mean.
            rng: the source of random numbers.
        """
        n = self.size
        inverse, columns = self._inverse[:n, :n], self._columns[:n]
        scale = breadth * float(np.sqrt(np.mean((inverse @ targets) ** 2)))
        prior = self._draw_prior(rng)
        noise = np.sqrt(self.prior.noise) * rng.standard_normal(n)
        errors = targets - scale * (self._constant(rng) + self._evaluate(prior) + noise)
        weights = inverse.T @ (inverse @ errors)
        single = scale * prior.single + self._single * (columns.T @ weights)
        pairs = prior.pairs
        if self._paired:
            pairs = scale * pairs + self._pairs * self._products(weights)
            pairs = pairs + pairs.T
        draw = Draw(single, pairs, paired=self._paired)
        if not self.prior.joint:
            return draw
        if prior.whole is None:
            alike = self.prior.alike + (1 - self.prior.alike) * columns
            return replace(draw, weights=self.prior.joint * weights, alike=alike)
        return replace(draw, whole=scale * prior.whole + self.prior.joint * self._spread(weights))

    def _products(self, weights: Matrix) -> Matrix:
        """The weighted sum over the results of the products of their columns, (count, count), where pairs are near."""
        if self._cells is None:
            columns = self._columns[: self.size]
            return columns.T @ (weights[:, None] * columns)
        count, cells = self.layout.count, self._cells[: self.size]
        sums: Matrix = np.zeros(count**2)
        sums += np.bincount(cells.ravel(), np.repeat(weights, cells.shape[1]), count**2)
        covariances = self._covariances
        return self._correlated(self._correlated(sums.reshape(count, count), covariances).T, covariances).T

    def _constant(self, rng: np.random.Generator) -> float:
        return float(CONSTANT**0.5 * rng.standard_normal())

    def _draw_prior(self, rng: np.random.Generator) -> Draw:
        """Tables from the prior; only one triangle of ``pairs`` is filled."""
        count = self.layout.count
        single = self._single**0.5 * self._correlated(rng.standard_normal((count, 1)), self._roots)[:, 0]
        pairs = rng.standard_normal((count, count))  # also where none is used: the same numbers follow
        if self._paired:
            pairs = np.sqrt(self._pairs) * self._correlated(
                self._correlated(pairs, self._roots).T, self._roots
            )
        else:
            pairs = no_pairs(count)
        if not self.prior.joint or self.layout.choices > MOST_ENUMERATED:
            return Draw(single, pairs)
        whole: Matrix = rng.standard_normal(self.layout.sizes)
        for dimension in range(len(self.layout.sizes)):
            whole = _along(whole, np.linalg.cholesky(self._factor(dimension)), dimension)
        return Draw(single, pairs, JOINT_BREADTH * self.prior.joint**0.5 * whole)

    def _correlated(self, rows: Matrix, factors: Sequence[NDArray[np.floating]]) -> Matrix:
        """Multiply rows (count, any number) by a factor for each dimension.

        By the roots of the levels' covariances, independent rows get these covariances.
        """
        if self.prior.sharing == "apart":
            return rows
        parts = zip(factors, self.layout.level_slices, strict=True)
        return np.concatenate([factor @ rows[part] for factor, part in parts])

    def _evaluate(self, draw: Draw) -> Matrix:
        """The sum of drawn tables for each result, (n,)."""
        one_hot = self._one_hot[: self.size]
        predicted: Matrix = one_hot @ draw.single
        if self._cells is not None:
            predicted += draw.pairs.take(self._cells[: self.size]).sum(axis=1)
        elif self._paired:
            predicted += ((one_hot @ draw.pairs) * one_hot).sum(axis=1)
        return predicted if draw.whole is None else predicted + draw.whole[tuple(self._levels[: self.size].T)]

    def _spread(self, weights: Matrix) -> Matrix:
        """The mean of the corrections at every joint action: a product over the dimensions."""
        mean = np.zeros(self.layout.sizes)
        np.add.at(mean, tuple(self._levels[: self.size].T), weights)
        for dimension in range(len(self.layout.sizes)):
            mean = _along(mean, self._factor(dimension), dimension)
        return mean

    def _factor(self, dimension: int) -> Matrix:
        """Covariance of the corrections along one dimension."""
        part = self.layout.level_slices[dimension]
        factor: Matrix = self.prior.alike + (1 - self.prior.alike) * self._levels_covariance[part, part]
        return factor + JITTER * np.eye(len(factor))


def no_pairs(count: int) -> Matrix:
    """Tables of pairs that are all 0, (count, count), in no memory."""
    return np.broadcast_to(0.0, (count, count))


def _along(values: NDArray[np.floating], matrix: NDArray[np.floating], dimension: int) -> Matrix:
    """Multiply by a matrix along one dimension."""
    return np.moveaxis(np.tensordot(matrix, values, (1, dimension)), 0, dimension)
