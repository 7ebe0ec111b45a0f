"""docs/settings.md holds the tables that the code makes."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from netwright.errors import SettingsError
from netwright.settings.page import with_tables
from processes import run

PAGE = next(p for p in Path(__file__).resolve().parents if p.name == "tests").parent / "docs" / "settings.md"


def test_the_page_is_what_the_code_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "run: python -m netwright.settings.page docs/settings.md"
    assert len(re.findall("^<!-- settings: ", page, re.MULTILINE)) == 19
    assert len(re.findall("^<!-- options: ", page, re.MULTILINE)) == 17


def test_a_table_that_was_changed_or_lost_is_made_anew(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    other = page.replace("images in a batch", "something else")
    other = re.sub(r"(?m)^\| `budget\..*\n", "", other)
    assert other != page
    assert "budget.trials` |" not in other
    copy = shutil.copy(PAGE, tmp_path / "settings.md")
    Path(copy).write_text(other, encoding="utf-8")
    done = run([sys.executable, "-m", "netwright.settings.page", copy])
    assert done.returncode == 0, done.stderr
    assert Path(copy).read_text(encoding="utf-8") == page


def test_the_defaults_are_those_of_the_recipe_and_else_of_the_classes() -> None:
    table = with_tables("<!-- settings: preprocessing.pad_value, slices.empty, machine.workers -->\n")
    cells = [line.split(" | ")[:2] for line in table.splitlines() if line.startswith("| `")]
    assert cells == [
        ["| `preprocessing.pad_value`", "`air`"],  # the class says zero
        ["| `slices.empty`", "`keep`"],
        [
            "| `machine.workers`",
            "one a GPU, else one a core that the container or the job has; on Ray as many as the cluster has room for",
        ],
    ]


def test_a_table_of_no_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="'trainings'"):
        with_tables("<!-- settings: trainings -->\n\n")
    with pytest.raises(SettingsError, match=r"no space 'cell'. Did you mean cells"):
        with_tables("<!-- options: space cell -->\n")
    with pytest.raises(SettingsError, match="no variant 'new'"):
        with_tables("<!-- options: strategy q-learning/new -->\n")
    with pytest.raises(SettingsError, match="'loss'"):
        with_tables("<!-- options: loss dice -->\n")


def test_a_new_table_stands_apart_from_the_text_behind_it() -> None:
    page = with_tables("Before.\n\n<!-- options: strategy gp -->\n\nBehind.\n")
    assert page == with_tables(page)
    before, blank, *rows, apart, behind = page.splitlines()[1:]
    assert (before, blank, apart, behind) == ("", "<!-- options: strategy gp -->", "", "Behind.")
    assert rows[0] == ""
    assert all(row.startswith("|") for row in rows[1:])
