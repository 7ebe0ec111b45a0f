"""Extrapolates learning curves: the score of each candidate after more training, with its uncertainty.

A curve runs from a start s to a score c, which it has when it was trained for the whole race:
y(t) = s (1 - g(t)) + c g(t) + noise. g is one of 60 *shapes* that rise from 0 to 1: power laws, exponentials
(stretched ones, and some with a slow beginning) and logarithms, over time scales from a thousandth of a race to three
races. Given a shape, s and c have a normal distribution in closed form, and the data give the shape its weight. So a
prediction is a mixture over shapes. It is exact under the model, the same whenever it is made, and takes milliseconds.

The prior of s, c and the shapes is learned from all curves of the race (empirical Bayes, a few steps of expectation
maximisation). So a candidate with few validations is expected to do like the others.

- K. Swersky, J. Snoek, R. P. Adams: "Freeze-thaw Bayesian optimization" (arXiv 1406.3896, 2014) have Gaussian processes
  whose kernel is a mixture of exponential decays. We have several families, and no kernel over choices, because the
  strategy models these.
- T. Domhan, J. T. Springenberg, F. Hutter: "Speeding up automatic hyperparameter optimization of deep neural networks
  by extrapolation of learning curves" (IJCAI 2015) sample eleven families by MCMC, for each curve separately.
- H. Rakotoarison, S. Adriaensen, N. Mallik, S. Garibov, E. Bergman, F. Hutter: "In-context freeze-thaw Bayesian
  optimization for hyperparameter optimization" (ICML 2024) train a transformer on such curves beforehand. Its weights
  would have to be downloaded; this model needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 12
"""The number of points that a curve is averaged to. Later points are means of more validations."""

STEPS = 4
"""Steps of expectation maximisation."""

DRIFT = 0.05
"""The standard deviation by which a curve may deviate from its shape, for each factor e in time."""

MISFIT = 0.03
"""The standard deviation of a predicted score after e times as long a training, as no curve has exactly one shape."""


_SCALES = np.geomspace(1e-3, 3, 9)
_POWER = np.array([(scale, power) for power in (0.5, 1.0, 2.0) for scale in _SCALES]).T
_STRETCHED = np.array([(scale, power) for power in (0.5, 1.0, 1.7) for scale in _SCALES[:-1]]).T


def _raw_shapes(times: Array) -> Array:
    t = times[..., None]
    power = -np.expm1(-_POWER[1] * np.log1p(t / _POWER[0]))
    stretched = -np.expm1(-((t / _STRETCHED[0]) ** _STRETCHED[1]))
    return np.concatenate([power, stretched, np.log1p(t / _SCALES)], axis=-1)


_GRID = np.geomspace(1e-9, 4, 900)
_TABLE = _raw_shapes(_GRID) / _raw_shapes(np.array(1.0))


def shapes(times: Array) -> Array:
    """All shapes at some times, in shares of the race; shape (*times.shape, shapes). 0 at 0, 1 at 1.

    They are interpolated linearly in a table, because powers and logarithms take long.
    """
    position = np.log(np.maximum(times, _GRID[0]) / _GRID[0]) / np.log(_GRID[1] / _GRID[0])
    row = np.minimum(position.astype(int), len(_GRID) - 2)
    after = np.minimum(position - row, 1.0)[..., None]
    between: Array = (1 - after) * _TABLE[row] + after * _TABLE[row + 1]
    return between


class Points(NamedTuple):
    """A curve, averaged: seconds, mean scores and numbers of validations, each (points,), at most `POINTS`."""

    seconds: Array
    scores: Array
    sizes: Array


@lru_cache(maxsize=10_000)
def averaged(curve: tuple[tuple[float, float], ...]) -> Points:
    """A curve in a few points, later ones over more validations. Scores that are no finite numbers are left out."""
    points = np.array(curve, dtype=float).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1]) & (points[:, 0] > 0)]
    count = len(points)
    if count <= POINTS:
        return Points(points[:, 0], points[:, 1], np.ones(count))
    edges = np.unique(np.round(count ** (np.arange(POINTS) / POINTS)).astype(int) - 1)
    sizes = np.diff(edges, append=count).astype(float)
    means = np.add.reduceat(points, edges, axis=0) / sizes[:, None]
    return Points(means[:, 0], means[:, 1], sizes)


@dataclass(frozen=True)
class Joint:
    """Two scores of each curve, at an earlier and a later time: means and variances without noise, each (curves,)."""

    mean: Array
    variance: Array
    later_mean: Array
    later_variance: Array
    covariance: Array

    def learned(self, noise: float) -> Array:
        """How much a validation at the earlier time would move what is expected of the later one: a standard deviation.

        Args:
            noise: the standard deviation of a validation.
        """
        learned: Array = np.abs(self.covariance) / np.sqrt(self.variance + noise**2)
        return np.minimum(learned, np.sqrt(self.later_variance))


@dataclass(frozen=True)
class Extrapolation:
    """What the curves of a race say of later scores; times are in shares of the race. Made by `extrapolate`.

    Args:
        last: the time of each curve's last validation, (curves,).
        weights: of the shapes, (curves, shapes); each row's sum is 1.
        means: of s and c, given the curve and a shape, (2, curves, shapes).
        covariances: of s with s, s with c, c with c, (3, curves, shapes).
    """

    last: Array
    weights: Array
    means: Array
    covariances: Array

    def at(self, times: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, without noise, of each curve at one time each, (curves,)."""
        joint = self.joint(times, times)
        return joint.mean, np.sqrt(joint.variance)

    def means_of(self, index: int, times: Array) -> Array:
        """Means of one curve at several times, (times,)."""
        g = shapes(times)
        means: Array = ((1 - g) * self.means[0, index] + g * self.means[1, index]) @ self.weights[index]
        return means

    def joint(self, earlier: Array, later: Array) -> Joint:
        """Each curve's scores at two times of its own, (curves,)."""
        one, two = shapes(earlier), shapes(later)
        first, second = self._given_shape(one), self._given_shape(two)
        ss, sc, cc = self.covariances
        both = (1 - one) * (1 - two) * ss + ((1 - one) * two + one * (1 - two)) * sc + one * two * cc
        mean, later_mean = self._mixed(first), self._mixed(second)
        wandered, later_wandered = self._wandered(earlier), self._wandered(later)
        return Joint(
            mean,
            self._mixed(first**2 + self._spread(one)) - mean**2 + wandered,
            later_mean,
            self._mixed(second**2 + self._spread(two)) - later_mean**2 + later_wandered,
            self._mixed(first * second + both) - mean * later_mean + np.minimum(wandered, later_wandered),
        )

    def _given_shape(self, g: Array) -> Array:
        means: Array = (1 - g) * self.means[0] + g * self.means[1]
        return means

    def _spread(self, g: Array) -> Array:
        ss, sc, cc = self.covariances
        spread: Array = (1 - g) ** 2 * ss + 2 * g * (1 - g) * sc + g**2 * cc
        return spread

    def _mixed(self, values: Array) -> Array:
        mixed: Array = np.einsum("nm,nm->n", self.weights, values)
        return mixed

    def _wandered(self, times: Array) -> Array:
        """A random walk in the logarithm of time: by how much curves leave their shapes."""
        return MISFIT**2 * np.log(np.maximum(times / self.last, 1.0))


