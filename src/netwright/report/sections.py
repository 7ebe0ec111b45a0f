"""The sections of a report as plain data, and the page that they make.

The comparison, the search, a task, a strategy and a space each give a `Section` for what they show. A section has an
anchor, a title, and blocks: sentences, tables, figures, galleries of pictures. `render_page` puts the sections in order
and draws each block with its own template in ``blocks/``. All texts are escaped.

Example:
    >>> section = Section("greeting", "A greeting", (Sentences(("Hello & welcome.",)),), order=SEARCH)
    >>> "<p>Hello &amp; welcome.</p>" in render_page(Page("title", "kicker", (section,)))
    True
"""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netwright.report.numbers import csv_text, described, numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

VERDICT, COMPARISON, TASK, SEARCH, STRATEGY, NETWORK, TRIALS, REPETITION = range(0, 800, 100)
"""Where a section stands in the page; numbers between two of these stand between."""

PACKED = 50_000
"""Longer tables of numbers, in bytes, are packed."""

PLOTLY = "vendor/plotly-cartesian.min.js"
"""Plotly's script with the plots that reports have: a third of the whole one, which the Python package brings."""


@dataclass(frozen=True)
class Sentences:
    """Paragraphs of text. ``style`` is "", or "caption" or "quiet" for smaller or paler letters."""

    texts: tuple[str, ...]
    style: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Badge:
    """A word with a coloured dot before it, for example a trial's status. A ``hollow`` dot marks a reused result."""

    text: str
    colour: str
    hollow: bool = False


@dataclass(frozen=True)
class Counts:
    """The number of items of each kind."""

    numbers: tuple[tuple[Badge, int], ...]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: its text.
        small: lines below it, in smaller letters.
        number: whether it is aligned to the right.
        strong: whether it is highlighted in the row of the searched network.
        badge: in place of the text.
        wide: whether it holds long texts.
        head: whether it is the name of its row.
        key: what its column is sorted by, in a table that sorts; None: by the text.
        rows: how many rows of the table it spans.
        columns: how many columns it spans.
    """

    text: str = ""
    small: tuple[str, ...] = ()
    number: bool = False
    strong: bool = False
    badge: Badge | None = None
    wide: bool = False
    head: bool = False
    key: str | None = None
    rows: int = 1
    columns: int = 1
    quiet: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table. ``style``: "searched" or "best" for a highlighted row."""

    cells: tuple[Cell, ...]
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        head: names of the columns; empty for none.
        rows: from top to bottom.
        style: class in the style sheet, for example "narrow"; "" for the usual one.
        scrolls: whether a long table scrolls by itself.
        sorts: whether a click on a column's name sorts the rows; at most one table of a page.
        label: what a screen reader calls it; "": the heading above it.
    """

    head: tuple[Cell, ...]
    rows: tuple[Row, ...]
    style: str = ""
    scrolls: bool = False
    sorts: bool = False
    label: str = ""


@dataclass(frozen=True)
class Figure:
    """A plotly plot. Its ``name`` is unique in the page. ``label``: what a screen reader calls it; "": the heading
    above it.
    """

    name: str
    figure: go.Figure
    caption: str
    label: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page (a ``data:`` URI), its size in pixels, and a description in words."""

    uri: str
    alt: str
    width: int | None = None
    height: int | None = None
    title: str = ""


@dataclass(frozen=True)
class Captioned:
    """A picture of a gallery, with texts above and below: `Markup`, or plain text."""

    picture: Picture
    above: str = ""
    below: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side. ``style``: "tables" for larger ones, "strip" for smaller ones."""

    pictures: tuple[Captioned, ...]
    style: str = "strip"


@dataclass(frozen=True)
class Case:
    """A case of the dataset: a wide picture under ``heads`` (the names of its columns), and blocks beside it."""

    heads: tuple[str, ...]
    picture: Picture
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Turning:
    """Something seen from all sides, which a slider turns. Without scripts and in print the first view is seen.

    Args:
        sheet: the views in one picture, one below the other, all of one height.
        views: how many.
        heads: names of the columns of each view.
        caption: text below it; "" for none.
    """

    sheet: Picture
    views: int
    heads: tuple[str, ...]
    caption: str = ""


@dataclass(frozen=True)
class Code:
    """Commands or settings, in a fixed-width font. ``summary``: the text to click to unfold it; "": it is always
    visible.
    """

    text: str
    summary: str = ""


@dataclass(frozen=True)
class Items:
    """A list of short texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Html:
    """Anything else. Whoever makes it must escape its texts (`Markup`)."""

    html: Markup


