"""The share of the time that every rule gives to the starting choice, the default.

The default is trained from the first second, because a search is only worth what it gains over the default. PriorBand
(Mallik et al., NeurIPS 2023) samples around a prior for the same reason. Training the default itself until another
candidate has beaten it is our addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from netwright.searches.race.base import Candidate, Race

SHARE = 0.25
"""The default is trained for at least this share of the time that the race has lasted."""

EARLY = 0.15
"""Before the default was trained for this share of the race, nothing counts as better: a fast start says little."""

FEWEST = 6
"""The fewest differences between validations from which their noise is estimated."""

SIGMAS = 2.0
"""A difference between two scores is more than noise from this many standard errors on."""


def validation_noise(candidates: Sequence[Candidate]) -> float | None:
    """The standard deviation of the scores about their smooth curves; None: there are too few validations.

    In the later half of each curve, each score is compared with the line between its neighbours. The median of the
    differences is robust against jumps. The first half is left out, because there a curve bends.

    Args:
        candidates: in a fixed order.
    """
    gaps = [_gaps(candidate.curve) for candidate in candidates if len(candidate.curve) > 2]
    sizes = np.abs(np.concatenate([np.zeros(0), *gaps]))
    sizes = sizes[np.isfinite(sizes)]
    if len(sizes) < FEWEST:
        return None
    return float(np.median(sizes) / 0.6745)


@lru_cache(maxsize=10_000)
def _gaps(curve: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Scores minus the line between their neighbours, each in standard deviations of one score."""
    t, y = np.array(curve[max(len(curve) // 2 - 1, 0) :]).T
    share = (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
    gaps = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    sizes: NDArray[np.float64] = gaps / np.sqrt(1 + (1 - share) ** 2 + share**2)
    return sizes


def default_of(race: Race) -> Candidate | None:
    """The starting choice's candidate; None where there is none."""
    return next((candidate for candidate in race.by_number() if candidate.default), None)


def beaten(race: Race) -> bool:
    """Whether a candidate is better than the default by more than noise, after no more training than the default had.

    It is False while the noise is unknown, or the default was hardly trained.
    """
    default = default_of(race)
    if default is None or default.seconds < EARLY * race.total:
        return False
    candidates = race.by_number()
    noise = validation_noise(candidates)
    if noise is None:
        return False
    bar = default.score + SIGMAS * 2**0.5 * noise
    return any(
        other.score_after(default.seconds) > bar
        for other in candidates
        if other.curve and not other.default and other.curve[0][0] <= default.seconds
    )


def owed(race: Race) -> Candidate | None:
    """The default, if it waits, is not beaten, and has had less than its share of the time; else None."""
    default = default_of(race)
    if default is None or not default.waiting:
        return None
    if default.seconds >= SHARE * (race.total - race.remaining) or beaten(race):
        return None
    return default
