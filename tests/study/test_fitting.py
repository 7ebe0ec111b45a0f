"""What a run leaves open is chosen from its data: by real datasets, and against closed forms."""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tiny_networks
from netwright.api import Wishes, create_run, resolve
from netwright.data.classification.prepared import PreparedImages
from netwright.data.inpainting.settings import MaskSettings
from netwright.data.opening import split_any
from netwright.data.picture_samples import write_classification_sample
from netwright.errors import SettingsError
from netwright.evaluation.candidate import evaluate_candidate
from netwright.evaluation.outcome import Status
from netwright.settings import Part, RunSettings, parse_settings
from netwright.spaces.base import Layered
from netwright.spaces.kinds import INPAINTING, KINDS, Kind
from netwright.study.fitting import (
    fit_settings,
    kind_of,
    needs_start,
    require_validated,
    same_space,
    with_termination,
)
from netwright.study.material import open_own, prepare_own
from netwright.study.parts import make_space, problem_of, require_parts, reward_of
from netwright.study.suiting import suit_format, suit_inpainting
from netwright.tasks.classification import ClassificationTask
from netwright.tasks.inpainting import InpaintingTask
from netwright.tasks.segmentation import SegmentationTask

CLASSIFIER = {"space.network": "tiny_networks:classifier"}
SHAPES = ClassificationTask(1, ("disc", "ring", "square", "triangle"), (16, 16))
RESTORED = InpaintingTask(3, (16, 16))
CELLS = SegmentationTask(1, ("cell", "nucleus"), (24, 24))


def fitted(path: Path, recipe: str | None, **said: Any) -> RunSettings:
    assignments = {name.replace("__", "."): value for name, value in said.items()}
    settings = resolve(path, recipe, Wishes(assignments=assignments))
    opened = open_own(settings)
    settings = suit_inpainting(settings, opened, assignments)
    return fit_settings(settings, opened, prepare_own(opened, settings), assignments)


def settings_with(**changes: Any) -> RunSettings:
    values = {"recipe": "marl", "dataset": {"path": "."}, "strategy": {"name": "q-learning"}}
    return parse_settings({**values, "space": {"name": "vgg16"}, **changes})


def without_place(settings: RunSettings) -> dict[str, Any]:
    """The options of the space but for what says where a user's network lies and what it is."""
    options = settings.space.options
    assert options.pop("folder") == str(Path(tiny_networks.__file__).parent)
    assert options.pop("fingerprint") == make_space(settings.space).fingerprint  # type: ignore[attr-defined]
    return options


def test_a_user_s_network_is_fitted_to_classes(shapes: Path) -> None:
    found = fitted(shapes, "marl", space__network="tiny_networks:classifier")
    shape = {"channels": 1, "classes": 4, "size": [16, 16], "dense": False}
    assert without_place(found) == {"network": "tiny_networks:classifier", **shape}
    assert found.training.loss == "cross_entropy"
    assert found.objective.metric == "accuracy"
    assert found.slices is None
    assert found.images.size == (16, 16)


def test_a_user_s_network_is_fitted_to_masks(cells: Path) -> None:
    found = fitted(cells, "marl", space__network="tiny_networks:segmenter")
    assert found.preprocessing.size is not None
    size = list(found.preprocessing.size[:2])
    shape = {"channels": 1, "classes": 3, "size": size, "dense": True}
    assert without_place(found) == {"network": "tiny_networks:segmenter", **shape}
    assert found.training.loss == "dice"
    assert found.objective.metric == "dice"
    assert found.slices is not None, "pictures are volumes of one slice"


