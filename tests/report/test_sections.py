"""Sections come in order, those of one anchor as one, and every kind of block shows its texts, escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args

import numpy as np
import plotly.graph_objects as go
import pytest
from markupsafe import Markup

from netwright.report.draw.strategy import PICTURES, strategy_sections
from netwright.report.sections import (
    SEARCH,
    TASK,
    TEMPLATES,
    Badge,
    Block,
    Captioned,
    Case,
    Cell,
    Code,
    Counts,
    Figure,
    Gallery,
    Heading,
    Html,
    Items,
    Page,
    Picture,
    Row,
    Section,
    Sentences,
    Table,
    Turning,
    in_order,
    render_page,
)
from netwright.strategies import pictures
from netwright.strategies.pictures import AgentTable, AgentTables, StepMeans, StrategySection, ValuesOverTime

HOSTILE = "<img src=x onerror=alert(1)>"
PICTURE = Picture("data:image/png;base64,", HOSTILE, 4, 3, HOSTILE)

BLOCKS: dict[type, Callable[[str], Block]] = {
    Sentences: lambda text: Sentences((text, "and more"), "caption"),
    Heading: Heading,
    Counts: lambda text: Counts(((Badge(text, "#123456"), 3),)),
    Table: lambda text: Table((Cell(text),), (Row((Cell(text, (text,), key=text),)),)),
    Figure: lambda text: Figure("a", go.Figure(layout={"title": text, "height": 100}), text),
    Gallery: lambda text: Gallery((Captioned(PICTURE, text, text),)),
    Case: lambda text: Case((text,), PICTURE, (Heading(text),)),
    Turning: lambda text: Turning(PICTURE, 3, (text,), text),
    Code: lambda text: Code(text, text),
    Items: lambda text: Items((text,)),
    Html: lambda text: Html(Markup("<i>{}</i>").format(text)),
}


def section(anchor: str, order: int, text: str, link: str = "") -> Section:
    return Section(anchor, anchor.title(), (Sentences((text,)),), order, link)


def page_of(*blocks: Block) -> str:
    return render_page(Page("a title", "a kicker", (Section("a", "A", blocks, SEARCH),)))


def test_sections_stand_in_order_and_equal_ones_as_they_were_given() -> None:
    given = [section("c", SEARCH, "3"), section("b", SEARCH, "4"), section("a", TASK, "1")]
    assert [s.anchor for s in in_order(given)] == ["a", "c", "b"]


def test_sections_of_one_anchor_become_one_at_the_place_of_the_first() -> None:
    """A task's table joins the comparison; a link is given by whoever gives one."""
    late, early = section("both", SEARCH, "late", "Both"), section("both", TASK, "early")
    (merged, other) = in_order([late, section("other", TASK + 1, "other"), early])
    assert [block.texts for block in merged.blocks if isinstance(block, Sentences)] == [("early",), ("late",)]
    assert (merged.order, merged.link, other.anchor) == (TASK, "Both", "other")


def test_an_empty_section_is_left_out_and_gives_no_title() -> None:
    empty = Section("both", "an empty title", (), TASK)
    assert in_order([empty]) == []
    assert in_order([empty, section("both", SEARCH, "text")])[0].title == "Both"


def test_the_list_of_sections_is_that_of_their_links() -> None:
    text = render_page(Page("t", "k", (section("a", 2, "1", "First & last"), section("b", 1, "2"))))
    assert re.findall(r'<nav aria-label="sections">(.*)</nav>', text) == ['<a href="#a">First &amp; last</a>']
    assert re.findall(r'<section id="(\w)"', text) == ["b", "a"]


def test_every_kind_of_block_has_a_template_and_is_tried_here() -> None:
    assert set(get_args(Block)) == set(TEMPLATES) == set(BLOCKS)


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_shows_its_text_and_escapes_it(kind: type) -> None:
    page = page_of(BLOCKS[kind](HOSTILE))
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "A plain text" in page_of(BLOCKS[kind]("A plain text"))


def test_cells_say_what_they_are() -> None:
    number = Cell("12", ("small", ""), number=True, strong=True, key="12.5")
    rows = (Row((Cell("name", head=True, rows=2), number), "searched"), Row((Cell(wide=True, columns=3),)))
    page = page_of(Table((), rows, style="facts", scrolls=True))
    assert '<div class="scroll">' in page
    assert '<th scope="row" rowspan="2">name</th>' in page
    assert '<td class="number" data-key="12.5"><span class="value">12</span><small>small</small></td>' in page
    assert '<td class="text" colspan="3"></td>' in page
    assert '<tr class="searched">' in page
    assert "<thead>" not in page


def test_only_a_page_with_plots_carries_plotly() -> None:
    assert len(page_of(Heading("no plot"))) < 20_000
    assert len(page_of(BLOCKS[Figure]("a plot"))) > 1_000_000


def test_two_plots_of_one_name_are_refused() -> None:
    figure = BLOCKS[Figure]("a plot")
    with pytest.raises(ValueError, match="two plots of the report have the name 'a'"):
        page_of(figure, figure)


def test_every_picture_of_a_strategy_is_drawn() -> None:
    means = StepMeans("means", "Steps", ("x",), np.array([[0.1, 0.2, 0.3]]), np.array([1]), "reward", "c")
    table = AgentTable("one", "other", ("a",), ("b", "c"), np.array([[0.5, 1.0]]), (0, 1))
    shown = (
        ValuesOverTime("path", ("x",), (("1",), ("2",)), np.array([[0.0], [1.0]]), "round", "c"),
        means,
        AgentTables((table,), "value"),
    )
    assert {type(picture) for picture in shown} == set(get_args(pictures.Picture)) == set(PICTURES)
    given = StrategySection("mine", "My strategy", "Mine", ("It went well.",), shown)
    text = render_page(Page("t", "k", strategy_sections([given])))
    assert set(re.findall(r'data-plot="(\w+)"', text)) == {"path", "means", "agents"}
    for words in (
        '<a href="#mine">Mine</a>',
        '<h2 id="mine-title">My strategy</h2>',
        "<p>It went well.</p>",
        "<h3>Steps</h3>",
    ):
        assert words in text
