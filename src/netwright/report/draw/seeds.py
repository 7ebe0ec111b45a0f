"""The table of networks that were trained several times, each time with another seed."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.report import formatting
from netwright.report.compared import Spread
from netwright.report.draw.compared import spread_words
from netwright.report.metrics import Metric
from netwright.report.sections import Block, Cell, Heading, Row, Sentences, Table
from netwright.report.summaries import Comparison, Summary


def seed_blocks(comparison: Comparison) -> Iterator[Block]:
    """A row for each network, with the score of each training; nothing where none was trained several times."""
    repeated = [summary for summary in comparison.summaries if summary.contestant.trainings]
    if not repeated:
        return
    metric = comparison.counted
    seeds = sorted({training.seed for one in repeated for training in one.contestant.trainings})
    head = (
        Cell("network"),
        Cell(metric.axis, ("mean \N{PLUS-MINUS SIGN} deviation",), number=True),
        Cell("95 % interval", (f"{metric.cases} and seeds",), number=True),
        *(Cell(f"training {seed}", (metric.name, "validation"), number=True) for seed in seeds),
    )
    yield Heading("Trained several times")
    yield Table(head, tuple(_row(summary, metric, seeds) for summary in repeated), scrolls=True)
    yield Sentences(
        (
            f"Each training had another seed. Its {metric.name} is the mean over the test {metric.cases}; below it, "
            "that of the validation cases. The best training there is the one that is used; that of the searched "
            "network is in bold. All but the scores here and above is of it: times, distances, curves and pictures. "
            f"The deviation is that of trainings (n - 1 in the denominator). The interval: resampled {metric.cases}, "
            "plus Student's t for the trainings.",
        ),
        "caption",
    )


def _row(summary: Summary, metric: Metric, seeds: list[int]) -> Row:
    overall, trainings = summary.overall, {one.seed: one for one in summary.contestant.trainings}
    tested = [one.seed for one in summary.contestant.trainings if one.scores]
    means = dict(zip(tested, overall.trainings or (overall.mean,) * len(tested), strict=True))
    cells = []
    for seed in seeds:
        training = trainings.get(seed)
        if training is None:
            cells.append(Cell(number=True))
        elif seed not in means:
            cells.append(Cell(formatting.status(training.status), number=True))
        else:
            validation = metric.value(training.validation)
            cells.append(Cell(metric.value(means[seed]), (validation,), number=True, strong=training.used))
    return Row(
        (
            Cell(formatting.sentence_case(summary.contestant.title)),
            Cell(spread_words(Spread.of(list(means.values())), metric.value), number=True, strong=True),
            Cell(metric.interval(overall.low, overall.high), number=True),
            *cells,
        ),
        "searched" if summary.searched else "",
    )
