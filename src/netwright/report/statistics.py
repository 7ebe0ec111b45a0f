"""The statistics of a report: intervals over cases, paired comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_LIMIT = 14
"""With at most this many differing pairs, all 2^n sign patterns are enumerated."""

SIGN_PATTERNS = 50_000
"""The number of random sign patterns beyond `EXACT_LIMIT`. The error of a p-value of 0.05 is then about 0.001."""

CHUNK_ELEMENTS = 4_000_000

CHANCE = 0.05
"""The largest one-sided p-value of what counts as better when a search chooses its network."""

FEW_VALUES = 8
"""A sample with at most this many different values (right or wrong, 1 or 0) is resampled by their counts."""


@dataclass(frozen=True)
class PairedComparison:
    """Two networks on the same cases: the mean of a - b, its 95 % interval, the two-sided p-value, and the pairs.

    ``seeds``: in how many trainings of each network the interval counts; 1: in none, it holds the cases alone.
    """

    mean_difference: float
    low: float
    high: float
    p_value: float
    n: int
    seeds: int = 1

    @property
    def within_noise(self) -> bool:
        """Whether trainings with other seeds and other cases may turn the difference round."""
        return self.seeds > 1 and self.low <= 0 <= self.high


def bootstrap_interval(
    values: ArrayLike,
    *,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = 10_000,
    trainings: Sequence[Sequence[float]] = (),
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean over cases (BCa; Efron 1987).

    As in Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 14.3. It is better here than plain
    percentiles, because Dice over cases is skewed: a few failures pull the mean down.

    With several trainings, the interval holds cases and seeds: to the mean of each resample of the cases comes what
    other seeds would change, see `seed_noise`.

    Args:
        values: one value a case, shape (n,). NaNs (label absent) are dropped.
        seed: for the resampling. Equal seeds give equal intervals.
        level: coverage, between 0 and 1.
        resamples: bootstrap resamples of the cases.
        trainings: for each network whose mean or difference this is, the mean of each of its trainings.

    Returns:
        (low, high); NaN twice for fewer than two values, which have no interval.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[~np.isnan(sample)]
    if sample.size < 2:
        return float("nan"), float("nan")
    tails = ((1 - level) / 2, (1 + level) / 2)
    if not any(len(means) > 1 for means in trainings):
        low, high = _bootstrap_quantiles(sample, tails, resamples, seed)
        return float(low), float(high)
    levels = (np.arange(resamples) + 0.5) / resamples
    drawn = _bootstrap_quantiles(sample, levels, resamples, seed)
    low, high = np.quantile(drawn + seed_noise(trainings, resamples, np.random.default_rng((seed, 1))), tails)
    return float(low), float(high)


def seed_noise(
    trainings: Sequence[Sequence[float]], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """What other seeds would change of a mean over trainings, or of a difference of two: ``resamples`` draws.

    Two or three trainings cannot be resampled, which would show two thirds of their variance or less. So the mean of n
    trainings with the standard deviation s is taken to lie around the true one like Student's t with n - 1 degrees of
    freedom, times s / sqrt(n). Of two networks, both are drawn (Behrens and Fisher's problem).

    Args:
        trainings: for each network, the mean score of each of its trainings. A single one adds nothing, nor does a
            NaN.
        resamples: how many draws.
        generator: of random numbers.
    """
    noise = np.zeros(resamples)
    for network in trainings:
        means = [mean for mean in network if not np.isnan(mean)]
        if len(means) > 1:
            error = np.std(means, ddof=1) / np.sqrt(len(means))
            noise += error * generator.standard_t(len(means) - 1, resamples)
    return noise


def _bootstrap_quantiles(
    sample: NDArray[np.float64], levels: Sequence[float] | NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Quantiles of the BCa bootstrap's distribution of the mean."""
    mean = float(sample.mean())
    if np.ptp(sample) == 0:
        return np.full(len(levels), mean)
    generator = np.random.default_rng(seed)
    means = _resampled_means(sample, resamples, generator)
    same = np.abs(means - mean) <= 1e-12 * np.ptp(sample)
    below = float(np.mean((means < mean) & ~same) + 0.5 * np.mean(same))
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples))  # eq. 14.14
    centred = (sample - mean) / np.ptp(sample)
    # Eq. 14.15: the jackknife's acceleration, which has this closed form for a mean.
    acceleration = float(np.sum(centred**3) / (6 * np.sum(centred**2) ** 1.5))
    ends = []
    for level in levels:
        shifted = bias + normal.inv_cdf(level)
        # Eq. 14.10; past its pole, which one far outlier among many values can reach, the limit.
        ends.append(normal.cdf(bias + shifted / max(1 - acceleration * shifted, 1e-9)))
    return np.asarray(np.quantile(means, ends), dtype=np.float64)


