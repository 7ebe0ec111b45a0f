"""The joint action with the greatest expected improvement, if there are few enough to look at each.

Thompson sampling (`coordinated`) spends most of a short search on what is uncertain. With few joint actions the mean
and variance of each one's value are known exactly, and so is the expected gain over the best so far (D. R. Jones, M.
Schonlau, W. J. Welch: "Efficient global optimization of expensive black-box functions", Journal of Global Optimization
13, 1998, equation 15). The logarithms of the gains are compared, because they distinguish small ones (S. Ament et al.:
"Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr, ndtri

from netwright.strategies.q_learning.layout import Layout, Levels
from netwright.strategies.q_learning.prior import JITTER, Matrix, Prior, level_covariance
from netwright.strategies.q_learning.relevance import fit_relevance, relevance_covariance

SMALLEST = 1e-6
"""The least variance of a joint action's value: single precision does not resolve less."""

TO_IMPROVE = 3
"""The gain is measured against the third best result. With many results the normal score of the best one is so far
ahead that hardly any gain over it is expected, except next to it."""

AT_ONCE = 4096
"""Number of joint actions whose covariances are computed at once, to save memory."""

GROWTH, LEAST_ROOM = 4, 16
"""The arrays have room for a quarter more results, or for this many, before they are copied."""


def normal_scores(ranks: Matrix) -> Matrix:
    """Ranks in (-1/2, 1/2) as quantiles of the normal distribution, scaled to mean 0 and variance 1.

    So the best of many stand farther apart than those in the middle, as they do in most objectives.

    Args:
        ranks: (n,); if all are equal, all scores are 0.
    """
    scores: Matrix = ndtri(ranks + 0.5)
    scores -= scores.mean()
    spread = float(scores.std())
    return scores / spread if spread > 1e-9 else np.zeros_like(scores)


