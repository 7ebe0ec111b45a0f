"""Means of scores over cases, labels and validations.

A score is NaN where it is not defined. Every mean leaves it out, and is NaN where nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def mean_known(values: Iterable[float]) -> float:
    """The mean of those that are defined; NaN where none is.

    >>> mean_known([1.0, math.nan, 0.5])
    0.75
    """
    known = [float(value) for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def mean_scores(scores: Mapping[str, Mapping[str, float]], metric: str) -> dict[str, float]:
    """The means of case -> label or class -> score: the metric, and each label's own.

    >>> mean_scores({"a": {"heart": 1.0, "lung": 0.5}, "b": {"heart": 0.5}}, "dice")
    {'dice': 0.625, 'dice.heart': 0.75, 'dice.lung': 0.5}

    Returns:
        ``metric``: the mean over the cases of each case's mean over its labels. "<metric>.<label>": the mean over the
        cases in which the label's score is defined; left out where it is in none. Empty where there are no cases.
    """
    if not scores:
        return {}
    labels = dict.fromkeys(label for case in scores.values() for label in case)
    of_labels = {
        f"{metric}.{label}": mean_known(case[label] for case in scores.values() if label in case)
        for label in labels
    }
    return {
        metric: mean_known(mean_known(case.values()) for case in scores.values()),
        **{name: mean for name, mean in of_labels.items() if not math.isnan(mean)},
    }
