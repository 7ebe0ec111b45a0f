"""The voxel size and the input size that suit a dataset of volumes, as nnU-Net chooses them."""

from __future__ import annotations

from collections.abc import Sequence

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
    median = np.median(shapes, axis=0)
    lag = np.floor(np.log2(np.array(spacing) / min(spacing)) + ALIKE).astype(int)
    multiples = np.maximum(SIZE_MULTIPLE >> lag, 1)
    size = (np.ceil(median / multiples) * multiples).astype(int)
    while size.prod() > LARGEST_PATCH:
        covered = np.where(size > multiples, size / median, 0)
        axis = int(covered.argmax())
        size[axis] -= multiples[axis]
    x, y, z = (int(length) for length in size)
    return x, y, z
