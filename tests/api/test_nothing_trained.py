"""A search at whose end there is no trained candidate says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.api import create_run
from netwright.data.samples.phantoms import write_sample
from netwright.errors import RunError, SettingsError
from netwright.planning.user_settings import UserSettings


def user_settings(**settings: object) -> UserSettings:
    small = {"space.n": 4, "space.p": 2, "preprocessing.size": [16, 16, 16], "machine.threads": 1}
    return UserSettings(workers=1, epochs=1, assignments={**small, **settings})


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "data"
    write_sample(path, cases=6, seed=0)
    return path


def test_no_time_for_any_candidate_is_said(sample: Path, tmp_path: Path) -> None:
    asked = user_settings(**{"budget.hours": 1e-9, "verdict.hours": 0})
    run = create_run(sample, "segnas4", asked, tmp_path / "run")
    with pytest.raises(RunError, match="began in the time") as caught:
        run.resume()
    assert "()" not in str(caught.value)
    assert "--hours" in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:99", "mps:7", "meta", "no-such"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    sample: Path, tmp_path: Path, device: str
) -> None:
    with pytest.raises(SettingsError, match=r"training.device .*auto, cpu"):
        create_run(sample, "segnas4", user_settings(**{"training.device": device}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
