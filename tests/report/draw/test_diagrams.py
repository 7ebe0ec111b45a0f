"""Arrows touch the boxes that they join and no others; the SVG is well-formed and escaped."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.report.draw.diagrams import draw, lay_out
from netwright.report.draw.routing import Box, candidates
from netwright.spaces.base import Diagram, Edge, Node

MakeNetwork = Callable[[int], Diagram]
SVG = "{http://www.w3.org/2000/svg}"


def assert_clear(diagram: Diagram) -> None:
    drawing = lay_out(diagram)
    boxes = drawing.boxes
    for edge, curve in drawing.curves:
        for name, box in boxes.items():
            if name not in (edge.source, edge.target):
                assert box.count(curve.points) == 0, f"{edge} passes through {name}"
        for end, name in ((curve.points[0], edge.source), (curve.points[-1], edge.target)):
            assert boxes[name].count(end[None], 0.1) == 1
            assert boxes[name].count(end[None], -0.1) == 0


@pytest.mark.parametrize("levels", range(1, 6))
def test_arrows_avoid_other_boxes(levels: int, block: Diagram, make_network: MakeNetwork) -> None:
    assert_clear(block)
    assert_clear(make_network(levels))


@settings(max_examples=25)
@given(st.integers(2, 5), st.data())
def test_any_graph_in_a_row_is_drawn_clear(count: int, data: st.DataObject) -> None:
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True))
    nodes = tuple(Node(str(i), f"node {i}", i, 0) for i in range(count))
    assert_clear(Diagram("row", nodes, tuple(Edge(str(i), str(j), "Conv(3, 1)") for i, j in chosen)))


@pytest.mark.parametrize("levels", range(6))
def test_boxes_and_labels_do_not_overlap(levels: int, block: Diagram, make_network: MakeNetwork) -> None:
    drawing = lay_out(make_network(levels) if levels else block)
    boxes = list(drawing.boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    labels = [box for box in drawing.labels if box.width]
    assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[i + 1 :])


def test_arrows_in_one_row_keep_apart(block: Diagram) -> None:
    curves = [curve for _, curve in lay_out(block).curves]
    middles = np.array([curve.at(0.5) for curve in curves])
    distances = np.hypot(*(middles[:, None] - middles[None]).transpose(2, 0, 1))
    assert distances[~np.eye(len(curves), dtype=bool)].min() > 15


@given(*[st.floats(-2000, 2000)] * 2, *[st.floats(44, 200)] * 2)
def test_no_curve_is_shorter_than_it_is_taken_for(dx: float, dy: float, width: float, height: float) -> None:
    """By that length, `route` passes over curves that cannot be the best."""
    for curve in candidates(Box(0, 0, 60, 40), Box(dx, dy, width, height)):
        assert np.hypot(*np.diff(curve.points, axis=0).T).sum() >= curve.shortest


def test_svg_is_well_formed_and_holds_every_part(make_network: MakeNetwork) -> None:
    diagram = make_network(3)
    root = ElementTree.fromstring(draw(diagram))
    groups = [g for g in root.iter(f"{SVG}g") if g.get("class") == "box"]
    paths = [p for p in root.iter(f"{SVG}path") if "edge" in (p.get("class") or "")]
    assert len(groups) == len(diagram.nodes)
    assert len(paths) == len(diagram.edges)
    assert sum("dashed" in (p.get("class") or "") for p in paths) == 3
    texts = {t.text for t in root.iter(f"{SVG}text")}
    assert {"MegaBlock", "112 channels", "5 x 7 x 5", "deep supervision"} <= texts
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for box in lay_out(diagram).boxes.values():
        for x, y in box.corners:
            assert left <= x <= left + width
            assert top <= y <= top + height


def test_hostile_names_are_escaped() -> None:
    evil = "<script>alert('&')</script>"
    diagram = Diagram(evil, (Node("a", evil, 0, 0, evil), Node("b", "b", 1, 0)), (Edge("a", "b", evil),))
    text = draw(diagram)
    assert "<script" not in text
    assert evil in {t.text for t in ElementTree.fromstring(text).iter(f"{SVG}text")}


def test_degenerate_diagrams() -> None:
    assert draw(Diagram("nothing", (), ())) == ""
    lonely = Diagram("one", (Node("a", "a", 3, 2),), (Edge("a", "nowhere"), Edge("a", "a")))
    root = ElementTree.fromstring(draw(lonely))
    assert len(list(root.iter(f"{SVG}g"))) == 1
