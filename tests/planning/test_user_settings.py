"""What a user set in person is known by every name under which a step asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netwright.planning.user_settings import UserSettings
from planning.steps import resolve


def test_names_are_those_of_options_of_assignments_and_of_what_is_in_tables() -> None:
    early = {"training": {"early": {"loss": None}}, "slices": None}
    user = UserSettings(trials=3, seed=0, assignments=early)
    assert user.user_set() == {
        "budget.trials",
        "seed",
        "training",
        "training.early",
        "training.early.loss",
        "slices",
    }
    assert user.values() == {"budget.trials": 3, "seed": 0, **early}
    assert UserSettings().user_set() == frozenset()
    numbered = UserSettings(assignments={"dataset.map_label": {255: 1}})
    assert numbered.user_set() == {"dataset.map_label", "dataset.map_label.255"}


@pytest.mark.parametrize("given", [{"machine.workers": 3}, {"machine": {"workers": 3}}])
def test_a_table_says_the_same_as_its_names(given: dict[str, Any]) -> None:
    assert resolve(Path("dataset"), "segnas4", UserSettings(assignments=given)).machine.workers == 3


@pytest.mark.parametrize("given", [{"space.name": "vgg16"}, {"space": {"name": "vgg16"}}])
def test_another_space_turns_the_recipes_supernet_off_however_it_is_named(given: dict[str, Any]) -> None:
    assert resolve(Path("dataset"), "pdas-cells", UserSettings(assignments=given)).supernet is None
