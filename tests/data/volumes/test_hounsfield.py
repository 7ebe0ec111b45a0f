"""Channels in Hounsfield units that are not called CT, which only a warning can tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data import inspect_dataset, open_any
from netwright.data.issues import Problem

Save = Callable[..., Path]
SHAPE = (16, 16, 8)


def ct(seed: int, outside: float = -1000) -> Any:
    """Air around soft tissue with bone in it, and what scanners write where they see nothing."""
    values = np.random.default_rng(seed).normal(-1000, 10, SHAPE)
    values[3:13, 3:13] = np.random.default_rng(seed).normal(50, 15, (10, 10, 8))
    values[7:9, 7:9] = 900
    values[:2] = outside
    return values.round().astype(np.int16)


def mr(seed: int) -> Any:
    return np.abs(np.random.default_rng(seed).normal(300, 200, SHAPE)).astype(np.int16)


def velocities(seed: int) -> Any:
    """Phase contrast: noise in all the range where nothing flows, and zero where it was cut off."""
    values = np.random.default_rng(seed).uniform(-4096, 4095, SHAPE)
    values[:6] = 0
    return values.astype(np.int16)


def ringing(seed: int) -> Any:
    """An MR that an interpolation with overshoots has made."""
    values = mr(seed).astype(np.float32)
    values[4] -= 1500
    return values * (np.arange(16)[:, None, None] > 3)


@pytest.fixture
def volumes(tmp_path: Path, save_volume: Save) -> Callable[..., Path]:
    def build(
        make: Callable[[int], Any], image: str = "volume-{}.nii", label: str = "segmentation-{}.nii"
    ) -> Path:
        for number in range(3):
            save_volume(tmp_path / image.format(number), make(number))
            save_volume(
                tmp_path / label.format(number), np.eye(16, 16)[..., None].repeat(8, axis=-1).astype(np.uint8)
            )
        return tmp_path

    return build


def told(root: Path) -> list[Problem]:
    return [one for one in inspect_dataset(open_any(root)).warnings if one.kind == "unnamed-ct"]


@pytest.mark.parametrize("outside", [-1000, -1024, -3024, -8192])
def test_a_ct_without_a_name_is_told_with_what_names_it(volumes: Callable[..., Path], outside: float) -> None:
    root = volumes(lambda seed: ct(seed, outside))
    assert open_any(root).channels == ("image",)
    (problem,) = told(root)
    assert "looks like CT in the channel image: expected the name CT" in str(problem)
    text = problem.advice[problem.advice.index("{") : problem.advice.rindex("}") + 1]
    (root / "dataset.json").write_text(text)
    dataset = open_any(root)
    assert (dataset.format, dataset.channels) == ("volume-pairs", ("CT",))
    assert dataset.labels == {0: "background", 1: "foreground"}
    assert told(root) == []


@pytest.mark.parametrize("make", [mr, velocities, ringing], ids=["MR", "velocities", "ringing"])
def test_other_intensities_are_not(volumes: Callable[..., Path], make: Callable[[int], Any]) -> None:
    assert told(volumes(make)) == []


def test_scans_of_two_kinds_are_not(volumes: Callable[..., Path]) -> None:
    assert told(volumes(lambda seed: mr(seed) if seed else ct(seed))) == []


@pytest.mark.parametrize("name", ["CTA", "0", "CT"])
def test_a_channel_of_another_name_is_told(volumes: Callable[..., Path], name: str) -> None:
    root = volumes(ct, "imagesTr/a{}_0000.nii.gz", "labelsTr/a{}.nii.gz")
    labels = {"background": 0, "one": 1}
    described = {"channel_names": {"0": name}, "labels": labels, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(described))
    problems = told(root)
    assert len(problems) == (name != "CT")
    assert all('put {"channel_names": {"0": "CT"}} into' in problem.advice for problem in problems)
