"""Drawings as files: well-formed SVG that shows the values that it was given."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.report.draw.files import SVG, curves_file, diagrams_file, even_ticks, text_file
from netwright.spaces.base import Diagram, Edge, Node

FINITE = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


def elements(file: bytes, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(file).iter(f"{{{SVG}}}{name}"))


def texts(file: bytes) -> list[str]:
    return ["".join(element.itertext()).strip() for element in elements(file, "text")]


@given(FINITE, FINITE)
def test_ticks_are_few_round_and_around_the_values(low: float, high: float) -> None:
    low, high = sorted((low, high))
    ticks = even_ticks(low, high)
    steps = np.diff(ticks)
    assert ticks[0] <= low + 1e-9 * steps[0]
    assert ticks[-1] >= high - 1e-9 * steps[0]
    assert 2 <= len(ticks) <= 8
    assert np.allclose(steps, steps[0])
    leading = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(leading - round_one) for round_one in (1, 2, 5, 10)) < 1e-6


def test_a_curve_goes_through_its_values() -> None:
    """Its points are an affine image of the values, downwards, and the gaps have none."""
    values = [0.9, None, 0.5, math.nan, 0.4, 0.45]
    file = curves_file({"train_loss": values, "validation_score": [0.1] * 6}, "Dice")
    loss, score = elements(file, "polyline")
    points = np.array([point.split(",") for point in loss.attrib["points"].split()], float)
    known = [(epoch, v) for epoch, v in enumerate(values, 1) if v is not None and not math.isnan(v)]
    assert len(points) == len(known)
    for axis, sign in ((0, 1), (1, -1)):
        given_values = np.array(known)[:, axis]
        slope, offset = np.polyfit(given_values, points[:, axis], 1)
        assert np.sign(slope) == sign
        assert np.allclose(points[:, axis], slope * given_values + offset, atol=0.2)
    assert len(score.attrib["points"].split()) == 6
    assert {"loss", "validation Dice", "epoch"} <= set(texts(file))


@pytest.mark.parametrize("curves", [{}, {"train_loss": [None]}, {"train_loss": []}])
def test_a_training_without_values_says_so(curves: dict[str, list[float | None]]) -> None:
    assert texts(curves_file(curves, "Dice")).count("no value yet") == 2


def test_diagrams_are_below_each_other_and_their_texts_harmless() -> None:
    nodes = (Node("a", "<script>", 0, 0), Node("b", "b & c", 1, 0))
    diagram = Diagram("Block <1>", nodes, (Edge("a", "b"),))
    file = diagrams_file([diagram, Diagram("empty", (), ()), diagram])
    first, second = elements(file, "svg")[1:]
    assert float(second.attrib["y"]) >= float(first.attrib["y"]) + float(first.attrib["height"])
    assert not elements(file, "script")
    assert texts(file).count("Block <1>") == 2
    assert "b & c" in texts(file)
    height = float(ElementTree.fromstring(file).attrib["height"])
    assert height >= float(second.attrib["y"]) + float(second.attrib["height"])


def test_a_long_text_is_broken_into_lines() -> None:
    lines = texts(text_file("No picture: " + "word " * 60))
    assert len(lines) > 3
    assert " ".join(lines).split() == ["No", "picture:", *["word"] * 60]
