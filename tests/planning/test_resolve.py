"""The steps from a recipe to a run's settings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from netwright import api
from netwright.planning.resolve import STEPS, Chapter
from netwright.planning.user_settings import UserSettings
from netwright.settings import RunSettings, read_settings

CLASSIFIER = {"space.network": "tiny_networks:classifier", "training.device": "cpu"}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often settings are read as a whole, by class."""
    counts: Counter[str] = Counter()
    validate = RunSettings.model_validate.__func__  # type: ignore[attr-defined]

    def counting(cls: type[RunSettings], values: Any) -> RunSettings:
        counts[cls.__name__] += 1
        read: RunSettings = validate(cls, values)
        return read

    monkeypatch.setattr(RunSettings, "model_validate", classmethod(counting))
    return counts


@pytest.mark.usefixtures("shared_workers")
def test_settings_are_parsed_once(shapes: Path, tmp_path: Path, parsed: Counter[str]) -> None:
    """All steps that change settings take part: the starting candidate is measured, and hours are shared."""
    user = UserSettings(hours=1.0, workers=1, assignments={**CLASSIFIER, "termination.loss_of_guess": 0.9})
    run = api.create_run(shapes, "marl", user, tmp_path / "run")
    assert parsed == {"Draft": 1, "RunSettings": 1}
    settings = read_settings(run.folder.settings_file)
    assert settings.training.seconds is not None
    assert settings.training.early is not None
    parsed.clear()
    api.create_run(shapes, None, UserSettings(workers=1, repeat=settings), tmp_path / "again")
    assert parsed == {"Draft": 1, "RunSettings": 1}


def test_every_step_has_a_name_of_its_own() -> None:
    names = [name for steps in STEPS.values() for name, _ in steps]
    functions = [step for steps in STEPS.values() for _, step in steps]
    assert list(STEPS) == list(Chapter)
    assert len(set(names)) == len(names)
    assert len(set(functions)) == len(functions)