@dataclass(frozen=True)
class Usual:
    """The prior of a curve: weights of the shapes, (shapes,), and mean (2,) and covariance (2, 2) of s and c."""

    weights: Array
    mean: Array
    covariance: Array


def extrapolate(curves: Sequence[Points], total: float, noise: float) -> tuple[Extrapolation, Extrapolation]:
    """Fit all curves of a race together.

    Args:
        curves: each with at least one point; scores in units in which the best is about 0 and a curve's rise about 1.
        total: seconds of the race.
        noise: the standard deviation of a validation, in the units of the scores.

    Returns:
        The extrapolation of the curves, and that of a new curve, of which only the prior is known.
    """
    sums = _sums(*_padded(curves, total, noise))
    count = _TABLE.shape[1]
    start = Usual(np.full(count, 1 / count), np.array([-0.7, -0.05]), np.diag([0.5**2, 0.2**2]))
    usual = start
    for _ in range(STEPS):
        usual = _learned(start, *_posterior(sums, usual))
    last = np.array([curve.seconds[-1] / total for curve in curves])
    new = Extrapolation(
        np.array([_SCALES[0]]),
        usual.weights[None],
        np.repeat(usual.mean[:, None, None], count, axis=2),
        np.repeat(usual.covariance[[0, 0, 1], [0, 1, 1]][:, None, None], count, axis=2),
    )
    return Extrapolation(last, *_posterior(sums, usual)), new


