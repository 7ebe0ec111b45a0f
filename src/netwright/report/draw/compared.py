"""The page of several runs side by side: a table as papers have it, and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from netwright.report import formatting
from netwright.report.compared import ComparedNetwork, ComparedRow, ComparedRuns, Spread
from netwright.report.draw import compared_figures
from netwright.report.draw.search_figures import WINDOW
from netwright.report.metrics import Metric
from netwright.report.sections import (
    COMPARISON,
    SEARCH,
    TRIALS,
    VERDICT,
    Block,
    Cell,
    Figure,
    Page,
    Row,
    Section,
    Sentences,
    Table,
)

MOST_COLUMNS = 4
"""With more settings that differ than these, the titles of the rows tell them."""


def compared_page(compared: ComparedRuns, notes: Sequence[str] = ()) -> Page:
    """The whole page.

    Args:
        compared: the runs.
        notes: sentences that stand first.
    """
    sections = (
        Section("verdict", "", _sentences(notes), VERDICT, style="verdict"),
        Section("table", "Side by side", _table(compared), COMPARISON, link="Table"),
        Section("runs", "How much runs differ", _boxes(compared), COMPARISON + 1, link="Runs"),
        Section("setting", f"Over {compared.by}", _bars(compared), COMPARISON + 2, link="Setting"),
        Section("courses", "How the searches went", _courses(compared), SEARCH, link="Searches"),
        Section("networks", "Every network", _networks(compared), TRIALS, link="Every network"),
    )
    count = len({one.run for one in compared.networks})
    return Page(f"{formatting.counted(count, 'run')} on {compared.dataset}", "compared", sections)


def _sentences(notes: Sequence[str]) -> tuple[Block, ...]:
    return (Sentences(tuple(notes)),) if notes else ()


def _table(compared: ComparedRuns) -> tuple[Block, ...]:
    metric, settings = compared.metric, _columns(compared)
    head = (
        Cell("network"),
        *(Cell(name.rpartition(".")[2], (name.rpartition(".")[0],), number=True) for name in settings),
        Cell("runs", number=True),
        Cell(metric.axis, ("mean ± deviation",), number=True),
        Cell(f"over {metric.cases}", ("95 % interval",), number=True),
        Cell("first −\N{NO-BREAK SPACE}this", (metric.name,), number=True),
        Cell("parameters", number=True),
        Cell("search", number=True),
    )
    rows = tuple(_row(row, compared, settings) for row in compared.rows)
    untested = [
        f"{run} is left out: no network of it was tested on test cases yet." for run in compared.untested
    ]
    caption = (
        f"Means and standard deviations (n − 1) over runs. Over {metric.cases}: each test {metric.case} counts with "
        f"its mean over the runs that tested it. Differences: the first row minus the other, over the {metric.cases} "
        "that both were tested on, with the p-value of a paired test, adjusted for the number of rows (Holm). The "
        "time of a search is multiplied by its GPUs, or by its cores where it used none."
    )
    return Table(head, rows, style="networks"), Sentences((caption, *untested), "caption")


def _columns(compared: ComparedRuns) -> tuple[str, ...]:
    """The settings with a column; without those that repeat the name of the recipe in every row."""
    searched = [one for one in compared.networks if one.settings]
    columns = tuple(
        name for name in compared.settings if any(one.settings[name] != one.recipe for one in searched)
    )
    return columns if len(columns) <= MOST_COLUMNS else ()


def _row(row: ComparedRow, compared: ComparedRuns, settings: Sequence[str]) -> Row:
    metric = compared.metric
    first = next(one for one in compared.networks if one.row == row.title)
    searched = not math.isnan(row.search_seconds.mean)
    if searched and settings:
        named = (Cell(first.recipe), *(Cell(first.settings[name], number=True) for name in settings))
    else:
        title = row.title if searched or first.seed is None else formatting.sentence_case(row.title)
        named = (Cell(title, columns=1 + len(settings)),)
    cells = (
        *named,
        Cell(str(len(row.runs)), number=True),
        Cell(
            spread_words(row.score, metric.value), (_error(row, metric), row.failed), number=True, strong=True
        ),
        _over_cases(row, metric),
        _difference(row, metric),
        Cell(spread_words(row.parameters, lambda count: formatting.parameters(round(count))), number=True),
        _search(row),
    )
    return Row(cells, "searched" if row is compared.rows[0] else "")


def spread_words(spread: Spread, text: Callable[[float], str]) -> str:
    """``0.812 ± 0.004``; without the deviation where there is none, a dash where there is no value.

    Args:
        spread: over runs.
        text: how a value is written.
    """
    if math.isnan(spread.mean):
        return formatting.DASH
    if math.isnan(spread.deviation):
        return text(spread.mean)
    return f"{text(spread.mean)} ± {text(spread.deviation)}"


def device_words(spread: Spread, device: str) -> str:
    """``0.24 ± 0.01 GPU days``.

    Args:
        spread: in seconds times devices.
        device: the kind; "": several.
    """
    mean, deviation = (
        formatting.device_time(value, device or "device") for value in (spread.mean, spread.deviation)
    )
    if math.isnan(spread.deviation):
        return mean
    number, _, unit = mean.partition(" ")
    return f"{number} ± {deviation.partition(' ')[0]} {unit}"


def _error(row: ComparedRow, metric: Metric) -> str:
    """The test error, which tables of classifiers have."""
    if not metric.classifies or math.isnan(row.score.mean):
        return ""
    return f"error {spread_words(Spread(1 - row.score.mean, row.score.deviation), metric.value)}"


def _over_cases(row: ComparedRow, metric: Metric) -> Cell:
    if not row.cases:
        return Cell(formatting.DASH, number=True)
    interval = metric.interval(row.over_cases.low, row.over_cases.high)
    return Cell(metric.value(row.over_cases.mean), (interval, metric.count(row.cases)), number=True)


def _difference(row: ComparedRow, metric: Metric) -> Cell:
    found = row.against_first
    if found is None:
        return Cell(number=True)
    interval = metric.difference_interval(found.low, found.high)
    return Cell(
        metric.difference(found.mean_difference), (interval, formatting.p_value(found.p_value)), number=True
    )


def _search(row: ComparedRow) -> Cell:
    """The cost of the search, its unit and its wall time below."""
    if math.isnan(row.search_seconds.mean):
        return Cell(formatting.DASH, number=True)
    *numbers, device, unit = device_words(row.device_seconds, row.device).split(" ")
    wall = spread_words(row.search_seconds, formatting.duration)
    return Cell(" ".join(numbers), (f"{device} {unit}", wall), number=True)


def _boxes(compared: ComparedRuns) -> tuple[Block, ...]:
    caption = "Every run as a dot; boxes show the quartiles over runs. First the test score, then the size."
    return (Figure("runs", compared_figures.boxes_of_runs(compared), caption),)


def _bars(compared: ComparedRuns) -> tuple[Block, ...]:
    if compared.by is None:
        return ()
    caption = (
        f"Mean test {compared.metric.name} (bars) and mean size (lines) of the searched networks, with standard "
        "deviations over runs."
    )
    return (Figure("setting", compared_figures.bars_over_setting(compared), caption),)


def _courses(compared: ComparedRuns) -> tuple[Block, ...]:
    if not any(trial.reward is not None for one in compared.networks for trial in one.course):
        return ()
    if not any(compared_figures.has_course(one) for one in compared.networks):
        return _sentences(
            ["No search went on after its exploration phase, so there is no course to be seen."]
        )
    phased = any(trial.phase for one in compared.networks for trial in one.course)
    caption = (
        f"Each line is a run: the {compared.reward_name} of its trials as a moving average over an eighth of them, at "
        f"most {WINDOW}{', after the exploration phase' if phased else ''}."
    )
    return (Figure("courses", compared_figures.courses_of_runs(compared), caption),)


def _networks(compared: ComparedRuns) -> tuple[Block, ...]:
    metric = compared.metric
    head = (
        Cell("run"),
        Cell("network"),
        Cell("seed", number=True),
        Cell(metric.axis, number=True),
        Cell("parameters", number=True),
        Cell("search", number=True),
        Cell("training", number=True),
        Cell("status"),
    )
    rows = tuple(_network(one, metric) for one in compared.networks)
    return (Table(head, rows, scrolls=True),)


def _network(network: ComparedNetwork, metric: Metric) -> Row:
    score = network.score
    cells = (
        Cell(network.run),
        Cell(network.row, (network.description,), wide=True),
        Cell(formatting.DASH if network.seed is None else str(network.seed), number=True),
        Cell(metric.value(score.mean), (metric.interval(score.low, score.high),), number=True),
        Cell(formatting.parameters(network.parameters), number=True),
        Cell(formatting.duration(network.search_seconds), number=True),
        Cell(formatting.duration(network.train_seconds), number=True),
        Cell(formatting.status(network.status)),
    )
    return Row(cells)
