"""Report sections of a classification: the confusion matrix, and images with a wrong class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from netwright.report import formatting
from netwright.report.draw.pictures import gallery_pixels, png_uri
from netwright.report.draw.style import escaped, style
from netwright.report.run import ReportedRun
from netwright.report.sections import (
    TASK,
    Block,
    Captioned,
    Cell,
    Figure,
    Gallery,
    Heading,
    Picture,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.summaries import SEARCHED_TITLE
from netwright.tasks.classification.predictor import read_table
from netwright.tasks.images import PREDICTIONS, pictures_to_draw, prepared_pictures

if TYPE_CHECKING:
    import plotly.graph_objects as go

COUNTED = 20
"""The most classes for which the cells of the confusion matrix show their counts."""

CONFUSIONS = 10
MISTAKES = 24

# Steep at the start, so that one image in a hundred gone wrong still shows beside a full diagonal.
SHARES = [
    [0.0, "#ffffff"],
    [0.01, "#e4edf6"],
    [0.05, "#bcd3e8"],
    [0.2, "#7fabd1"],
    [0.6, "#2f73ad"],
    [1.0, "#0b3c66"],
]

CONFUSION_CAPTION = (
    "{searched} on the test images: rows are the true classes, columns the predicted ones. Numbers are "
    "images; the colour is their share of the true class."
)


@dataclass(frozen=True)
class ConfusionMatrix:
    """Test images of the searched network: ``counts`` by true class (row) and predicted class (column)."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class ImageExample:
    """A test image, (C, H, W) or (H, W), values 0 to 1, its class and the one predicted with ``probability``."""

    image: NDArray[np.float32]
    truth: str
    prediction: str
    probability: float
    name: str = ""


def report_sections(run: ReportedRun) -> tuple[Section, ...]:
    """The sections of the task."""
    return (mistakes_section(*on_test_images(run), run.comparison.searched),)


def on_test_images(run: ReportedRun) -> tuple[ConfusionMatrix | None, tuple[ImageExample, ...]]:
    """The confusion matrix of the searched network on the test images, and the images with a wrong class.

    The mistakes with the highest probability come first. None and an empty tuple before the test.
    """
    table = run.predictions / PREDICTIONS
    if run.searched is None or not table.exists():
        return None, ()
    classes = prepared_pictures(run.prepared).class_names
    rows = read_table(table, classes)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for row in rows:
        counts[classes.index(row.truth), classes.index(row.predicted)] += 1
    wrong = sorted((row for row in rows if row.truth != row.predicted), key=lambda row: -row.probability)
    wrong = wrong[:MISTAKES]
    images = pictures_to_draw(run.prepared, [row.picture for row in wrong])
    examples = tuple(
        ImageExample(
            image=image,
            truth=row.truth,
            prediction=row.predicted,
            probability=row.probability,
            name=row.picture,
        )
        for row, image in zip(wrong, images, strict=True)
    )
    return ConfusionMatrix(classes, counts), examples


def mistakes_section(
    confusion: ConfusionMatrix | None, examples: Sequence[ImageExample], searched: str = SEARCHED_TITLE
) -> Section:
    """The section of what went wrong; empty where nothing is known.

    Args:
        confusion: of the classes.
        examples: test images with a wrong class.
        searched: what the network is called.

    Raises:
        ValueError: an image is none.
    """
    blocks: list[Block] = []
    if confusion is not None:
        caption = CONFUSION_CAPTION.format(searched=formatting.sentence_case(searched))
        blocks.append(Figure("confusion", confusion_figure(confusion), caption))
        blocks += _most_frequent(confusion)
    blocks += _gallery(examples)
    return Section("mistakes", "What is taken for what", tuple(blocks), TASK, link="Mistakes")


