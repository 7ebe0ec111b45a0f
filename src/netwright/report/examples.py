"""Chooses the cases that a report shows: the worst, the median and the best."""

from __future__ import annotations

import math
from collections.abc import Mapping

ROLES = ("worst", "median", "best")


def worst_median_best(scores: Mapping[str, float]) -> dict[str, str]:
    """Case -> its role, by the cases' scores. A case with NaN has none; a case with two roles has the first of them."""
    ranked = sorted((case for case in scores if not math.isnan(scores[case])), key=lambda case: scores[case])
    if not ranked:
        return {}
    roles: dict[str, str] = {}
    cases = (ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1])
    for role, case in zip(ROLES, cases, strict=True):
        roles.setdefault(case, role)
    return roles
