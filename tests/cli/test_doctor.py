"""``netwright doctor``: what it says is what the machine and the package say."""

from __future__ import annotations

import io
import tomllib
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from conftest import Command
from netwright.cli import doctor
from netwright.cli.display import Display
from netwright.cli.status_lines import status_lines
from netwright.execution.resources import available_cores
from netwright.runs.folder import open_run_folder
from netwright.runs.status import read_status

ROOT = Path(__file__).resolve().parents[2]


def test_every_extra_is_named_with_what_it_is_for(netwright: Command) -> None:
    done = netwright("doctor")
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(declared) - {"dev", "docs"}
    for name, (modules, purpose) in doctor.EXTRAS.items():
        assert f"extra {name}: " in said
        assert purpose in said
        assert modules
    assert f"cores {available_cores()}" in said
    assert f"of {psutil.virtual_memory().total / 1e9:.1f} GB" in said
    assert max(map(len, done.stdout.splitlines())) <= doctor.WIDTH + 25  # a path is not broken


def test_too_little_room_is_a_problem_with_its_own_exit_code(
    netwright: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LEAST_DISK_MB", 1e12)
    done = netwright("doctor")
    assert done.returncode == 1
    assert "NETWRIGHT_CACHE" in done.stderr


@pytest.mark.slow  # cli/test_commands.py measures for a plan
def test_a_search_is_measured_for_a_dataset(dataset: Path, netwright: Command) -> None:
    done = netwright("doctor", dataset, "--seconds", "1")
    assert done.returncode == 0, done.stderr
    assert f"on {dataset.name}" in " ".join(done.stdout.split())
    missing = netwright("doctor", dataset / "nowhere")
    assert missing.returncode == 1
    assert "does not exist" in missing.stderr


@pytest.mark.parametrize("columns", [40, 80])
def test_the_time_left_is_seen_in_a_narrow_terminal(columns: int, finished_run: Path) -> None:
    """What the live display draws at this width, of a search of which much is left."""
    folder = open_run_folder(finished_run)
    status = read_status(folder)
    searching = replace(
        status, phase="searching", seconds=8942.0, budget_seconds=21_287.0, budget_trials=None
    )
    console = Console(width=columns, force_terminal=True, record=True, file=io.StringIO())
    with Display(console) as display:
        display.show(searching)
    lines = console.export_text().splitlines()
    assert any("left" in line and "42%" in line for line in lines), lines
    assert "3 h 26 m left" in status_lines(searching, columns)[1][:columns]
