"""A table of the report: the distance between the true surfaces and those of each network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netwright.report import formatting
from netwright.report.draw.comparison import AFTER_TABLES, ANCHOR
from netwright.report.results import Contestant
from netwright.report.sections import Block, Cell, Heading, Row, Section, Sentences, Table
from netwright.report.statistics import bootstrap_interval, value_a_group
from netwright.report.summaries import Comparison, groups_of
from netwright.tasks.segmentation.metrics.surface_distance import (
    HAUSDORFF,
    mean_distances,
    undefined_distances,
)

CAPTION = (
    "The distance between the predicted and the true surface of a {scored}: the larger of the 95th percentiles "
    "in both directions; smaller is better; in pixels if pictures have no physical size. Means over the test "
    "cases in which truth and prediction both have it, with 95 % bootstrap intervals over {cases}."
)
UNDEFINED = " “Without”: cases without a distance, because only the truth or only the prediction has it."


def distances_section(comparison: Comparison) -> Section:
    """A table within the section of the comparison; empty where no network has distances."""
    table = distance_table(comparison.contestants, comparison.labels, comparison.scored)
    blocks: tuple[Block, ...] = ()
    if table is not None:
        head = (Cell(comparison.scored), *(Cell(title, ("mm",), number=True) for title in table["titles"]))
        rows = tuple(Row((Cell(row["label"]), *map(_cell, row["cells"]))) for row in table["rows"])
        caption = (
            CAPTION.format(cases=comparison.counted.cases, scored=comparison.scored)
            + UNDEFINED * table["any_undefined"]
        )
        blocks = (
            Heading("Hausdorff distance, 95 %"),
            Table(head, rows, scrolls=True),
            Sentences((caption,), "caption"),
        )
    return Section(ANCHOR, "", blocks, AFTER_TABLES)


def _cell(cell: dict[str, Any]) -> Cell:
    without = f"{cell['undefined']} without" if cell["undefined"] else ""
    return Cell(cell["mean"], (cell["interval"], without), number=True, strong=True)


def distance_table(
    contestants: Sequence[Contestant], labels: Sequence[str], scored: str = "label"
) -> dict[str, Any] | None:
    """The Hausdorff distance of every network: ``titles`` of columns, and ``rows`` of a label each with its cells, the
    mean of the labels first; None where no network has distances, as in runs of early versions.

    Args:
        contestants: the networks.
        labels: or regions.
        scored: what they are called, one of them.
    """
    measured = [c for c in contestants if c.details.get(HAUSDORFF)]
    if not measured:
        return None
    columns = [_distance_cells(c, labels) for c in measured]
    return {
        "titles": [formatting.sentence_case(c.title) for c in measured],
        "rows": [
            {"label": label, "cells": [column[row] for column in columns]}
            for row, label in enumerate((f"mean of {scored}s", *labels))
        ],
        "any_undefined": any(cell["undefined"] for column in columns for cell in column),
    }


def _distance_cells(contestant: Contestant, labels: Sequence[str]) -> list[dict[str, Any]]:
    cases = contestant.details[HAUSDORFF]
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
