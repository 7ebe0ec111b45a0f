"""The page of a served network in a real browser: a file is chosen, and its slices, colours or classes appear."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

import netwright as package
from browser import CHROMIUM, Browser, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
RED, BLUE = np.array([230, 75, 53]), np.array([77, 187, 213])
"""The colours of the first two labels."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile"), webgl=True) as opened:
        yield opened


def shown(tab: Browser, port: int, file: Path, state: str = "done") -> Browser:
    """The page after a file was chosen."""
    tab.open(f"http://127.0.0.1:{port}/", 1100, 900)
    tab.wait_for("document.body.dataset.state === 'ready'")
    tab.choose("#file", file)
    tab.wait_for("['done', 'failed'].includes(document.body.dataset.state)")
    tab.settle()
    assert tab.run("document.body.dataset.state") == state, tab.run("document.body.innerText")
    return tab


def coloured(picture: bytes, box: list[int]) -> tuple[int, int]:
    """How many pixels within a box (left, top, right, bottom) are nearly of the colours of the labels."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB").crop(tuple(box)), np.int64)  # type: ignore[arg-type]
    near = [int((np.abs(pixels - colour).max(axis=-1) < 40).sum()) for colour in (RED, BLUE)]
    return near[0], near[1]


def cells(tab: Browser, table: str) -> list[list[str]]:
    found: list[list[str]] = tab.run(
        f"[...document.querySelectorAll('#{table} tr')].map((row) => [...row.cells].map((c) => c.textContent.trim()))"
    )
    return found


def test_a_volume_is_shown_slice_by_slice(
    tab: Browser, serving: Callable[[str], Any], old_runs: Path, tmp_path: Path
) -> None:
    file = old_runs / "datasets/volumes/imagesTr/ball_0.nii.gz"
    (written,) = package.open_run(old_runs / "segnas7").predict(file, tmp_path)
    image: Any = nibabel.load(written)  # type: ignore[attr-defined]
    labels = np.asarray(image.dataobj)
    page = shown(tab, serving("segnas7").port, file)
    millilitres = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert cells(page, "labels") == [
        ["ball", f"{(labels == 1).sum() * millilitres:.2f} ml"],
        ["core", f"{(labels == 2).sum() * millilitres:.2f} ml"],
    ]
    slider = "document.getElementById('slice')"
    assert page.run(f"Number({slider}.max)") + 1 == labels.shape[2]
    page.run("document.getElementById('opacity').value = 1")
    page.run("document.getElementById('opacity').dispatchEvent(new Event('input'))")
    box = page.run(
        "(() => { const b = document.getElementById('slices').getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom].map(Math.round); })()"
    )
    canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)  # type: ignore[attr-defined]
    for place in (0, canonical.shape[2] // 2, canonical.shape[2] - 1):
        page.run(f"{slider}.value = {place}; {slider}.dispatchEvent(new Event('input'))")
        page.settle()
        assert page.run("document.getElementById('slice-number').textContent").startswith(f"{place + 1} of ")
        found = coloured(page.picture(), box)
        counts = [int((canonical[:, :, place] == label).sum()) for label in (1, 2)]
        assert [count > 0 for count in found] == [count > 0 for count in counts]
        if all(counts):  # but for the lines of the cross
            assert found[1] / found[0] == pytest.approx(counts[1] / counts[0], rel=0.15)
    page.run("document.getElementById('view').value = 3")
    page.run("document.getElementById('view').dispatchEvent(new Event('change'))")
    page.settle()
    assert all(coloured(page.picture(), box))
    assert page.complaints() == []
    assert {path.rsplit(":", 1)[-1].partition("/")[2] for path in page.asked()} == {
        "static/page.css", "static/page.js", "static/niivue.js", "about", "predict",
    }  # fmt: skip


@pytest.mark.slow
def test_a_picture_is_shown_in_colours(
    tab: Browser, serving: Callable[[str], Any], old_runs: Path, tmp_path: Path
) -> None:
    file = old_runs / "datasets/masked/images/disc_0.png"
    (written,) = package.open_run(old_runs / "marl", trust_code=True).predict(file, tmp_path)
    labels = np.asarray(Image.open(written))
    page = shown(tab, serving("marl").port, file)
    listed = [int(row[1].split()[0]) for row in cells(page, "labels")]
    assert listed == [int((labels == value).sum()) for value in range(1, len(listed) + 1)]
    assert sum(listed) > 0
    page.run("document.getElementById('opacity').value = 1")
    page.run("document.getElementById('opacity').dispatchEvent(new Event('input'))")
    drawn = page.run(
        "(() => { const c = document.getElementById('picture');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; })()"
    )
    pixels = np.array(drawn).reshape(*labels.shape, 4)[..., :3]
    np.testing.assert_array_equal(pixels[labels == 1], np.tile(RED, (listed[0], 1)))
    np.testing.assert_array_equal(pixels[labels == 2], np.tile(BLUE, (listed[1], 1)))
    assert page.complaints() == []


@pytest.mark.slow
def test_classes_are_listed_by_their_probabilities(
    tab: Browser, serving: Callable[[str], Any], old_runs: Path, tmp_path: Path
) -> None:
    file = old_runs / "datasets/pictures/test/disc/disc_8.png"
    (table,) = package.open_run(old_runs / "pdas-cells").predict(file, tmp_path)
    (row,) = csv.DictReader(table.read_text().splitlines())
    page = shown(tab, serving("pdas-cells").port, file)
    expected = sorted(("bars", "disc", "noise"), key=lambda name: -float(row[name]))
    assert [(name, percent) for name, percent, _ in cells(page, "classes")] == [
        (f"✓ {name}" if name == row["found"] else name, f"{100 * float(row[name]):.1f} %")
        for name in expected
    ]


@pytest.mark.slow
def test_a_restored_picture_is_shown_beside_it(
    tab: Browser, serving: Callable[[str], Any], old_runs: Path
) -> None:
    page = shown(tab, serving("pdas-inpainting").port, old_runs / "datasets/restored/ramp_3.png")
    assert page.run("document.getElementById('restored').naturalWidth") == 16
    assert page.run("document.getElementById('picture').width") > 0
    assert page.run("document.getElementById('download').download") == "ramp_3-prediction.png"
    assert page.complaints() == []


@pytest.mark.slow
def test_a_refusal_is_told(tab: Browser, serving: Callable[[str], Any], old_runs: Path) -> None:
    page = shown(tab, serving("segnas7").port, old_runs / "datasets/restored/ramp_3.png", "failed")
    assert "found a file .png" in page.run("document.getElementById('error').textContent")
    assert page.run("document.getElementById('result').hidden")
