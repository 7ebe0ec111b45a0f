"""What lies around a part of a volume, at low resolution: further channels of the part, as a first stage sees it.

A low-resolution copy of each volume is made once. A part then has the surroundings in as many voxels as it has itself,
which are longer by whole numbers, so that they reach as many times as far; both have the same centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.prepared import Prepared


@dataclass(frozen=True)
class SurroundedImage:
    """An image whose parts come with their surroundings: cut like an array (2 C, X, Y, Z) that is never made whole.

    The first half of the channels is the image, the second half what lies around. Beyond the volume is its padding.

    Args:
        image: (C, X, Y, Z); it may be mapped from a file.
        coarse: the same at low resolution, from `netwright.data.volumes.preprocessing.coarsened`.
        factors: how many times as long its voxels are along each axis.
        air: the value that pads each channel (C,).
    """

    image: NDArray[np.float32]
    coarse: NDArray[np.float32]
    factors: Sequence[int]
    air: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(2 C, X, Y, Z)."""
        channels, *lengths = self.image.shape
        return 2 * channels, *lengths

    @property
    def ndim(self) -> int:
        """4."""
        return self.image.ndim

    def __len__(self) -> int:
        return 2 * len(self.image)

    def __getitem__(self, part: tuple[slice, ...]) -> NDArray[np.float32]:
        """A part (2 C, x, y, z).

        ``part``: the slice of all channels, then one along each axis, which may end beyond the image.
        """
        _, *slices = part
        region = [
            slice(*one.indices(length)) for one, length in zip(slices, self.image.shape[1:], strict=True)
        ]
        return np.concatenate([self.image[:, *region], self._around(region)])

    def _around(self, region: Sequence[slice]) -> NDArray[np.float32]:
        """As many voxels at low resolution as the region has, with the same centre, interpolated linearly."""
        lengths = [part.stop - part.start for part in region]
        begins = [
            (part.start + part.stop) / (2 * factor) - length / 2
            for part, factor, length in zip(region, self.factors, lengths, strict=True)
        ]
        around = np.empty((len(self.coarse), *(length + 1 for length in lengths)), np.float32)
        around[:] = self.air.reshape(-1, 1, 1, 1)
        source, target = [], []
        for begin, length, known in zip(map(floor, begins), lengths, self.coarse.shape[1:], strict=True):
            first, last = max(begin, 0), min(begin + length + 1, known)
            source.append(slice(first, last))
            target.append(slice(first - begin, last - begin))
        around[:, *target] = self.coarse[:, *source]
        for axis, (begin, length) in enumerate(zip(begins, lengths, strict=True), start=1):
            lower, share = around.take(range(length), axis), begin - floor(begin)
            around = (
                lower
                if not share
                else lower + np.float32(share) * (around.take(range(1, length + 1), axis) - lower)
            )
        return around


@dataclass(frozen=True)
class SurroundedVolumes:
    """Prepared volumes whose images have their surroundings as further channels: `CroppedVolumes` as they are.

    ``prepared``: with volumes at low resolution.
    """

    prepared: Prepared

    @property
    def channels(self) -> int:
        """Of an image with its surroundings."""
        return 2 * self.prepared.channels

    @property
    def spacing(self) -> tuple[float, ...]:
        """Of the image, in mm."""
        return self.prepared.spacing

    def image(self, index: int) -> SurroundedImage:
        """(2 C, X, Y, Z), cut as it is read."""
        factors = self.prepared.settings.coarse_factors
        assert factors is not None
        return SurroundedImage(
            self.prepared.image(index), self.prepared.coarse(index), factors, self.prepared.air(index)
        )

    def label(self, index: int) -> NDArray[np.uint8]:
        """(X, Y, Z)."""
        return self.prepared.label(index)

    def air(self, index: int) -> NDArray[np.float32]:
        """(2 C,): surroundings are padded as the image is."""
        return np.tile(self.prepared.air(index), 2)

    def shape(self, index: int) -> tuple[int, ...]:
        """(X, Y, Z)."""
        return self.prepared.shape(index)

    def foreground(self, index: int) -> list[NDArray[np.int64]]:
        """As in `Prepared`."""
        return self.prepared.foreground(index)

    def labelled(self, index: int) -> NDArray[np.int64]:
        """As in `Prepared`."""
        return self.prepared.labelled(index)

    def class_counts_of(self, indices: Iterable[int]) -> NDArray[np.int64]:
        """As in `Prepared`."""
        return self.prepared.class_counts_of(indices)
