"""How the comparison's measure is written: Dice with three digits, accuracy in percent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from netwright.report import formatting


@dataclass(frozen=True)
class Metric:
    """A measure between 0 and 1, larger is better, and the words that go with it.

    ``name``: within a sentence. ``case`` and ``cases``: what it is measured on. ``classifies``: whether each
    case is right or wrong, 1 or 0, so that a case alone has no better or worse.
    """

    name: str
    case: str
    cases: str
    classifies: bool

    def counted(self, *, patients: bool) -> Metric:
        """The same with the words for patients, where several cases are of one."""
        return replace(self, case="patient", cases="patients") if patients else self

    def value(self, score: float | None) -> str:
        """``0.884``, or ``91.3 %`` for accuracy; a dash where there is none."""
        if not self.classifies or score is None or math.isnan(score):
            return formatting.dice(score)
        return f"{100 * score:.1f} %"

    def interval(self, low: float, high: float) -> str:
        """``0.876–0.891`` or ``90.2–92.1 %``; empty where none can be told."""
        if not self.classifies or math.isnan(low) or math.isnan(high):
            return formatting.interval(low, high)
        return f"{100 * low:.1f}{formatting.DASH}{100 * high:.1f} %"

    def difference(self, value: float) -> str:
        """With its sign: ``+0.013``, or ``+1.3 points`` for accuracy."""
        return f"{formatting.signed(100 * value, 1)} points" if self.classifies else formatting.signed(value)

    def difference_interval(self, low: float, high: float) -> str:
        """Of a difference; with "to" where a minus sign would be misread."""
        if not self.classifies or math.isnan(low) or math.isnan(high):
            return formatting.interval(low, high)
        return f"{formatting.signed(100 * low, 1)} to {formatting.signed(100 * high, 1)}"

    def amount(self, difference: float) -> str:
        """A difference without its sign, in a sentence: ``0.013 Dice``, ``1.3 points of accuracy``."""
        size = abs(difference)
        return f"{100 * size:.1f} points of {self.name}" if self.classifies else f"{size:.3f} {self.name}"

    def count(self, cases: int) -> str:
        """``1 case``, ``60 cases``, ``10,000 images``."""
        return f"1 {self.case}" if cases == 1 else f"{cases:,} {self.cases}"


METRICS = {
    "dice": Metric("Dice", "case", "cases", classifies=False),
    "accuracy": Metric("accuracy", "image", "images", classifies=True),
}


def reward_words(reward: float | None, metric: str, score: float | None, *, plain: bool) -> str:
    """What a search maximises, not to be taken for a score: ``0.652``, or ``reward 22.500 with accuracy 25.0 %``.

    ``plain``: the reward is the metric itself. ``score``: the metric's value, None where it is not known.
    """
    if plain:
        return formatting.dice(reward)
    known = metric_named(metric)
    beside = "" if score is None else f" with {known.name} {known.value(score)}"
    return f"reward {formatting.dice(reward)}{beside}"


def metric_named(name: str) -> Metric:
    """The metric of a task, whether written "Dice" or "dice"; another name is a score like Dice."""
    return METRICS.get(name.lower(), Metric(name, "case", "cases", classifies=False))