def value_a_group(values: ArrayLike, groups: Sequence[str]) -> NDArray[np.float64]:
    """One value for each group of cases that are not independent, such as the frames of a patient's heart.

    The values are resampled and compared in place of the cases. Their mean is that of all cases. Their spread is that
    of a mean of whole groups (its linearisation; Cochran, Sampling Techniques, 1977, section 6.3). For groups of equal
    size, the values are the groups' means; for groups of one case, the cases.

    Args:
        values: one value a case, shape (n,), without NaN.
        groups: the group of each case, n names.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    names, members = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    if len(names) == sample.size:
        return sample
    mean = sample.mean()
    sums = np.bincount(members, weights=sample - mean, minlength=len(names))
    return np.asarray(mean + sums * len(names) / sample.size, dtype=np.float64)


def _resampled_means(
    sample: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """The means of ``resamples`` samples, each drawn with replacement and as large as the original one."""
    values, counts = np.unique(sample, return_counts=True)
    if values.size <= FEW_VALUES:
        # How often each value is drawn is multinomial, so that ten thousand test images cost no more than ten.
        drawn = generator.multinomial(sample.size, counts / sample.size, size=resamples)
        return np.asarray(drawn @ values / sample.size, dtype=np.float64)
    return np.concatenate(
        [
            sample[generator.integers(0, sample.size, (rows, sample.size))].mean(axis=1)
            for rows in _chunks(resamples, sample.size)
        ]
    )


def paired_comparison(
    a: ArrayLike, b: ArrayLike, seed: int = 0, trainings: Sequence[Sequence[float]] = ()
) -> PairedComparison:
    """Compares two networks case by case. Positive differences favour ``a``.

    The interval is the bootstrap's, for the mean difference. The p-value is that of the paired permutation (sign-flip)
    test of the same mean difference: exact for up to `EXACT_LIMIT` differing pairs, with random patterns beyond. Where
    all pairs differ by the same amount, as right or wrong cases do, the test is McNemar's (1947) on the binomial
    distribution, and exact for any number. Wilcoxon's signed ranks are not used: they drop ties and test another
    quantity than the reported mean, so they can contradict the interval beside it.

    Args:
        a: one value a case, shape (n,). Pairs with a NaN on either side are dropped.
        b: the same cases in the same order.
        seed: for resampling and sign patterns.
        trainings: of both networks, the mean of each training on these cases; the interval then holds seeds, too. The
            p-value is over cases in any case.

    Raises:
        ValueError: ``a`` and ``b`` differ in length.
    """
    first, second = (np.asarray(x, dtype=np.float64).ravel() for x in (a, b))
    if first.size != second.size:
        raise ValueError(f"paired values must be as many on both sides, got {first.size} and {second.size}")
    differences = first - second
    differences = differences[~np.isnan(differences)]
    if differences.size == 0:
        nan = float("nan")
        return PairedComparison(nan, nan, nan, nan, 0)
    low, high = bootstrap_interval(differences, seed=seed, trainings=trainings)
    p_value = _sign_flip_p_value(differences, np.random.default_rng(seed))
    seeds = max((len(means) for means in trainings), default=1)
    return PairedComparison(float(differences.mean()), low, high, p_value, int(differences.size), seeds)


def fewest_units(chance: float = CHANCE) -> int:
    """The fewest cases (or patients) in which a gain can be beyond chance: 2 to the power of -n is small enough.

    >>> fewest_units(0.05)
    5
    """
    return math.ceil(-math.log2(chance))


def p_value_of_best(differences: NDArray[np.float64], seed: int = 0) -> float:
    """One-sided p-value of the first of several mean differences, where the first was chosen among them.

    The share of sign patterns, the same for all, with which the greatest of all mean differences is at least as large
    as the first one (P. Westfall and S. Young: "Resampling-Based Multiple Testing", 1993, the test of the maximum).
    Each is in units of its own root mean square, so that one which is clearly worse does not hide the first.

    Args:
        differences: from one network to each of several others, shape (others, cases). Cases in which the first is NaN
            are dropped; a NaN of another is no difference.
        seed: for the sign patterns.

    >>> p_value_of_best(np.array([[0.2, 0.1, 0.3, 0.1]]))
    0.0625
    >>> p_value_of_best(np.array([[0.2, 0.1, 0.3, 0.1], [-5.0, -8.0, -1.0, -9.0]]))
    0.0625
    """
    kept = np.nan_to_num(differences[:, ~np.isnan(differences[0])])
    sizes = np.sqrt((kept**2).sum(axis=1, keepdims=True))
    scaled = (kept / np.where(sizes > 0, sizes, 1.0)).T
    threshold = float(scaled[:, 0].sum()) - 1e-9 * float(np.abs(scaled[:, 0]).sum())
    return _share_of_patterns(scaled, lambda sums: sums.max(axis=1), threshold, np.random.default_rng(seed))


def _sign_flip_p_value(differences: NDArray[np.float64], generator: np.random.Generator) -> float:
    """Share of sign patterns whose sum is at least as far from zero; two-sided."""
    differing = differences[differences != 0]
    if differing.size == 0:
        return 1.0
    if np.ptp(np.abs(differing)) == 0:
        return _mcnemar_p_value(int(np.count_nonzero(differing > 0)), int(differing.size))
    threshold = abs(float(differing.sum())) - 1e-9 * float(np.abs(differing).sum())
    return _share_of_patterns(differing, np.abs, threshold, generator)


def _share_of_patterns(
    differences: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    threshold: float,
    generator: np.random.Generator,
) -> float:
    """The share of sign patterns with which a statistic of the sums over cases reaches a threshold.

    Args:
        differences: shape (cases,) or (cases, networks).
        statistic: of the sums of many patterns, shape (patterns,) or (patterns, networks); one value a pattern.
        threshold: to be reached.
        generator: draws the patterns, where there are too many for all of them.
    """
    cases = len(differences)
    if cases <= EXACT_LIMIT:
        patterns = np.arange(2**cases)[:, None] >> np.arange(cases) & 1
        return float(np.mean(statistic((2 * patterns - 1) @ differences) >= threshold))
    extreme = 0
    for rows in _chunks(SIGN_PATTERNS, cases):
        signs = 2 * generator.integers(0, 2, (rows, cases), dtype=np.int8) - 1
        extreme += int(np.count_nonzero(statistic(signs @ differences) >= threshold))
    # The observed pattern counts as one of them, so that p is never zero (Phipson and Smyth 2010).
    return (extreme + 1) / (SIGN_PATTERNS + 1)


def _mcnemar_p_value(favourable: int, differing: int) -> float:
    """Two-sided probability of so uneven a split of the differing pairs by fair coins, in whole numbers."""
    term, tail = 1, 0
    for i in range(min(favourable, differing - favourable) + 1):
        tail += term
        term = term * (differing - i) // (i + 1)
    return float(min(1.0, 2 * tail / 2**differing))


def _chunks(rows: int, columns: int) -> Iterator[int]:
    """Split ``rows`` so that one chunk of (rows, columns) stays small in memory."""
    step = max(1, CHUNK_ELEMENTS // columns)
    for start in range(0, rows, step):
        yield min(step, rows - start)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusts p-values for their number (Holm 1979). Their order is kept; NaNs stay and are not counted."""
    adjusted = [float("nan")] * len(p_values)
    ordered = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    largest = 0.0
    for rank, (p, i) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p))
        adjusted[i] = largest
    return tuple(adjusted)
