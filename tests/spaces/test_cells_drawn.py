"""Cells and their stack in words, in a table and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest

from netwright.report.draw.diagrams import draw, lay_out
from netwright.searches.random_choices import draw_choice
from netwright.spaces.cells import CellSpace

SMALL = CellSpace(channels=4, normal_cells=1, nodes=3)


@dataclass(frozen=True)
class Shape:
    channels: int = 3
    classes: int = 10
    size: tuple[int, ...] = (12, 9)


def test_words_tables_and_drawings() -> None:
    choice = SMALL.starting_choice() | {
        "normal.node3.source2": "node1",
        "normal.node3.operation2": "identity",
    }
    assert (
        SMALL.describe(choice)
        == "normal: 1 identity, 5 separable3, 2 outputs; reduction: 6 separable3, 3 outputs"
    )
    table = SMALL.table(choice, 10)
    assert table[2] == ("normal", "3", "separable3", "cell-2", "identity", "node1")
    assert len(table) == 6
    assert all(len(row) == len(SMALL.table_columns) for row in table)
    normal, reduction, network = SMALL.diagrams(choice, Shape())
    assert [d.title for d in (normal, reduction, network)] == ["Normal cell", "Reduction cell", "Network"]
    labels = {(e.source, e.target): (e.label, e.dashed) for e in normal.edges}
    assert labels["node1", "node3"] == ("identity", True)
    assert labels["cell-2", "node1"] == ("sep 3 x 3", False)
    assert {source for source, target in labels if target == "output"} == {"node2", "node3"}
    assert {node.name for node in network.nodes} >= {"image", "reduction cell 1", "auxiliary head", "output"}


@pytest.mark.parametrize("seed", range(5))
def test_drawings_are_clear(seed: int) -> None:
    space = CellSpace()
    for diagram in space.diagrams(draw_choice(space.distributions(), np.random.default_rng(seed)), Shape()):
        ElementTree.fromstring(draw(diagram))
        drawing = lay_out(diagram)
        boxes, labels = list(drawing.boxes.values()), [box for box in drawing.labels if box.width]
        assert len(drawing.curves) == len(diagram.edges)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
        assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[i + 1 :])