class Beliefs:
    """The posterior of every joint action's value. Results are added one by one.

    Args:
        layout: at most `MOST_ENUMERATED` joint actions.
        prior: of the tables; says what neighbouring levels share.
        targets: the covariance is fitted to them, (n,), mean 0 and variance 1.
        levels: (n, dimensions).

    ``_inverse``: inverse of the Cholesky factor L of the results' covariance, (capacity, capacity).
    ``_solved``: L^-1 times their covariance with all joint actions, (capacity, joint actions), in single precision.
    """

    def __init__(self, layout: Layout, prior: Prior, targets: Matrix, levels: Levels) -> None:
        self.layout, self.size = layout, len(levels)
        self._sharing = level_covariance(layout, prior)
        self.relevance = fit_relevance(layout, self._sharing, levels, targets)
        grid = np.stack(np.unravel_index(np.arange(layout.choices), layout.sizes), axis=1)
        self._one_hot = layout.one_hot(grid)
        capacity = self.size + max(self.size // GROWTH, LEAST_ROOM)
        own = self._covariance(levels, layout.one_hot(levels))
        self._variance = float(own[0, 0])
        own[np.diag_indices_from(own)] += self.relevance.noise + JITTER
        self._inverse = np.zeros((capacity, capacity))
        inverse = np.tril(np.linalg.inv(np.linalg.cholesky(own)))
        self._inverse[: self.size, : self.size] = inverse
        self._solved = np.zeros((capacity, layout.choices), dtype=np.float32)
        for start in range(0, layout.choices, AT_ONCE):
            block = slice(start, start + AT_ONCE)
            self._solved[: self.size, block] = inverse @ self._covariance(levels, self._one_hot[block])
        self._known = np.einsum("ij,ij->j", self._solved, self._solved, dtype=np.float64)

    def _covariance(self, levels: Levels, others: Matrix) -> Matrix:
        return relevance_covariance(self.layout, self.relevance, self._sharing, levels, others)

    def _numbers(self, levels: Levels) -> NDArray[np.intp]:
        """The number of each joint action, (rows,)."""
        numbers: NDArray[np.intp] = np.ravel_multi_index(tuple(levels.T), self.layout.sizes)
        return numbers

    def extend(self, levels: Levels) -> None:
        """Add one result at levels (dimensions,)."""
        n = self.size
        if n == len(self._inverse):
            self._inverse = np.pad(self._inverse, (0, n))
            self._solved = np.pad(self._solved, ((0, n), (0, 0)))
        row, column, own = self._one_more(levels, self._solved[:n])
        self._inverse[n, :n] = -(column @ self._inverse[:n, :n]) / own
        self._inverse[n, n] = 1.0 / own
        self._solved[n] = row
        self._known += row.astype(np.float64) ** 2
        self.size = n + 1

    def _one_more(self, levels: Levels, solved: NDArray[np.float32]) -> tuple[Matrix, Matrix, float]:
        """The next row of ``_solved``, and the new row of L: the part before the diagonal, and the diagonal."""
        number = int(self._numbers(levels[None])[0])
        covariance = self._covariance(levels[None], self._one_hot)[0]
        column = solved[:, number]
        left = covariance[number] + self.relevance.noise + JITTER - float(column @ column)
        own = math.sqrt(max(left, JITTER))
        return (covariance - column @ solved) / own, column.astype(np.float64), own

    def posterior(self, targets: Matrix, pending: Levels) -> tuple[Matrix, Matrix]:
        """Mean and variance of every joint action's value, (joint actions,) each.

        A pending candidate counts as if its result were the expected one. So it changes no mean, only variances.

        Args:
            targets: (size,).
            pending: (rows, dimensions).
        """
        weights = self._inverse[: self.size, : self.size] @ targets
        mean = (weights.astype(np.float32) @ self._solved[: self.size]).astype(np.float64)
        solved, known = self._solved[: self.size], self._known
        for levels in pending:
            row, _, _ = self._one_more(levels, solved)
            solved = np.concatenate([solved, row[None].astype(np.float32)])
            known = known + row**2
        return mean, np.maximum(self._variance - known, SMALLEST)

    def best_new(self, targets: Matrix, told: Levels, seen: Levels, pending: Levels) -> Levels | None:
        """The levels (dimensions,) with the greatest expected improvement that were not seen; None: all were.

        The value to be improved is taken from the posterior means, so that one lucky result does not decide.

        Args:
            targets: (size,).
            told: levels with a result, (rows, dimensions).
            seen: levels not to be proposed, (rows, dimensions).
            pending: levels without a result yet, (rows, dimensions).
        """
        mean, variance = self.posterior(targets, pending)
        to_improve = np.sort(mean[self._numbers(told)])[-TO_IMPROVE:][0]
        expected = log_expected_improvement(mean - to_improve, np.sqrt(variance))
        expected[self._numbers(seen)] = -np.inf
        best = int(expected.argmax())
        if expected[best] == -np.inf:
            return None
        return np.array(np.unravel_index(best, self.layout.sizes), dtype=np.int64)


def log_expected_improvement(gains: Matrix, deviations: Matrix) -> Matrix:
    """Log of the mean of max(0, X), where X is normal with these means and standard deviations, (n,) each.

    Far below 0 it uses the scaled complementary error function, as in Ament et al., equation 9.
    """
    z = gains / deviations
    near = z > -1.0
    close, far = z[near], -z[~near]
    logarithms = np.empty_like(z)
    logarithms[near] = np.log(np.exp(-(close**2) / 2) / math.sqrt(2 * math.pi) + close * ndtr(close))
    ratio = far * math.sqrt(math.pi / 2) * erfcx(far / math.sqrt(2))
    logarithms[~near] = -(far**2) / 2 - 0.5 * math.log(2 * math.pi) + _log_rest(ratio, far)
    improvement: Matrix = logarithms + np.log(deviations)
    return improvement


def _log_rest(ratio: Matrix, far: Matrix) -> Matrix:
    """log(1 - ratio); about -2 log z where z is so far out that the difference is lost to rounding."""
    lost = far > 1e4
    rest: Matrix = np.where(lost, -2.0 * np.log(far), np.log1p(-np.where(lost, 0.0, ratio)))
    return rest
