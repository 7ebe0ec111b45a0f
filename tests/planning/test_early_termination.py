"""The thresholds of early termination, and what an episode is worth: by closed forms, and with tiny networks."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netwright.api import create_run
from netwright.data.images.prepared import PreparedImages
from netwright.data.open import split_any
from netwright.data.samples.images import write_classification_sample
from netwright.errors import SettingsError
from netwright.planning.draft import Draft
from netwright.planning.early_termination import choose_early_termination, needs_batch_seconds
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_own, prepare_own
from netwright.searches.components import problem_of, reward_of
from netwright.settings import RunSettings, parse_settings
from netwright.spaces import make_space
from netwright.spaces.base import Layered
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.outcome import Status
from netwright.training.trial import evaluate_candidate
from planning.steps import CHOOSE_FROM_DATA, after, resolve

CLASSIFIER = {"space.network": "tiny_networks:classifier"}
SHAPES = ClassificationTask(1, ("disc", "ring", "square", "triangle"), (16, 16))
CELLS = SegmentationTask(1, ("cell", "nucleus"), (24, 24))


def settings_with(**changes: Any) -> RunSettings:
    values = {"recipe": "marl", "dataset": {"path": "."}, "strategy": {"name": "q-learning"}}
    return parse_settings({**values, "space": {"name": "vgg16"}, **changes})


def with_termination(
    settings: RunSettings, task: Any, batch_seconds: float | None, user_set: Collection[str] = ()
) -> RunSettings:
    return after(
        settings, choose_early_termination, user_set=user_set, task=task, batch_seconds=batch_seconds
    )


def needs_start(settings: RunSettings, user_set: Collection[str] = ()) -> bool:
    return needs_batch_seconds(Draft.begin(settings.model_dump(mode="json"), user_set))


@pytest.mark.parametrize(
    ("loss", "task", "guess"),
    [("cross_entropy", SHAPES, math.log(4)), ("dice", CELLS, 1.0)],
)
def test_thresholds_are_shares_of_a_guess_and_of_the_starting_network_s_time(
    loss: str, task: Any, guess: float
) -> None:
    given = {"slower_than_start": 2.5, "loss_of_guess": 0.8, "batches": 7, "epochs": 4}
    settings = settings_with(training={"loss": loss}, termination=given)
    assert needs_start(settings)
    early = with_termination(settings, task, 0.03).training.early
    assert early is not None
    assert early.batch_seconds == pytest.approx(2.5 * 0.03, rel=1e-2)
    assert early.loss == pytest.approx(0.8 * guess, rel=1e-3)
    assert (early.batches, early.loss_epochs) == (7, 4)


def test_thresholds_that_are_set_stay_and_the_others_are_measured() -> None:
    given = {"slower_than_start": 2.0, "loss_of_guess": 0.9, "batches": 7}
    settings = settings_with(
        training={"loss": "cross_entropy", "early": {"loss": 1.0, "loss_epochs": 5}}, termination=given
    )
    assert needs_start(settings)
    early = with_termination(settings, SHAPES, 0.1).training.early
    assert early is not None
    assert (early.loss, early.loss_epochs, early.batch_seconds, early.batches) == (1.0, 5, 0.2, 7)
    timed = settings_with(training={"early": {"batch_seconds": 0.5}}, termination={"slower_than_start": 2.0})
    assert not needs_start(timed)
    assert with_termination(timed, SHAPES, None).training.early == timed.training.early


def test_without_shares_there_are_no_thresholds() -> None:
    settings = settings_with()
    assert not needs_start(settings)
    assert with_termination(settings, SHAPES, 0.1) == settings


@pytest.mark.parametrize("given", [{"early": None}, {"early.loss": None, "early.batch_seconds": None}])
def test_no_threshold_that_the_user_took_away_comes_back(given: dict[str, Any]) -> None:
    names = {f"training.{name}" for name in given}
    settings = settings_with(
        training={"loss": "cross_entropy", "early": None if "early" in given else {}},
        termination={"slower_than_start": 2.0, "loss_of_guess": 0.9},
    )
    assert not needs_start(settings, names)
    early = with_termination(settings, SHAPES, 0.1, names).training.early
    assert (early is None) == ("early" in given)
    assert early is None or (early.loss, early.batch_seconds) == (None, None)
    measured = with_termination(settings, SHAPES, 0.1).training.early
    assert measured is not None
    assert measured.loss == pytest.approx(0.9 * math.log(4), rel=1e-3)
    assert measured.batch_seconds == 0.2


def test_a_default_that_the_user_gave_stays() -> None:
    settings = settings_with(
        training={"loss": "cross_entropy", "early": {"loss_epochs": 3}},
        termination={"loss_of_guess": 0.9, "epochs": 7, "batches": 8},
    )
    early = with_termination(settings, SHAPES, None, {"training.early.loss_epochs"}).training.early
    assert early is not None
    assert (early.loss_epochs, early.batches) == (3, 8)


def test_what_the_user_says_of_early_termination_stands_in_the_run(shapes: Path, tmp_path: Path) -> None:
    for given, expected in (
        ({"training.early": None}, None),
        ({"training.early.loss": None, "termination.slower_than_start": None}, (None, 6)),
        ({"training.early": {"loss": None, "batch_seconds": None, "batches": 10}}, (None, 10)),
    ):
        user = UserSettings(trials=1, assignments={**CLASSIFIER, "termination.batches": 6, **given})
        run = create_run(shapes, "marl", user, tmp_path / f"run-{len(list(tmp_path.iterdir()))}")
        early = run.settings.training.early
        assert (early if early is None else (early.loss, early.batches)) == expected
        assert early is None or early.batch_seconds is None


def test_a_guess_of_two_terms_is_the_sum_of_both() -> None:
    loss = {"loss": "dice_cross_entropy", "loss_dice_weight": 0.6, "loss_cross_entropy_weight": 2.0}
    settings = settings_with(training=loss, termination={"loss_of_guess": 0.5})
    early = with_termination(settings, CELLS, None).training.early
    assert early is not None
    assert early.loss == pytest.approx(0.5 * (0.6 + 2 * math.log(3)), rel=1e-3)


def test_a_loss_without_a_known_guess_says_what_to_set(cells: Path, tmp_path: Path) -> None:
    loss = {"space.network": "tiny_networks:segmenter", "training.loss": "exponential_logarithmic"}
    stages: list[str] = []
    with pytest.raises(SettingsError, match=r"training\.early\.loss"):
        create_run(cells, "marl", UserSettings(assignments=loss), tmp_path / "run", stages.append)
    assert stages == [], "before the data is looked at"
    known = settings_with(
        training={"loss": "exponential_logarithmic", "early": {"loss": 2.0}},
        termination={"loss_of_guess": 0.9},
    )
    early = with_termination(known, CELLS, None).training.early
    assert early is not None
    assert early.loss == 2.0


def test_few_pictures_end_no_plain_network_as_hopeless(tmp_path: Path) -> None:
    """An epoch of a hundred pictures has seven steps: the loss is near a guess's for longer than three epochs."""
    sample = write_classification_sample(tmp_path / "classes", pictures=29, size=16)
    user = UserSettings(
        trials=1, workers=1, assignments={**CLASSIFIER, "termination.slower_than_start": None}
    )
    settings = create_run(sample, "marl", user, tmp_path / "run").settings
    prepared = prepare_own(open_own(settings), settings)
    assert isinstance(prepared, PreparedImages)
    splits = split_any(prepared, settings.seed, settings.split)
    space = make_space(settings.space)
    assert isinstance(space, Layered)
    cases = prepared.indices(splits.training), prepared.indices(splits.validation)
    outcome = evaluate_candidate(
        partial(space.build, space.original_choice()),
        problem_of(settings, prepared),
        *cases,
        settings.training,
        seed=0,
    )
    early = settings.training.early
    assert early is not None
    assert early.loss is not None
    assert min(outcome.curves["train_loss"][:3]) > early.loss, "else this shows nothing"
    assert (outcome.status, outcome.restarts) == (Status.COMPLETE, 0), outcome.reason


def test_the_reward_is_divided_by_the_epochs_of_the_episode_not_by_those_until_patience_ended_it(
    shapes: Path,
) -> None:
    given = {"objective.costs": {}, "objective.weight": 1.0, "training.epochs": 12, "training.patience": 2}
    settings = resolve(shapes, "marl", UserSettings(assignments={**CLASSIFIER, **given}))
    opened = open_own(settings)
    prepared = prepare_own(opened, settings)
    settings = after(settings, *CHOOSE_FROM_DATA, user_set=given, dataset=opened, prepared=prepared)
    protocol = replace(settings.training, learning_rate=1e-9)  # nothing is learned: patience ends it
    space = make_space(settings.space)
    outcome = evaluate_candidate(
        partial(space.build, space.starting_choice()),
        problem_of(settings, prepared),
        range(8),
        range(8, 16),
        protocol,
        seed=0,
    )
    assert (outcome.status, outcome.epochs) == (Status.COMPLETE, 3)
    assert reward_of(replace(outcome, metrics={"accuracy": 0.25}), settings.objective) == 25 / 12
