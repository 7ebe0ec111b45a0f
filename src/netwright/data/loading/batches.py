"""Batches of prepared volumes or slices: read, cropped or padded to one size, stacked, augmented on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.data.loading.augmentation import AugmentationSettings, augment
from netwright.data.loading.patches import ForegroundCentres, Patches


class Image(Protocol):
    """An array (C, *shape), or what is cut like one and made as it is cut."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *shape)."""

    @property
    def ndim(self) -> int:
        """With the axis of the channels."""

    def __len__(self) -> int:
        """Channels."""

    def __getitem__(self, part: Any, /) -> Any:
        """A part, as an array. ``part``: a slice of all channels, then one along each axis."""


class Items(Protocol):
    """Numbered images and labels of three or two dimensions, from which batches are made."""

    @property
    def channels(self) -> int:
        """Channels of every image."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """The size of the voxels in mm, one number for each axis."""

    def image(self, index: int) -> Image:
        """(C, X, Y, Z), or (C, X, Y)."""

    def label(self, index: int) -> NDArray[np.uint8]:
        """(X, Y, Z), or (X, Y): class indices."""

    def air(self, index: int) -> NDArray[np.float32]:
        """The value that pads each channel of a case, (C,)."""


class PreparedVolumes(Items, Protocol):
    """The part of `netwright.data.volumes.prepared.Prepared` that validation needs."""

    def class_counts_of(self, indices: Sequence[int]) -> NDArray[Any]:
        """(classes,), voxels of each class in these cases."""


class CroppedVolumes(PreparedVolumes, Protocol):
    """The part that training needs."""

    def shape(self, index: int) -> tuple[int, ...]:
        """(X, Y, Z) of a volume."""

    def foreground(self, index: int) -> Sequence[NDArray[Any]]:
        """Some voxels (n, 3) of each foreground class of a volume."""

    def labelled(self, index: int) -> NDArray[Any]:
        """Some voxels (n, 3) of a volume in which others are ignored; none of other volumes."""


def windows(
    shape: Sequence[int], size: Sequence[int], position: Sequence[float] | None = None
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Which part of a volume goes to which part of a window of ``size``, axis by axis.

    Where the volume is longer than the window, it is cropped: from its start (position 0) to its end (below 1), or at
    its centre without a position. Where it is shorter, it is put into the middle of the window.

    Args:
        shape: of the volume.
        size: of the window.
        position: of the window along each axis, from 0 up to 1; None: the centre.

    Returns:
        The slices of the volume and those of the window. They are equally long.
    """
    source, target = [], []
    for axis, (length, wanted) in enumerate(zip(shape, size, strict=True)):
        room = max(length - wanted, 0)
        start = room // 2 if position is None else int(position[axis] * (room + 1))
        before = max(wanted - length, 0) // 2
        source.append(slice(start, start + min(length, wanted)))
        target.append(slice(before, before + min(length, wanted)))
    return tuple(source), tuple(target)


def whole(image: Image) -> NDArray[np.float32]:
    """All of an image, as an array."""
    array: NDArray[np.float32] = image[:, *(slice(0, length) for length in image.shape[1:])]
    return array


def padding(air: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Values of the channels (C,), shaped to broadcast over an image (C, *size) with ``dimensions`` spatial axes."""
    return air.reshape(-1, *(1,) * (dimensions - 1))


class Batches:
    """The batches of an epoch. Each iteration is one epoch; with a generator, every epoch differs.

    With a generator (training), the cases are shuffled, and volumes larger than ``size`` are cropped at random. A
    smaller last batch is kept. A last batch of a single case is left out if other batches are larger, because batch
    normalisation cannot train on one case where the deepest level is one voxel. The shuffle leaves out all cases
    equally often. Without a generator, all cases come in order, cropped at the centre and never augmented.

    Args:
        prepared: the volumes, or slices.
        indices: which of them.
        size: the network's input size in voxels, one number for each axis.
        batch_size: cases in a batch.
        device: where the batches are needed.
        augmentation: None for none.
        generator: on the CPU; the only source of random numbers.
        patches: of volumes much larger than ``size``, in training; None: one of each, anywhere.
        factors: how many times as long the voxels of the second half of the channels are, which are the surroundings of
            the first (`netwright.data.volumes.surroundings`); None: all channels are of one resolution.
    """

    def __init__(
        self,
        prepared: Items,
        indices: Sequence[int],
        size: Sequence[int],
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        augmentation: AugmentationSettings | None = None,
        generator: torch.Generator | None = None,
        patches: Patches | None = None,
        factors: Sequence[int] | None = None,
    ) -> None:
        self._prepared = prepared
        self._patches = patches if generator is not None else None
        self._indices = tuple(indices) if self._patches is None else self._patches.repeated(indices)
        self._size = tuple(size)
        self._batch_size = batch_size
        self._device = torch.device(device)
        self._augmentation = augmentation if generator is not None else None
        self._generator = generator
        self._factors = factors

    @property
    def generator(self) -> torch.Generator | None:
        """The only source of random numbers."""
        return self._generator

    def __len__(self) -> int:
        full, rest = divmod(len(self._indices), self._batch_size)
        lone = self._generator is not None and rest == 1 and full > 0
        return full + (1 if rest and not lone else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, *size) float32 and labels (B, *size) int64, on the device."""
        count = len(self._indices)
        if self._generator is None:
            order = list(range(count))
        else:
            order = torch.randperm(count, generator=self._generator).tolist()
        centres = self._centres()
        for batch in range(len(self)):
            chosen = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            images, labels, air = self._read([self._indices[i] for i in chosen], centres)
            images = images.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            if self._augmentation is not None and self._generator is not None:
                images, labels = augment(
                    images,
                    labels,
                    self._augmentation,
                    self._generator,
                    spacing=self._prepared.spacing,
                    outside=air,
                    factors=self._factors,
                )
            yield images, labels.long()

    def _centres(self) -> ForegroundCentres | None:
        if self._patches is None or self._generator is None:
            return None
        return self._patches.centres(self._indices, self._generator)

    def _read(
        self, indices: Sequence[int], centres: ForegroundCentres | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, C, *size), labels (B, *size), and the padding values of the images (B, C)."""
        pinned = self._device.type == "cuda"
        shape = (len(indices), self._prepared.channels, *self._size)
        images = torch.zeros(shape, pin_memory=pinned)
        labels = torch.zeros((len(indices), *self._size), dtype=torch.uint8, pin_memory=pinned)
        air = torch.zeros(shape[:2])
        image_rows, label_rows, air_rows = images.numpy(), labels.numpy(), air.numpy()
        for row, index in enumerate(indices):
            image, label = self._prepared.image(index), self._prepared.label(index)
            position = None
            if self._generator is not None:
                position = torch.rand(len(self._size), generator=self._generator).tolist()
            if centres is not None:
                position = centres.position(index) or position
            source, target = windows(label.shape, self._size, position)
            air_rows[row] = self._prepared.air(index)
            image_rows[row] = padding(air_rows[row], image.ndim)
            image_rows[row][:, *target] = image[:, *source]
            label_rows[row][target] = label[source]
        return images, labels, air
