"""Draws a `Diagram` as inline SVG: boxes on a grid, and arrows that go around the boxes between their ends."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from numpy.typing import NDArray

from netwright.report.draw.routing import Box, Curve, route
from netwright.spaces.base import Diagram, Edge, Node

LABEL_SIZE, DETAIL_SIZE = 14.0, 11.5
LINE_HEIGHT = 16.0
CHARACTER = 0.58
"""The mean width of a character, in font sizes. It is generous, because fonts differ."""

PADDING = 12.0
ROW_GAP = 44.0
COLUMN_GAP = 40.0
ELBOW = 24.0
LONG_DETAIL = 16
"""Details longer than this many characters are broken after their commas."""

MARGIN = 10.0
LABEL_SHARES = (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7, 0.25, 0.75)

SVG = """\
<svg class="diagram" viewBox="{{ view }}" width="{{ width }}" role="img" aria-label="{{ title }}"
 aria-describedby="{{ key }}-text" xmlns="http://www.w3.org/2000/svg">
<title>{{ title }}</title>
<desc id="{{ key }}-text">{{ told }}</desc>
<defs><marker id="{{ arrow }}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"
 orient="auto-start-reverse"><path d="M0 0.8 L10 5 L0 9.2 z"/></marker></defs>
{% for edge in edges -%}
<path class="edge{{ ' dashed' if edge.dashed }}" d="{{ edge.path }}" marker-end="url(#{{ arrow }})"/>
{% endfor -%}
{% for box in boxes -%}
<g class="box"><rect rx="6" x="{{ box.left }}" y="{{ box.top }}"
 width="{{ box.width }}" height="{{ box.height }}"/>
{% for line in box.lines -%}
<text class="{{ line.kind }}" x="{{ box.x }}" y="{{ line.y }}">{{ line.text }}</text>
{% endfor %}</g>
{% endfor -%}
{% for edge in edges if edge.label -%}
<rect class="halo" x="{{ edge.left }}" y="{{ edge.top }}"
 width="{{ edge.width }}" height="{{ edge.height }}"/>
<text class="edge-label" x="{{ edge.x }}" y="{{ edge.y }}">{{ edge.label }}</text>
{% endfor %}</svg>"""


@dataclass(frozen=True)
class Drawing:
    """A diagram laid out: a box for each node name, a curve for each edge, where each label goes."""

    boxes: dict[str, Box]
    curves: tuple[tuple[Edge, Curve], ...]
    labels: tuple[Box, ...]


def draw(diagram: Diagram, *, key: str = "diagram") -> Markup:
    """Inline SVG with all text escaped. ``key`` must be unique in the page. Empty for a diagram without nodes."""
    if not diagram.nodes:
        return Markup("")
    drawing = lay_out(diagram)
    left, top, right, bottom = _extent(drawing)
    template = Environment(autoescape=True).from_string(SVG)
    return Markup(
        template.render(
            title=diagram.title,
            key=key,
            told=_told(diagram),
            arrow=f"{key}-arrow",
            view=f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}",
            width=f"{right - left:.0f}",
            edges=[
                {"path": curve.path(), "dashed": edge.dashed, "label": edge.label, **_numbers(label)}
                for (edge, curve), label in zip(drawing.curves, drawing.labels, strict=True)
            ],
            boxes=[_box(node, drawing.boxes[node.name]) for node in diagram.nodes],
        )
    )


def _told(diagram: Diagram) -> str:
    """The arrows in words, for those who cannot see them."""
    names = {node.name: (node.label or node.name).replace("\n", " ") for node in diagram.nodes}
    counts = Counter(names.values())
    names = {
        key: text if counts[text] == 1 or text == key else f"{text} ({key})" for key, text in names.items()
    }
    arrows = (
        f"{names[edge.source]} to {names[edge.target]}{f': {edge.label}' if edge.label else ''}"
        for edge in diagram.edges
        if edge.source in names and edge.target in names
    )
    return f"{len(names)} boxes. Arrows: {'; '.join(arrows)}."


def lay_out(diagram: Diagram) -> Drawing:
    """Positions in pixels. Edges from or to unknown nodes are left out.

    Edges along a row or column are routed first, then the others. Shorter ones are routed before longer ones.
    """
    boxes = _boxes(diagram)
    edges = [e for e in diagram.edges if e.source in boxes and e.target in boxes and e.source != e.target]

    def order(i: int) -> tuple[bool, float]:
        source, target = boxes[edges[i].source], boxes[edges[i].target]
        slanted = source.x != target.x and source.y != target.y
        return slanted, math.dist(source.centre, target.centre)

    curves: dict[int, Curve] = {}
    for i in sorted(range(len(edges)), key=order):
        edge = edges[i]
        others = [box for name, box in boxes.items() if name not in (edge.source, edge.target)]
        curves[i] = route(boxes[edge.source], boxes[edge.target], others, list(curves.values()))
    labels: list[Box] = []
    points = np.concatenate([np.empty((0, 2)), *(curve.points for curve in curves.values())])
    for i, edge in enumerate(edges):
        labels.append(_place_label(edge, curves[i], list(boxes.values()), points, labels))
    return Drawing(boxes, tuple((edge, curves[i]) for i, edge in enumerate(edges)), tuple(labels))


def _boxes(diagram: Diagram) -> dict[str, Box]:
    """Boxes on the grid. Columns move together where their boxes are in different rows, as in a U."""
    sizes = {node.name: _size(node) for node in diagram.nodes}
    labels = {(e.source, e.target): _text_width(e.label, DETAIL_SIZE) + 34 for e in diagram.edges if e.label}

    def gap(a: Node, b: Node) -> float:
        return max(COLUMN_GAP, labels.get((a.name, b.name), 0.0), labels.get((b.name, a.name), 0.0))

    columns: dict[int, float] = {}
    for node in sorted(diagram.nodes, key=lambda n: n.column):
        before = [n for n in diagram.nodes if n.column < node.column]
        needed = [
            columns[n.column] + _apart(sizes[n.name][0], sizes[node.name][0], n, node, gap) for n in before
        ]
        columns[node.column] = max([columns.get(node.column, 0.0), *needed])
    rows: dict[int, float] = {}
    position = 0.0
    for row in sorted({n.row for n in diagram.nodes}):
        height = max(sizes[n.name][1] for n in diagram.nodes if n.row == row)
        rows[row] = position + height / 2
        position += height + ROW_GAP
    return {n.name: Box(columns[n.column], rows[n.row], *sizes[n.name]) for n in diagram.nodes}


def _apart(
    width: float, other_width: float, node: Node, other: Node, gap: Callable[[Node, Node], float]
) -> float:
    """The smallest distance of two boxes' centres. In different rows, an arrow with one corner needs room."""
    if node.row == other.row:
        return (width + other_width) / 2 + gap(node, other)
    return max(width, other_width) / 2 + ELBOW


