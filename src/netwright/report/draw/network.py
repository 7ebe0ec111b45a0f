"""The searched network as its space shows it: drawings, and a table of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from netwright.report.draw.diagrams import draw
from netwright.report.formatting import sentence_case
from netwright.report.sections import (
    NETWORK,
    Block,
    Cell,
    Heading,
    Html,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.summaries import SEARCHED_TITLE
from netwright.spaces.base import Diagram


@dataclass(frozen=True)
class NetworkTable:
    """A network layer by layer: the names of the columns, and one row for each layer."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def network_section(
    diagrams: Sequence[Diagram],
    table: NetworkTable | None,
    title: str = SEARCHED_TITLE,
    note: str = "",
) -> Section:
    """The network that the search ended with; empty where there is no drawing and no table.

    Args:
        diagrams: drawings of it.
        table: of its layers; None: there is none.
        title: what it is called.
        note: which network is shown, where that must be said.
    """
    drawings = Markup("\n").join(
        Markup('<figure><h3>{}</h3><div class="drawing">{}</div></figure>').format(
            d.title, draw(d, key=f"diagram-{i}")
        )
        for i, d in enumerate(diagrams)
    )
    blocks: list[Block] = []
    if note and (diagrams or table is not None):
        blocks.append(Sentences((note,)))
    if diagrams:
        blocks.append(Html(Markup('<div class="diagrams">\n{}\n</div>').format(drawings)))
    if table is not None:
        blocks += [Heading("Layer by layer"), _layers(table)]
    return Section("winner", sentence_case(title), tuple(blocks), NETWORK, link="Winner")


def _layers(table: NetworkTable) -> Table:
    def cells(texts: Sequence[str]) -> tuple[Cell, ...]:
        return tuple(Cell(text, number=column > 0) for column, text in enumerate(texts))

    return Table(cells(table.columns), tuple(Row(cells(row)) for row in table.rows), style="layers")
