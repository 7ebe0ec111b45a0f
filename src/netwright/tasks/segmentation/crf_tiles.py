"""Cuts a volume that is too large for the fully connected CRF into tiles, each computed with what is around it.

Every voxel is linked with every other, but the Gaussians of a link fade with the distance of its voxels, and the
lattice that they are computed on (Adams et al., "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
2010) links none that are over about 5 standard deviations apart. So an iteration carries a change only so far, and far
enough from the edge of a tile all is as in the whole volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

REACH, FURTHER = 5.0, 1.25
"""How far around a tile is computed for one iteration, and how much further for each other one, in standard deviations
of the widest Gaussian. Probabilities then differed by at most 1e-4 from those of the whole volume (1 to 8 iterations,
on smooth images and on noise), with 5 iterations by 5e-6; with a third more by nothing."""


@dataclass(frozen=True)
class Tile:
    """A part of a volume: its voxels, and those that they are computed from, along each axis of the volume."""

    voxels: tuple[slice, ...]
    around: tuple[slice, ...]

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where the voxels are among those around them."""
        return tuple(
            slice(own.start - wide.start, own.stop - wide.start)
            for own, wide in zip(self.voxels, self.around, strict=True)
        )


@dataclass(frozen=True)
class Tiling:
    """The tiles of a volume.

    Args:
        shape: of the volume.
        counts: the most tiles along each axis; rounding may leave fewer.
        margins: how many voxels around a tile it is computed with, along each axis.
    """

    shape: tuple[int, ...]
    counts: tuple[int, ...]
    margins: tuple[int, ...]

    @property
    def largest(self) -> tuple[int, ...]:
        """The most voxels along each axis that are computed at once."""
        return tuple(
            min(length, -(-length // count) + 2 * margin * (count > 1))
            for length, count, margin in zip(self.shape, self.counts, self.margins, strict=True)
        )

    @property
    def is_whole(self) -> bool:
        """Whether the volume is one tile."""
        return prod(self.counts) == 1

    def __iter__(self) -> Iterator[Tile]:
        axes = []
        for length, count, margin in zip(self.shape, self.counts, self.margins, strict=True):
            size = -(-length // count)
            axes.append(
                [
                    (
                        slice(begin, min(begin + size, length)),
                        slice(max(begin - margin, 0), min(begin + size + margin, length)),
                    )
                    for begin in range(0, length, size)
                ]
            )
        for parts in product(*axes):
            yield Tile(tuple(own for own, _ in parts), tuple(around for _, around in parts))


def margins(reach_mm: float, iterations: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """How many voxels around a tile it is computed with.

    Args:
        reach_mm: the standard deviation of the widest Gaussian.
        iterations: of the mean field.
        spacing: of the voxels along each axis, in mm.
    """
    reach = (REACH + FURTHER * (iterations - 1)) * reach_mm
    return tuple(ceil(reach / step) for step in spacing)


def tiling(shape: Sequence[int], margins: Sequence[int], most: float) -> Tiling:
    """The tiles of a volume, each with what is around it.

    A tile is no thinner than the margin on one of its sides; if that is too large, the tiles are larger than asked for.

    Args:
        shape: of the volume.
        margins: how many voxels around a tile it is computed with, along each axis.
        most: the most voxels of a tile and what is around it.
    """
    counts = [1] * len(shape)
    while prod((best := Tiling(tuple(shape), tuple(counts), tuple(margins))).largest) > most:
        gains = {}
        for axis, (length, margin) in enumerate(zip(shape, margins, strict=True)):
            more = [*counts[:axis], counts[axis] + 1, *counts[axis + 1 :]]
            if length >= (counts[axis] + 1) * max(margin, 1):
                gains[axis] = Tiling(best.shape, tuple(more), best.margins).largest[axis] / best.largest[axis]
        if not gains:
            break
        counts[min(gains, key=gains.__getitem__)] += 1
    return best
