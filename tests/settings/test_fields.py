"""Every setting is described where it is declared, and what is told of its values holds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import pytest

from netwright.data.layouts import FORMATS
from netwright.data.layouts.image_formats import IMAGE_FORMATS
from netwright.errors import SettingsError
from netwright.logs import LOGS
from netwright.recipes import RECIPES
from netwright.settings import override, parse_settings
from netwright.settings.fields import SettingField, setting_fields
from netwright.spaces.references import REFERENCES
from netwright.tasks import TASKS

FIELDS = setting_fields()
LIMITED = [field for field in FIELDS.values() if set(field.bounds) & {"at_least", "over", "at_most", "under"}]


def accepts(name: str, value: Any) -> bool:
    values = parse_settings({**RECIPES["segnas4"].values, "dataset": {"path": "."}}).model_dump(mode="json")
    try:
        parse_settings(override(values, {name: value}))
    except SettingsError:
        return False
    return True


def test_every_setting_has_a_description_that_stands_alone() -> None:
    assert len(FIELDS) > 100
    for field in FIELDS.values():
        assert len(field.description) > 8, field.name
        assert not field.description.startswith(("of ", "that ")), field.name
        assert "|" not in field.description, field.name  # it would end the cell of a table


@pytest.mark.parametrize(
    ("name", "registered"),
    [
        ("dataset.format", [*FORMATS, *IMAGE_FORMATS]),
        ("log", LOGS),
        ("objective.metric", [metric for task in TASKS.values() for metric in task.metrics]),
        ("training.loss", [loss for task in TASKS.values() for loss in task.losses]),
        ("termination.loss_of_guess", [loss for task in TASKS.values() for loss in task.losses]),
        ("verdict.references", REFERENCES),
    ],
)
def test_a_description_names_all_that_is_registered(name: str, registered: Iterable[str]) -> None:
    assert set(registered) <= set(re.findall(r"`([^`]+)`", FIELDS[name].description))


@pytest.mark.parametrize("field", LIMITED, ids=lambda field: field.name)
def test_ranges_are_those_that_are_kept(field: SettingField) -> None:
    step: float = 1 if "whole number" in field.values else 1e-3
    for low, allowed in (("at_least", True), ("over", False)):
        if low in field.bounds:
            assert accepts(field.name, field.bounds[low]) is allowed
            assert accepts(field.name, field.bounds[low] + step)
            assert not accepts(field.name, field.bounds[low] - step)
    for high, allowed in (("at_most", True), ("under", False)):
        if high in field.bounds:
            assert accepts(field.name, field.bounds[high]) is allowed
            assert not accepts(field.name, field.bounds[high] + step)
    assert not accepts(field.name, math.nan)
    assert accepts(field.name, None) is field.optional or field.name == "budget.trials"


@pytest.mark.parametrize(
    "field", [field for field in FIELDS.values() if field.choices], ids=lambda field: field.name
)
def test_values_that_are_listed_are_taken_and_others_refused(field: SettingField) -> None:
    values = {"true": True, "false": False, "null": None}
    for choice in field.choices:
        if field.name != "budget.trials":  # null alone leaves a search without an end
            assert accepts(field.name, values.get(choice, choice)), choice
    if not set(field.values.split()) & {"text", "path"}:
        assert not accepts(field.name, "no such value")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("training.optimizer", "`nadam`, `adam`, `adamw`, `schedule_free` or `sgd`"),
        ("training.steps", "whole number at least 1 or `null`"),
        ("training.augmentation.shift", "number from 0 to 1"),
        ("supernet.momentum", "number at least 0 and under 1"),
        ("postprocessing.crf", "`true`, `false` or `always`"),
        ("preprocessing.size", "3 numbers, `proportional`, `whole` or `null`"),
        ("machine.checkpoint_seconds", "number at least 0 or `null`"),
        ("log", "list"),
    ],
)
def test_values_in_words(name: str, values: str) -> None:
    assert FIELDS[name].values == values
