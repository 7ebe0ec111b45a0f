"""Large validation volumes are judged by fixed patches while networks are trained, all others whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval
from torch import Tensor, nn

from netwright.data.volumes.regions import IGNORED
from netwright.errors import SettingsError
from netwright.tasks.segmentation.metrics.dice import dice_per_label
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.patch_validation import fixed_patches, sliding_windows
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.trial import predicted_cost

CPU = torch.device("cpu")
SIZE = (8, 8, 6)


class Volumes:
    """Noisy volumes with few labelled voxels, whose intensity is near their class."""

    channels = 1
    spacing = (1.0, 1.0, 1.0)

    def __init__(self, shapes: Sequence[tuple[int, int, int]]) -> None:
        rng = np.random.default_rng(0)
        self.labels = [rng.choice(3, shape, p=(0.98, 0.01, 0.01)).astype(np.uint8) for shape in shapes]
        self.images = [(label + rng.normal(0, 0.4, label.shape)).astype(np.float32) for label in self.labels]

    def shape(self, index: int) -> tuple[int, ...]:
        return self.labels[index].shape

    def image(self, index: int) -> Any:
        return self.images[index][None]

    def label(self, index: int) -> Any:
        return self.labels[index]

    def air(self, index: int) -> Any:
        return np.zeros(1, np.float32)

    def foreground(self, index: int) -> list[Any]:
        return [np.argwhere(self.labels[index] == value) for value in (1, 2)]

    def labelled(self, index: int) -> Any:
        known = self.labels[index] != IGNORED
        return np.argwhere(np.zeros_like(known) if known.all() else known)

    def class_counts_of(self, indices: Sequence[int]) -> Any:
        raise NotImplementedError


class Nearest(nn.Module):
    """Tells the class that the intensity is nearest to."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([-((images - value) ** 2) for value in range(3)], dim=1)


def protocol(**values: Any) -> TrainingProtocol:
    return TrainingProtocol(batch_size=3, mixed_precision=False, channels_last=False, **values)


@given(st.lists(st.tuples(st.integers(2, 90), st.integers(2, 30)), min_size=3, max_size=3))
def test_as_many_windows_as_monai_slides(axes: list[tuple[int, int]]) -> None:
    size = [wanted for _, wanted in axes]
    shape = [max(length, wanted) for length, wanted in axes]  # shorter axes are padded
    interval = _get_scan_interval(shape, size, 3, [0.5] * 3)
    assert sliding_windows(shape, size) == len(dense_patch_slices(shape, size, interval))


