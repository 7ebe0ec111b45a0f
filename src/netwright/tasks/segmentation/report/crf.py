"""A section of the report: the effect of the fully connected CRF on each network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwright.report import formatting
from netwright.report.metrics import Metric, metric_named
from netwright.report.results import Contestant
from netwright.report.sections import TASK, Block, Cell, Row, Section, Sentences, Table
from netwright.report.sentences import outcome, too_few, too_few_words
from netwright.report.statistics import PairedComparison, paired_comparison, value_a_group
from netwright.report.summaries import SEARCHED, Comparison, groups_of, summarise
from netwright.tasks.segmentation.crf_fitting import FittedCRF

MEAN = "mean of labels"

CRF, WITHOUT_CRF, WITH_UNKEPT_CRF = "crf", "scores_without_crf", "scores_with_unkept_crf"
"""What is among a contestant's details: the CRF that was fitted (`FittedCRF`) and, where it was kept, the scores
without it, else those with it.
"""

CAPTION = (
    "The weights are fitted on validation cases. The gain, with its standard error, is measured on each half "
    "of the {cases} with weights fitted on the other half. A CRF is kept if the gain exceeds its standard "
    "error times the 97.5 % quantile of Student’s t, so that one useless CRF in forty is kept; it is then "
    "part of the network in the rest of this report. For {searched}, a CRF that was not kept is "
    "tested, too, but not used. Differences on the test cases are with minus without, {case} by {case}, with "
    "95 % bootstrap intervals and p-values of a paired sign-flip test, for which five {cases} or fewer are "
    "too few."
)


def crf_section(comparison: Comparison) -> Section:
    """The effect of the CRF on each network; empty where none was fitted."""
    rows = crf_rows(comparison.contestants, comparison.labels)
    blocks: tuple[Block, ...] = ()
    if rows:
        told = crf_sentence(comparison.contestants, comparison.labels)
        metric = comparison.counted
        caption = CAPTION.format(case=metric.case, cases=metric.cases, searched=comparison.searched)
        table = Table(_head(), tuple(row for network in rows for row in _table_rows(network)))
        blocks = (*((Sentences((told,)),) if told else ()), table, Sentences((caption,), "caption"))
    title = "Post-processing by a fully connected CRF"
    return Section("postprocessing", title, blocks, TASK, link="CRF")


def _head() -> tuple[Cell, ...]:
    return (
        Cell("network"),
        Cell("CRF"),
        Cell("validation", ("Dice without, with",), number=True),
        Cell("gain", ("on cases not fitted on",), number=True),
        Cell("on the test cases"),
        *(Cell(name, number=True) for name in ("without", "with", "difference")),
    )


def _table_rows(network: dict[str, Any]) -> list[Row]:
    """A row for each of a network's effects, the first with what holds for all."""
    effects = network["effects"]
    rows = len(effects) or 1
    kept = network["kept"]
    weights = network["weights"] if kept or effects else ()
    first = (
        Cell(network["title"], rows=rows),
        Cell("kept", tuple(weights), rows=rows)
        if kept
        else Cell("not kept", (network["reason"], *weights), rows=rows),
        Cell(f"{network['without']}, {network['with']}", (_fitted_on(network),), number=True, rows=rows),
        Cell(network["gain"], (network["error"],), number=True, rows=rows),
    )
    style = "searched" if network["searched"] else ""
    if not effects:
        return [Row((*first, Cell("as the network is", quiet=True, columns=4)), style)]
    cells = [_effect_cells(effect, kept=kept) for effect in effects]
    further = f"{style} further" if style else ""
    return [Row((*first, *cells[0]), style), *(Row(others, further) for others in cells[1:])]


def _fitted_on(network: dict[str, Any]) -> str:
    told = formatting.counted(network["cases"], "case")
    if network["patients"]:
        told += f" of {formatting.counted(network['patients'], 'patient')}"
    return f"{told}, {network['tried']} settings{'; time ran out' if network['time_limited'] else ''}"


def _effect_cells(effect: dict[str, str], *, kept: bool) -> tuple[Cell, ...]:
    small = (effect["interval"], effect["p"], *(() if kept else ("would have been",)))
    return (
        Cell(effect["label"]),
        Cell(effect["without"], number=True),
        Cell(effect["with"], number=True),
        Cell(effect["difference"], small, number=True),
    )


def crf_rows(contestants: Sequence[Contestant], labels: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each network to which a CRF was fitted.

    It says what was kept and why, the effect on the validation cases, and the scores on the test cases with and without
    the CRF. For a CRF that was not kept, it says what the effect would have been, if that was tested.
    """
    return [_crf_row(c, c.details[CRF], labels) for c in contestants if c.details.get(CRF) is not None]


def crf_sentence(contestants: Sequence[Contestant], labels: Sequence[str]) -> str:
    """The effect of the CRF on the searched network in plain words; empty where none was fitted to it."""
    searched = next((c for c in contestants if c.name == SEARCHED and c.details.get(CRF) is not None), None)
    if searched is None:
        return ""
    fitted: FittedCRF = searched.details[CRF]
    effects = _effects(searched, labels)
    if not fitted.kept:
        told = f"No CRF was kept for {searched.title}: {fitted.reason}."
        if not effects:
            return told
        effect = _effect_words(effects[0], searched)
        return f"{told} It would change the network {effect}; it is not used."
    if not effects:
        return f"A CRF was kept for {searched.title}, which has not been tested."
    return f"The CRF changes {searched.title} {_effect_words(effects[0], searched)}."


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
    scores, details = contestant.scores, contestant.details
    before, after = (
        (details.get(WITHOUT_CRF), scores) if details[CRF].kept else (scores, details.get(WITH_UNKEPT_CRF))
    )
    if not before or not after:
        return []
    plain, refined = summarise([replace(contestant, scores=scores) for scores in (before, after)], labels)
    effects = [
        _Effect(
            MEAN,
            formatting.dice(plain.overall.mean),
            formatting.dice(refined.overall.mean),
            _compared(plain.case_scores, refined.case_scores, contestant),
        )
    ]
    for label in labels:
        paired = [
            {case: row[label] for case, row in rows.items() if not math.isnan(row.get(label, math.nan))}
            for rows in (before, after)
        ]
        effects.append(
            _Effect(
                label,
                formatting.dice(plain.labels[label].mean),
                formatting.dice(refined.labels[label].mean),
                _compared(paired[0], paired[1], contestant),
            )
        )
    return effects


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
