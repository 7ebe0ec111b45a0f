"""What the recipe of the policy gradient makes of scans of the heart in their real shapes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from netwright.planning.cost import facts_of
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_own, prepare_own
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.training.memory import HEAP_OVERHEAD
from netwright.training.trial import predicted_cost
from planning.steps import resolve

SHAPES = [(216, 256, 10), (216, 256, 8), (256, 216, 3), (154, 224, 4)]


def write(folder: Path, shapes: list[tuple[int, int, int]]) -> Path:
    """A dataset of noise at 1.56 x 1.56 x 10 mm."""
    rng = np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    affine = np.diag([-1.56, -1.56, 10.0, 1.0])
    for number, shape in enumerate(shapes):
        image, label = rng.normal(100, 20, shape), np.zeros(shape)
        label[60:90, 80:120] = 1
        for name, values, kind in (
            ("imagesTr/c{}_0000", image, np.float32),
            ("labelsTr/c{}", label, np.uint8),
        ):
            file = folder / f"{name.format(number)}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values.astype(kind), affine), file)
    description = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "heart": 1},
        "numTraining": len(shapes),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def of(folder: Path) -> RunSettings:
    return resolve(folder, "policy-gradient", UserSettings(workers=1, assignments={"training.device": "cpu"}))


def test_networks_see_the_scan_s_own_slices_whole(tmp_path: Path) -> None:
    settings = of(write(tmp_path / "hearts", SHAPES))
    prepared = prepare_own(open_own(settings), settings)
    problem = problem_of(settings, prepared)
    assert problem.task.size == (256, 256), "the largest of either side"
    plain = replace(settings.training, augmentation=None)
    batches = problem.batches(range(4), plain, torch.device("cpu"), seed=0)
    seen = [image for images, _ in batches for image in images[:, 0].numpy()]
    wanted = []
    for number in range(len(SHAPES)):
        file = nibabel.load(tmp_path / "hearts" / "imagesTr" / f"c{number}_0000.nii.gz")
        values = nibabel.as_closest_canonical(file).get_fdata()
        values = (values - values.mean()) / values.std()
        sides = [((256 - n) // 2, 256 - n - (256 - n) // 2) for n in values.shape[:2]]
        wanted += [np.pad(values[..., z], sides) for z in range(values.shape[2])]
    # An epoch may leave out a single slice that would be a batch by itself.
    assert len(wanted) - 1 <= len(seen) <= len(wanted) == 25
    key = {tuple(np.round(one[100, 100:104], 3)): one for one in wanted}
    for image in seen:
        np.testing.assert_allclose(
            image, key[tuple(np.round(image[100, 100:104].astype(float), 3))], atol=1e-4
        )


def test_plan_and_predicted_memory_are_of_whole_slices(tmp_path: Path) -> None:
    settings = of(write(tmp_path / "hearts", SHAPES[:2]))
    prepared = prepare_own(open_own(settings), settings)
    task = problem_of(settings, prepared).task
    assert facts_of(settings, prepared, (0,), (1,))["size"] == task.size == (216, 256)
    space = make_space(settings.space)
    build = lambda of: space.build(space.starting_choice(), of)  # noqa: E731
    whole, cropped = (
        predicted_cost(build, shape, settings.training) for shape in (task, replace(task, size=(128, 128)))
    )
    area = 216 * 256 / 128**2
    assert whole.flops == pytest.approx(cropped.flops * area)
    # Features grow with the area; those that become so large that they lie outside the heap are spared its holes.
    ratio = whole.predicted_memory_mb / cropped.predicted_memory_mb
    assert area / HEAP_OVERHEAD < ratio <= area


def test_longer_sides_are_cropped_to_320_pixels_at_full_resolution(tmp_path: Path) -> None:
    settings = of(write(tmp_path / "hearts", [(336, 256, 2), (216, 256, 2)]))
    prepared = prepare_own(open_own(settings), settings)
    assert problem_of(settings, prepared).task.size == (320, 256)
    assert prepared.image(0).shape == (1, 336, 256, 8)
    assert prepared.geometry(0).scale == (1.0, 1.0, 1.0)