def test_patches_are_fixed_and_half_of_them_lie_on_each_class_in_turn() -> None:
    volumes = Volumes([(30, 20, 5), (40, 16, 12)])
    for index in range(2):
        patches = fixed_patches(volumes, index, SIZE, 8)
        assert patches == fixed_patches(volumes, index, SIZE, 8)
        assert len({str(patch) for patch in patches}) > 6
        for number, patch in enumerate(patches):
            part = volumes.label(index)[patch]
            assert part.shape == tuple(map(min, SIZE, volumes.shape(index)))
            if number % 2 == 0:
                assert (part == 1 + number // 2 % 2).any()
    assert fixed_patches(volumes, 0, SIZE, 8) != fixed_patches(volumes, 1, SIZE, 8)


def test_no_patch_lies_where_all_is_ignored() -> None:
    volumes = Volumes([(80, 80, 40)])
    volumes.labels[0][4:] = IGNORED
    for _ in range(2):
        patches = fixed_patches(volumes, 0, SIZE, 12)
        assert all((volumes.label(0)[patch] != IGNORED).any() for patch in patches)
        volumes.labels[0][:4] = 0  # then without foreground


def test_each_label_has_a_patch_however_many_there_are() -> None:
    volumes = Volumes([(40, 40, 40)])
    volumes.labels[0][:] = 0
    places = np.random.default_rng(1).permutation(40**3)[:12]
    volumes.labels[0].reshape(-1)[places] = np.arange(1, 13)
    volumes.foreground = lambda index: [np.argwhere(volumes.labels[0] == value) for value in range(1, 13)]  # type: ignore[method-assign]
    patches = fixed_patches(volumes, 0, SIZE, 8)
    assert len(patches) == 8 + 12 - 4
    met = {int(value) for patch in patches for value in np.unique(volumes.labels[0][patch])}
    assert met == set(range(13))


def test_volumes_without_foreground_have_patches_anywhere() -> None:
    volumes = Volumes([(30, 20, 6)])
    volumes.labels[0][:] = 0
    assert len(fixed_patches(volumes, 0, SIZE, 5)) == 5


def test_scores_are_the_dice_over_the_patches_of_large_volumes_and_over_all_of_others() -> None:
    volumes = Volumes([(8, 8, 6), (30, 20, 12), (9, 8, 6), (20, 30, 5)])
    problem = VolumeProblem(volumes, SegmentationTask(1, ("one", "two"), SIZE))
    cases = [3, 0, 1, 2]
    whole = problem.scores(Nearest(), cases, protocol(), CPU)
    sampled = problem.scores(Nearest(), cases, protocol(validation_patches=6), CPU)
    np.testing.assert_array_equal(sampled[[1, 3]], whole[[1, 3]])
    for row in (0, 2):
        label, image = volumes.label(cases[row]), volumes.image(cases[row])[0]
        patches = fixed_patches(volumes, cases[row], SIZE, 6)
        truth = np.concatenate([label[patch].ravel() for patch in patches])
        nearest = np.clip(np.concatenate([image[patch].ravel() for patch in patches]).round(), 0, 2)
        np.testing.assert_allclose(sampled[row], dice_per_label(nearest.astype(np.uint8), truth, 3))
        assert not np.allclose(sampled[row], whole[row])
    # with as many patches as windows, volumes are computed whole
    np.testing.assert_array_equal(
        problem.scores(Nearest(), cases, protocol(validation_patches=500), CPU), whole
    )
    # and so they are in the comparison at the end
    ended = problem.scores(Nearest(), cases, protocol(validation_patches=6).validating_whole, CPU)
    np.testing.assert_array_equal(ended, whole)


@pytest.mark.parametrize("most", [None, 6, 500])
def test_the_planned_passes_count_windows_and_patches(most: int | None) -> None:
    """They are the passes that scores make, here of one image each: of a small volume one, of others their windows."""
    volumes = Volumes([(8, 8, 6), (30, 20, 12), (9, 8, 6), (20, 30, 5), (5, 8, 3)])
    problem = VolumeProblem(volumes, SegmentationTask(1, ("one", "two"), SIZE))
    passes = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += 1

    network, one = Nearest(), replace(protocol(validation_patches=most), batch_size=1)
    network.register_forward_pre_hook(count)
    problem.scores(network, range(5), one, CPU)
    assert problem.validation_batches(range(5), one) == passes
    assert problem.validation_batches([0, 4], protocol(validation_patches=most)) == 1, (
        "small ones in one batch"
    )


def test_a_network_is_trained_on_patches_of_any_size_and_judged_as_all_others() -> None:
    """An epoch has as many voxels whatever the size; half the voxels are twice as many patches."""
    volumes = Volumes([(30, 20, 12), (8, 8, 6), (32, 32, 24)])
    problem = VolumeProblem(volumes, SegmentationTask(1, ("one", "two"), SIZE))
    cases, usual = [0, 1, 2], {"patches": 4, "foreground_patches": 0.5}
    plain, smaller, larger = (protocol(**usual, patch_size=size) for size in (None, (8, 8, 3), (16, 16, 6)))
    for of, size, count in (
        (plain, SIZE, 4 + 1 + 4),
        (smaller, (8, 8, 3), 8 + 2 + 8),
        (larger, (16, 16, 6), 3),
    ):
        batches = list(problem.batches(cases, of, CPU, seed=0))
        assert {tuple(images.shape[2:]) for images, _ in batches} == {size}
        assert {tuple(labels.shape[1:]) for _, labels in batches} == {size}
        assert sum(len(images) for images, _ in batches) == count
    np.testing.assert_array_equal(
        problem.scores(Nearest(), cases, smaller, CPU), problem.scores(Nearest(), cases, plain, CPU)
    )
    with pytest.raises(SettingsError, match=r"training\.patch_size is \(8, 8\)"):
        protocol(patch_size=(8, 8))


def test_a_step_on_other_patches_costs_what_it_costs_with_that_input() -> None:
    def cost(size: tuple[int, ...], **values: Any) -> Any:
        task = SegmentationTask(1, ("one", "two"), size)
        network = lambda task: nn.Conv3d(1, 3, 3, padding=1)  # noqa: E731
        return predicted_cost(network, task, protocol(**values))

    patched, smaller, whole = (
        cost((32, 32, 32), patch_size=(16, 32, 32)),
        cost((16, 32, 32)),
        cost((32, 32, 32)),
    )
    assert patched.predicted_memory_mb == smaller.predicted_memory_mb < whole.predicted_memory_mb
    assert patched.flops == whole.flops
