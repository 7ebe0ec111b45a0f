"""Settings by their dotted names: which tables are open, which may be absent, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from netwright.errors import SettingsError
from netwright.recipes import RECIPES
from netwright.settings import RunSettings, override, parse_settings, read_assignments


def values_of(recipe: str = "marl") -> dict[str, Any]:
    return parse_settings({**RECIPES[recipe].values, "dataset": {"path": "."}}).model_dump(mode="json")


def changed(*texts: str, recipe: str = "marl") -> RunSettings:
    return parse_settings(override(values_of(recipe), read_assignments(list(texts))))


def test_tables_that_may_be_absent_are_made_by_their_names() -> None:
    assert values_of()["slices"] is None
    assert values_of()["training"]["early"] is None
    sliced = changed("slices.axis=x", "slices.empty=0.25").slices
    assert sliced is not None
    assert (sliced.axis, sliced.empty) == ("x", 0.25)
    assert changed("slices={}").slices is not None
    early = changed("training.early.loss=1.5").training.early
    assert early is not None
    assert (early.loss, early.batch_seconds) == (1.5, None)
    assert changed("slices=null", recipe="marl-unet").slices is None


def test_augmentation_can_be_switched_off_and_on_again() -> None:
    assert changed("training.augmentation=null").training.augmentation is None
    off = changed("training.augmentation=null").model_dump(mode="json")
    again = parse_settings(override(off, {"training.augmentation.flip": 0.5})).training.augmentation
    assert again is not None
    assert again.flip == 0.5


def test_open_tables_take_new_names() -> None:
    values = changed("space.values.kernels=[8,16]", "space.values.kernel_size=[3]").space.options["values"]
    assert values == {"kernels": [8, 16], "kernel_size": [3]}
    costs = changed("objective.costs.inference_ms=0.5").objective.costs
    assert costs == {"size_mb": 0.1, "inference_ms": 0.5}
    assert changed("objective.costs={}").objective.costs == {}
    assert changed("strategy.variant=published").strategy.options == {"variant": "published"}


def test_the_name_of_a_metric_stands_for_it() -> None:
    assert changed("objective=dice.Core", recipe="segnas4").objective.metric == "dice.Core"
    assert changed("objective=dice.Core", recipe="segnas4").objective.plain


def test_another_space_leaves_the_options_of_the_old_one_behind() -> None:
    assert changed("space.name=unet", "space.up_kernel=2", recipe="marl-vgg16").space.options == {
        "up_kernel": 2
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("training.erly.loss=1", r"training\.early"),
        ("slices.axes=x", "axes"),
        ("slices.axis=w", "sagittal"),
        ("objective.costs.size=1", "size_mb"),
        ("objective.limits=[parameters]", "parameters <= 2e6"),
        ("training.early.losses=1", "losses"),
        ("training.early.loss=-1", "over 0"),
        ("termination.slower_than=2", "slower_than_start"),
        ("budget.fewest_epochs=0", "fewest_epochs"),
        ("values.kernels=[3]", "values"),
    ],
)
def test_wrong_names_and_values_are_met_with_the_right_ones(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        changed(text)


@pytest.mark.parametrize("recipe", RECIPES)
def test_run_yaml_is_enough_to_repeat_the_settings(recipe: str) -> None:
    import yaml

    settings = parse_settings({**RECIPES[recipe].values, "dataset": {"path": "."}})
    assert parse_settings(yaml.safe_load(settings.to_yaml())) == settings


def numbers_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings that hold a number."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{prefix}{name}.")
        elif isinstance(value, float | int) and not isinstance(value, bool):
            yield prefix + name


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan", "inf", "nan", "1e400"])
def test_no_number_may_be_infinite_or_undefined(text: str) -> None:
    tables = {"supernet.epochs": 1, "training.early.loss": 1.0, "training.augmentation.flip": 0.5}
    values = parse_settings(override(values_of("segnas4"), tables)).model_dump(mode="json")
    names = [*numbers_of(values), "budget.hours", "verdict.hours", "training.seconds", "supernet.seconds"]
    assert len(names) > 30
    for name in names:
        bad = read_assignments([f"{name}={text}"])
        with pytest.raises(SettingsError, match=name.rpartition(".")[2]):
            parse_settings(override(values, bad))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "train.lr=1",
            "training.learning_rate or .*training.learning_rate: the highest learning rate. All: docs",
        ),
        (
            "training.batchsize=1",
            "training.batch_size or .*training.batch_size: images in a batch. All: docs",
        ),
        ("slices.axes=x", "slices.axis or .*slices.axis: the axis that slices are normal to"),
        ("frozen=[a]", "space.frozen or .*space.frozen: layers that stay as they are"),
        ("first=3", "strategy.first or .*strategy.first: random proposals"),
    ],
)
def test_the_nearest_setting_is_described(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"Did you mean {told}"):
        changed(text)


def test_an_unknown_name_in_few_settings_is_met_with_what_there_is() -> None:
    with pytest.raises(SettingsError, match=r"Did you mean training\.epochs"):
        override({"training": {"epochs": 1}}, {"training.epoch": 1})


def test_a_wrong_value_is_told_with_what_the_setting_is_if_that_is_short() -> None:
    with pytest.raises(
        SettingsError,
        match=r"training.batch_size must be at least 1, got 0. \(training.batch_size: images in a batch\)",
    ):
        changed("training.batch_size=0")
    with pytest.raises(SettingsError, match=r"budget.trials = 0: .* \(budget.trials: the most candidates"):
        changed("budget.trials=0")
    with pytest.raises(SettingsError, match=r"budget.fewest_epochs = 0: [^(]*$"):
        changed("budget.fewest_epochs=0")
