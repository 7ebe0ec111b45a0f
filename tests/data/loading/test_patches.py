"""Patches of large volumes: how many of each, which are centred on foreground, and that nothing else changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netwright.data.loading.augmentation import AugmentationSettings
from netwright.data.loading.batches import Batches, windows
from netwright.data.loading.patches import Patches, centred, patches_in

SIZE = (8, 8, 4)


class Volumes:
    """Volumes with two voxels of class 1 and one of class 2, in corners and inside; the image tells the position."""

    channels = 1
    spacing = (1.0, 1.0, 1.0)

    def __init__(self, shapes: Sequence[tuple[int, int, int]], labelled: bool = True) -> None:
        self.labels = [np.zeros(shape, np.uint8) for shape in shapes]
        for label in self.labels if labelled else ():
            label[0, 0, 0] = label[-2, -1, 1] = 1
            label[tuple(length // 2 for length in label.shape)] = 2

        self.voxels = [[np.argwhere(label == value) for value in (1, 2)] for label in self.labels]
        self.images = [
            np.arange(1, 1 + label.size, dtype=np.float32).reshape(1, *label.shape) for label in self.labels
        ]

    def shape(self, index: int) -> tuple[int, ...]:
        return self.labels[index].shape

    def image(self, index: int) -> Any:
        return self.images[index]

    def label(self, index: int) -> Any:
        return self.labels[index]

    def air(self, index: int) -> Any:
        return np.zeros(1, np.float32)

    def class_counts_of(self, indices: Sequence[int]) -> Any:
        raise NotImplementedError

    def foreground(self, index: int) -> list[Any]:
        return self.voxels[index]

    def labelled(self, index: int) -> Any:
        """The first hundred voxels."""
        return np.argwhere(np.arange(self.labels[index].size).reshape(self.labels[index].shape) < 100)


def batches(volumes: Volumes, patches: Patches | None, batch_size: int = 2) -> Batches:
    return Batches(
        volumes,
        range(len(volumes.labels)),
        SIZE,
        batch_size,
        augmentation=AugmentationSettings() if batch_size > 1 else None,
        generator=torch.Generator().manual_seed(3),
        patches=patches,
    )


@pytest.mark.parametrize("shape", [(8, 8, 4), (5, 9, 4), (9, 9, 4)])
def test_volumes_that_are_hardly_larger_are_trained_on_as_before(shape: tuple[int, int, int]) -> None:
    volumes = Volumes([shape] * 5)
    plain, patched = batches(volumes, None), batches(volumes, Patches(volumes, SIZE, 4, 0.33))
    for _ in range(2):
        for one, other in zip(plain, patched, strict=True):
            assert all(map(torch.equal, one, other))


def test_a_large_volume_comes_as_often_as_it_has_the_voxels() -> None:
    volumes = Volumes([(8, 8, 4), (16, 8, 4), (32, 32, 8), (6, 24, 4)])
    assert [patches_in(volumes.shape(index), SIZE) for index in range(4)] == [1, 2, 32, 3]
    patched = batches(volumes, Patches(volumes, SIZE, 4, 0.0), batch_size=1)
    assert len(patched) == 1 + 2 + 4 + 3
    starts = Counter(int(images.max()) for images, _ in patched)
    assert len(starts) > 5


def test_without_a_generator_every_volume_comes_once() -> None:
    volumes = Volumes([(32, 32, 8)] * 3)
    assert len(Batches(volumes, range(3), SIZE, 1, patches=Patches(volumes, SIZE, 4, 0.5))) == 3


@pytest.mark.parametrize("share", [0.0, 0.25, 1 / 3, 1.0])
def test_a_share_of_the_patches_is_centred_on_each_class_in_turn(share: float) -> None:
    """In volumes of which a random patch hardly ever hits one of the three labelled voxels."""
    shape = (160, 160, 80)
    volumes = Volumes([shape])
    patched = batches(volumes, Patches(volumes, SIZE, 12, share), batch_size=1)
    met: Counter[int] = Counter()
    for _ in range(20):
        for images, labels in patched:
            met[int(labels.max())] += 1
            if labels.max() == 2:  # inside of the volume, so that it is at the very centre
                assert labels[0, 4, 4, 2] == 2
                assert np.unravel_index(int(images[0, 0, 4, 4, 2]) - 1, shape) == (80, 80, 40)
    foreground = met[1] + met[2]
    assert abs(foreground - 240 * share) <= 20
    assert abs(met[1] - met[2]) <= 20
    if share:
        assert met[1] > 0 < met[2]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_where_voxels_are_ignored_patches_are_centred_on_labelled_ones(share: float) -> None:
    """On foreground as before, and all others on one of the few voxels that are labelled."""
    volumes = Volumes([(64, 64, 16)])
    plain = batches(volumes, Patches(volumes, SIZE, 12, share), batch_size=1)
    ignoring = batches(volumes, Patches(volumes, SIZE, 12, share, ignores=True), batch_size=1)
    around: list[bool] = []
    for _ in range(10):
        for images, labels in ignoring:
            around.append(bool((images <= 100).any() or labels.any()))
    assert all(around)
    assert not all(bool((images <= 100).any() or labels.any()) for images, labels in plain)


def test_volumes_without_foreground_are_cropped_anywhere() -> None:
    volumes = Volumes([(32, 32, 8)] * 2, labelled=False)
    patched = batches(volumes, Patches(volumes, SIZE, 4, 1.0), batch_size=1)
    assert len({int(images.max()) for images, _ in patched}) > 4


def test_the_same_seed_gives_the_same_patches() -> None:
    volumes = Volumes([(20, 20, 8)] * 3)
    one, other = (batches(volumes, Patches(volumes, SIZE, 4, 0.5)) for _ in range(2))
    for _ in range(2):
        assert all(torch.equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


LENGTHS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 20), st.floats(0, 0.999)), min_size=1, max_size=3
)


@given(LENGTHS)
def test_a_centred_window_has_its_voxel_at_the_centre_or_touches_the_border(
    axes: list[tuple[int, int, float]],
) -> None:
    shape, size = [length for length, _, _ in axes], [wanted for _, wanted, _ in axes]
    voxel = [int(at * length) for length, _, at in axes]
    source, _ = windows(shape, size, centred(voxel, shape, size))
    for at, part, length, wanted in zip(voxel, source, shape, size, strict=True):
        assert part.start <= at < part.stop
        if length > wanted:
            assert at - part.start == wanted // 2 or part.start == 0 or part.stop == length
