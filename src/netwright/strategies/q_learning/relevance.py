"""How much each dimension counts, fitted to the results: the prior of a Gaussian process over the joint actions.

The covariance of two joint actions is the sum of a constant, of a table for each dimension and for each pair that
shares one, and of a function of their distance, in which every dimension has its own weight (relevance determination:
C. E. Rasmussen, C. K. I. Williams: "Gaussian processes for machine learning", 2006, section 5.1; the function is
equation 4.17, Matern 5/2). The tables express what holds whatever the other dimensions are. The distance helps where
the best joint action is not where the sum of the tables is greatest. All settings are those with the greatest posterior
density. The hyperpriors of the weights and the noise are those of Optuna's ``GPSampler``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from netwright.strategies.q_learning.layout import Layout, Levels
from netwright.strategies.q_learning.prior import (
    CONSTANT,
    JITTER,
    MOST_COMPARED,
    Matrix,
    representative,
    tables_covariance,
)

ROOT = math.sqrt(5.0)

MOST_STEPS = 30
"""The most steps in the search for the settings."""

FIRST_NOISE = 0.01
"""The noise variance where that search begins; the targets have variance 1."""

LOWEST, HIGHEST = -12.0, 5.0
"""Bounds of the settings' logarithms."""


@dataclass(frozen=True, eq=False)
class Relevance:
    """The settings of the covariance, all positive.

    ``weights``: weight of each dimension in the squared distance, (dimensions,). ``joint``: variance of the function of
    the distance. ``single``: variance of all tables of one dimension. ``pairs``: variance of all tables of two.
    ``noise``: variance of the noise in a result.
    """

    weights: Matrix
    joint: float
    single: float
    pairs: float
    noise: float

    @classmethod
    def of_logarithms(cls, logarithms: Matrix) -> Relevance:
        """From the logarithms of all settings, in the order of the fields: shape (dimensions + 4,)."""
        values = np.exp(logarithms)
        return cls(values[:-4], *map(float, values[-4:]))


def level_distances(layout: Layout) -> Matrix:
    """Squared distances of the levels within each dimension, 0 between dimensions: shape (count, count).

    Any two values have distance 1; in an ordered dimension the first and the last have.
    """
    distances = np.zeros((layout.count, layout.count))
    for axis, part in zip(layout.axes, layout.level_slices, strict=True):
        places = np.arange(len(axis)) / max(len(axis) - 1, 1)
        apart = np.abs(places[:, None] - places)
        distances[part, part] = apart**2 if axis.ordered else apart > 0
    return distances


def matern(squares: Matrix) -> Matrix:
    """Matern's covariance with nu = 5/2 at squared distances (Rasmussen and Williams, equation 4.17)."""
    scaled = ROOT * np.sqrt(squares)
    covariance: Matrix = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return covariance


def relevance_covariance(
    layout: Layout, relevance: Relevance, sharing: Matrix, levels: Levels, others: Matrix
) -> Matrix:
    """Covariance of the values at some levels with those at others: shape (rows, others).

    Args:
        layout: of the dimensions.
        relevance: the settings.
        sharing: covariance of the levels in the tables, (count, count), from `level_covariance`.
        levels: (rows, dimensions).
        others: one-hot, (others, count).
    """
    one_hot = layout.one_hot(levels)
    squares = (one_hot @ (level_distances(layout) * relevance.weights[layout.owner])) @ others.T
    tables = tables_covariance(layout, one_hot @ sharing, others)
    covariance = relevance.joint * matern(np.maximum(squares, 0.0))
    covariance += CONSTANT + relevance.single * tables[0] + relevance.pairs * tables[1]
    return covariance


def fit_relevance(layout: Layout, sharing: Matrix, levels: Levels, targets: Matrix) -> Relevance:
    """The settings with the greatest posterior density, given targets with mean 0 and variance 1.

    Args:
        layout: of the dimensions.
        sharing: covariance of the levels in the tables, (count, count).
        levels: (n, dimensions).
        targets: (n,).
    """
    kept = representative(targets, MOST_COMPARED)
    density = _Density(layout, sharing, levels[kept], targets[kept])
    dimensions = len(layout.sizes)
    start = np.log([*[1.0] * dimensions, *[1 / 3] * 3, FIRST_NOISE])
    optimum = minimize(
        density,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOWEST, HIGHEST)] * len(start),
        options={"maxiter": MOST_STEPS, "gtol": 1e-2},
    )
    return Relevance.of_logarithms(optimum.x)


class _Density:
    """Minus the log posterior density as a function of the settings' logarithms, and its gradient."""

    def __init__(self, layout: Layout, sharing: Matrix, levels: Levels, targets: Matrix) -> None:
        one_hot, distances = layout.one_hot(levels), level_distances(layout)
        self._targets = targets
        self._apart = np.stack(
            [one_hot[:, p] @ distances[p, p] @ one_hot[:, p].T for p in layout.level_slices]
        )
        self._tables = tables_covariance(layout, one_hot @ sharing, one_hot)

    def __call__(self, logarithms: Matrix) -> tuple[float, Matrix]:
        settings = Relevance.of_logarithms(logarithms)
        squares = np.tensordot(settings.weights, self._apart, 1)
        scaled = ROOT * np.sqrt(squares)
        falling = np.exp(-scaled)
        parts = (
            settings.joint * (1.0 + scaled + scaled**2 / 3.0) * falling,
            settings.single * self._tables[0],
            settings.pairs * self._tables[1],
        )
        covariance = CONSTANT + parts[0] + parts[1] + parts[2]
        covariance[np.diag_indices_from(covariance)] += settings.noise + JITTER
        inverse = np.linalg.inv(covariance)
        solved = inverse @ self._targets
        likelihood = -0.5 * (self._targets @ solved + np.linalg.slogdet(covariance)[1])
        # Rasmussen and Williams, equation 5.9: half the trace of (a a' - C^-1) dC.
        change = 0.5 * (np.outer(solved, solved) - inverse)
        slope = change * (-5.0 / 6.0 * settings.joint) * (1.0 + scaled) * falling
        gradient = (settings.weights * np.tensordot(self._apart, slope, 2)).tolist()
        gradient += [float((change * part).sum()) for part in parts]
        gradient.append(settings.noise * float(np.trace(change)))
        hyper, hyper_gradient = log_hyperprior(settings)
        return -float(likelihood) - hyper, -(np.array(gradient) + hyper_gradient)


def log_hyperprior(settings: Relevance) -> tuple[float, NDArray[np.float64]]:
    """Log density of the settings before any result, up to a constant, and its gradient in their logarithms.

    Weights: -0.1 (w + 1 / w); variances: log v - v (a gamma density of shape 2); noise: 0.1 log n - 30 n (shape 1.1).
    """
    weights, noise = settings.weights, settings.noise
    variances = np.array([settings.joint, settings.single, settings.pairs])
    density = -0.1 * (weights + 1.0 / weights).sum() + (np.log(variances) - variances).sum()
    density += 0.1 * math.log(noise) - 30.0 * noise
    gradient = np.concatenate([0.1 / weights - 0.1 * weights, 1.0 - variances, [0.1 - 30.0 * noise]])
    return float(density), gradient
