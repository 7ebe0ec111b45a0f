"""What the fully connected CRF did for each network, and how far surfaces are from the truth, as rows of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netwright.evaluation.crf_fitting import FittedCRF
from netwright.report import formatting
from netwright.report.content import Contestant
from netwright.report.statistics import PairedComparison, bootstrap_interval, paired_comparison
from netwright.report.summaries import SEARCHED, summarise
from netwright.report.verdict import outcome
from netwright.tasks.distances import mean_distances, undefined_distances

MEAN = "mean of labels"


def distance_table(contestants: Sequence[Contestant], labels: Sequence[str]) -> dict[str, Any] | None:
    """The Hausdorff distance of every network: ``titles`` of columns, and ``rows`` of a label each with its cells, the
    mean of the labels first; None where no network has distances, as in runs of early versions.
    """
    measured = [c for c in contestants if c.distances]
    if not measured:
        return None
    columns = [_distance_cells(c.distances, labels) for c in measured]
    return {
        "titles": [formatting.sentence_case(c.title) for c in measured],
        "rows": [
            {"label": label, "cells": [column[row] for column in columns]}
            for row, label in enumerate((MEAN, *labels))
        ],
        "any_undefined": any(cell["undefined"] for column in columns for cell in column),
    }


def _distance_cells(cases: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> list[dict[str, Any]]:
    means, undefined = mean_distances(cases), undefined_distances(cases)
    overall = next(iter(means.values()), None)
    cells = [{"mean": _millimetres(overall), "interval": "", "undefined": sum(undefined.values())}]
    for label in labels:
        known = [row[label] for row in cases.values() if math.isfinite(row.get(label, math.nan))]
        low, high = bootstrap_interval(known)
        cells.append(
            {
                "mean": _millimetres(sum(known) / len(known) if known else None),
                "interval": "" if math.isnan(low) else f"{low:.2f}{formatting.DASH}{high:.2f}",
                "undefined": undefined.get(label, 0),
            }
        )
    return cells


def _millimetres(value: float | None) -> str:
    return formatting.DASH if value is None else f"{value:.2f}"


def crf_rows(contestants: Sequence[Contestant], labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row a network to which a CRF was fitted: what was kept and why, what it did on the validation cases, and on
    the test cases with and without.
    """
    return [_crf_row(c, c.crf, labels) for c in contestants if c.crf is not None]


def crf_sentence(contestants: Sequence[Contestant], labels: Sequence[str]) -> str:
    """What the CRF did for the searched network, in plain words; empty where none was fitted to it."""
    searched = next((c for c in contestants if c.name == SEARCHED and c.crf is not None), None)
    if searched is None or searched.crf is None:
        return ""
    if not searched.crf.kept:
        return f"No CRF was kept for the searched network: {searched.crf.reason}."
    effects = _effects(searched, labels)
    if not effects:
        return "A CRF was kept for the searched network, which has not been tested."
    _, without, with_crf, comparison = effects[0]
    told = f"The CRF takes the searched network from {without} to {with_crf} Dice on the test cases"
    kind = "no measurable difference" if comparison.n < 2 else outcome(comparison)
    words = {"equal": "no measurable difference"}.get(kind, kind)
    interval = formatting.interval(comparison.low, comparison.high)
    certain = f", 95 % interval of the difference {interval}" if interval else ""
    return f"{told} ({words}{certain})."


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
        "tried": fitted.tried,
        "time_limited": fitted.time_limited,
        "without": formatting.dice(fitted.dice_without),
        "with": formatting.dice(fitted.dice_with),
        "gain": formatting.signed(fitted.gain, 4),
        "error": "" if math.isnan(error) else f"± {error:.4f}",
        "effects": [
            {
                "label": label,
                "without": without,
                "with": with_crf,
                "difference": formatting.signed(comparison.mean_difference, 4),
                "interval": _interval(comparison),
                "p": formatting.p_value(comparison.p_value),
            }
            for label, without, with_crf, comparison in _effects(contestant, labels)
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


def _interval(comparison: PairedComparison) -> str:
    if math.isnan(comparison.low):
        return ""
    return f"{formatting.signed(comparison.low, 4)} to {formatting.signed(comparison.high, 4)}"


def _effects(contestant: Contestant, labels: Sequence[str]) -> list[tuple[str, str, str, PairedComparison]]:
    """The mean of labels and every label: Dice on the test cases without and with, and the paired difference."""
    if not contestant.scores_without_crf or not contestant.scores:
        return []
    plain = replace(contestant, scores=contestant.scores_without_crf)
    before, after = summarise([plain], labels)[0], summarise([contestant], labels)[0]
    common = [case for case in before.case_scores if case in after.case_scores]
    found = [
        (
            MEAN,
            formatting.dice(before.overall.mean),
            formatting.dice(after.overall.mean),
            paired_comparison(
                [after.case_scores[case] for case in common], [before.case_scores[case] for case in common]
            ),
        )
    ]
    for label in labels:
        pairs = [
            (row.get(label, math.nan), contestant.scores_without_crf.get(case, {}).get(label, math.nan))
            for case, row in contestant.scores.items()
        ]
        comparison = paired_comparison([a for a, _ in pairs], [b for _, b in pairs])
        found.append(
            (
                label,
                formatting.dice(before.labels[label].mean),
                formatting.dice(after.labels[label].mean),
                comparison,
            )
        )
    return found
