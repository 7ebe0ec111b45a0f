"""Every figure of a report has its numbers beside it, as a file with a row for each point that plotly is handed."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import re
from typing import Any

import numpy as np
import pytest

from made_up_report import MadeUpReport
from netwright.report.draw.race import BEST, DEFAULT, Racer, race_sections
from netwright.report.sections import Page, render_page
from report_pages import array, plot

RACERS = (
    Racer(0, "16 channels", DEFAULT, 1000, ((10.0, 0.5), (40.0, 0.7)), ((0.0, 12.0), (20.0, 52.0)), None, ""),
    Racer(
        1, "32 channels", BEST, 4000, ((10.0, 0.6), (50.0, 0.8)), ((5.0, 17.0), (60.0, 101.0)), (0.9, 0.1), ""
    ),
    Racer(2, "8 channels", "", 300, (), (), None, "diverged"),
)


@pytest.fixture(scope="module")
def pages(content: MadeUpReport, content_page: str, marl_page: str, images_page: str) -> dict[str, str]:
    race = render_page(Page("a race", "", race_sections(RACERS, "validation Dice")))
    return {"search": content_page, "layers": marl_page, "classes": images_page, "race": race}


@pytest.mark.parametrize("name", ["search", "layers", "classes", "race"])
def test_every_figure_has_a_row_of_numbers_for_each_point(pages: dict[str, str], name: str) -> None:
    page = pages[name]
    figures = re.findall(
        r'<figure>\s*<div class="plot" data-plot="([^"]+)"(.*?)</figure>', page, flags=re.DOTALL
    )
    assert figures
    assert len(figures) == page.count('<div class="plot" data-plot="')
    for figure, inside in figures:
        head, *rows = table_in(inside, figure)
        traces = plot(page, figure)["data"]
        assert len(rows) == sum(map(points, traces)), figure
        assert all(head)
        assert {len(row) for row in rows} == {len(head)}


def test_the_parts_of_a_race_are_told_by_their_begin_and_end(pages: dict[str, str]) -> None:
    (inside,) = re.findall(r'data-plot="parts"(.*?)</figure>', pages["race"], flags=re.DOTALL)
    head, *rows = table_in(inside, "parts")
    columns = [
        head.index(name)
        for name in ("trial", "minutes since the search began, from", "minutes since the search began")
    ]
    told = [[float(row[at]) for at in columns] for row in rows]
    parts = [(racer.number, begin / 60, end / 60) for racer in RACERS for begin, end in racer.parts]
    np.testing.assert_allclose(told, parts, rtol=1e-5)


def table_in(inside: str, name: str) -> list[list[str]]:
    """The file that a figure offers."""
    (link,) = re.findall(r'<a download="([^"]+)" href="data:[^"]*;base64,([^"]+)">', inside)
    assert link[0] in (f"{name}.csv", f"{name}.csv.gz")
    content = base64.b64decode(link[1])
    text = (gzip.decompress(content) if link[0].endswith(".gz") else content).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def points(trace: dict[str, Any]) -> int:
    """How many points of a trace are handed to plotly, without gaps in lines."""
    if trace["type"] == "heatmap":
        return int(np.isfinite(array(trace["z"])).sum())
    sides = [
        trace[side] if isinstance(trace[side], list) else array(trace[side]).tolist()
        for side in ("x", "y")
        if side in trace
    ]
    longest = max(map(len, sides))
    padded = [side + [None] * (longest - len(side)) for side in sides]
    return sum(any(value is not None for value in point) for point in zip(*padded, strict=True))
