"""The voxel size and the input size that suit a dataset of volumes, as nnU-Net chooses them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.volumes.geometry import Shape, Spacing

ANISOTROPIC = 3.0
"""Voxels so much longer along one axis, of which there are so many times fewer, make a dataset anisotropic: nnU-Net's
threshold (Isensee et al., Nature Methods 2021)."""

COARSE_PERCENTILE = 10
"""Of the spacing along the coarse axis of an anisotropic dataset, as in nnU-Net."""

LARGEST_PATCH = 128**3
"""The most voxels of a proportional input: those of the paper's input of 128 x 128 x 128."""

SMALL_VIEW = 0.25
"""A patch that sees a smaller share of the median volume may lack the context to tell what it sees (Isensee et al.,
Nature Methods 2021, take a low-resolution stage there)."""

PATCH_SHARES = (0.25, 0.5, 2.0)
"""Sizes of patches to train on beside that of the input, in shares of its voxels."""

SIZE_MULTIPLE = 8
"""A size chosen from the fingerprint is a multiple of this, so that three poolings divide it."""

ALIKE = 1e-3
"""Edges that differ by a smaller share are equal, as in resampling."""


def isotropic_edge(grids: Sequence[Grid], axes: int = 3) -> float:
    """The median, over the cases, of the smallest edge of a voxel along the first ``axes`` canonical axes, in mm."""
    return float(np.median([min(grid.spacing[:axes]) for grid in grids]))


def median_spacing(grids: Sequence[Grid]) -> Spacing:
    """The median spacing in mm along each canonical axis.

    Where the dataset is anisotropic, the coarse axis gets the 10th percentile of its spacing, but not less than the
    other axes have: at the median, half of the scans would lose some of their few slices. A dataset is anisotropic if
    the median voxel is more than `ANISOTROPIC` times as long along one axis as along any other, and the median scan has
    fewer voxels along it by as much. Cubes are the same as `isotropic_edge` makes.
    """
    spacings = np.array([grid.spacing for grid in grids])
    target, shape = np.median(spacings, axis=0), np.median([grid.canonical_shape for grid in grids], axis=0)
    if target.max() - target.min() < ALIKE * target.min():
        edge = isotropic_edge(grids)
        return edge, edge, edge
    coarse = int(target.argmax())
    others = np.delete(target, coarse).max()
    if target[coarse] > ANISOTROPIC * others and ANISOTROPIC * shape[coarse] < np.delete(shape, coarse).min():
        target[coarse] = max(float(np.percentile(spacings[:, coarse], COARSE_PERCENTILE)), others)
    x, y, z = target.tolist()
    return x, y, z


def proportional_size(shapes: NDArray[np.int64], spacing: Sequence[float]) -> Shape:
    """An input size with the proportions of the median volume: the median itself, unless that has more than
    `LARGEST_PATCH` voxels.

    Lengths are multiples of 8, or of 4, 2 or 1 along axes with longer voxels, which networks halve less often
    (`netwright.spaces.auto.resolutions`). Until there are few enough voxels, the axis that the input covers best
    loses one multiple after the other, as in nnU-Net.

    Args:
        shapes: (cases, 3) voxels of the resampled volumes.
        spacing: edges of a voxel along each axis, in any unit.
    """
    median, multiples = np.median(shapes, axis=0), _multiples(spacing)
    size = (np.ceil(median / multiples) * multiples).astype(int)
    while size.prod() > LARGEST_PATCH:
        covered = np.where(size > multiples, size / median, 0)
        axis = int(covered.argmax())
        size[axis] -= multiples[axis]
    x, y, z = (int(length) for length in size)
    return x, y, z


def _multiples(spacing: Sequence[float]) -> NDArray[np.int64]:
    """What a length along each axis should be a multiple of."""
    lag = np.floor(np.log2(np.array(spacing) / min(spacing)) + ALIKE).astype(int)
    multiples: NDArray[np.int64] = np.maximum(SIZE_MULTIPLE >> lag, 1)
    return multiples


def patch_sizes(size: Sequence[int], shape: Sequence[int], spacing: Sequence[float]) -> tuple[Shape, ...]:
    """Sizes of patches to train on, the smallest first: those of `PATCH_SHARES` of an input's voxels, and the input.

    Args:
        size: of the input in voxels.
        shape: of the median volume in voxels, which larger patches do not exceed.
        spacing: edges of a voxel, in any unit.

    Returns:
        Only the input where volumes have the voxels of less than two.

    >>> patch_sizes((240, 240, 36), (512, 512, 75), (0.8, 0.8, 5.0))
    ((152, 152, 22), (192, 192, 28), (240, 240, 36), (304, 304, 46))
    >>> patch_sizes((40, 56, 40), (43, 59, 47), (1.0, 1.0, 1.0))
    ((40, 56, 40),)
    """
    x, y, z = (int(length) for length in size)
    whole = (x, y, z)
    if prod(shape) < 2 * prod(size):
        return (whole,)
    multiples, found = _multiples(spacing), {whole}
    longest = np.maximum(np.ceil(np.array(shape) / multiples) * multiples, size)
    for share in PATCH_SHARES:
        lengths = np.round(np.array(size) * share ** (1 / 3) / multiples).clip(1) * multiples
        x, y, z = (int(length) for length in np.minimum(lengths, longest))
        found.add((x, y, z))
    return tuple(sorted(found, key=prod))


def view(size: Sequence[int], shape: Sequence[int], factors: Sequence[float] = (1, 1, 1)) -> float:
    """The share of a volume that an input sees.

    Args:
        size: of the input in voxels.
        shape: of the volume in voxels.
        factors: how many times as long the input's voxels are along each axis.

    >>> view((240, 240, 36), (512, 512, 72), (2, 2, 1)) == (480 / 512) ** 2 / 2
    True
    """
    return prod(
        min(factor * seen / whole, 1.0) for factor, seen, whole in zip(factors, size, shape, strict=True)
    )


def low_resolution(size: Sequence[int], shape: Sequence[int], spacing: Sequence[float]) -> Shape | None:
    """How many times as long voxels are along each axis in the surroundings of an input that a first stage sees.

    They grow until the first stage sees `SMALL_VIEW` of the volume, as in nnU-Net, here by whole numbers, so that their
    values are means of blocks. An axis that is seen whole, or has voxels at least twice as long as the shortest edge of
    the others, waits until these have caught up.

    Args:
        size: of the input in voxels.
        shape: of the median volume in voxels.
        spacing: edges of a voxel, in any unit.

    Returns:
        None where an input sees enough.

    >>> low_resolution((240, 240, 36), (512, 512, 75), (0.8, 0.8, 5.0))
    (2, 2, 1)
    >>> low_resolution((128, 128, 128), (512, 512, 300), (1.0, 1.0, 1.0))
    (3, 3, 3)
    >>> low_resolution((40, 56, 40), (43, 59, 47), (1.0, 1.0, 1.0)) is None
    True
    """
    factors = np.ones(3, dtype=int)
    while view(size, shape, factors.tolist()) < SMALL_VIEW:
        edges = factors * np.array(spacing)
        partly = factors * np.array(size) < np.array(shape)
        factors[partly & (edges < 2 * edges[partly].min())] += 1
    x, y, z = factors.tolist()
    return None if x * y * z == 1 else (x, y, z)
