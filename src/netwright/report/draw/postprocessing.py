"""What the fully connected CRF did for each network, and how far surfaces are from the truth, as rows of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwright.report import formatting
from netwright.report.content import Contestant
from netwright.report.metrics import Metric, metric_named
from netwright.report.sentences import outcome, too_few, too_few_words
from netwright.report.statistics import (
    PairedComparison,
    bootstrap_interval,
    paired_comparison,
    value_a_group,
)
from netwright.report.summaries import SEARCHED, groups_of, summarise
from netwright.tasks.segmentation.crf_fitting import FittedCRF
from netwright.tasks.segmentation.metrics.surface_distance import mean_distances, undefined_distances

MEAN = "mean of labels"


def distance_table(contestants: Sequence[Contestant], labels: Sequence[str]) -> dict[str, Any] | None:
    """The Hausdorff distance of every network: ``titles`` of columns, and ``rows`` of a label each with its cells, the
    mean of the labels first; None where no network has distances, as in runs of early versions.
    """
    measured = [c for c in contestants if c.distances]
    if not measured:
        return None
    columns = [_distance_cells(c, labels) for c in measured]
    return {
        "titles": [formatting.sentence_case(c.title) for c in measured],
        "rows": [
            {"label": label, "cells": [column[row] for column in columns]}
            for row, label in enumerate((MEAN, *labels))
        ],
        "any_undefined": any(cell["undefined"] for column in columns for cell in column),
    }


def _distance_cells(contestant: Contestant, labels: Sequence[str]) -> list[dict[str, Any]]:
    cases = contestant.distances
    means, undefined = mean_distances(cases), undefined_distances(cases)
    overall = next(iter(means.values()), None)
    cells = [{"mean": _millimetres(overall), "interval": "", "undefined": sum(undefined.values())}]
    for label in labels:
        known = {case: row[label] for case, row in cases.items() if math.isfinite(row.get(label, math.nan))}
        values = list(known.values())
        low, high = bootstrap_interval(value_a_group(values, groups_of(known, contestant.groups)))
        cells.append(
            {
                "mean": _millimetres(sum(values) / len(values) if values else None),
                "interval": "" if math.isnan(low) else f"{low:.2f}{formatting.DASH}{high:.2f}",
                "undefined": undefined.get(label, 0),
            }
        )
    return cells


def _millimetres(value: float | None) -> str:
    return formatting.DASH if value is None else f"{value:.2f}"


def crf_rows(contestants: Sequence[Contestant], labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row a network to which a CRF was fitted: what was kept and why, what it did on the validation cases, and on
    the test cases with and without; of one that was not kept, what it would have done, where that was tested.
    """
    return [_crf_row(c, c.crf, labels) for c in contestants if c.crf is not None]


def crf_sentence(contestants: Sequence[Contestant], labels: Sequence[str]) -> str:
    """What the CRF did for the searched network, in plain words; empty where none was fitted to it."""
    searched = next((c for c in contestants if c.name == SEARCHED and c.crf is not None), None)
    if searched is None or searched.crf is None:
        return ""
    effects = _effects(searched, labels)
    if not searched.crf.kept:
        told = f"No CRF was kept for the searched network: {searched.crf.reason}."
        if not effects:
            return told
        effect = _effect_words(effects[0], searched)
        return f"{told} It would have taken it {effect}; it is not used."
    if not effects:
        return "A CRF was kept for the searched network, which has not been tested."
    return f"The CRF takes the searched network {_effect_words(effects[0], searched)}."


def _effect_words(effect: _Effect, contestant: Contestant) -> str:
    comparison = effect.comparison
    told = f"from {effect.without} to {effect.with_crf} Dice on the test cases"
    words = _outcome_words(comparison, contestant)
    interval = formatting.interval(comparison.low, comparison.high)
    certain = f", 95 % interval of the difference {interval}" if interval else ""
    return f"{told} ({words}{certain})"


def _outcome_words(comparison: PairedComparison, contestant: Contestant) -> str:
    if too_few(comparison):
        return too_few_words(comparison, _metric(contestant))
    kind = outcome(comparison)
    return {"equal": "no measurable difference"}.get(kind, kind)


