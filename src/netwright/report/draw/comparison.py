"""The sections of the final comparison: verdict, tables of networks, every test case, training curves."""

from __future__ import annotations

from netwright.report import formatting
from netwright.report.draw.comparison_figures import score_by_case, training_curves
from netwright.report.draw.costs import cost_rows
from netwright.report.draw.seeds import seed_blocks
from netwright.report.draw.style import status_badge
from netwright.report.metrics import Metric, metric_named
from netwright.report.sections import (
    COMPARISON,
    NETWORK,
    VERDICT,
    Block,
    Cell,
    Figure,
    Heading,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.sentences import sentences
from netwright.report.summaries import SEARCHED_TITLE, Comparison, Estimate, Summary

ANCHOR = "comparison"
"""The anchor of the section that a task's own tables of the networks are added to."""

AFTER_TABLES = COMPARISON + 1
"""The order of these tables."""

WIDE_LABELS = 4
"""With more labels than this, the scores of the labels get their own table."""


def comparison_sections(comparison: Comparison) -> tuple[Section, ...]:
    """The sections of the comparison; empty where there is none."""
    if not comparison.contestants:
        return ()
    verdict = Sentences(sentences(comparison.summaries, comparison.metric))
    title = f"Comparison on unseen {comparison.counted.cases}"
    seeds = tuple(seed_blocks(comparison))
    caption = _caption(comparison, several=bool(seeds))
    tables = (_networks(comparison), caption, *seeds, *_costs(comparison), *_labels(comparison))
    return (
        Section("verdict", "", (verdict,), VERDICT, style="verdict"),
        Section(ANCHOR, title, tables, COMPARISON, link="Comparison"),
        Section(ANCHOR, title, _cases(comparison), AFTER_TABLES + 1),
        Section("winner", formatting.sentence_case(comparison.searched), _curves(comparison), NETWORK + 2),
    )


def _networks(comparison: Comparison) -> Table:
    """One row for each network: scores, the difference from the searched network, size and times."""
    metric = comparison.metric
    mine = "searched" if comparison.searched == SEARCHED_TITLE else "used"
    columns = tuple(label for label in comparison.labels if label != metric.column)
    own_columns = () if _wide(comparison) else columns
    measured = () if metric.column else ("top-1" if metric.classifies else f"mean of {comparison.scored}s",)
    head = (
        Cell("network"),
        Cell(metric.name, measured, number=True),
        *(_column(label, metric) for label in own_columns),
        Cell(f"{mine} −\N{NO-BREAK SPACE}this", (metric.name,), number=True),
        Cell("parameters", number=True),
        Cell("training", number=True),
        Cell("inference", ("one input",), number=True),
        Cell("status"),
    )
    return Table(
        head, tuple(_network(s, own_columns, metric) for s in comparison.summaries), style="networks"
    )


def _column(label: str, metric: Metric) -> Cell:
    """The head of a column beside that of the metric: a label and its metric, or another metric."""
    if metric.column:
        return Cell(metric_named(label).name, number=True)
    return Cell(label, (metric.name,), number=True)


def _network(summary: Summary, columns: tuple[str, ...], metric: Metric) -> Row:
    contestant = summary.contestant
    epochs = formatting.counted(contestant.epochs, "epoch")
    cells = (
        Cell(formatting.sentence_case(contestant.title), (contestant.description,)),
        _estimate(summary.overall, metric),
        *(_estimate(summary.labels[label], _of_label(label, metric)) for label in columns),
        _difference(summary, metric),
        Cell(
            formatting.parameters(contestant.parameters),
            (formatting.megabytes(contestant.parameters),),
            number=True,
        ),
        Cell(formatting.duration(contestant.train_seconds), (epochs,), number=True),
        Cell(formatting.milliseconds(contestant.inference_ms), number=True),
        Cell(badge=status_badge(contestant.status), small=(contestant.reason,)),
    )
    return Row(cells, "searched" if summary.searched else "")


def _of_label(label: str, metric: Metric) -> Metric:
    return metric_named(label) if metric.column else metric


def _estimate(estimate: Estimate, metric: Metric) -> Cell:
    interval = metric.interval(estimate.low, estimate.high)
    return Cell(metric.value(estimate.mean), (interval,), number=True, strong=True)


def _difference(summary: Summary, metric: Metric) -> Cell:
    comparison = summary.comparison
    if comparison is None or not comparison.n:
        return Cell(number=True)
    interval = metric.difference_interval(comparison.low, comparison.high)
    return Cell(
        metric.difference(comparison.mean_difference),
        (interval, formatting.p_value(comparison.p_value)),
        number=True,
    )


def _caption(comparison: Comparison, *, several: bool) -> Sentences:
    metric = comparison.counted
    test = "McNemar's exact test" if metric.classifies else "a paired sign-flip test"
    uncertainty = (
        "Intervals hold what other seeds would change, too, as far as a network was trained with several; p-values do "
        "not. A difference whose interval has 0 in it is within the noise, whatever its p-value."
        if several
        else f"Intervals and tests show the uncertainty from the choice of {metric.cases}, not the difference of a "
        "second training: each network was trained once."
    )
    return Sentences(
        (
            f"Means over the test {metric.cases}, which search and training did not use, with 95 % bootstrap intervals "
            f"(BCa) over the {metric.cases} below them. Differences: {comparison.searched} minus the other, "
            f"{metric.case} by {metric.case}, with the p-value of {test}, adjusted for the number of comparisons "
            f"(Holm). {uncertainty}",
        ),
        "caption",
    )


def _costs(comparison: Comparison) -> tuple[Block, ...]:
    """Size and times beside those of the original network; empty where there is none."""
    metric = comparison.counted
    costs = cost_rows(comparison.summaries, comparison.metric)
    if not costs:
        return ()
    batch = "a batch" + (f" of {comparison.batch_size}" if comparison.batch_size else "")
    head = (
        Cell("network"),
        Cell(metric.name, number=True),
        Cell("size", number=True),
        Cell("training", (batch,), number=True),
        Cell("inference", (batch,), number=True),
    )
    rows = tuple(
        Row(
            (
                Cell(cost["title"], (cost["role"],) if cost["role"].lower() != cost["title"].lower() else ()),
                Cell(cost["score"], (cost["difference"] or cost["interval"],), number=True, strong=True),
                Cell(cost["size"], (cost["size_ratio"],), number=True, strong=True),
                Cell(cost["training"], (cost["training_ratio"],), number=True, strong=True),
                Cell(cost["inference"], (cost["inference_ratio"],), number=True, strong=True),
            ),
            "searched" if cost["searched"] else "",
        )
        for cost in costs
    )
    caption = (
        f"Below each number: its ratio to the original's; below the original's {metric.name}: its 95 % interval. "
        f"Sizes are those of the weights. The table above says whether a difference in {metric.name} is measurable."
    )
    return Heading("Against the original"), Table(head, rows, style="costs"), Sentences((caption,), "caption")


def _wide(comparison: Comparison) -> bool:
    return sum(label != comparison.metric.column for label in comparison.labels) > WIDE_LABELS


def _labels(comparison: Comparison) -> tuple[Block, ...]:
    """The scores of many labels, one column for each network."""
    if not _wide(comparison):
        return ()
    metric = comparison.metric
    tested = [s for s in comparison.summaries if s.tested]
    titles = (Cell(formatting.sentence_case(s.contestant.title), number=True) for s in tested)
    head = (Cell("class" if metric.classifies else "label"), *titles)
    rows = tuple(
        Row((Cell(label), *(_estimate(s.labels[label], _of_label(label, metric)) for s in tested)))
        for label in comparison.labels
    )
    title = "Accuracy per class" if metric.classifies else f"{metric.name} per label"
    return Heading(title), Table(head, rows, scrolls=True)


def _cases(comparison: Comparison) -> tuple[Block, ...]:
    metric = comparison.metric
    if not comparison.tested or not metric.of_single_cases:
        return ()
    case = comparison.counted.case if metric.column else "case"
    caption = f"Every test {case} as a dot; boxes show the quartiles."
    return (Figure("cases", score_by_case(comparison.summaries, metric), caption),)


def _curves(comparison: Comparison) -> tuple[Block, ...]:
    trained = {
        formatting.sentence_case(s.contestant.title): s.contestant
        for s in comparison.summaries
        if any(s.contestant.curves.values())
    }
    if not trained:
        return ()
    seconds = {title: contestant.train_seconds for title, contestant in trained.items()}
    curves = {title: contestant.curves for title, contestant in trained.items()}
    figure = training_curves(curves, seconds, comparison.metric)
    how = ", trained in the same way" if comparison.trained_anew else ""
    caption = f"All networks of the comparison{how}; {comparison.searched} in black."
    heading = "Training for the comparison" if comparison.trained_anew else "Training"
    return Heading(heading), Figure("retraining", figure, caption)
