"""The report in a real browser: it draws, sorts and turns, on a phone, in the dark, in print, and read aloud."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser, browser
from processes import run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

PAPER = 718
"""Pixels between the margins of a page of A4, at 96 an inch."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(content_page: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(content_page, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(tab: Browser, address: str) -> Browser:
    """The made-up report, in a window of a desktop."""
    tab.open(address)
    return tab


def written(text: str, folder: Path) -> str:
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    return file.as_uri()


def brightness(colour: str) -> float:
    """From 0 for black to 1 for white, of ``rgb(1, 2, 3)``."""
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / (3 * 255)


def style_of(page: Browser, selector: str, name: str) -> str:
    return str(page.run(f"getComputedStyle(document.querySelector({selector!r}))[{name!r}]"))


def test_no_errors_and_nothing_asked_from_outside(page: Browser) -> None:
    assert page.complaints() == []
    assert page.asked() == []


def test_every_plot_is_drawn(page: Browser) -> None:
    assert set(page.run("[...document.querySelectorAll('.js-plotly-plot')].map((p) => p.dataset.plot)")) == {
        "search", "size", "cases", "retraining", "best",
    }  # fmt: skip
    assert page.run("document.querySelectorAll('[data-plot]:not(.js-plotly-plot)').length") == 0
    assert page.run("document.querySelectorAll('.point').length") > 100


def test_trials_sort_and_missing_values_stay_last(page: Browser) -> None:
    column = (
        "[...document.querySelectorAll('#every-trial tbody tr')].map((r) => r.cells[{}].textContent.trim())"
    )
    button = "document.querySelectorAll('#every-trial thead button')[{}].click()"
    rising = page.run(f"{button.format(2)}; {column.format(2)}")
    falling = page.run(f"{button.format(2)}; {column.format(2)}")
    numbers = [int(text.split()[0]) for text in page.run(f"{button.format(0)}; {column.format(0)}")]
    values = [v for v in rising if v != "–"]
    assert values == sorted(values)
    assert falling[: len(values)] == values[::-1]
    assert set(rising[len(values) :]) == set(falling[len(values) :]) == {"–"}
    # The best trial's number has its role in small letters below.
    assert numbers[:10] == sorted(numbers[:10])
    assert page.run("document.querySelector('#every-trial th').ariaSort") == "ascending"


def test_the_numbers_of_a_figure_open_as_a_table(page: Browser) -> None:
    """The table is what the file says, read by Python's own reader."""
    details = "[data-plot=size]"
    page.run(f"document.querySelector('{details}').closest('figure').querySelector('details').open = true")
    page.settle()
    link, name, cells = page.run(
        f"(() => {{ const d = document.querySelector('{details}').closest('figure').querySelector('details');"
        "const a = d.querySelector('a'); return [a.href, a.download, [...d.querySelectorAll('tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))]; })()"
    )
    assert name == "size.csv"
    text = base64.b64decode(link.split(",")[1]).decode()
    assert cells == list(csv.reader(io.StringIO(text)))
    assert cells[0][:3] == ["series", "parameters", "validation Dice, in the search"]
    assert len(cells) > 30


def test_a_segmentation_turns(page: Browser) -> None:
    moved = page.run(
        "(() => { const turn = document.querySelector('.turning input'); turn.value = 6;"
        "turn.dispatchEvent(new Event('input'));"
        "return [turn.closest('figure').querySelector('img').style.transform, turn.ariaValueText]; })()"
    )
    assert moved == ["translateY(-25%)", "90 degrees"]
    assert page.run("document.querySelectorAll('.turning').length") == 3


def test_a_screen_reader_is_told_everything(page: Browser) -> None:
    spoken = page.spoken()
    roles = {role for role, _ in spoken}
    assert {"banner", "navigation", "main", "region", "heading", "columnheader", "figure"} <= roles
    named = ("image", "img", "table", "button", "link", "slider", "region", "graphics-document")
    assert [role for role, name in spoken if role in named and not name.strip()] == []
    plots = [name for role, name in spoken if role in ("image", "img") and "Series:" in name]
    assert any("Training for the comparison: Plot. minutes of training from" in name for name in plots)
    assert any(role == "table" and name == "Comparison on unseen cases" for role, name in spoken)


@pytest.mark.parametrize("width", [500, 360])
def test_nothing_is_wider_than_a_phone(page: Browser, width: int) -> None:
    page.resize(width)
    page.settle()
    assert page.run("document.documentElement.scrollWidth") == width
    # Two panels are one below the other, and the plots stay inside.
    assert page.run("document.querySelector('[data-plot=size]').layout.yaxis.domain") == [0.6, 1]
    assert page.run("[...document.querySelectorAll('.main-svg')].every((s) => s.clientWidth <= innerWidth)")
    # What scrolls by itself can be scrolled with the keyboard.
    assert page.run(
        "[...document.querySelectorAll('.wide')].every((b) => (b.scrollWidth > b.clientWidth) === (b.tabIndex === 0))"
    )
    page.resize(1100)
    page.settle()
    assert page.run("document.querySelector('[data-plot=size]').layout.xaxis.domain") == [0, 0.43]


def test_in_the_dark_all_is_dark_but_what_is_printed(page: Browser) -> None:
    page.media("dark")
    page.settle()
    background = style_of(page, "body", "backgroundColor")
    plot = style_of(page, "[data-plot=search] .main-svg", "backgroundColor")
    assert brightness(background) < 0.15
    assert plot == background
    for selector, name in (
        ("body", "color"),
        ("[data-plot=search] .xtitle", "fill"),
        ("svg.diagram text", "fill"),
    ):
        assert brightness(style_of(page, selector, name)) > 0.7
    page.media("dark", "print")
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.settle()
    assert brightness(style_of(page, "body", "backgroundColor")) == 1
    assert brightness(style_of(page, "[data-plot=search] .main-svg", "backgroundColor")) == 1
    page.run("dispatchEvent(new Event('afterprint'))")
    page.media("light")
    page.settle()


def test_print_has_no_column_of_one_word_and_no_empty_page(page: Browser, tmp_path: Path) -> None:
    page.media("light", "print")
    page.resize(PAPER)
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.settle()
    assert page.run("document.documentElement.scrollWidth") <= PAPER
    narrow = page.run(
        "[...document.querySelectorAll('td')].filter((cell) => cell.clientWidth < 40 && cell.clientHeight > 100).length"
    )
    assert narrow == 0
    page.run("dispatchEvent(new Event('afterprint'))")
    page.media("light")
    page.resize(1100)
    file = tmp_path / "report.pdf"
    file.write_bytes(page.pdf())
    assert file.read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext") is None:
        return  # poppler-utils is not needed for the rest
    told = run(["pdftotext", "-layout", file, "-"], seconds=60).stdout
    pages = told.removesuffix("\f").split("\f")
    assert 5 <= len(pages) <= 12
    assert all(text.strip() for text in pages)


def test_agents_and_images_are_drawn(tab: Browser, images_page: str, tmp_path: Path) -> None:
    tab.open(written(images_page, tmp_path))
    assert tab.complaints() == []
    assert tab.asked() == []
    drawn = tab.run("[...document.querySelectorAll('.js-plotly-plot')].map((p) => p.dataset.plot)")
    assert set(drawn) == {"search", "size", "confusion", "choices", "agents", "retraining", "best"}
    # A heat map is an image: the confusion matrix, the visible table, three panels and their best columns.
    assert tab.run("document.querySelectorAll('g.hm').length") == 8
    tab.resize(500)
    tab.settle()
    assert tab.run("document.documentElement.scrollWidth") == 500
