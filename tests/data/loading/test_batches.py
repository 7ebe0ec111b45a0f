"""Batches: every case once an epoch, cropped and padded where they belong, the same for the same seed."""

import numpy as np
import pytest
import torch

from netwright.data.loading.augmentation import AugmentationSettings
from netwright.data.loading.batches import Batches, windows


class Volumes:
    """Volumes whose voxels tell the case and the position."""

    channels = 2
    spacing = (1.0, 1.0, 1.0)

    def __init__(self, shapes):
        self.shapes = shapes

    def image(self, index):
        shape = self.shapes[index]
        positions = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        return np.stack([positions + 1, np.full(shape, index + 1, np.float32)])

    def label(self, index):
        return np.full(self.shapes[index], index + 1, np.uint8)

    def air(self, index):
        return np.zeros(2, np.float32)

    def class_counts_of(self, indices):
        raise NotImplementedError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cases_of(batches):
    return [[int(x) for x in labels.flatten(1).amax(1) - 1] for _, labels in batches]


def test_an_epoch_has_every_case_once_and_the_next_another_order():
    batches = Batches(Volumes([(4, 4, 4)] * 8), range(8), (4, 4, 4), 3, generator=generator())
    first, second = cases_of(batches), cases_of(batches)
    assert [len(b) for b in first] == [3, 3, 2]
    assert len(batches) == 3
    for epoch in (first, second):
        assert sorted(case for batch in epoch for case in batch) == list(range(8))
    assert first != second


def test_without_generator_the_order_is_kept_and_nothing_is_left_out():
    batches = Batches(Volumes([(4, 4, 4)] * 7), [6, 2, 4, 0], (4, 4, 4), 3)
    assert cases_of(batches) == [[6, 2, 4], [0]]


@pytest.mark.parametrize(("cases", "lengths"), [(7, [3, 3]), (1, [1]), (2, [2]), (6, [3, 3])])
def test_a_lone_last_case_is_left_out_of_training(cases, lengths):
    batches = Batches(Volumes([(4, 4, 4)] * cases), range(cases), (4, 4, 4), 3, generator=generator())
    assert [len(b) for b in cases_of(batches)] == lengths
    assert len(batches) == len(lengths)


def test_shapes_and_types():
    batches = Batches(
        Volumes([(5, 3, 4)] * 2),
        range(2),
        (4, 6, 4),
        2,
        augmentation=AugmentationSettings(),
        generator=generator(),
    )
    images, labels = next(iter(batches))
    assert images.shape == (2, 2, 4, 6, 4)
    assert images.dtype == torch.float32
    assert labels.shape == (2, 4, 6, 4)
    assert labels.dtype == torch.int64


def test_small_volumes_are_padded_in_the_middle_with_zeros():
    images, labels = next(iter(Batches(Volumes([(2, 3, 5)]), [0], (4, 4, 5), 1)))
    inside = images[0, 0, 1:3, 0:3]
    np.testing.assert_array_equal(inside, Volumes([(2, 3, 5)]).image(0)[0])
    assert images[0, 0].count_nonzero() == inside.numel()
    assert labels.sum() == inside.numel()


def test_large_volumes_are_cropped_at_the_centre_or_at_random():
    volumes = Volumes([(9, 4, 4)])
    centred, _ = next(iter(Batches(volumes, [0], (5, 4, 4), 1)))
    np.testing.assert_array_equal(centred[0], volumes.image(0)[:, 2:7])
    batches = Batches(volumes, [0], (5, 4, 4), 1, generator=generator())
    starts = set()
    for _ in range(60):
        images, _ = next(iter(batches))
        start = int(images[0, 0, 0, 0, 0] - 1) // 16
        np.testing.assert_array_equal(images[0], volumes.image(0)[:, start : start + 5])
        starts.add(start)
    assert starts == {0, 1, 2, 3, 4}


def test_windows_of_both_kinds_are_equally_long():
    source, target = windows((9, 3), (4, 8), (0.999, 0.0))
    assert (source, target) == ((slice(5, 9), slice(0, 3)), (slice(0, 4), slice(2, 5)))


def test_the_same_seed_gives_the_same_epochs():
    def epochs():
        batches = Batches(
            Volumes([(6, 5, 4)] * 5),
            range(5),
            (5, 5, 5),
            2,
            augmentation=AugmentationSettings(),
            generator=generator(7),
        )
        return [images for _ in range(2) for images, _ in batches]

    assert all(torch.equal(a, b) for a, b in zip(epochs(), epochs(), strict=True))
