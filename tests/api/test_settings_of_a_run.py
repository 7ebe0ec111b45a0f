"""The settings of a run are read once, and again when ``run.yaml`` was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

import netwright
from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsError
from netwright.runs.folder import create_run_folder
from netwright.settings import parse_settings

SETTINGS = {
    "recipe": "segnas4",
    "dataset": {"path": "/data"},
    "space": {"name": "segnas"},
    "strategy": {"name": "random"},
    "budget": {"hours": 1.5},
}


@pytest.fixture
def run(tmp_path: Path) -> netwright.Run:
    splits = Splits(("a", "b"), ("c",), ("d",))
    return netwright.Run(create_run_folder(tmp_path / "run", parse_settings(SETTINGS), splits))


def test_they_are_read_once(run: netwright.Run) -> None:
    assert run.settings is run.settings
    assert run.settings == run.folder.settings() == parse_settings(SETTINGS)


def test_more_hours_are_seen_by_a_run_that_was_open_before(run: netwright.Run) -> None:
    other = netwright.open_run(run.folder.root)
    assert other.settings.budget.hours == 1.5
    run.folder.change_settings({"budget.hours": 2.5})
    assert [one.settings.budget.hours for one in (other, run)] == [2.5, 2.5]


def test_more_hours_and_comparisons_are_for_trainings_that_go_on(run: netwright.Run) -> None:
    before = run.folder.settings_file.read_text()
    with pytest.raises(
        SettingsError, match=r"cannot have more hours: it trains each candidate once.*without --hours"
    ):
        run.resume(hours=1)
    with pytest.raises(
        SettingsError, match=r"cannot be compared: it trains each candidate once.*without --compare"
    ):
        run.resume(compare="full")
    with pytest.raises(SettingsError, match="must be full, got 'half'"):
        run.resume(compare="half")
    assert run.folder.settings_file.read_text() == before


def test_a_file_that_went_or_was_damaged_is_noticed(run: netwright.Run) -> None:
    path = run.folder.settings_file
    kept = path.read_text() if run.settings else ""
    path.unlink()
    with pytest.raises(RunError, match="cannot be read"):
        _ = run.settings
    path.write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        _ = run.settings
    path.write_text(kept)
    assert run.settings == parse_settings(SETTINGS)
