"""What a run makes of its hours, epochs and space where the search is one training; what its validation tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.planning.user_settings import UserSettings
from netwright.recipes import RECIPES
from netwright.recipes.pdas import ALL
from netwright.runs.data import open_own, prepare_own
from netwright.searches.one_shot import (
    SharedJob,
    make_search,
    require_searchable,
    require_shared,
    shared_space,
)
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from planning.steps import resolve

HERE = Path(".")


def resolved(recipe: str = "pdas-cells", **options: Any) -> RunSettings:
    return resolve(HERE, recipe, UserSettings(**options))


def seconds(settings: RunSettings) -> float | None:
    assert settings.supernet is not None
    return settings.supernet.seconds


def test_hours_are_those_of_the_search() -> None:
    assert seconds(resolved()) is None
    assert seconds(resolved(hours=2.0)) == 7200.0
    assert seconds(resolved(hours=2.0, assignments={"supernet.seconds": 100})) == 100.0


def test_a_repeated_run_has_the_same_length_unless_another_is_given() -> None:
    first = resolved(hours=1.0, assignments={"supernet.seconds": 100})
    repeated = UserSettings(repeat=first)
    assert seconds(resolve(HERE, None, repeated)) == 100.0
    assert seconds(resolve(HERE, None, replace(repeated, hours=2.0))) == 7200.0
    without = replace(repeated, assignments={"budget.hours": None, "budget.trials": None})
    with pytest.raises(SettingsError):
        resolve(HERE, None, without)
    endless = resolve(HERE, None, replace(repeated, assignments={"budget.hours": None}))
    assert seconds(endless) is None


def test_epochs_take_the_place_of_the_recipes_steps() -> None:
    assert resolved("pdas-inpainting").training.steps == 500_000
    assert resolved("pdas-inpainting", assignments={"training.epochs": 5}).training.steps is None


def test_epochs_of_candidates_are_refused_with_those_of_the_search() -> None:
    with pytest.raises(SettingsError, match=r"supernet\.epochs=5"):
        resolved(epochs=5)
    assert resolved(epochs=5, assignments={"supernet": None}).training.epochs == 5


@pytest.mark.parametrize("assignment", [{"budget.trials": 5}, {"budget": {"trials": 5}}])
def test_trials_are_refused_however_they_are_given(assignment: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="no trials"):
        resolved(assignments=assignment)


@pytest.mark.parametrize("cases", ["training", "training+validation"])
def test_the_paper_searches_on_all_cases_but_the_test_cases(cases: str, shapes: Path, tmp_path: Path) -> None:
    assert all(RECIPES[name].values["supernet"]["cases"] == ALL for name in ("pdas-cells", "pdas-inpainting"))
    given = {"supernet.cases": cases, "supernet.space.channels": 4, "supernet.space.normal_cells": 1}
    settings = resolve(shapes, "pdas-cells", UserSettings(assignments=given))
    prepared = prepare_own(open_own(settings), settings)
    job = SharedJob(settings, prepared.folder, tuple(range(20)), tuple(range(20, 30)), tmp_path)
    learnt = make_search(job)._inputs.cases
    assert sorted(learnt) == list(range(30 if cases == ALL else 20))


def test_another_space_or_strategy_turns_the_recipes_supernet_off() -> None:
    assert resolved(assignments={"space.name": "vgg16"}).supernet is None
    assert resolved(assignments={"strategy.name": "tpe"}).supernet is None
    other = resolved("pdas-segnas7", assignments={"space.name": "segnas11", "space.n": 8})
    assert other.supernet is not None
    with_one = {"strategy.name": "tpe", "supernet.epochs": 3}
    with pytest.raises(SettingsError, match="natural-gradient"):
        require_shared(resolved(assignments=with_one))


def test_another_space_leaves_the_options_of_the_recipes_space_behind() -> None:
    def options(**assignments: Any) -> dict[str, Any]:
        found = {name.replace("__", "."): value for name, value in assignments.items()}
        settings = resolved(assignments=found)
        require_shared(settings)
        assert settings.supernet is not None
        return settings.supernet.space

    assert options(space__name="cells") == options() == {"channels": 16, "normal_cells": 2}
    assert options(space__name="autoencoder") == {}
    said = {"space__name": "autoencoder", "supernet__space__channels": [64]}
    with pytest.raises(SettingsError, match="dimensions"):
        options(**said)
    assert options(space__name="autoencoder", supernet__space={"share": "slices"}) == {"share": "slices"}
    turned = resolved("pdas-inpainting", assignments={"space.name": "cells"})
    require_searchable(turned, ClassificationTask(3, ("a", "b"), (32, 32)), training=2)


SHARED_WEIGHTS = {
    "pdas-cells": (ClassificationTask(3, ("a", "b"), (32, 32)), None),
    "pdas-inpainting": (InpaintingTask(3, (64, 64)), 540_376_256),
    "pdas-segnas7": (SegmentationTask(1, ("a",), (32, 32, 32)), None),
}
"""Task, and the number of weights where the documentation speaks of it."""


@pytest.mark.parametrize("recipe", SHARED_WEIGHTS)
def test_the_recipes_can_be_searched_and_have_as_many_weights_as_is_said(recipe: str) -> None:
    settings = resolved(recipe)
    require_shared(settings)
    task, weights = SHARED_WEIGHTS[recipe]
    require_searchable(settings, task, training=2)
    with torch.device("meta"):
        supernet = shared_space(settings).supernet(task)
    counted = sum(weight.numel() for weight in supernet.parameters())
    assert counted > 1000 if weights is None else counted == weights
    sampled = supernet.steps(make_space(settings.space).starting_choice())
    assert {step.key for step in sampled} < set(supernet.operations)


def test_every_recipe_of_pdas_is_looked_at() -> None:
    assert set(SHARED_WEIGHTS) == {name for name in RECIPES if name.startswith("pdas")}


def test_what_could_not_take_its_first_step_is_refused_before_the_run_is_made() -> None:
    settings = resolved()
    task = ClassificationTask(3, ("a", "b"), (32, 32))
    with pytest.raises(SettingsError, match="two training cases"):
        require_searchable(settings, task, training=1)
    with pytest.raises(InfeasibleArchitecture, match="2 x 2"):
        require_searchable(settings, ClassificationTask(3, ("a", "b"), (2, 2)), training=9)
    wide = resolved("pdas-segnas7", assignments={"space.name": "segnas11"})
    with pytest.raises(SettingsError, match=r"\bn\b"):
        require_searchable(wide, SegmentationTask(1, ("a",), (32, 32, 32)), training=9)
