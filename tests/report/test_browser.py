"""The report in a real browser: every plot draws, nothing is logged as an error, sorting sorts."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from processes import run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

# Written into the page before anything else, so that nothing escapes it.
WATCH = """<head><script>
const seen = [];
addEventListener("error", (e) => seen.push(String(e.message)), true);
addEventListener("unhandledrejection", (e) => seen.push(String(e.reason)));
const complain = console.error; console.error = (...a) => { seen.push(a.join(" ")); complain(...a); };
addEventListener("load", () => setTimeout(() => {
  const column = (n) => [...document.querySelectorAll("#every-trial tbody tr")]
    .map((row) => row.cells[n].textContent.trim());
  const heads = document.querySelectorAll("#every-trial th");
  heads[2].click(); const rising = column(2);
  heads[2].click(); const falling = column(2);
  heads[0].click(); const numbers = column(0).map((t) => parseInt(t));
  const asked = performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith("data:"));
  document.body.dataset.seen = JSON.stringify({errors: seen, rising, falling, numbers, asked});
}, 1500));
</script>"""


def elements(text: str, folder: Path) -> str:
    """The page's elements after its scripts have run."""
    file = folder / "report.html"
    file.write_text(text.replace("<head>", WATCH, 1), encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--window-size=1100,2000",
        "--virtual-time-budget=15000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = run(command, seconds=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def watched(document: str) -> dict[str, list[str]]:
    """What the page's watch has written down."""
    found = re.search(r'<body[^>]* data-seen="([^"]*)"', document)
    assert found is not None, "the page's scripts did not come to their end"
    value: dict[str, list[str]] = json.loads(html.unescape(found[1]))
    return value


@pytest.fixture(scope="module")
def document(content_page: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return elements(content_page, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def seen(document: str) -> dict[str, list[str]]:
    return watched(document)


def test_no_errors_and_nothing_asked_from_outside(seen: dict[str, list[str]]) -> None:
    assert seen["errors"] == []
    assert seen["asked"] == []


def test_every_plot_is_drawn(document: str) -> None:
    places = re.findall(r'data-plot="(\w+)"', document)
    assert set(places) == {"search", "size", "cases", "retraining", "best"}
    drawn = re.findall(r'class="plot js-plotly-plot"', document)
    assert len(drawn) == len(places)
    assert document.count('class="point"') > 100


def test_trials_sort_and_missing_values_stay_last(seen: dict[str, list[str]]) -> None:
    values = [v for v in seen["rising"] if v != "–"]
    assert values == sorted(values)
    assert seen["falling"][: len(values)] == values[::-1]
    assert set(seen["rising"][len(values) :]) == set(seen["falling"][len(values) :]) == {"–"}
    assert seen["numbers"] == sorted(seen["numbers"])


def test_agents_and_images_are_drawn(images_page: str, tmp_path: Path) -> None:
    document = elements(images_page, tmp_path)
    seen = watched(document)
    assert seen["errors"] == []
    assert seen["asked"] == []
    places = re.findall(r'data-plot="(\w+)"', document)
    assert set(places) == {"search", "size", "confusion", "choices", "agents", "retraining", "best"}
    assert len(re.findall(r'class="plot js-plotly-plot"', document)) == len(places)
    # A heat map is an image: the confusion matrix, the visible table, three panels and their best columns.
    assert len(re.findall(r'<g class="hm">', document)) == 8
