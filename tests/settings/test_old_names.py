"""Settings that were renamed are still read by their old names."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import yaml

from netwright.errors import SettingsWarning
from netwright.planning.user_settings import UserSettings
from netwright.settings import override, parse_settings, read_assignments, read_settings
from netwright.settings.fields import setting_fields
from netwright.settings.old_names import OLD_NAMES
from planning.steps import resolve

BOTH = "training+validation"


def test_a_run_that_was_made_with_the_old_name_is_read(tmp_path: Path) -> None:
    values = resolve(Path("dataset"), "pdas-cells", UserSettings()).model_dump(mode="json")
    expected = parse_settings(values)
    assert expected.train.cases == BOTH
    values["train"]["on"] = values["train"].pop("cases")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_settings(tmp_path / "run.yaml") == expected


def test_a_user_may_give_the_old_name_and_is_told_once() -> None:
    asked = UserSettings(assignments={"train.on": BOTH})
    with pytest.warns(SettingsWarning, match=r"train\.on is called train\.cases now") as told:
        settings = resolve(Path("dataset"), "segnas4", asked)
    assert settings.train.cases == BOTH
    assert len([one for one in told if issubclass(one.category, SettingsWarning)]) == 1
    assert asked.user_set() == {"train.cases"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", SettingsWarning)
        assert (
            resolve(Path("dataset"), "segnas4", UserSettings(assignments={"train.cases": BOTH})) == settings
        )


def test_a_table_is_given_whole_by_old_and_new_names() -> None:
    values = resolve(Path("dataset"), "segnas4", UserSettings()).model_dump(mode="json")
    for text in ("train={cases: training+validation}", "train={'on': training+validation}"):
        assert parse_settings(override(values, read_assignments([text]))).train.cases == BOTH


def test_old_names_lead_to_settings_of_today() -> None:
    for old, new in OLD_NAMES.items():
        assert old not in setting_fields()
        assert new in setting_fields()
        assert old.rpartition(".")[0] == new.rpartition(".")[0]