def _padded(curves: Sequence[Points], total: float, noise: float) -> tuple[Array, Array, Array]:
    """Times, scores and precisions, (curves, POINTS); a precision of 0 where a curve has fewer points.

    The errors of successive validations are correlated, because the cases are the same. So the mean of many is less
    precise than that of independent ones. Early validations say less about later ones.
    """
    times, scores, precisions = np.ones((3, len(curves), POINTS))
    precisions *= 0
    for i, (seconds, means, sizes) in enumerate(curves):
        count = len(seconds)
        times[i, :count], scores[i, :count] = seconds / total, means
        ago = np.log(seconds[-1] / seconds)
        precisions[i, :count] = 1 / (noise**2 * (0.3 + 0.7 / sizes) + (DRIFT * ago) ** 2)
    return times, scores, precisions


def _sums(times: Array, scores: Array, precisions: Array) -> Array:
    """The sums for least squares: sums of products of 1 - g, g and the score, (6, curves, shapes)."""
    g = shapes(times)
    h = 1 - g
    y, w = scores[..., None], precisions[..., None]
    pairs = ((h, h), (h, g), (g, g), (h, y), (g, y), (y, y))
    return np.stack([np.broadcast_to((w * a * b).sum(axis=1), g[:, 0].shape) for a, b in pairs])


def _posterior(sums: Array, usual: Usual) -> tuple[Array, Array, Array]:
    """Weights of the shapes, means and covariances of s and c, for each curve."""
    prior = np.linalg.inv(usual.covariance)
    towards = prior @ usual.mean
    ss, sc, cc = sums[0] + prior[0, 0], sums[1] + prior[0, 1], sums[2] + prior[1, 1]
    s, c = sums[3] + towards[0], sums[4] + towards[1]
    determinant = ss * cc - sc**2
    covariances = np.stack([cc, -sc, ss]) / determinant
    means = np.stack([cc * s - sc * c, ss * c - sc * s]) / determinant
    evidence = np.log(usual.weights) + 0.5 * (means[0] * s + means[1] * c - np.log(determinant))
    weights = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True), means, covariances


def _learned(start: Usual, weights: Array, means: Array, covariances: Array) -> Usual:
    """The prior learned from all curves; ``start`` counts as much as one curve."""
    count = len(weights) + 1
    mean = (np.einsum("nm,knm->k", weights, means) + start.mean) / count
    away = means - mean[:, None, None]
    products = covariances + np.stack([away[0] ** 2, away[0] * away[1], away[1] ** 2])
    ss, sc, cc = np.einsum("nm,knm->k", weights, products)
    shift = start.mean - mean
    covariance = (np.array([[ss, sc], [sc, cc]]) + start.covariance + np.outer(shift, shift)) / count
    return Usual((weights.sum(axis=0) + start.weights) / count, mean, covariance)
