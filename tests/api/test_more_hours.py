"""More hours for a run whose trainings go on: what `extend` asks for is what a search needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.api.race import extend, fewest_hours
from netwright.comparison.seconds_at_end import seconds_to_finish
from netwright.data.splits import Splits
from netwright.errors import SettingsError
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder, create_run_folder
from netwright.searches.components import open_study
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.spaces import make_space
from simulated_race import Simulated, settings_of


def searched(folder: RunFolder, executor: Simulated) -> int:
    """The number of trials after a search within the hours of the run."""
    settings = folder.settings()
    assert settings.race is not None
    study, space = open_study(folder, settings), make_space(settings.space)
    kept = seconds_to_finish(settings, settings.race.validation_seconds, 1, 1)
    data = SearchData(folder.root, (0, 1), (2,))
    MultiFidelitySearch(folder, settings, data, study, space, executor, kept, executor.now).run()
    return len(study.get_trials())


def test_fewer_hours_than_a_training_needs_are_refused(tmp_path: Path) -> None:
    race = {"first_seconds": 30.0, "validation_seconds": 2.5}
    settings = settings_of(tmp_path, budget={"hours": 0.1}, race=race)
    folder = create_run_folder(tmp_path / "run", settings, Splits(("a", "b"), ("c",), ("d",)))
    executor = Simulated()
    trials = searched(folder, executor)
    fewest = fewest_hours(folder, folder.settings())
    assert fewest > 0
    few = round(fewest - 0.0005, 6)
    with pytest.raises(SettingsError, match=rf"--hours {few:g} is too few.* at least {fewest:g}"):
        extend(folder, few)
    assert folder.settings().budget.hours == 0.1
    folder.change_settings({"budget.hours": 0.1 + few})
    assert searched(folder, executor) == trials, "no training would have gone on"
    folder.change_settings({"budget.hours": 0.1})
    extend(folder, fewest)
    assert searched(folder, executor) > trials


def test_few_hours_are_enough_for_the_default_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"hours": 0.1})
    folder = create_run_folder(tmp_path / "run", settings, Splits(("a", "b"), ("c",), ("d",)))
    searched(folder, Simulated())
    extend(folder, 0.0001, "full")
    extend(folder, 0.0001)
    assert folder.settings().budget.hours == pytest.approx(0.1002)
