"""The lines of several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from netwright.cli.inspected import command
from netwright.cli.tables import metric_lines, output_folder
from netwright.report import formatting
from netwright.report.collect.series import ensemble_words
from netwright.report.compared import ComparedRow, ComparedRuns
from netwright.report.draw.compared import device_words, spread_words
from netwright.report.metrics import Metric
from netwright.runs.series import ensemble_metrics
from netwright.settings import RunSettings


def compared_lines(compared: ComparedRuns) -> Iterator[str]:
    """A table with a row for each way to a network, and the first one's differences to the others."""
    metric = compared.metric
    yield f"{compared.dataset}   mean ± standard deviation over runs"
    over = f"{metric.axis} over {metric.cases}"
    header = ("", "runs", metric.axis, over, "parameters", "search", "search, all devices", "training")
    cells = [header, *(_cells(row, metric) for row in compared.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    for line in cells:
        yield "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
    for row in compared.rows[1:]:
        yield _difference(compared.rows[0], row, metric)
    searched = [row for row in compared.rows if not math.isnan(row.search_seconds.mean)]
    for row in searched if len(searched) > 1 else ():
        yield f"{row.title}: {', '.join(row.runs)}"
    for run in compared.untested:
        yield f"left out   {run}: no network of it was tested on test cases yet"


def ensemble_lines(root: Path, settings: RunSettings, compared: ComparedRuns) -> Iterator[str]:
    """The end of a cross-validation: what is known of the ensemble of the folds, and how to use it.

    Args:
        root: of the series.
        settings: of its runs.
        compared: its runs.
    """
    yield from ensemble_words(root, compared)
    yield from metric_lines(ensemble_metrics(root) or {})
    yield f"use it   {command('predict', root, '/path/to/images', '-o', output_folder(settings))}"


def _cells(row: ComparedRow, metric: Metric) -> tuple[str, ...]:
    return (
        row.title,
        str(len(row.runs)),
        " ".join([spread_words(row.score, metric.value), *([f"({row.failed})"] if row.failed else [])]),
        _over_cases(row, metric),
        spread_words(row.parameters, lambda count: formatting.parameters(round(count))),
        spread_words(row.search_seconds, formatting.duration),
        device_words(row.device_seconds, row.device),
        spread_words(row.train_seconds, formatting.duration),
    )


def _over_cases(row: ComparedRow, metric: Metric) -> str:
    if not row.cases:
        return formatting.DASH
    interval = metric.interval(row.over_cases.low, row.over_cases.high)
    return (
        f"{metric.value(row.over_cases.mean)} ({f'{interval}, ' * bool(interval)}{metric.count(row.cases)})"
    )


def _difference(first: ComparedRow, row: ComparedRow, metric: Metric) -> str:
    found = row.against_first
    if found is None:
        return f"{first.title} against {row.title}: no test case in common"
    interval = metric.difference_interval(found.low, found.high)
    certainty = (
        f"95 % interval {interval}, {formatting.p_value(found.p_value)}" if interval else "no interval"
    )
    return (
        f"{first.title} against {row.title}: {metric.difference(found.mean_difference)} ({certainty}) over "
        f"{metric.count(found.n)} that both were tested on"
    )
