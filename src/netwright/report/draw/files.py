"""Drawings that stand alone as SVG files, with their style inside: diagrams, curves of a training, and texts.

The plots of a report need plotly's script. These are pictures, so that any page can show them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from netwright.report.draw.comparison_figures import LOSSES, SCORES
from netwright.report.draw.diagrams import draw
from netwright.report.draw.style import FONT, GRID, INK, QUIET, words
from netwright.spaces.base import Diagram

SVG = "http://www.w3.org/2000/svg"
TITLE_HEIGHT = 34.0
PANEL, PANEL_HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 34.0, 46.0
"""Space around a plot in its panel, in pixels."""
TICKS = 5
LETTERS = 88
"""The most letters of a line of text."""

STYLE = f"""
text {{ font-family: {FONT}; font-size: 14px; fill: {INK}; }}
.title {{ font-size: 15px; font-weight: 600; }}
.quiet {{ font-size: 12px; fill: {QUIET}; }}
.grid {{ stroke: {GRID}; }}
.curve {{ fill: none; stroke: {INK}; stroke-width: 2; }}
.point {{ fill: {INK}; }}
svg.diagram rect {{ fill: #ffffff; stroke: {INK}; stroke-width: 1.3; }}
svg.diagram text {{ text-anchor: middle; dominant-baseline: central; }}
svg.diagram .label {{ font-weight: 600; }}
svg.diagram .detail, svg.diagram .edge-label {{ font-size: 11.5px; }}
svg.diagram .detail {{ fill: {QUIET}; }}
svg.diagram rect.halo {{ stroke: none; }}
svg.diagram .edge {{ fill: none; stroke: {QUIET}; stroke-width: 1.4; }}
svg.diagram .edge.dashed {{ stroke-dasharray: 5 4; }}
svg.diagram marker path {{ fill: {QUIET}; }}
"""

Element = ElementTree.Element


def diagrams_file(diagrams: Sequence[Diagram]) -> bytes:
    """Diagrams below each other, each under its title. Diagrams without nodes are left out."""
    root, top, width = _empty(), 0.0, 0.0
    for i, diagram in enumerate(d for d in diagrams if d.nodes):
        drawn = ElementTree.fromstring(str(draw(diagram, key=f"diagram-{i}")))
        own_width, height = map(float, drawn.attrib["viewBox"].split()[2:])
        _text(root, 12, top + 22, diagram.title, "title")
        drawn.attrib |= {"x": "0", "y": f"{top + TITLE_HEIGHT:.0f}", "height": f"{height:.0f}"}
        root.append(drawn)
        top, width = top + TITLE_HEIGHT + height, max(width, own_width, 8.0 * len(diagram.title))
    return _written(root, width, top)


def curves_file(curves: Mapping[str, Sequence[float | None]], score: str) -> bytes:
    """The curves of a training, one value an epoch: losses in one panel, scores in another.

    Args:
        curves: name -> values; None and NaN where there is none.
        score: what the scores are, for their axis.
    """
    root = _empty()
    for panel, (kinds, title) in enumerate(((LOSSES, "loss"), (SCORES, f"validation {score}"))):
        chosen = {n: v for n, v in curves.items() if any(kind in n for kind in kinds)}
        _panel(root, panel * PANEL, title, chosen)
    return _written(root, 2 * PANEL, PANEL_HEIGHT)


def text_file(text: str) -> bytes:
    """A text as a picture, in place of one that cannot be made."""
    root = _empty()
    lines = textwrap.wrap(text, LETTERS)
    for i, line in enumerate(lines):
        _text(root, 16, 30 + 20 * i, line)
    return _written(root, 720, 44 + 20 * len(lines))


def _panel(root: Element, left: float, title: str, curves: Mapping[str, Sequence[float | None]]) -> None:
    _text(root, left + LEFT, 20, title, "title")
    points = {
        name: [(epoch, float(v)) for epoch, v in enumerate(values, 1) if v is not None and math.isfinite(v)]
        for name, values in curves.items()
    }
    known = [value for row in points.values() for _, value in row]
    if not known:
        _text(root, left + LEFT, PANEL_HEIGHT / 2, "no value yet", "quiet")
        return
    ticks = even_ticks(min(known), max(known))
    epochs = [t for t in even_ticks(0, max(map(len, curves.values()))) if t == int(t)]
    low, high, last = ticks[0], ticks[-1], epochs[-1]

    def place(epoch: float, value: float) -> tuple[float, float]:
        x = left + LEFT + (PANEL - LEFT - RIGHT) * epoch / last
        return x, PANEL_HEIGHT - BOTTOM - (PANEL_HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    for tick in ticks:
        (x, y), (end, _) = place(0, tick), place(last, tick)
        _line(root, (x, y), (end, y))
        _text(root, x - 8, y + 4, f"{tick:.4g}", "quiet", anchor="end")
    for tick in epochs:
        x, y = place(tick, low)
        _text(root, x, y + 18, f"{tick:.0f}", "quiet", anchor="middle")
    _text(root, place(last / 2, low)[0], PANEL_HEIGHT - 8, "epoch", "quiet", anchor="middle")
    for name, row in points.items():
        places = [place(*point) for point in row]
        line = ElementTree.SubElement(root, "polyline", {"class": "curve"})
        line.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in places))
        ElementTree.SubElement(line, "title").text = words(name)
        for x, y in places if len(places) <= 40 else ():
            at = {"class": "point", "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "2.5"}
            ElementTree.SubElement(root, "circle", at)


def even_ticks(low: float, high: float) -> list[float]:
    """About `TICKS` round numbers at even distances, from at most ``low`` to at least ``high``."""
    if not low < high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    least = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _empty() -> Element:
    ElementTree.register_namespace("", SVG)
    root = Element("svg", {"xmlns": SVG})
    ElementTree.SubElement(root, "style").text = STYLE
    ElementTree.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    return root


def _written(root: Element, width: float, height: float) -> bytes:
    root.attrib |= {"width": f"{width:.0f}", "height": f"{height:.0f}"}
    root.set("viewBox", f"0 0 {width:.0f} {height:.0f}")
    for element in root.iter():  # in one namespace, whether this file or the template of diagrams made it
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    return ElementTree.tostring(root, encoding="unicode").encode()


def _text(parent: Element, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
    at = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, **({"class": style} if style else {})}
    ElementTree.SubElement(parent, "text", at).text = text


def _line(parent: Element, start: tuple[float, float], end: tuple[float, float]) -> None:
    at = dict(zip(("x1", "y1", "x2", "y2"), (f"{v:.1f}" for v in (*start, *end)), strict=True))
    ElementTree.SubElement(parent, "line", {"class": "grid", **at})
