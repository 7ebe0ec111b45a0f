"""The score that each candidate of a race would have after more training, whatever the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from netwright.searches.race.base import Race
from netwright.searches.race.freeze_thaw import field_of


class Expected(NamedTuple):
    """A score, and its standard deviation."""

    score: float
    deviation: float


def expected_scores(race: Race, more: Mapping[int, float] | None = None) -> dict[int, Expected]:
    """The extrapolated curves of a race, by the candidate's number. Candidates without a validation are left out.

    All are left out where every candidate has ended. None is expected to end below the worst score of the whole race:
    the line through a few early validations that fall would lead to any depth.

    Args:
        race: with its curves so far.
        more: how many seconds each candidate is trained further; None: each for all that is left of the race.
    """
    field = field_of(race)
    if field is None:
        return {}
    numbers = [candidate.number for candidate in field.candidates]
    seconds = [race.remaining if more is None else more[number] for number in numbers]
    means, deviations = field.curves.at(field.curves.last + np.array(seconds) / race.total)
    worst = min(score for c in field.candidates for _, score in c.curve if math.isfinite(score))
    return {
        number: Expected(max(worst, field.best + field.scale * float(mean)), field.scale * float(deviation))
        for number, mean, deviation in zip(numbers, means, deviations, strict=True)
    }