def _size(node: Node) -> tuple[float, float]:
    lines = _lines(node)
    width = max(_text_width(text, LABEL_SIZE if kind == "label" else DETAIL_SIZE) for kind, text in lines)
    return max(44.0, width + 2 * PADDING), LINE_HEIGHT * len(lines) + PADDING


def _lines(node: Node) -> list[tuple[str, str]]:
    label = [("label", line) for line in (node.label or node.name).split("\n")]
    detail = node.detail if len(node.detail) <= LONG_DETAIL else node.detail.replace(", ", "\n")
    return label + [("detail", line) for line in detail.split("\n") if line]


def _text_width(text: str, size: float) -> float:
    return CHARACTER * size * max((len(line) for line in text.split("\n")), default=0)


def _numbers(box: Box) -> dict[str, str]:
    values = {
        "x": box.x,
        "y": box.y,
        "left": box.left,
        "top": box.top,
        "width": box.width,
        "height": box.height,
    }
    return {name: f"{value:.1f}" for name, value in values.items()}


def _box(node: Node, box: Box) -> dict[str, object]:
    lines = _lines(node)
    first = box.y - LINE_HEIGHT * (len(lines) - 1) / 2
    return {
        **_numbers(box),
        "lines": [
            {"kind": kind, "text": text, "y": f"{first + i * LINE_HEIGHT:.1f}"}
            for i, (kind, text) in enumerate(lines)
        ],
    }


def _place_label(
    edge: Edge, curve: Curve, boxes: list[Box], points: NDArray[np.float64], taken: list[Box]
) -> Box:
    """The position along the curve where the label covers least of the other arrows, boxes and labels.

    Args:
        edge: with the text.
        curve: of the edge.
        boxes: of all nodes.
        points: of all curves, this one too, shape (n, 2).
        taken: the labels that have their position already.
    """
    width = _text_width(edge.label, DETAIL_SIZE) * 0.95 + 4 if edge.label else 0.0
    options = {share: Box(*curve.at(share), width, DETAIL_SIZE + 3) for share in LABEL_SHARES}

    def cost(share: float) -> float:
        label = options[share]
        covered = sum(label.overlaps(other) for other in (*boxes, *taken))
        crossed = label.count(points) - label.count(curve.points)
        bends = label.count(np.asarray(curve.joints))
        return 20 * covered + 8 * bends + crossed + 4 * abs(share - 0.5)

    return options[min(options, key=cost)]


def _extent(drawing: Drawing) -> tuple[float, float, float, float]:
    points = [corner for box in (*drawing.boxes.values(), *drawing.labels) for corner in box.corners]
    everything = np.concatenate([np.asarray(points), *(curve.points for _, curve in drawing.curves)])
    (left, top), (right, bottom) = everything.min(axis=0) - MARGIN, everything.max(axis=0) + MARGIN
    return float(left), float(top), float(right), float(bottom)
