"""The lines of several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from netwright.api.folds import ensemble_metrics
from netwright.api.series import Series
from netwright.cli.inspected import command
from netwright.cli.tables import metric_lines, output_folder
from netwright.report import formatting
from netwright.report.collect.runs import ComparedRow, ComparedRuns, Spread
from netwright.report.metrics import Metric


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


def ensemble_lines(series: Series) -> Iterator[str]:
    """The end of a cross-validation: how good the ensemble of the folds is known to be, and how to use it."""
    tested = ensemble_metrics(series.root)
    if tested is not None:
        yield "The networks of all folds are used as one, which reaches on the test cases:"
        yield from metric_lines(tested)
    else:
        yield (
            "The networks of all folds are used as one. Together they have seen every case, so they are not "
            "tested; the scores above are of each fold's network on the cases that were held out from it."
        )
    yield f"use it   {command('predict', series.root, '/path/to/images', '-o', output_folder(series.runs[0].settings))}"


def _cells(row: ComparedRow, metric: Metric) -> tuple[str, ...]:
    return (
        row.title,
        str(len(row.runs)),
        _spread(row.score, metric.value),
        _over_cases(row, metric),
        _spread(row.parameters, lambda count: formatting.parameters(round(count))),
        _spread(row.search_seconds, formatting.duration),
        _spread(row.device_seconds, partial(formatting.device_time, device=row.device or "device")),
        _spread(row.train_seconds, formatting.duration),
    )


def _over_cases(row: ComparedRow, metric: Metric) -> str:
    interval = metric.interval(row.over_cases.low, row.over_cases.high)
    return (
        f"{metric.value(row.over_cases.mean)} ({f'{interval}, ' * bool(interval)}{metric.count(row.cases)})"
    )


def _spread(spread: Spread, text: Callable[[float], str]) -> str:
    if math.isnan(spread.mean):
        return formatting.DASH
    if math.isnan(spread.deviation):
        return text(spread.mean)
    return f"{text(spread.mean)} ± {text(spread.deviation)}"


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
