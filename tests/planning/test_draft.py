"""A draft changes section by section, and comes to the same as settings that are read as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from netwright.errors import SettingsError
from netwright.planning.draft import Draft
from netwright.recipes import RECIPES
from netwright.settings import RunSettings, override, parse_settings


def values_of(recipe: str) -> dict[str, Any]:
    return {**RECIPES[recipe].values, "dataset": {"path": "."}}


CHANGES: tuple[dict[str, Any], ...] = (
    {"training.epochs": 5, "space.size": (16, 16), "dataset.map_label": {255: 1}},
    {"training.early": {"loss": 1.0}, "training.augmentation.cutout": 4},
    {"strategy.name": "random", "objective": "dice", "slices": {}},
    {"inpainting.mask": "half", "verdict.rival": "elsewhere", "supernet.epochs": 3},
)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("changes", CHANGES)
def test_a_changed_draft_is_what_changed_values_are_read_as(recipe: str, changes: dict[str, Any]) -> None:
    draft = Draft.begin(values_of(recipe))
    draft.change(changes)
    base = parse_settings(values_of(recipe)).model_dump(mode="json")
    read = parse_settings(parse_settings(override(base, changes)).model_dump(mode="json"))
    assert draft.finished() == read
    assert {name: getattr(draft, name) for name in RunSettings.model_fields} == dict(read)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1, "budget.trials": 0, "split": (0.1, 0.9)},
        {"training.learning_rate": -1.0, "seed": -1},
        {"training.epochs": "many", "machine.workers": 0},
        {"training.bogus": 1},
    ],
)
def test_a_draft_refuses_what_settings_refuse_in_the_same_words(changes: dict[str, Any]) -> None:
    base = parse_settings(values_of("segnas4")).model_dump(mode="json")
    with pytest.raises(SettingsError) as whole:
        parse_settings(override(base, changes))
    with pytest.raises(SettingsError) as draft:
        Draft.begin(base).change(changes)
    assert str(draft.value) == str(whole.value)


def test_what_the_user_set_stays() -> None:
    draft = Draft.begin(values_of("segnas4"), {"training.epochs"})
    epochs = draft.training.epochs
    draft.choose({"training.epochs": epochs + 1, "training.batch_size": 7})
    assert (draft.training.epochs, draft.training.batch_size) == (epochs, 7)
    draft.change({"training.epochs": epochs + 1})
    assert draft.finished().training.epochs == epochs + 1
