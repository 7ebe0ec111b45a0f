"""What a run leaves open is chosen from its data: by real datasets, and against closed forms."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tiny_networks
from netwright.api import create_run
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.data.open import open_any, split_any
from netwright.errors import SettingsError
from netwright.execution import notes
from netwright.planning.early_termination import choose_early_termination
from netwright.planning.from_data import choose_low_resolution, require_validation_labels, shape_space
from netwright.planning.patches import choose_patches
from netwright.planning.recipe import first_draft, read_without_classes
from netwright.planning.task_settings import choose_task_settings
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_own, prepare_own
from netwright.searches.components import problem_of, protocol_of, require_components
from netwright.settings import RunSettings, SpecSettings, parse_settings
from netwright.spaces import make_space, same_space
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.spaces.dense import DenseSpace
from netwright.spaces.kinds import INPAINTING, KINDS, Kind
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.trial import predicted_cost
from planning.steps import CHOOSE_FROM_DATA, after, resolve

CLASSIFIER = {"space.network": "tiny_networks:classifier"}
SHAPES = ClassificationTask(1, ("disc", "ring", "square", "triangle"), (16, 16))
RESTORED = InpaintingTask(3, (16, 16))
CELLS = SegmentationTask(1, ("cell", "nucleus"), (24, 24))


def settings_for(path: Path, recipe: str | None, **given: Any) -> RunSettings:
    assignments = {name.replace("__", "."): value for name, value in given.items()}
    settings = resolve(path, recipe, UserSettings(assignments=assignments))
    opened = open_own(settings)
    steps = choose_task_settings, choose_low_resolution
    settings = after(settings, *steps, user_set=assignments, dataset=opened)
    prepared = prepare_own(opened, settings)
    return after(settings, *CHOOSE_FROM_DATA, user_set=assignments, dataset=opened, prepared=prepared)


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
    resolved = settings_for(shapes, "marl", space__network="tiny_networks:classifier")
    shape = {"channels": 1, "classes": 4, "size": [16, 16], "dense": False}
    assert without_place(resolved) == {"network": "tiny_networks:classifier", **shape}
    assert resolved.training.loss == "cross_entropy"
    assert resolved.objective.metric == "accuracy"
    assert resolved.slices is None
    assert resolved.images.size == (16, 16)


def test_a_user_s_network_is_fitted_to_masks(cells: Path) -> None:
    resolved = settings_for(cells, "marl", space__network="tiny_networks:segmenter")
    assert resolved.preprocessing.size is not None
    size = list(resolved.preprocessing.size[:2])
    shape = {"channels": 1, "classes": 3, "size": size, "dense": True}
    assert without_place(resolved) == {"network": "tiny_networks:segmenter", **shape}
    assert resolved.training.loss == "dice"
    assert resolved.objective.metric == "dice"
    assert resolved.slices is not None, "pictures are volumes of one slice"


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
    repeat = resolve(shapes, None, UserSettings(repeat=settings_with(space=space)))
    require_components(repeat)
    opened = open_own(repeat)
    resolved = after(repeat, *CHOOSE_FROM_DATA, dataset=opened, prepared=prepare_own(opened, repeat)).space
    assert resolved.options["folder"] == str(tmp_path)
    same = settings_for(shapes, "marl", space__network="tiny_networks:classifier").space
    assert resolved.options["fingerprint"] == same.options["fingerprint"]
    assert same_space(resolved, SpecSettings(**{**resolved.model_dump(), "folder": "/elsewhere"}))
    assert not same_space(resolved, SpecSettings(**{**resolved.model_dump(), "fingerprint": "0"}))


def test_what_is_filled_in_from_the_data_is_not_set_to_other_values(shapes: Path) -> None:
    given: dict[str, Any] = {"space__network": "tiny_networks:classifier", "space__size": (16, 16)}
    assert settings_for(shapes, "marl", **given, space__classes=4).space.options["classes"] == 4
    with pytest.raises(
        SettingsError, match=r"space.classes is 7, but it is filled in from the data, where it is 4"
    ):
        settings_for(shapes, "marl", **given, space__classes=7)


def test_options_that_a_space_has_not_are_met_with_those_to_set(shapes: Path) -> None:
    for given, words in (
        (
            {"space.unit": 64},
            "no option 'unit'. Did you mean units .* It has: values, frozen, units, batch_norm.$",
        ),
        ({"space.network": "tiny_networks:classifier"}, "with the recipe marl, or without --recipe"),
    ):
        with pytest.raises(SettingsError, match=words):
            require_components(resolve(shapes, "marl-vgg16", UserSettings(assignments=given)))


def test_volumes_are_cut_into_slices_where_that_is_said(dataset: Path) -> None:
    whole = settings_for(dataset, "segnas4")
    assert whole.slices is None
    width, height, depth = whole.preprocessing.size or (0, 0, 0)
    for axis, size in (("x", [height, depth]), ("y", [width, depth]), ("z", [width, height])):
        resolved = settings_for(dataset, "marl", space__network="tiny_networks:segmenter", slices__axis=axis)
        assert resolved.space.options["size"] == size


def test_a_loss_that_was_said_stays_or_is_refused(shapes: Path, cells: Path) -> None:
    kept = settings_for(
        cells, "marl", space__network="tiny_networks:segmenter", training__loss="dice_cross_entropy"
    )
    assert kept.training.loss == "dice_cross_entropy"
    with pytest.raises(SettingsError, match="take cross_entropy"):
        settings_for(shapes, "marl-vgg16", training__loss="dice")
    assert settings_for(cells, "marl-unet", training__loss="cross_entropy").training.loss == "cross_entropy"
    with pytest.raises(SettingsError, match=r"training\.loss.*iou.*cross_entropy"):
        settings_for(cells, "marl-unet", training__loss="iou")


def test_pictures_to_be_restored_are_prepared_as_in_the_paper(tiles: Path) -> None:
    resolved = settings_for(tiles, "marl-unet", slices=None)
    assert (resolved.images.size, resolved.images.fit, resolved.images.normalise) == (
        (64, 64),
        "stretch",
        "unit",
    )
    assert resolved.inpainting == MaskSettings()
    assert (resolved.training.loss, resolved.objective.metric) == ("mse", "psnr")
    assert not resolved.objective.percent
    assert resolved.termination.loss_of_guess is None
    assert not settings_for(tiles, "policy-gradient", slices=None).postprocessing.crf
    assert resolved.termination.slower_than_start is not None
    shape = {"channels": 3, "classes": 3, "size": [64, 64], "dense": True}
    assert shape.items() <= resolved.space.options.items()
    changed = settings_for(
        tiles,
        "marl-unet",
        images__size=[20, 24],
        images__fit="pad",
        slices=None,
        inpainting__mask="half",
        objective__metric="ssim",
        objective__percent=True,
    )
    assert (changed.images.size, changed.images.fit, changed.images.normalise) == ((20, 24), "pad", "unit")
    assert changed.inpainting == MaskSettings("half")
    assert (changed.objective.metric, changed.objective.percent) == ("ssim", True)


def test_cutout_leaves_most_of_an_image(shapes: Path) -> None:
    def cutout(**given: Any) -> int:
        augmentation = settings_for(shapes, "pdas-cells", **given).training.augmentation
        assert augmentation is not None
        return augmentation.cutout

    assert cutout() == 8  # of 16 x 16 pixels
    assert cutout(images__size=[40, 32]) == 16
    assert cutout(training__augmentation__cutout=12) == 12
    with pytest.raises(SettingsError, match="Take 8 or less"):
        cutout(training__augmentation__cutout=32)


def test_what_restored_pictures_cannot_have_is_refused(tiles: Path, shapes: Path, cells: Path) -> None:
    for given, words in (
        ({"training__loss": "dice"}, "take mse"),
        ({"training__augmentation__cutout": 8}, r"augmentation\.cutout is 8"),
        ({"training__augmentation": {"cutout": 4}}, r"augmentation\.cutout is 4"),
        ({"images__normalise": "zscore"}, "take unit"),
        ({"objective__metric": "dice"}, "psnr, ssim"),
        ({"slices": {}}, "slices are for volumes"),
        ({"images__size": [10, 10]}, "11 x 11"),
        ({"termination__loss_of_guess": 0.9}, "the loss of a guess is unknown"),
    ):
        names = {name.replace("__", ".") for name in given}
        with pytest.raises(SettingsError, match=words):
            after(
                settings_for(tiles, "marl-unet", **{"slices": None, **given}),
                choose_early_termination,
                user_set=names,
                task=RESTORED,
                batch_seconds=1.0,
            )
    earlier = settings_with(training={"augmentation": {"cutout": 6}})
    with pytest.raises(SettingsError, match=r"augmentation\.cutout is 6"):
        after(earlier, choose_task_settings, user=UserSettings(repeat=earlier), dataset=open_any(tiles))
    with pytest.raises(SettingsError, match="for classification"):
        settings_for(shapes, "marl-vgg16", inpainting__mask="half")
    with pytest.raises(SettingsError, match="for segmentation"):
        settings_for(cells, "marl-unet", inpainting={})
    with pytest.raises(SettingsError, match=r"inpainting.half must be a share"):
        resolve(tiles, "marl-unet", UserSettings(assignments={"inpainting.half": 2.0}))


def test_restored_pictures_are_augmented_by_flips_alone(tiles: Path) -> None:
    """Whatever the recipe: all else would put black into what is to be learned."""

    def augmentation(recipe: str, **given: Any) -> AugmentationSettings | None:
        return settings_for(tiles, recipe, slices=None, **given).training.augmentation

    flips = AugmentationSettings(0.0, 0.0, 0.0, (1.0, 1.0), flip=0.5)
    for recipe in ("marl-unet", "policy-gradient", "pdas-inpainting"):
        assert augmentation(recipe) == flips, recipe
    assert augmentation("marl-unet", training__augmentation__flip=0.2) == replace(flips, flip=0.2)
    turned = augmentation("marl-unet", training__augmentation__rotation_degrees=5.0)
    assert turned == replace(flips, probability=1.0, rotation_degrees=5.0), "with the recipe's probability"
    assert augmentation("marl-unet", training__augmentation__crop=2) == replace(flips, crop=2)
    assert augmentation("marl-unet", training__augmentation=None) is None
    whole = {
        "probability": 0.3,
        "rotation_degrees": 9.0,
        "shift": 0.1,
        "scale": (0.9, 1.1),
        "flip": 0.4,
        "crop": 1,
    }
    assert augmentation("marl-unet", training__augmentation=whole) == AugmentationSettings(**whole)


def test_classes_are_passed_over_by_what_restores_pictures(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "restorer", Kind(DenseSpace, "networks that restore", (INPAINTING,), (2,)))
    settings = settings_with(dataset={"path": str(shapes)}, space={"name": "restorer"})
    suited = after(settings, read_without_classes)
    assert suited.dataset.format == "images"
    opened = open_own(suited)
    assert opened.task == INPAINTING
    assert {part for part in opened.parts if part} == {"train", "test"}  # type: ignore[union-attr]
    assert open_own(settings).task == "classification"
    other = settings_with(dataset={"path": str(shapes)}, space={"name": "unet"})
    assert after(other, read_without_classes) == other
    asked = settings_with(dataset={"path": ".", "format": "idx"}, space={"name": "restorer"})
    assert after(asked, read_without_classes) == asked


def test_a_repeated_run_keeps_its_pictures_and_masks(tiles: Path, tmp_path: Path) -> None:
    given = {"images.size": [16, 24], "images.fit": "pad", "inpainting.mask": "pixel"}
    named = {**CLASSIFIER, "space.network": "tiny_networks:segmenter", "termination.slower_than_start": None}
    user = UserSettings(trials=1, workers=1, assignments={**given, **named})
    first = create_run(tiles, None, user, tmp_path / "1").settings
    again = create_run(tiles, None, UserSettings(workers=1, repeat=first), tmp_path / "2").settings
    assert (again.images, again.inpainting) == (first.images, first.inpainting)
    assert first.images.size == (16, 24)
    assert first.dataset.format is None


def test_a_metric_that_was_said_stays_and_an_unknown_one_is_refused(cells: Path) -> None:
    assert (
        settings_for(cells, "marl-unet", objective__metric="dice.nucleus").objective.metric == "dice.nucleus"
    )
    with pytest.raises(SettingsError, match=r"dice\.nucleus"):
        settings_for(cells, "marl-unet", objective__metric="accuracy")
    with pytest.raises(SettingsError, match="'weight'"):
        settings_for(cells, "marl-unet", objective__limits=["weight<=3"])


def test_a_label_that_no_validation_case_has_is_no_objective(cells: Path) -> None:
    for objective in ({"objective.metric": "dice.nucleus"}, {"objective.limits": ["dice.nucleus > 0.1"]}):
        settings = resolve(cells, "marl-unet", UserSettings(assignments=objective))
        opened = open_own(settings)
        prepared = prepare_own(opened, settings)
        settings = after(settings, *CHOOSE_FROM_DATA, dataset=opened, prepared=prepared)
        splits = split_any(prepared, settings.seed, settings.split)
        at = {"dataset": opened, "splits": splits}
        after(settings, require_validation_labels, prepared=prepared, **at)
        emptied = replace(
            prepared, cases=tuple(replace(c, voxels=(sum(c.voxels), 0, 0)) for c in prepared.cases)
        )
        with pytest.raises(SettingsError, match=r"none of the validation cases has the label nucleus"):
            after(settings, require_validation_labels, prepared=emptied, **at)


def test_what_does_not_suit_the_data_is_refused(shapes: Path, cells: Path) -> None:
    with pytest.raises(SettingsError, match="slices are for volumes"):
        settings_for(shapes, "marl-vgg16", slices={})
    with pytest.raises(SettingsError, match="3D"):
        settings_for(cells, "segnas4")


@pytest.mark.parametrize(("dataset_name", "recipe"), [("shapes", "marl-unet"), ("cells", "marl-vgg16")])
def test_a_recipe_for_another_task_names_those_that_suit(
    request: pytest.FixtureRequest, tmp_path: Path, dataset_name: str, recipe: str
) -> None:
    suited = {"shapes": "marl-vgg16, marl-googlenet, marl", "cells": "marl-unet, marl"}[dataset_name]
    with pytest.raises(SettingsError, match=suited):
        create_run(request.getfixturevalue(dataset_name), recipe, UserSettings(trials=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (UserSettings(trials=1), "budget.trials was set"),
        (UserSettings(epochs=3, hours=1.0), "training.epochs was set"),
        (UserSettings(hours=1.0, assignments={"training.batch_size": 4}), "training.batch_size was set"),
        (UserSettings(assignments={"verdict.hours": 0}), "verdict.hours was set"),
        (UserSettings(assignments={"space.channels": 8}), "space.channels was set"),
        (
            UserSettings(assignments={"objective.limits": ["parameters<=1e6", "dice>=0.5"]}),
            "the limit dice>=0.5 is on a metric",
        ),
    ],
)
def test_who_asks_for_a_search_that_trains_each_once_gets_the_recipe_of_the_task(
    shapes: Path,
    cells: Path,
    dataset: Path,
    user: UserSettings,
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notes, "_SAID", set())
    recipes = [resolve(path, None, user).recipe for path in (shapes, cells, dataset)]
    assert recipes == ["marl-vgg16", "marl-unet", "segnas4"]
    told = [f"The recipe is {recipe}, since {reason}." for recipe in recipes]
    assert [text.partition(" For ")[0] for text in caplog.messages] == told


def test_without_a_recipe_it_is_auto_where_that_suits(
    shapes: Path,
    cells: Path,
    dataset: Path,
    several_shapes: Path,
    tiles: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = {
        "preprocessing.size": [16, 16, 16],
        "machine.workers": 1,
        "objective.limits": ["parameters<=1e6"],
        "space.fixed.width": 8,
    }
    users = [UserSettings(), UserSettings(hours=1.0, seed=3), UserSettings(assignments=given)]
    for user in users[:2]:
        recipes = [resolve(path, None, user).recipe for path in (shapes, cells, several_shapes, tiles)]
        assert recipes == ["auto", "auto", "auto", "pdas-inpainting"]
    assert not caplog.messages
    assert [resolve(dataset, None, user).recipe for user in users] == ["auto"] * 3
    assert resolve(shapes, None, UserSettings(assignments=CLASSIFIER)).recipe == "marl"


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
        create_run(shapes, recipe, UserSettings(assignments=assignments), tmp_path / "run", stages.append)
    assert stages == []


def test_a_space_of_encoder_decoders_is_told_the_spacing(dataset: Path, cells: Path) -> None:
    """Volumes have one; the pixels of pictures are taken for squares."""
    resolved = settings_for(
        dataset, "segnas4", space__name="encoder-decoder", preprocessing__spacing="native"
    )
    assert resolved.space.options["dense"] is True
    prepared = prepare_own(open_own(resolved), resolved)
    assert resolved.space.options["spacing"] == pytest.approx(prepared.spacing)  # type: ignore[union-attr]
    pictures = settings_for(cells, None, space__name="encoder-decoder")
    assert pictures.space.options["spacing"] is None
    assert len(pictures.space.options["size"]) == 2


@pytest.mark.parametrize(
    ("names", "given", "mirrored"),
    [
        (("Left kidney", "RIGHT_kidney"), None, False),
        (("liver", "bright spot"), None, True),
        (("left kidney",), True, True),
    ],
)
def test_images_with_labels_of_sides_are_not_mirrored(
    names: tuple[str, ...], given: bool | None, mirrored: bool
) -> None:
    options = {"name": "encoder-decoder", **({} if given is None else {"mirroring": given})}
    settings = settings_with(space=options)
    user_set = () if given is None else ("space.mirroring",)
    task = SegmentationTask(1, names, (24, 24))
    shaped = after(settings, shape_space, user_set=user_set, task=task, prepared=None)
    assert make_space(shaped.space).mirroring is mirrored  # type: ignore[attr-defined]
    assert ("mirroring" in make_space(shaped.space).distributions()) is mirrored


def test_ct_is_measured_again_where_a_run_is_repeated(shapes: Path) -> None:
    measured = {"normalise": "modality", "ct_intensities": [[-100, 240, 80, 50], None]}
    earlier = settings_with(preprocessing=measured)
    assert earlier.preprocessing.ct_intensities == ((-100, 240, 80, 50), None)
    repeated = first_draft(shapes, None, UserSettings(repeat=earlier)).preprocessing
    assert (repeated.normalise, repeated.ct_intensities) == ("modality", None)


def test_volumes_at_low_resolution_are_for_networks_that_see_them(dataset: Path, shapes: Path) -> None:
    """Inputs of 8 voxels a side see less than a quarter of 24; without need, or for others, there are none."""
    small = {"preprocessing__size": [8, 8, 8]}
    seen = settings_for(dataset, "auto", **small)
    factors = seen.preprocessing.low_resolution
    assert factors is not None
    assert min(factors) > 1
    assert seen.space.options["low_resolution"] == list(factors)
    assert seen.space.options["channels"] == 2
    assert "low_resolution" in make_space(seen.space).distributions()
    for given in ({}, {**small, "preprocessing__low_resolution": None}):
        without = settings_for(dataset, "auto", **given)
        assert without.preprocessing.low_resolution is without.space.options["low_resolution"] is None
        assert "low_resolution" not in make_space(without.space).distributions()
    pictures = settings_for(shapes, "auto", space__name="classifier-stages")
    assert pictures.preprocessing.low_resolution is None
    for asked, reason in (
        ({"recipe": "segnas4"}, "the space 'segnas4' has no first stage"),
        ({"recipe": "auto", "slices": {}}, "networks see one slice at a time"),
    ):
        with pytest.raises(SettingsError, match=reason):
            settings_for(dataset, **{**small, "preprocessing__low_resolution": [2, 2, 2], **asked})


def test_as_many_patches_of_each_size_as_the_memory_allows(dataset: Path) -> None:
    """Independently: as many as the dry run says, and one more would be too many."""
    given = {"preprocessing__size": [16, 8, 16], "space__fixed": {"patch": "16 x 8 x 16"}}
    settings = settings_for(dataset, "auto", machine__memory_limit_mb=6.0, **given)
    prepared = prepare_own(open_own(settings), settings)
    task = problem_of(settings, prepared).task
    at = {"dataset": None, "prepared": prepared, "task": task}
    space = make_space(after(settings, choose_patches, **at).space)
    assert isinstance(space, EncoderDecoderSpace)
    assert space.patches == ((8, 8, 8), (16, 8, 16), (24, 8, 24))
    assert space.batches is not None
    assert list(space.batches) == sorted(space.batches, reverse=True)
    choice, batch = space.starting_choice(), space.batches[1]
    protocol = protocol_of(settings, space, choice)
    for count, fits in ((batch, True), (2 + int(1.2 * batch), False)):
        cost = predicted_cost(partial(space.build, choice), task, replace(protocol, batch_size=count))
        assert cost.predicted_memory_mb is not None
        assert (cost.predicted_memory_mb <= 6) is fits
    whole = settings_for(dataset, "auto")
    kept = after(whole, choose_patches, dataset=None, prepared=prepare_own(open_own(whole), whole), task=task)
    assert kept.space.options.get("patches") is None
    asked = after(settings, choose_patches, user_set={"training.patch_size"}, **at)
    assert asked.space.options.get("patches") is None
