"""The final comparison in numbers: one summary for each contestant, used by verdict, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from netwright.means import mean_known
from netwright.report.metrics import METRICS, Metric
from netwright.report.results import Contestant
from netwright.report.statistics import (
    PairedComparison,
    bootstrap_interval,
    holm,
    paired_comparison,
    value_a_group,
)

SEARCHED = "searched"
SEARCHED_TITLE = "the searched network"
ORIGINAL = "original"


@dataclass(frozen=True)
class Estimate:
    """A mean over test cases with its 95 % bootstrap interval; NaN where there is none.

    ``trainings``: of several with other seeds, the mean of each; the interval then holds these, too.
    """

    mean: float
    low: float
    high: float
    trainings: tuple[float, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One contestant in numbers.

    Intervals and the comparison count patients where the contestant has groups.

    Args:
        contestant: the contestant.
        case_scores: test case -> the mean score over its labels (Dice; right or wrong), or the score that counts
            (PSNR).
        overall: the mean over cases.
        labels: label -> estimate.
        of_trainings: ``case_scores`` of each training, of several with other seeds.
        comparison: the searched network minus this one, over the cases that both have. Its p-value is adjusted for the
            number of comparisons (Holm). None for the searched network, and where either is untested.
    """

    contestant: Contestant
    case_scores: Mapping[str, float]
    overall: Estimate
    labels: Mapping[str, Estimate]
    of_trainings: tuple[Mapping[str, float], ...] = ()
    comparison: PairedComparison | None = None

    @property
    def searched(self) -> bool:
        """Whether this is the search's winner."""
        return self.contestant.name == SEARCHED

    @property
    def original(self) -> bool:
        """Whether this is the unchanged network whose layers were searched."""
        return self.contestant.role == ORIGINAL

    @property
    def tested(self) -> bool:
        """Whether it was trained to the end and has a score on at least one test case."""
        return self.contestant.status == "complete" and bool(self.case_scores)


def summarise(
    contestants: Sequence[Contestant], labels: Sequence[str], metric: Metric = METRICS["dice"]
) -> tuple[Summary, ...]:
    """Summaries in the given order. Each contestant is compared with the searched network, if both were tested.

    ``metric`` says which score of a case counts.

    Args:
        contestants: in order.
        labels: names of the score's columns.
        metric: says which score of a case counts.
    """
    summaries = [_summary(contestant, labels, metric) for contestant in contestants]
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


@dataclass(frozen=True)
class Comparison:
    """The final comparison.

    Args:
        contestants: in the order to be shown; empty before the comparison has run.
        labels: what each case has scores for: labels, classes, or the metrics of restored images.
        metric: what the scores are.
        batch_size: for the contestants' times of a batch.
        of_regions: whether ``labels`` are regions of a segmentation.
        trained_anew: whether the networks were trained for the comparison, and not in the search.
    """

    contestants: tuple[Contestant, ...]
    labels: tuple[str, ...]
    metric: Metric
    batch_size: int | None = None
    of_regions: bool = False
    trained_anew: bool = True

    @property
    def searched(self) -> str:
        """What the search ended with is called: the searched network, or the default, if nothing else is used."""
        titles = (c.title for c in self.contestants if c.name == SEARCHED)
        return next(titles, SEARCHED_TITLE)

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """The contestants in numbers."""
        return summarise(self.contestants, self.labels, self.metric)

    @property
    def scored(self) -> str:
        """What there are scores for, as a word for one of them."""
        return "region" if self.of_regions else "label"

    @property
    def counted(self) -> Metric:
        """The metric with the words for what intervals and tests count: cases, or patients."""
        return self.metric.counted(patients=any(c.groups for c in self.contestants))

    @property
    def tested(self) -> bool:
        """Whether any contestant was tested."""
        return any(summary.tested for summary in self.summaries)


def _summary(contestant: Contestant, labels: Sequence[str], metric: Metric) -> Summary:
    case_scores, by_label = _scores(contestant.scores, labels, metric)
    tested = [
        _scores(training.scores, labels, metric) for training in contestant.trainings if training.scores
    ]
    several = tested if len(tested) > 1 else []
    of_labels = {
        label: estimate(values, contestant.groups, [own[label] for _, own in several])
        for label, values in by_label.items()
    }
    of_trainings = tuple(scores for scores, _ in several)
    overall = estimate(case_scores, contestant.groups, of_trainings)
    return Summary(contestant, case_scores, overall, of_labels, of_trainings)


def _scores(
    scores: Mapping[str, Mapping[str, float]], labels: Sequence[str], metric: Metric
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Case -> the score that counts, and label -> case -> score."""
    case_scores: dict[str, float] = {}
    by_label: dict[str, dict[str, float]] = {label: {} for label in labels}
    # A classified image has a score for one of perhaps a thousand classes, so no full table is made.
    for name, row in scores.items():
        known = {label: score for label, score in row.items() if label in by_label}
        for label, score in known.items():
            if not math.isnan(score):
                by_label[label][name] = score
        if not math.isnan(mean := metric.of_case(known)):
            case_scores[name] = mean
    return case_scores, by_label


def estimate(
    scores: Mapping[str, float], groups: Mapping[str, str], trainings: Sequence[Mapping[str, float]] = ()
) -> Estimate:
    """The mean over cases with its interval.

    Args:
        scores: of each case.
        groups: the patient of each case that shares its patient with others.
        trainings: of several with other seeds, the scores of each; ``scores`` are their means.
    """
    values = list(scores.values())
    means = tuple(mean_known(own.values()) for own in trainings)
    low, high = bootstrap_interval(value_a_group(values, groups_of(scores, groups)), trainings=[means])
    return Estimate(mean_known(values), low, high, means)


def groups_of(cases: Iterable[str], groups: Mapping[str, str]) -> list[str]:
    """The group of each case. A case that shares no group has its own name."""
    return [groups.get(name, name) for name in cases]


def _compare(searched: Summary, other: Summary) -> PairedComparison:
    common = [name for name in searched.case_scores if name in other.case_scores]
    groups = groups_of(common, searched.contestant.groups)
    mine, theirs = (
        value_a_group([summary.case_scores[name] for name in common], groups) for summary in (searched, other)
    )
    trainings = [
        [mean_known(own[name] for name in common if name in own) for own in summary.of_trainings]
        for summary in (searched, other)
    ]
    return paired_comparison(mine, theirs, trainings=trainings)
