"""A search from the plans of nnU-Net: its preprocessing, and its network at the start."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.errors import SettingsError
from netwright.planning.nnunet_plans import assignments_of_plans
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.tasks.segmentation.network_task import SegmentationTask

PLANS = Path(__file__).resolve().parents[1] / "fixtures" / "nnunet_plans.json"
"""Written by nnUNetv2_plan_and_preprocess of nnunetv2 2.8.1 for twelve volumes of the hippocampus."""
WEIGHTS = 5_598_720
"""Of the convolutions of nnU-Net's own network of these plans (`get_network_from_plans`), with its auxiliary heads."""


def changed(tmp_path: Path, **changes: Any) -> Path:
    """The plans with other values of 3d_fullres, by names whose parts are separated by two underscores."""
    plans = copy.deepcopy(json.loads(PLANS.read_text()))
    for name, value in changes.items():
        *parts, last = name.split("__")
        place = plans if parts[:1] == ["plans"] else plans["configurations"]["3d_fullres"]
        for part in parts[1:] if parts[:1] == ["plans"] else parts:
            place = place[part]
        place[last] = value
    path = tmp_path / "plans.json"
    path.write_text(json.dumps(plans))
    return path


def test_the_start_is_the_network_of_the_plans() -> None:
    given = assignments_of_plans(PLANS)
    assert given["preprocessing.spacing"] == [1.0, 1.0, 1.0]
    assert given["preprocessing.size"] == [40, 56, 40]
    assert (given["preprocessing.normalise"], given["preprocessing.foreground"]) == ("zscore", "all")
    size = tuple(given["preprocessing.size"])
    space = EncoderDecoderSpace(
        channels=1, classes=3, size=size, spacing=(1.0, 1.0, 1.0), start=given["space.start"]
    )
    start = space.starting_choice()
    network = space.build(start, SegmentationTask(1, ("anterior", "posterior"), size))
    assert sum(weight.numel() for weight in network.parameters() if weight.ndim > 1) == WEIGHTS
    assert space.training(start)["batch_size"] == 2
    assert set(start) == set(space.distributions())


def test_axes_are_turned_from_those_of_the_plans_to_those_of_files(tmp_path: Path) -> None:
    """Plans are along z, y, x; with the coarsest axis first where it is another one."""
    path = changed(
        tmp_path,
        patch_size=[16, 96, 64],
        spacing=[3.0, 0.5, 0.7],
        plans__transpose_forward=[2, 0, 1],  # x is the coarsest: it comes first, then z, y
        plans__transpose_backward=[1, 2, 0],
    )
    given = assignments_of_plans(path)
    assert given["preprocessing.spacing"] == [3.0, 0.7, 0.5]
    assert given["preprocessing.size"] == [16, 64, 96]


def test_ct_is_normalised_by_the_foreground_of_the_plans(tmp_path: Path) -> None:
    measured = {"percentile_00_5": -50.0, "percentile_99_5": 200.0, "mean": 80.0, "std": 40.0, "median": 1.0}
    path = changed(
        tmp_path,
        normalization_schemes=["CTNormalization", "ZScoreNormalization"],
        use_mask_for_norm=[False, False],
        plans__foreground_intensity_properties_per_channel={"0": measured, "1": measured},
    )
    given = assignments_of_plans(path)
    assert given["preprocessing.normalise"] == "modality"
    assert given["preprocessing.ct_intensities"] == [[-50.0, 200.0, 80.0, 40.0], None]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"normalization_schemes": ["RGBTo01Normalization"]},
            "normalization_schemes is not understood.*RGBTo01",
        ),
        ({"use_mask_for_norm": [True, False]}, "use_mask_for_norm is not understood: expected one value"),
        ({"patch_size": [56, 40]}, r"3d_fullres\.patch_size is not understood: expected three numbers"),
        ({"architecture__network_class_name": "my.Net"}, "network_class_name is not understood.*found Net"),
        (
            {"architecture__arch_kwargs__norm_op": "torch.nn.LayerNorm"},
            "norm_op is not understood.*LayerNorm",
        ),
        ({"architecture__arch_kwargs__features_per_stage": "?"}, "3d_fullres is not understood"),
        ({"inherits_from": "3d_lowres"}, "inherits_from is not understood.*found 3d_lowres"),
        ({"plans__configurations": []}, "configurations is not understood"),
        ({"plans__configurations": {"3d_fullres": [1]}}, "3d_fullres is not understood"),
        ({"use_mask_for_norm": []}, "3d_fullres is not understood"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        assignments_of_plans(changed(tmp_path, **changes))


def test_files_and_configurations_that_are_missing_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        assignments_of_plans(tmp_path / "plans.json")
    with pytest.raises(
        SettingsError, match="expected 3d_lowres, found 2d, 3d_fullres; choose with --plans-conf"
    ):
        assignments_of_plans(PLANS, "3d_lowres")
    with pytest.raises(SettingsError, match=r"2d\.patch_size is not understood"):
        assignments_of_plans(PLANS, "2d")


def test_starts_that_a_space_does_not_have_are_refused() -> None:
    def space(start: Any) -> EncoderDecoderSpace:
        return EncoderDecoderSpace(channels=1, classes=2, size=(32, 32, 32), start=start)

    assert space({"width": 33, "levels": 9}).starting_choice()["width"] == 32
    for start, told in (
        ({"depth": 3}, "there is no dimension 'depth'"),
        ({"norm": "layer"}, r"start\.norm: expected one of batch, instance, group, got 'layer'"),
        (3, "expected a value for each named dimension"),
    ):
        with pytest.raises(SettingsError, match=told):
            space(start).starting_choice()


@pytest.mark.slow  # what it plans is tried above, and cli/test_commands.py measures for a plan
def test_the_command_plans_and_refuses_other_recipes(
    netwright: Callable[..., subprocess.CompletedProcess[str]], dataset: Path, tmp_path: Path
) -> None:
    path = changed(
        tmp_path, patch_size=[16, 16, 16], architecture__arch_kwargs__features_per_stage=[8, 16, 32, 64]
    )
    done = netwright("search", dataset, "--from-plans", path, "--recipe", "segnas4")
    assert done.returncode == 2
    assert "--from-plans was given with --recipe segnas4" in done.stderr
    done = netwright("plan", dataset, "--from-plans", path, "--workers", 1, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    (start,) = (line for line in done.stdout.splitlines() if line.startswith("start "))
    assert "plain 8 x " in start
    assert "--from-plans" in done.stdout.splitlines()[-1], "the command to search with"