def test_a_user_s_network_is_found_where_it_lay_when_settings_are_repeated(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder; what it is, is found anew for a new run."""
    module = f"nets_of_{tmp_path.name}"
    shutil.copy(tiny_networks.__file__, tmp_path / f"{module}.py")
    monkeypatch.setattr(sys, "path", list(sys.path))
    space = {
        "name": "layerwise",
        "network": f"{module}:classifier",
        "folder": str(tmp_path),
        "fingerprint": "0",
    }
    repeat = resolve(shapes, None, Wishes(repeat=settings_with(space=space)))
    require_parts(repeat)
    opened = open_own(repeat)
    found = fit_settings(repeat, opened, prepare_own(opened, repeat)).space
    assert found.options["folder"] == str(tmp_path)
    same = fitted(shapes, "marl", space__network="tiny_networks:classifier").space
    assert found.options["fingerprint"] == same.options["fingerprint"]
    assert same_space(found, Part(**{**found.model_dump(), "folder": "/elsewhere"}))
    assert not same_space(found, Part(**{**found.model_dump(), "fingerprint": "0"}))


def test_what_is_filled_in_from_the_data_is_not_set_to_other_values(shapes: Path) -> None:
    said: dict[str, Any] = {"space__network": "tiny_networks:classifier", "space__size": (16, 16)}
    assert fitted(shapes, "marl", **said, space__classes=4).space.options["classes"] == 4
    with pytest.raises(
        SettingsError, match=r"space.classes is 7, but it is filled in from the data, where it is 4"
    ):
        fitted(shapes, "marl", **said, space__classes=7)


def test_options_that_a_space_has_not_are_met_with_those_to_set(shapes: Path) -> None:
    for said, words in (
        ({"space.unit": 64}, "no option 'unit'. It has: values, frozen, units, batch_norm.$"),
        ({"space.network": "tiny_networks:classifier"}, "with the recipe marl, or without --recipe"),
    ):
        with pytest.raises(SettingsError, match=words):
            require_parts(resolve(shapes, "marl-vgg16", Wishes(assignments=said)))


def test_volumes_are_cut_into_slices_where_that_is_said(dataset: Path) -> None:
    whole = fitted(dataset, "segnas4")
    assert whole.slices is None
    width, height, depth = whole.preprocessing.size or (0, 0, 0)
    for axis, size in (("x", [height, depth]), ("y", [width, depth]), ("z", [width, height])):
        found = fitted(dataset, "marl", space__network="tiny_networks:segmenter", slices__axis=axis)
        assert found.space.options["size"] == size


def test_a_loss_that_was_said_stays_or_is_refused(shapes: Path, cells: Path) -> None:
    kept = fitted(
        cells, "marl", space__network="tiny_networks:segmenter", training__loss="dice_cross_entropy"
    )
    assert kept.training.loss == "dice_cross_entropy"
    with pytest.raises(SettingsError, match="take cross_entropy"):
        fitted(shapes, "marl-vgg16", training__loss="dice")
    assert fitted(cells, "marl-unet", training__loss="cross_entropy").training.loss == "cross_entropy"


def test_pictures_to_be_restored_are_prepared_as_in_the_paper(tiles: Path) -> None:
    found = fitted(tiles, "marl-unet", slices=None)
    assert (found.images.size, found.images.fit, found.images.normalise) == ((64, 64), "stretch", "unit")
    assert found.inpainting == MaskSettings()
    assert (found.training.loss, found.objective.metric) == ("mse", "psnr")
    assert not found.objective.percent
    assert found.termination.loss_of_guess is None
    assert not fitted(tiles, "policy-gradient", slices=None).postprocessing.crf
    assert found.termination.slower_than_start is not None
    shape = {"channels": 3, "classes": 3, "size": [64, 64], "dense": True}
    assert shape.items() <= found.space.options.items()
    said = fitted(
        tiles,
        "marl-unet",
        images__size=[20, 24],
        images__fit="pad",
        slices=None,
        inpainting__mask="half",
        objective__metric="ssim",
        objective__percent=True,
    )
    assert (said.images.size, said.images.fit, said.images.normalise) == ((20, 24), "pad", "unit")
    assert said.inpainting == MaskSettings("half")
    assert (said.objective.metric, said.objective.percent) == ("ssim", True)


def test_what_restored_pictures_cannot_have_is_refused(tiles: Path, shapes: Path, cells: Path) -> None:
    for said, words in (
        ({"training__loss": "dice"}, "take mse"),
        ({"images__normalise": "zscore"}, "take unit"),
        ({"objective__metric": "dice"}, "psnr, ssim"),
        ({"slices": {}}, "slices are for volumes"),
        ({"images__size": [10, 10]}, "11 x 11"),
        ({"termination__loss_of_guess": 0.9}, "not known what a guess gives"),
    ):
        names = {name.replace("__", ".") for name in said}
        with pytest.raises(SettingsError, match=words):
            with_termination(fitted(tiles, "marl-unet", **{"slices": None, **said}), RESTORED, 1.0, names)
    with pytest.raises(SettingsError, match="for classification"):
        fitted(shapes, "marl-vgg16", inpainting__mask="half")
    with pytest.raises(SettingsError, match="for segmentation"):
        fitted(cells, "marl-unet", inpainting={})
    with pytest.raises(SettingsError, match=r"inpainting.half must be a share"):
        resolve(tiles, "marl-unet", Wishes(assignments={"inpainting.half": 2.0}))


def test_classes_are_passed_over_by_what_restores_pictures(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "restorer", Kind("networks that restore", (INPAINTING,), (2,)))
    settings = settings_with(dataset={"path": str(shapes)}, space={"name": "restorer"})
    suited = suit_format(settings, "restorer")
    assert suited.dataset.format == "images"
    opened = open_own(suited)
    assert kind_of(opened) == INPAINTING
    assert {part for part in opened.parts if part} == {"train", "test"}  # type: ignore[union-attr]
    assert kind_of(open_own(settings)) == "classification"
    assert suit_format(settings, "unet") == settings
    asked = settings_with(dataset={"path": ".", "format": "idx"}, space={"name": "restorer"})
    assert suit_format(asked, "restorer") == asked


def test_a_repeated_run_keeps_its_pictures_and_masks(tiles: Path, tmp_path: Path) -> None:
    given = {"images.size": [16, 24], "images.fit": "pad", "inpainting.mask": "pixel"}
    named = {**CLASSIFIER, "space.network": "tiny_networks:segmenter", "termination.slower_than_start": None}
    wishes = Wishes(trials=1, workers=1, assignments={**given, **named})
    first = create_run(tiles, None, wishes, tmp_path / "1").settings
    again = create_run(tiles, None, Wishes(workers=1, repeat=first), tmp_path / "2").settings
    assert (again.images, again.inpainting) == (first.images, first.inpainting)
    assert first.images.size == (16, 24)
    assert first.dataset.format is None


def test_a_metric_that_was_said_stays_and_an_unknown_one_is_refused(cells: Path) -> None:
    assert fitted(cells, "marl-unet", objective__metric="dice.nucleus").objective.metric == "dice.nucleus"
    with pytest.raises(SettingsError, match=r"dice\.nucleus"):
        fitted(cells, "marl-unet", objective__metric="accuracy")
    with pytest.raises(SettingsError, match="'weight'"):
        fitted(cells, "marl-unet", objective__limits=["weight<=3"])


def test_a_label_that_no_validation_case_has_is_no_objective(cells: Path) -> None:
    for objective in ({"objective.metric": "dice.nucleus"}, {"objective.limits": ["dice.nucleus > 0.1"]}):
        settings = resolve(cells, "marl-unet", Wishes(assignments=objective))
        opened = open_own(settings)
        prepared = prepare_own(opened, settings)
        settings = fit_settings(settings, opened, prepared)
        splits = split_any(prepared, settings.seed, settings.split)
        require_validated(settings, prepared, splits.validation)
        emptied = replace(
            prepared, cases=tuple(replace(c, voxels=(sum(c.voxels), 0, 0)) for c in prepared.cases)
        )
        with pytest.raises(SettingsError, match=r"none of the validation cases has the label nucleus"):
            require_validated(settings, emptied, splits.validation)


def test_what_does_not_suit_the_data_is_refused(shapes: Path, cells: Path) -> None:
    with pytest.raises(SettingsError, match="slices are for volumes"):
        fitted(shapes, "marl-vgg16", slices={})
    with pytest.raises(SettingsError, match="3D"):
        fitted(cells, "segnas4")


@pytest.mark.parametrize(("dataset_name", "recipe"), [("shapes", "marl-unet"), ("cells", "marl-vgg16")])
def test_a_recipe_for_another_task_names_those_that_suit(
    request: pytest.FixtureRequest, tmp_path: Path, dataset_name: str, recipe: str
) -> None:
    suited = {"shapes": "marl-vgg16, marl-googlenet, marl", "cells": "marl-unet, marl"}[dataset_name]
    with pytest.raises(SettingsError, match=suited):
        create_run(request.getfixturevalue(dataset_name), recipe, Wishes(trials=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_recipe_follows_the_data_and_the_user_s_network(shapes: Path, cells: Path, dataset: Path) -> None:
    recipes = [resolve(path, None, Wishes()).recipe for path in (shapes, cells, dataset)]
    assert recipes == ["marl-vgg16", "marl-unet", "segnas4"]
    assert resolve(shapes, None, Wishes(assignments=CLASSIFIER)).recipe == "marl"


@pytest.mark.parametrize(
    ("recipe", "assignments", "named"),
    [
        ("marl", {}, "--network"),
        ("marl", {"space.network": "nowhere_at_all:make"}, "nowhere_at_all"),
        ("marl", {"space.network": "tiny_networks:make"}, "classifier, segmenter"),
        ("marl", {**CLASSIFIER, "space.valeus": {}}, "values"),
        ("marl-vgg16", {"strategy.variant": "greedy"}, "published"),
        ("marl-vgg16", {"strategy.alhpa": 1}, "alpha"),
    ],
)
def test_wrong_parts_are_refused_before_the_data_is_looked_at(
    shapes: Path, tmp_path: Path, recipe: str, assignments: dict[str, Any], named: str
) -> None:
    stages: list[str] = []
    with pytest.raises(SettingsError, match=named):
        create_run(shapes, recipe, Wishes(assignments=assignments), tmp_path / "run", stages.append)
    assert stages == []


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


@pytest.mark.parametrize("said", [{"early": None}, {"early.loss": None, "early.batch_seconds": None}])
def test_no_threshold_that_the_user_took_away_comes_back(said: dict[str, Any]) -> None:
    names = {f"training.{name}" for name in said}
    settings = settings_with(
        training={"loss": "cross_entropy", "early": None if "early" in said else {}},
        termination={"slower_than_start": 2.0, "loss_of_guess": 0.9},
    )
    assert not needs_start(settings, names)
    early = with_termination(settings, SHAPES, 0.1, names).training.early
    assert (early is None) == ("early" in said)
    assert early is None or (early.loss, early.batch_seconds) == (None, None)
    unsaid = with_termination(settings, SHAPES, 0.1).training.early
    assert unsaid is not None
    assert unsaid.loss == pytest.approx(0.9 * math.log(4), rel=1e-3)
    assert unsaid.batch_seconds == 0.2


def test_a_default_that_the_user_gave_stays() -> None:
    settings = settings_with(
        training={"loss": "cross_entropy", "early": {"loss_epochs": 3}},
        termination={"loss_of_guess": 0.9, "epochs": 7, "batches": 8},
    )
    early = with_termination(settings, SHAPES, None, {"training.early.loss_epochs"}).training.early
    assert early is not None
    assert (early.loss_epochs, early.batches) == (3, 8)


def test_what_the_user_says_of_early_termination_stands_in_the_run(shapes: Path, tmp_path: Path) -> None:
    for said, expected in (
        ({"training.early": None}, None),
        ({"training.early.loss": None, "termination.slower_than_start": None}, (None, 6)),
        ({"training.early": {"loss": None, "batch_seconds": None, "batches": 10}}, (None, 10)),
    ):
        wishes = Wishes(trials=1, assignments={**CLASSIFIER, "termination.batches": 6, **said})
        run = create_run(shapes, "marl", wishes, tmp_path / f"run-{len(list(tmp_path.iterdir()))}")
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
        create_run(cells, "marl", Wishes(assignments=loss), tmp_path / "run", stages.append)
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
    wishes = Wishes(trials=1, workers=1, assignments={**CLASSIFIER, "termination.slower_than_start": None})
    settings = create_run(sample, "marl", wishes, tmp_path / "run").settings
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
    said = {"objective.costs": {}, "objective.weight": 1.0, "training.epochs": 12, "training.patience": 2}
    settings = resolve(shapes, "marl", Wishes(assignments={**CLASSIFIER, **said}))
    opened = open_own(settings)
    prepared = prepare_own(opened, settings)
    settings = fit_settings(settings, opened, prepared, said)
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