Block = Sentences | Heading | Counts | Table | Figure | Gallery | Case | Turning | Code | Items | Html

TEMPLATES: dict[type, str] = {
    Sentences: "sentences",
    Heading: "heading",
    Counts: "counts",
    Table: "table",
    Figure: "figure",
    Gallery: "gallery",
    Case: "case",
    Turning: "turning",
    Code: "code",
    Items: "items",
    Html: "html",
}
"""The template of each kind of block, in ``blocks/``."""


@dataclass(frozen=True)
class Section:
    """A part of the page under its own heading.

    Args:
        anchor: its address within the page. Sections with the same anchor are shown as one, with the title of the first
            and the blocks of all.
        title: its heading; "" for none.
        blocks: its contents from top to bottom. A section without blocks is not shown.
        order: its position, as `SEARCH`. Among equals, the one that was given first comes first.
        link: its name in the list of sections at the top of the page; "" where it is not in the list.
        style: class in the style sheet; "" for the usual one.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    order: int
    link: str = ""
    style: str = ""


@dataclass(frozen=True)
class Page:
    """A report: its title, a line above it, and its sections in any order."""

    title: str
    kicker: str
    sections: tuple[Section, ...]


def in_order(sections: Iterable[Section]) -> list[Section]:
    """The sections as they are shown: sorted, with those of one anchor joined, without empty ones."""
    merged: dict[str, Section] = {}
    for section in sorted(sections, key=lambda section: section.order):
        first = merged.get(section.anchor)
        if not section.blocks:
            continue
        merged[section.anchor] = (
            section
            if first is None
            else replace(first, blocks=(*first.blocks, *section.blocks), link=first.link or section.link)
        )
    return list(merged.values())


def render_page(page: Page) -> str:
    """One HTML file that opens offline: every picture, script and style is inside it.

    It is about 2 MB with plots; most of that is plotly's script.

    Raises:
        ValueError: two plots have the same name.
    """
    sections = [replace(s, blocks=_labelled(s.blocks, s.title)) for s in in_order(page.sections)]
    names = Counter(block.name for s in sections for block in s.blocks if isinstance(block, Figure))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"two plots of the report have the name {twice[0]!r}: expected a name for each")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            sections=sections,
            style=_text("report.css"),
            script=_text("page.js"),
            plotly=_text(PLOTLY) if names else None,
        )
    )


def _labelled(blocks: Sequence[Block], label: str) -> tuple[Block, ...]:
    """The blocks, with tables and plots named by the heading above them."""
    named: list[Block] = []
    for block in blocks:
        if isinstance(block, Heading):
            label = block.text
        elif isinstance(block, Table | Figure) and not block.label:
            block = replace(block, label=label)
        elif isinstance(block, Case):
            block = replace(block, blocks=_labelled(block.blocks, label))
        named.append(block)
    return tuple(named)


def render_blocks(blocks: Sequence[Block]) -> Markup:
    """The HTML of blocks, one below the other."""
    return Markup("\n").join(
        Markup(_environment().get_template(f"blocks/{TEMPLATES[type(block)]}.html.j2").render(block=block))
        for block in blocks
    )


def figure_json(figure: go.Figure) -> Markup:
    """A plot as its script reads it. Plotly's own encoder writes <, > and / as \\u escapes, so that no text can close
    the script element.
    """
    return Markup(figure.to_json())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("netwright.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "blocks": render_blocks,
        "figure_json": figure_json,
        "numbers": numbers,
        "described": described,
        "csv_file": _csv_file,
    }
    environment.filters |= filters
    return environment


def _csv_file(rows: Sequence[Sequence[str]], name: str) -> dict[str, str]:
    """A table as a file inside the page, packed if it is long."""
    content, kind, ending = csv_text(rows).encode(), "text/csv;charset=utf-8", "csv"
    if len(content) > PACKED:
        content, kind, ending = gzip.compress(content, mtime=0), "application/gzip", "csv.gz"
    return {
        "name": f"{name}.{ending}",
        "uri": f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}",
    }


def _text(name: str) -> Markup:
    """A file of this folder that is part of every page."""
    return Markup(resources.files("netwright.report").joinpath(name).read_text(encoding="utf-8"))
