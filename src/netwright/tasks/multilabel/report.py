"""Report sections for several labels per picture: the scores of each label, and the worst predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from netwright.means import mean_known
from netwright.report import formatting
from netwright.report.draw.comparison import AFTER_TABLES, ANCHOR
from netwright.report.draw.pictures import gallery_pixels, png_uri
from netwright.report.metrics import METRICS
from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.sections import (
    TASK,
    Block,
    Captioned,
    Cell,
    Gallery,
    Heading,
    Picture,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.statistics import bootstrap_interval
from netwright.report.summaries import Comparison
from netwright.tasks.images import PREDICTIONS, pictures_to_draw, prepared_pictures
from netwright.tasks.multilabel import predictor as tables
from netwright.tasks.multilabel.metrics.average_precision import average_precision
from netwright.tasks.multilabel.metrics.f1 import f1
from netwright.tasks.multilabel.task import MACRO_F1
from netwright.tasks.multilabel.thresholds import Thresholds, read_thresholds

WORST = 18

CAPTION = (
    "{searched} on the test pictures. “With it”: the share of these pictures that have the label, which is "
    "the average precision of a guess. A picture gets a label if its probability reaches the threshold. {thresholds}"
)
CHOSEN = "Thresholds have the greatest F1 on the validation pictures."
NOT_CHOSEN = (
    "All thresholds are 0.5: the network was also trained on the validation pictures, so they cannot be used to "
    "choose thresholds."
)
WORST_CAPTION = (
    "Test pictures with a wrong decision; first those whose true labels the network finds least likely."
)
SHARES_CAPTION = (
    "F1 is 2 TP / (2 TP + FP + FN) of the decisions over the test {cases}, with 95 % bootstrap intervals; "
    "macro F1 is the mean of the labels."
)


@dataclass(frozen=True)
class WrongPicture:
    """A test picture, (C, H, W) from 0 to 1, with labels that were missed and labels that it does not have."""

    name: str
    image: NDArray[np.float32]
    missed: tuple[str, ...]
    added: tuple[str, ...]


def report_sections(run: ReportedRun) -> tuple[Section, ...]:
    """The sections of the task; without blocks while the searched network has not been tested."""
    path = run.predictions / PREDICTIONS
    blocks: list[Block] = []
    if run.searched is not None and path.exists():
        labels = prepared_pictures(run.prepared).class_names
        table = tables.read_table(path, labels)
        thresholds = read_thresholds(run.predictions.parent, len(labels))
        blocks += [
            label_table(table, labels, thresholds),
            _caption(thresholds, run.comparison),
            *_gallery(worst(run, table, labels)),
        ]
    section = Section("labels", "Results for each label", tuple(blocks), TASK, link="Labels")
    return section, f1_section(run.comparison)


def label_table(table: tables.Table, labels: Sequence[str], thresholds: Thresholds) -> Table:
    """A row a label: how many pictures have it, its threshold, and how well it is told.

    Args:
        table: of the test pictures.
        labels: their names, in order.
        thresholds: of the searched network.
    """
    assert table.truths is not None
    head = (
        Cell("label"),
        Cell("with it", ("test pictures",), number=True),
        Cell("threshold", number=True),
        Cell("average precision", number=True),
        Cell("F1", number=True),
        Cell("missed", number=True),
        Cell("wrongly given", number=True),
    )
    rows = []
    for at, name in enumerate(labels):
        truth, decided = table.truths[:, at], table.decided[:, at]
        has = truth.astype(bool)
        cells = (
            f"{int(has.sum())} ({100 * has.mean():.0f} %)",
            f"{thresholds.values[at]:.3f}",
            _number(average_precision(table.probabilities[:, at], truth)),
            _number(f1(decided, truth)),
            str(int((has & ~decided).sum())),
            str(int((decided & ~has).sum())),
        )
        rows.append(Row((Cell(name), *(Cell(text, number=True) for text in cells))))
    return Table(head, tuple(rows), scrolls=True)


def worst(run: ReportedRun, table: tables.Table, labels: Sequence[str]) -> tuple[WrongPicture, ...]:
    """Test pictures with a wrong decision, those with the greatest cross-entropy first.

    Args:
        run: the run of the report.
        table: of the test pictures.
        labels: their names, in order.
    """
    assert table.truths is not None
    has = table.truths.astype(bool)
    likely = np.where(has, table.probabilities, 1 - table.probabilities)
    losses = -np.log(np.maximum(likely, 1e-12)).mean(axis=1)
    wrong = np.flatnonzero((table.decided != has).any(axis=1))
    chosen = wrong[np.argsort(-losses[wrong], kind="stable")][:WORST].tolist()
    images = pictures_to_draw(run.prepared, [table.names[row] for row in chosen])
    return tuple(
        WrongPicture(
            table.names[row],
            image,
            _names(labels, has[row] & ~table.decided[row]),
            _names(labels, table.decided[row] & ~has[row]),
        )
        for row, image in zip(chosen, images, strict=True)
    )


def f1_section(comparison: Comparison) -> Section:
    """The F1 of every network, within the section of the comparison; empty where none has been tested."""
    tested = [one for one in comparison.contestants if one.details.get(MACRO_F1)]
    if not tested:
        return Section(ANCHOR, "", (), AFTER_TABLES)
    titles = (Cell(formatting.sentence_case(one.title), number=True) for one in tested)
    columns = [_f1_cells(one, comparison.labels) for one in tested]
    rows = tuple(
        Row((Cell(name), *(column[at] for column in columns)))
        for at, name in enumerate(("macro F1", *comparison.labels))
    )
    caption = SHARES_CAPTION.format(cases=comparison.counted.cases)
    blocks = (
        Heading("F1 per label"),
        Table((Cell("label"), *titles), rows, scrolls=True),
        Sentences((caption,), "caption"),
    )
    return Section(ANCHOR, "", blocks, AFTER_TABLES)


def _f1_cells(contestant: Contestant, labels: Sequence[str]) -> list[Cell]:
    """The mean of all labels, then that of each."""
    cases = contestant.details[MACRO_F1].values()
    columns = [[mean_known(case.values()) for case in cases]]
    columns += [[case[label] for case in cases if label in case] for label in labels]
    return [_estimate(values) for values in columns]


def _estimate(shares: Sequence[float]) -> Cell:
    metric = METRICS[MACRO_F1]
    interval = metric.interval(*bootstrap_interval(shares))
    return Cell(metric.value(mean_known(shares)), (interval,), number=True, strong=True)


def _caption(thresholds: Thresholds, comparison: Comparison) -> Sentences:
    told = CHOSEN if thresholds.chosen else NOT_CHOSEN
    searched = formatting.sentence_case(comparison.searched)
    return Sentences((CAPTION.format(searched=searched, thresholds=told),), "caption")


def _gallery(pictures: Sequence[WrongPicture]) -> tuple[Block, ...]:
    if not pictures:
        return ()
    shown = tuple(
        Captioned(
            Picture(
                png_uri(gallery_pixels(one.image, one.name)), f"{one.name}: {_words(one)}", title=one.name
            ),
            below=Markup("{}").format(_words(one)),
        )
        for one in pictures
    )
    return Heading("Pictures told worst"), Gallery(shown), Sentences((WORST_CAPTION,), "caption")


def _words(picture: WrongPicture) -> str:
    """``missed disc, ring; wrongly square``."""
    missed = f"missed {', '.join(picture.missed)}" if picture.missed else ""
    added = f"wrongly {', '.join(picture.added)}" if picture.added else ""
    return "; ".join(filter(None, (missed, added)))


def _names(labels: Sequence[str], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, taken in zip(labels, chosen, strict=True) if taken)


def _number(value: float) -> str:
    return formatting.DASH if math.isnan(value) else formatting.dice(value)
