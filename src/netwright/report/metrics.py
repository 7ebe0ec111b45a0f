"""How the comparison's metric is written: Dice with three digits, accuracy in percent, PSNR in dB with one digit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from netwright.means import mean_known
from netwright.report import formatting


@dataclass(frozen=True)
class Metric:
    """A metric for which larger is better, and the words that go with it.

    Args:
        name: within a sentence.
        case: the word for what it is measured on.
        cases: the plural of this word.
        classifies: whether each case is right or wrong, 1 or 0, so that a single case is not better or worse.
        unit: the unit of a metric that is not between 0 and 1.
        column: the name of the score of a case that counts; "": the mean of all its scores.
        reached: what a network with this metric does, within a sentence.
    """

    name: str
    case: str
    cases: str
    classifies: bool
    unit: str = ""
    column: str = ""
    reached: str = "reaches {value} {name} on unseen {cases}"
    ranks: bool = False

    @property
    def of_single_cases(self) -> bool:
        """Whether one case can be better or worse than another."""
        return not (self.classifies or self.ranks)

    def counted(self, *, patients: bool) -> Metric:
        """The same metric, with the words for patients where several cases belong to one patient."""
        return replace(self, case="patient", cases="patients") if patients else self

    @property
    def axis(self) -> str:
        """The label of an axis: ``Dice``, or ``PSNR [dB]``."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def of_case(self, scores: Mapping[str, float]) -> float:
        """The score of a case that counts; NaN where none is defined."""
        return mean_known([scores.get(self.column, math.nan)] if self.column else scores.values())

    def value(self, score: float | None) -> str:
        """``0.884``, ``91.3 %`` for accuracy, ``24.3 dB`` for PSNR; a dash where there is none."""
        if score is None or math.isnan(score):
            return formatting.DASH
        if self.unit:
            return f"{score:.1f} {self.unit}"
        return f"{100 * score:.1f} %" if self.classifies else formatting.dice(score)

    def number(self, score: float | None) -> str:
        """Like `value`, but accuracy is from 0 to 1, as in lists of metrics: ``0.913``."""
        return formatting.dice(score) if self.classifies else self.value(score)

    def interval(self, low: float, high: float) -> str:
        """``0.876–0.891``, ``90.2–92.1 %`` or ``23.9–24.8 dB``; empty where there is no interval."""
        low, high = self._possible(low, high, least=0.0)
        if math.isnan(low) or math.isnan(high) or not (self.classifies or self.unit):
            return formatting.interval(low, high)
        if self.classifies:
            return f"{100 * low:.1f}{formatting.DASH}{100 * high:.1f} %"
        return f"{low:.1f}{' to ' if low < 0 else formatting.DASH}{high:.1f} {self.unit}"

    def difference(self, value: float) -> str:
        """A difference with its sign: ``+0.013``, ``+1.3 points`` for accuracy, ``+0.31 dB`` for PSNR."""
        if self.unit:
            return f"{formatting.signed(value, 2)} {self.unit}"
        return f"{formatting.signed(100 * value, 1)} points" if self.classifies else formatting.signed(value)

    def _possible(self, low: float, high: float, *, least: float) -> tuple[float, float]:
        """What of an interval is not below the least value, nor above 1: what is resampled or drawn may leave it."""
        if self.unit or self.column or math.isnan(low) or math.isnan(high):
            return low, high
        return max(low, least), min(high, 1.0)

    def difference_interval(self, low: float, high: float) -> str:
        """The interval of a difference; with "to" where a minus sign would be misread."""
        low, high = self._possible(low, high, least=-1.0)
        if math.isnan(low) or math.isnan(high) or not (self.classifies or self.unit):
            return formatting.interval(low, high)
        factor, digits = (1, 2) if self.unit else (100, 1)
        return f"{formatting.signed(factor * low, digits)} to {formatting.signed(factor * high, digits)}"

    def amount(self, difference: float) -> str:
        """A difference without its sign, for a sentence: ``0.013 Dice``, ``1.3 points of accuracy``, ``0.31 dB``."""
        size = abs(difference)
        if self.unit:
            return f"{size:.2f} {self.unit}" if size >= 0.005 else f"under 0.01 {self.unit}"
        return f"{100 * size:.1f} points of {self.name}" if self.classifies else f"{size:.3f} {self.name}"

    def reached_words(self, mean: float) -> str:
        """What a network does, for a sentence: ``segments unseen cases at 0.884 Dice``."""
        return self.reached.format(value=self.value(mean), name=self.name, cases=self.cases)

    def count(self, cases: int) -> str:
        """``1 case``, ``60 cases``, ``10,000 images``."""
        return f"1 {self.case}" if cases == 1 else f"{cases:,} {self.cases}"


METRICS = {
    "dice": Metric(
        "Dice", "case", "cases", classifies=False, reached="segments unseen cases at {value} {name}"
    ),
    "accuracy": Metric(
        "accuracy",
        "image",
        "images",
        classifies=True,
        reached="classifies {value} of unseen images correctly",
    ),
    "mean_average_precision": Metric(
        "mean average precision", "picture", "pictures", classifies=False, ranks=True
    ),
    "macro_f1": Metric("macro F1", "picture", "pictures", classifies=False, ranks=True),
    "psnr": Metric(
        "PSNR",
        "image",
        "images",
        classifies=False,
        unit="dB",
        column="psnr",
        reached="restores unseen {cases} to {value} {name}",
    ),
    "ssim": Metric("SSIM", "image", "images", classifies=False, column="ssim"),
}


def reward_words(reward: float | None, metric: str, score: float | None, *, plain: bool) -> str:
    """The value that a search maximises, worded so that it is not taken for a score.

    For example ``0.652``, or ``reward 22.500 with accuracy 25.0 %``. ``plain``: the reward is the metric itself.
    ``score`` is the metric's value; None where it is not known.

    Args:
        reward: None if there is none.
        metric: its name.
        score: the value of the metric; None if unknown.
        plain: whether the reward is the metric itself.
    """
    known = metric_named(metric)
    if plain:
        return known.number(reward)
    beside = "" if score is None else f" with {known.name} {known.value(score)}"
    return f"reward {formatting.dice(reward)}{beside}"


def metric_named(name: str) -> Metric:
    """The metric of a task, written "Dice" or "dice". An unknown name is a score like Dice."""
    return METRICS.get(name.lower().replace(" ", "_"), Metric(name, "case", "cases", classifies=False))
