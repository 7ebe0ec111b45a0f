"""Numbers of plots as tables: nothing is lost, names are plain, a spreadsheet runs none of it."""

from __future__ import annotations

import csv
import io

import numpy as np
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st

from netwright.report.draw.agents import tables_figure
from netwright.report.numbers import csv_text, described, numbers
from netwright.strategies.pictures import AgentTable


def test_panels_have_columns_of_their_own_and_error_bars_their_ends() -> None:
    figure = go.Figure(
        [
            go.Scatter(x=[1, 2], y=[0.5, None], name="a &amp; b", text=["one<br>two", ""]),
            go.Scatter(x=[3], y=[0.75], xaxis="x2", yaxis="y2", error_y={"array": [0.25], "arrayminus": [0.5]}),
        ],
        layout={
            "xaxis": {"title": "epoch"}, "yaxis": {"title": "<b>loss</b>"},
            "xaxis2": {"title": "epoch"}, "yaxis2": {"title": "Dice"},
        },
    )  # fmt: skip
    assert numbers(figure) == [
        ["series", "epoch", "loss", "Dice", "low", "high", "about"],
        ["a & b", "1", "0.5", "", "", "", "one; two"],
        ["a & b", "2", "", "", "", "", ""],
        ["", "3", "", "0.75", "0.25", "1", ""],
    ]


def test_bars_have_both_of_their_ends_and_those_of_their_errors() -> None:
    figure = go.Figure(
        [
            go.Bar(y=[0, 0, 1], x=[2, 1, 3], base=[0, 5, 1], orientation="h"),
            go.Bar(x=["a"], y=[0.5], xaxis="x2", yaxis="y2", error_y={"array": [0.25]}),
        ],
        layout={
            "xaxis": {"title": "minutes"},
            "yaxis": {"title": "trial", "tickvals": [0, 1], "ticktext": ["4", "7"]},
            "xaxis2": {"title": "run"}, "yaxis2": {"title": "Dice"},
        },
    )  # fmt: skip
    head, *rows = numbers(figure)
    assert [dict(zip(head, row, strict=True)) for row in rows] == [
        {"minutes": end, "trial": trial, "minutes, from": begin, "run": "", "Dice": "", "low": "", "high": ""}
        for end, trial, begin in (("2", "4", "0"), ("6", "4", "5"), ("4", "7", "1"))
    ] + [
        {
            "minutes": "",
            "trial": "",
            "minutes, from": "",
            "run": "a",
            "Dice": "0.5",
            "low": "0.25",
            "high": "0.75",
        }
    ]


def test_a_heat_map_has_a_row_for_every_cell_with_a_value() -> None:
    figure = go.Figure(go.Heatmap(z=[[1.0, np.nan], [3.0, 4.0]], colorbar={"title": {"text": "share"}}))
    figure.update_xaxes(title="predicted", tickvals=[0, 1], ticktext=["disc", "ring"])
    figure.update_yaxes(title="truth", tickvals=[0, 1], ticktext=["disc", "ring"])
    assert numbers(figure) == [
        ["truth", "predicted", "share"],
        ["disc", "disc", "1"],
        ["ring", "disc", "3"],
        ["ring", "ring", "4"],
    ]
    assert described(figure) == "Heat map. share from 1 to 4."


def test_tables_behind_a_menu_are_all_there_with_their_own_actions() -> None:
    tables = [
        AgentTable("one", "two", ("a", "b"), ("c", "d"), np.array([[1.0, np.nan], [2.0, 3.0]]), (0, 0)),
        AgentTable("two", "three", ("c", "d"), ("e",), np.array([[4.0], [5.0]]), None),
    ]
    head, *rows = numbers(tables_figure(tables, "Q-value"))
    assert head == ["series", "row", "column", "Q-value"]
    assert rows == [
        ["one → two", "a", "c", "1"],
        ["one → two", "b", "c", "2"],
        ["one → two", "b", "d", "3"],
        ["two → three", "c", "e", "4"],
        ["two → three", "d", "e", "5"],
    ]


def test_a_plot_without_points_says_so() -> None:
    assert numbers(go.Figure()) == [[]]
    assert described(go.Figure()) == "Plot without points."


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=2, max_size=2), max_size=4)
)
def test_texts_come_back_but_for_formulas(rows: list[list[str]]) -> None:
    """RFC 4180 by Python's own reader; what a spreadsheet would run has an apostrophe before it."""
    back = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert len(back) == len(rows)
    for row, read in zip(rows, back, strict=True):
        for text, cell in zip(row, read, strict=True):
            assert cell.removeprefix("'") == text.removeprefix("'")
            assert not cell.startswith(("=", "@", "\t"))


def test_numbers_below_zero_are_no_formulas() -> None:
    assert csv_text([["-1.5", "-x"]]) == "-1.5,'-x\r\n"
