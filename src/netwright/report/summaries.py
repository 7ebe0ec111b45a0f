"""The final comparison in numbers: one summary a contestant, shared by verdict, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from netwright.report.content import Contestant
from netwright.report.statistics import PairedComparison, bootstrap_interval, holm, paired_comparison

SEARCHED = "searched"


@dataclass(frozen=True)
class Estimate:
    """A mean over test cases with its 95 % bootstrap interval; NaN where there is none."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """One contestant in numbers.

    ``case_dice``: test case -> mean Dice over the labels. ``overall``: its mean over cases. ``labels``:
    label -> estimate. ``comparison``: the searched network minus this one, over the cases that both have, its
    p-value adjusted for the number of comparisons (Holm); None for the searched network and where either is
    untested.
    """

    contestant: Contestant
    case_dice: Mapping[str, float]
    overall: Estimate
    labels: Mapping[str, Estimate]
    comparison: PairedComparison | None = None

    @property
    def searched(self) -> bool:
        """Whether this is the search's winner."""
        return self.contestant.name == SEARCHED

    @property
    def tested(self) -> bool:
        """Whether it was trained to the end and has a Dice on at least one test case."""
        return self.contestant.status == "complete" and bool(self.case_dice)


def summarise(contestants: Sequence[Contestant], labels: Sequence[str]) -> tuple[Summary, ...]:
    """Summaries in the order given, each compared with the searched network where both were tested."""
    summaries = [_summary(contestant, labels) for contestant in contestants]
    searched = next((s for s in summaries if s.searched and s.tested), None)
    if searched is None:
        return tuple(summaries)
    comparisons = {
        i: _compare(searched, summary)
        for i, summary in enumerate(summaries)
        if summary.tested and not summary.searched
    }
    adjusted = holm([comparison.p_value for comparison in comparisons.values()])
    for (i, comparison), p_value in zip(comparisons.items(), adjusted, strict=True):
        summaries[i] = replace(summaries[i], comparison=replace(comparison, p_value=p_value))
    return tuple(summaries)


def _summary(contestant: Contestant, labels: Sequence[str]) -> Summary:
    nan = float("nan")
    table = np.array(
        [[case.get(label, nan) for label in labels] for case in contestant.scores.values()], dtype=np.float64
    ).reshape(len(contestant.scores), len(labels))
    case_dice = {
        name: float(np.nanmean(row))
        for name, row in zip(contestant.scores, table, strict=True)
        if not np.isnan(row).all()
    }
    return Summary(
        contestant,
        case_dice,
        _estimate(np.array(list(case_dice.values()))),
        {label: _estimate(column) for label, column in zip(labels, table.T, strict=True)},
    )


def _estimate(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Estimate:
    present = values[~np.isnan(values)]
    low, high = bootstrap_interval(present)
    return Estimate(float(present.mean()) if present.size else float("nan"), low, high)


def _compare(searched: Summary, other: Summary) -> PairedComparison:
    common = [name for name in searched.case_dice if name in other.case_dice]
    return paired_comparison(
        [searched.case_dice[name] for name in common], [other.case_dice[name] for name in common]
    )
