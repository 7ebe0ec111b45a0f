"""What classification shows in place of overlays: which class is taken for which, and images gone wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.report.content import ConfusionMatrix, ImageExample
from netwright.report.draw.overlays import png_uri
from netwright.report.draw.style import escaped, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

COUNTED = 20
"""With at most so many classes, cells show their counts."""

CONFUSIONS = 10
MISTAKES = 24

LONGEST = 192
"""Larger images are scaled down to so many pixels."""

# Steep at the start, so that one image in a hundred gone wrong still shows beside a full diagonal.
SHARES = [
    [0.0, "#ffffff"],
    [0.01, "#e4edf6"],
    [0.05, "#bcd3e8"],
    [0.2, "#7fabd1"],
    [0.6, "#2f73ad"],
    [1.0, "#0b3c66"],
]


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
            "uri": png_uri(_pixels(e)),
        }
        for e in ranked[:most]
    ]


def _pixels(example: ImageExample) -> NDArray[np.uint8]:
    """The image as rows, columns and red, green, blue; other numbers of channels show their first in grey.

    Raises:
        ValueError: the image is neither (H, W) nor (C, H, W).
    """
    image = np.asarray(example.image, dtype=np.float32)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"image {example.name!r} has shape {image.shape}, expected (height, width) or (channels, height, width)"
        )
    channels = image[None] if image.ndim == 2 else image
    colours = channels if len(channels) == 3 else np.repeat(channels[:1], 3, axis=0)
    scaled = np.clip(np.rint(255 * np.nan_to_num(colours)), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(scaled))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture)
