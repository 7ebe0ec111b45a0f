"""The figures of the documentation: they are what their script makes, stand alone, and are told in words."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SYSTEMS = ("auto", "segnas3d", "multi-agent-q-learning", "policy-gradient", "pdas")
LARGEST = 60_000


def test_figures_are_what_their_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("make_figures.py", "race.json"):
        (tmp_path / name).write_bytes((DOCS / "images" / name).read_bytes())
    monkeypatch.setattr(sys, "argv", ["make_figures.py"])
    runpy.run_path(str(tmp_path / "make_figures.py"), run_name="__main__")
    for name in SYSTEMS:
        made = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert made == (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8"), (
            f"run: python docs/images/make_figures.py ({name})"
        )


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_has_a_figure_that_is_told_in_words(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    (told,) = re.findall(rf"!\[([^\]]+)\]\(images/{name}\.svg\)", text)
    assert len(told.split()) > 15
    drawn = DOCS / "images" / f"{name}.svg"
    assert drawn.stat().st_size < LARGEST
    root = ElementTree.parse(drawn).getroot()
    background = root.find("{http://www.w3.org/2000/svg}rect")
    assert background is not None
    assert background.attrib["fill"] == "#ffffff", "dark pages show it on white, too"
    assert not [value for element in root.iter() for name, value in element.attrib.items() if "href" in name]
