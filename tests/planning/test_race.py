"""What a search whose trainings go on says of its settings before it begins."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from netwright.comparison.finish import seconds_to_finish
from netwright.errors import SettingsError, SettingsWarning
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.recipe import first_draft
from netwright.planning.resolve import Chapter, take_steps
from netwright.planning.user_settings import UserSettings


def planned(dataset: Path, recipe: str = "auto", **given: Any) -> tuple[Draft, Context]:
    user = UserSettings(hours=1.0, workers=1, assignments={"training.device": "cpu", **given})
    draft, context = first_draft(dataset, recipe, user), Context(user)
    take_steps(draft, context, Chapter.SETTINGS, Chapter.DATA)
    return draft, context


def test_too_few_validation_cases_are_told_with_the_share_that_it_takes(shapes: Path) -> None:
    with pytest.warns(SettingsWarning, match="no network can be better than the default") as told:
        _, context = planned(shapes, split=[0.9, 0.05, 0.05])
    text = str(told[0].message)
    assert f"With {len(context.splits.validation)} validation cases" in text
    share = re.search(r"--set split=\[([\d.,]+)\]", text)
    assert share is not None, text
    with warnings.catch_warnings():
        warnings.simplefilter("error", SettingsWarning)
        _, context = planned(shapes, split=[float(part) for part in share[1].split(",")])
    assert len(context.splits.validation) >= 5


def test_where_no_share_is_enough_the_only_way_is_more_cases(dataset: Path) -> None:
    with pytest.warns(SettingsWarning) as told:
        planned(dataset)
    text = str(told[0].message)
    assert "Expected at least 5: label more cases." in text
    assert "limits" not in text
    with pytest.warns(SettingsWarning, match="you get the default, if it keeps the limits"):
        planned(dataset, **{"objective.limits": ["parameters<=1e5"]})


def test_where_costs_are_weighed_few_cases_are_no_hindrance(dataset: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SettingsWarning)
        planned(dataset, **{"objective.costs": {"parameters": 1e-9}})


def test_settings_of_trainings_that_go_on_make_no_other_recipe_a_race(dataset: Path) -> None:
    told = r"race.single \(--single\) is for trainings that go on, but the recipe segnas4 .* --recipe auto"
    with pytest.raises(SettingsError, match=told):
        planned(dataset, "segnas4", **{"race.single": True})
    with pytest.raises(SettingsError, match=r"race.rule is for"):
        planned(dataset, "segnas4", **{"race.rule": "asha"})
    draft = first_draft(dataset, "segnas4", UserSettings(assignments={"race": {}, "race.single": True}))
    assert draft.race is not None
    assert draft.race.single


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_crf_is_part_of_the_hours(dataset: Path, workers: int) -> None:
    """What is kept for the end grows by what the CRFs of both networks may take, one after the other or at once."""
    given = {"machine.workers": workers, "postprocessing.crf": True}
    draft, user = first_draft(dataset, "auto", UserSettings(hours=1.0, assignments=given)), UserSettings()
    take_steps(draft, Context(user), Chapter.SETTINGS)
    with_crf = draft.finished()
    draft.change({"postprocessing.crf": False})
    longer = [seconds_to_finish(one, 1.0, 10, 10) for one in (with_crf, draft.finished())]
    assert longer[0] - longer[1] == pytest.approx(360, abs=2), "a tenth of an hour"
    turns = 1 if workers > 1 else 2
    assert turns * with_crf.postprocessing.minutes == pytest.approx(6, abs=0.03)


def test_minutes_of_the_user_for_a_crf_are_kept_or_refused(dataset: Path) -> None:
    given = {"machine.workers": 1, "postprocessing.crf": True, "postprocessing.minutes": 14.0}
    draft = first_draft(dataset, "auto", UserSettings(hours=1.0, assignments=given))
    take_steps(draft, Context(), Chapter.SETTINGS)
    assert draft.postprocessing.minutes == 14.0
    assert seconds_to_finish(draft.finished(), 1.0, 10, 10) > 2 * 14 * 60
    draft = first_draft(dataset, "auto", UserSettings(hours=0.9, assignments=given))
    with pytest.raises(SettingsError, match=r"52% of budget.hours=0.9: postprocessing.minutes is 14"):
        take_steps(draft, Context(), Chapter.SETTINGS)


def test_options_that_the_user_gives_the_space_stay_where_the_data_choose_it(shapes: Path) -> None:
    draft, _ = planned(shapes, **{"space.fixed": {"width": 16}})
    assert draft.space.name == "classifier-stages"
    assert draft.space.options["fixed"] == {"width": 16}