def _metric(contestant: Contestant) -> Metric:
    return metric_named("Dice").counted(patients=bool(contestant.groups))


def _crf_row(contestant: Contestant, fitted: FittedCRF, labels: Sequence[str]) -> dict[str, Any]:
    crf = fitted.crf
    error = fitted.standard_error
    return {
        "title": formatting.sentence_case(contestant.title),
        "searched": contestant.name == SEARCHED,
        "kept": fitted.kept,
        "reason": fitted.reason,
        "weights": [] if crf is None else _weights(fitted),
        "cases": fitted.cases,
        "patients": fitted.groups if fitted.groups < fitted.cases else None,
        "tried": fitted.tried,
        "time_limited": fitted.time_limited,
        "without": formatting.dice(fitted.dice_without),
        "with": formatting.dice(fitted.dice_with),
        "gain": formatting.DASH if math.isnan(error) else formatting.signed(fitted.gain, 4),
        "error": "" if math.isnan(error) else f"± {error:.4f}",
        "effects": [
            {
                "label": effect.label,
                "without": effect.without,
                "with": effect.with_crf,
                "difference": _difference(effect.comparison),
                "interval": _interval(effect.comparison),
                "p": _evidence(effect.comparison, contestant),
            }
            for effect in _effects(contestant, labels)
        ],
    }


def _weights(fitted: FittedCRF) -> list[str]:
    crf = fitted.crf
    assert crf is not None
    told = []
    if crf.appearance_weight > 0:
        told.append(
            f"appearance {crf.appearance_weight:g}, {crf.appearance_mm:.3g} mm, intensity {crf.intensity:.3g}"
        )
    if crf.smoothness_weight > 0:
        told.append(f"smoothness {crf.smoothness_weight:g}, {crf.smoothness_mm:.3g} mm")
    return told


def _difference(comparison: PairedComparison) -> str:
    return formatting.signed(comparison.mean_difference, 4) if comparison.n else formatting.DASH


def _evidence(comparison: PairedComparison, contestant: Contestant) -> str:
    if too_few(comparison):
        return f"{_metric(contestant).count(comparison.n)}: too few"
    return formatting.p_value(comparison.p_value)


def _interval(comparison: PairedComparison) -> str:
    if math.isnan(comparison.low):
        return ""
    return f"{formatting.signed(comparison.low, 4)} to {formatting.signed(comparison.high, 4)}"


@dataclass(frozen=True)
class _Effect:
    """Mean Dice of a label on the test cases without and with the CRF, as texts, and the paired difference."""

    label: str
    without: str
    with_crf: str
    comparison: PairedComparison


def _effects(contestant: Contestant, labels: Sequence[str]) -> list[_Effect]:
    """The mean of labels and every label; of a CRF that was not kept, what it would have done."""
    assert contestant.crf is not None
    before, after = (
        (contestant.scores_without_crf, contestant.scores)
        if contestant.crf.kept
        else (contestant.scores, contestant.scores_with_unkept_crf)
    )
    if not before or not after:
        return []
    plain, refined = summarise([replace(contestant, scores=scores) for scores in (before, after)], labels)
    found = [
        _Effect(
            MEAN,
            formatting.dice(plain.overall.mean),
            formatting.dice(refined.overall.mean),
            _compared(plain.case_scores, refined.case_scores, contestant),
        )
    ]
    for label in labels:
        scores = [
            {case: row[label] for case, row in rows.items() if not math.isnan(row.get(label, math.nan))}
            for rows in (before, after)
        ]
        found.append(
            _Effect(
                label,
                formatting.dice(plain.labels[label].mean),
                formatting.dice(refined.labels[label].mean),
                _compared(scores[0], scores[1], contestant),
            )
        )
    return found


def _compared(
    before: Mapping[str, float], after: Mapping[str, float], contestant: Contestant
) -> PairedComparison:
    """With minus without, over the cases that have both, or their patients."""
    common = [case for case in before if case in after]
    groups = groups_of(common, contestant.groups)
    return paired_comparison(
        value_a_group([after[case] for case in common], groups),
        value_a_group([before[case] for case in common], groups),
    )
