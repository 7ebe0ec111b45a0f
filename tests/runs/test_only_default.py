"""When a search trains its default alone, and how a run says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netwright.cli.status_lines import status_lines
from netwright.data.splits import Splits
from netwright.files import write_json
from netwright.runs.candidates import RaceStatus
from netwright.runs.folder import RunFolder, open_run_folder
from netwright.runs.only_default import unproven, why_only_default
from netwright.runs.status import read_status
from simulated_race import settings_of

CASES = ("a1", "a2", "b", "c", "d")


def divided(**groups: str) -> Splits:
    return Splits(("t",), CASES, ("u",), groups)


def test_five_validation_cases_can_prove_something_and_fewer_patients_cannot() -> None:
    assert unproven(divided()) == ""
    told = unproven(divided(a1="a", a2="a"))
    assert told.startswith("with 4 validation patients no network can be better")
    assert "with 1 validation case no" in unproven(replace(divided(), validation=("b",)))


@pytest.mark.parametrize(
    ("groups", "only", "told"),
    [
        ({}, False, ""),
        ({"a1": "a", "a2": "a"}, False, ""),
        ({}, True, "as race.only_default says"),
        ({"a1": "a", "a2": "a"}, True, "Expected at least 5: label more patients"),
    ],
)
def test_a_run_says_why_and_what_to_do(groups: dict[str, str], only: bool, told: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_json(folder.splits_file, divided(**groups).to_dict())
    settings = settings_of(tmp_path, race={"first_seconds": 30, "only_default": only})
    why = why_only_default(folder, settings)
    assert told in why
    assert bool(why) == only


def test_the_status_says_it_and_counts_the_time_however_few_trainings_there_are(finished_run: Path) -> None:
    status = read_status(open_run_folder(finished_run))
    race = RaceStatus(1, 1, 0, 300.0, 0.8, 300.0, "All the hours go to the default.")
    searching = replace(
        status,
        phase="searching",
        race=race,
        counted=1,
        budget_trials=1,
        seconds=360.0,
        budget_seconds=3600.0,
    )
    assert searching.done == pytest.approx(0.1)
    assert searching.seconds_left == pytest.approx(3240.0)
    assert "note   All the hours go to the default." in status_lines(searching)
