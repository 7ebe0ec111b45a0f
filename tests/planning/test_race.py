"""What a search whose trainings go on says of its settings before it begins."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from netwright.comparison.seconds_at_end import seconds_to_finish
from netwright.errors import SettingsError, SettingsWarning
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.race import choose_first_part
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
        draft, context = planned(shapes, split=[float(part) for part in share[1].split(",")])
    assert len(context.splits.validation) >= 5
    assert draft.race is not None
    assert not draft.race.only_default


def test_where_no_share_is_enough_the_only_way_is_more_cases(dataset: Path) -> None:
    with pytest.warns(SettingsWarning) as told:
        planned(dataset)
    text = str(told[0].message)
    assert "Expected at least 5: label more cases." in text
    assert "limits" not in text
    with pytest.warns(SettingsWarning, match="you get the default, if it keeps the limits"):
        planned(dataset, **{"objective.limits": ["parameters<=1e5"]})


def test_where_nothing_can_be_proven_all_hours_go_to_the_default(dataset: Path) -> None:
    with pytest.warns(SettingsWarning, match="so all the hours go to the default") as told:
        draft, _ = planned(dataset)
    assert draft.race is not None
    assert draft.race.only_default
    assert "search all the same, set race.only_default=false" in str(told[0].message)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"budget.trials": 4}, "so you get the default\\."),
        ({"race.only_default": False}, "so you get the default\\."),
        ({"objective.limits": ["parameters<=1e5"]}, "so you get the default, if it keeps the limits\\."),
    ],
)
def test_others_are_trained_all_the_same_where_the_user_says_so(
    given: dict[str, Any], told: str, dataset: Path
) -> None:
    with pytest.warns(SettingsWarning, match=told):
        draft, _ = planned(dataset, **given)
    assert draft.race is not None
    assert not draft.race.only_default


@pytest.mark.parametrize(
    "given", [{"objective.costs": {"parameters": 1e-9}}, {"strategy": {"name": "random"}}]
)
def test_a_race_that_does_not_fall_back_on_the_default_has_all_its_candidates(
    given: dict[str, Any], dataset: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SettingsWarning)
        draft, _ = planned(dataset, **given)
    assert draft.race is not None
    assert not draft.race.only_default


def test_a_run_that_is_repeated_with_more_cases_has_its_race_again(dataset: Path) -> None:
    with pytest.warns(SettingsWarning):
        few, _ = planned(dataset)
    assert few.race is not None
    assert few.race.only_default
    user = UserSettings(repeat=few.finished(), assignments={"split": [0.2, 0.6, 0.2]})
    draft, context = first_draft(dataset, None, user), Context(user)
    take_steps(draft, context, Chapter.SETTINGS, Chapter.DATA)
    assert len(context.splits.validation) >= 5
    assert draft.race is not None
    assert not draft.race.only_default


def test_nothing_but_the_default_needs_a_strategy_that_begins_with_it(dataset: Path) -> None:
    given = {"race.only_default": True, "strategy": {"name": "random"}}
    with pytest.raises(
        SettingsError, match=r"the strategy random does not begin with the default.*strategy\.first"
    ):
        planned(dataset, **given)


def test_settings_of_trainings_that_go_on_make_no_other_recipe_a_race(dataset: Path) -> None:
    told = r"race.single \(--single\) is for trainings that go on, but the recipe segnas4 .* --recipe auto"
    with pytest.raises(SettingsError, match=told):
        planned(dataset, "segnas4", **{"race.single": True})
    with pytest.raises(SettingsError, match=r"race.rule is for"):
        planned(dataset, "segnas4", **{"race.rule": "asha"})
    draft = first_draft(dataset, "segnas4", UserSettings(assignments={"race": {}, "race.single": True}))
    assert draft.race is not None
    assert draft.race.single


def test_the_end_has_the_time_that_whole_volumes_take(dataset: Path) -> None:
    """Whatever few patches of them tell in the race: the choice and the tests predict every window."""
    given: dict[str, Any] = {"preprocessing.size": [16, 16, 16], "budget.trials": 9}
    seconds = {}
    for patches in (None, 1):
        with pytest.warns(SettingsWarning):
            draft, context = planned(dataset, **given, **{"training.validation_patches": patches})
        context.epoch_seconds, context.validation_seconds, context.flops = 4.0, 3.0, 1e9
        choose_first_part(draft, context)
        assert draft.race is not None
        seconds[patches] = draft.race.validation_seconds
        assert draft.race.most_flops == pytest.approx(0.5 * 10 / 3 * 1e9, rel=0.01), "as in the race"
    assert seconds[None] == 3.0
    assert seconds[1] == pytest.approx(3.0 * 8 / 3), "eight windows, or a patch and two more for its labels"


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