def _most_frequent(confusion: ConfusionMatrix) -> tuple[Block, ...]:
    rows = tuple(
        Row(
            (
                Cell(pair["truth"]),
                Cell(pair["prediction"]),
                Cell(pair["count"], number=True),
                Cell(pair["share"], number=True),
            )
        )
        for pair in confusions(confusion)
    )
    names = (Cell("truth"), Cell("taken for"), Cell("images", number=True), Cell("share", number=True))
    return (Heading("Most frequent mistakes"), Table(names, rows, style="narrow")) if rows else ()


def _gallery(examples: Sequence[ImageExample]) -> tuple[Block, ...]:
    pictured = mistakes(examples)
    if not pictured:
        return ()
    below = Markup('<b>{truth}</b><br>taken for {prediction}, <span class="whole">{probability}</span>')
    pictures = tuple(
        Captioned(
            Picture(one["uri"], f"{one['truth']}, taken for {one['prediction']}", title=one["name"]),
            below=below.format(**one),
        )
        for one in pictured
    )
    told = "Test images, mistakes with the greatest probability first, with the probability given to the wrong class."
    if len(examples) > len(pictured):
        told += f" {len(examples) - len(pictured)} more are not shown."
    return Heading("Images taken for another class"), Gallery(pictures), Sentences((told,), "caption")


def confusion_figure(confusion: ConfusionMatrix) -> go.Figure:
    """True classes as rows, predicted ones as columns, coloured by the share of the row."""
    import plotly.graph_objects as go

    counts = np.asarray(confusion.counts, dtype=np.int64)
    classes = len(confusion.classes)
    names = [escaped(name) for name in confusion.classes]
    figure = go.Figure(
        go.Heatmap(
            z=_shares(counts).astype(np.float32),
            customdata=counts.astype(np.int32),
            text=np.where(counts > 0, counts.astype(str), "") if classes <= COUNTED else None,
            texttemplate="%{text}" if classes <= COUNTED else "",
            colorscale=SHARES,
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            hoverongaps=False,
            colorbar={
                "title": {"text": "share of the true class", "side": "right", "font": {"size": 13}},
                "tickformat": ".0%", "thickness": 12, "outlinewidth": 0,
            },
            hovertemplate="%{y}, taken for %{x}<br>%{customdata} images, %{z:.1%} of the class<extra></extra>",
        )
    )  # fmt: skip
    ticks = {
        "tickvals": list(range(classes)),
        "ticktext": names,
        "tickfont": {"size": 12 if classes <= 30 else 8},
    }
    figure.update_layout(
        xaxis={
            **ticks,
            "title": "predicted",
            "range": [-0.5, classes - 0.5],
            "tickangle": -90 if classes > 12 else 0,
        },
        yaxis={**ticks, "title": "truth", "range": [classes - 0.5, -0.5]},
    )
    style(figure, height=int(130 + min(900, max(200, 34 * min(classes, COUNTED), 10 * classes))))
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    figure.update_layout(margin={"t": 16})
    return figure


def confusions(confusion: ConfusionMatrix, most: int = CONFUSIONS) -> list[dict[str, str]]:
    """The pairs of classes that are most often taken for one another, as rows of a table."""
    counts = np.asarray(confusion.counts, dtype=np.int64)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    totals = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    return [
        {
            "truth": confusion.classes[i],
            "prediction": confusion.classes[j],
            "count": f"{wrong[i, j]:,} of {totals[i]:,}",
            "share": f"{100 * wrong[i, j] / totals[i]:.1f} %",
        }
        for i, j in pairs
        if wrong[i, j]
    ]


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row as shares of its sum; NaN for a class without an image."""
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    return np.asarray(counts / np.where(totals > 0, totals, np.nan), dtype=np.float64)


def mistakes(examples: Sequence[ImageExample], most: int = MISTAKES) -> list[dict[str, Any]]:
    """At most so many images that were taken for another class, the surest mistakes first."""
    ranked = sorted(examples, key=lambda e: -e.probability)
    return [
        {
            "name": e.name,
            "truth": e.truth,
            "prediction": e.prediction,
            "probability": f"{100 * e.probability:.0f} %",
            "uri": png_uri(gallery_pixels(e.image, e.name)),
        }
        for e in ranked[:most]
    ]
