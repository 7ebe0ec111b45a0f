"""Linear interpolation along the axes of a volume, and where the voxels of a resampled volume lie.

This file needs numpy alone, and goes into exports as it is (`netwright.models.export.monai_bundle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SNAP = 1e-3
"""Voxels of nearly equal size are equally large; a position so little outside the field of view is within it."""


class Placement(NamedTuple):
    """Where the voxels of a prepared volume lie: along each axis the centre of voxel i is at ``scale * i + offset``, in
    units of the original voxels. ``size``: of the prepared volume.
    """

    size: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def sources(self) -> list[NDArray[np.float64]]:
        """For each axis, the position of every prepared voxel among the original ones."""
        axes = zip(self.size, self.scale, self.offset, strict=True)
        return [scale * np.arange(length, dtype=np.float64) + offset for length, scale, offset in axes]

    def targets(self, shape: Sequence[int]) -> list[NDArray[np.float64]]:
        """For each axis, the position of every original voxel among the prepared ones.

        The prepared voxels may cover a little less than the scan. The outermost voxels of the scan then take the edge's
        value. ``shape``: of the original volume.
        """
        axes = zip(shape, self.scale, self.offset, self.size, strict=True)
        return [
            np.clip((np.arange(length, dtype=np.float64) - offset) / scale, 0, last - 1)
            for length, scale, offset, last in axes
        ]

    def inside(self, axis: int, length: int) -> range:
        """The prepared positions along an axis that lie in the ``length`` voxels of the scan. All others are padding.

        A scan may be so thin that every position misses it: then the middle position.
        """
        within = np.flatnonzero(in_field(self.sources()[axis], length))
        if not within.size:
            return range(self.size[axis] // 2, self.size[axis] // 2 + 1)
        return range(int(within[0]), int(within[-1]) + 1)

    def cut(self, axis: int, kept: range) -> Placement:
        """The placement of the prepared volume that is cut to positions along an axis."""
        size, offset = list(self.size), list(self.offset)
        size[axis] = len(kept)
        offset[axis] += self.scale[axis] * kept.start
        return Placement(tuple(size), self.scale, tuple(offset))


def factors(spacing: Sequence[float] | None, own: Sequence[float]) -> tuple[float, ...]:
    """Prepared divided by original voxel size along each axis; exactly 1 where they are nearly equal.

    Args:
        spacing: in mm; None: its own.
        own: of the original volume, in mm.
    """
    ratios = (
        1.0 if spacing is None else target / edge for target, edge in zip(spacing or own, own, strict=True)
    )
    return tuple(1.0 if abs(ratio - 1) < SNAP else ratio for ratio in ratios)


def resampled(shape: Sequence[int], scale: Sequence[float]) -> tuple[int, ...]:
    """The shape that covers the field of view of ``shape`` with voxels ``scale`` times as long."""
    return tuple(max(1, round(length / factor)) for length, factor in zip(shape, scale, strict=True))


def place(
    shape: Sequence[int], scale: Sequence[float], size: Sequence[int], *, pad: bool, resize: bool
) -> Placement:
    """Plans the way from a volume to the prepared one (Wong and Moradi 2019, section 3.1).

    Args:
        shape: of the original volume.
        scale: from `factors`.
        size: the shape of the result, or with ``pad`` alone its smallest shape.
        pad: as in `netwright.data.volumes.geometry.plan_geometry`.
        resize: as there.
    """
    fields, along = np.array(shape, dtype=np.float64), np.array(scale)
    wanted, inner = np.array(size), np.array(resampled(shape, scale))
    low = np.zeros(len(fields))
    if resize:
        stretch = fields / along / wanted
        along = along * (stretch.max() if pad else stretch)
        inner = wanted
    elif pad:
        low = np.maximum(wanted - inner, 0) // 2
    # the two fields of view share their centre, (length - 1) / 2 in either grid's indices
    offset = (fields - 1) / 2 - along * (low + (inner - 1) / 2)
    total = inner if resize or not pad else np.maximum(inner, wanted)
    return Placement(tuple(map(int, total)), tuple(map(float, along)), tuple(map(float, offset)))


def sampled(
    image: NDArray[np.float32], placement: Placement, outside: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """An image (C, X, Y, Z), interpolated linearly on the prepared grid (C, *size).

    Args:
        image: the original volume.
        placement: of the prepared voxels.
        outside: the value of each channel outside the field of view; None: zeros.
    """
    prepared = resample(image, placement.sources(), placement.scale)
    if outside is None or not any(outside):
        return prepared
    values = np.asarray(outside, dtype=np.float32)[:, None, None, None]
    for axis, positions in enumerate(placement.sources()):
        padding = np.flatnonzero(~in_field(positions, image.shape[axis + 1]))
        if padding.size:
            np.moveaxis(prepared, axis + 1, 0)[padding] = values[None, :, :, 0]
    return prepared


class Cut(NamedTuple):
    """A part of a volume, from ``start`` on, along an axis on which the volume has ``length`` voxels."""

    axis: int
    start: int
    length: int


def resample(
    array: NDArray[np.float32],
    positions: Sequence[NDArray[np.float64]],
    steps: Sequence[float] = (1.0, 1.0, 1.0),
    cut: Cut | None = None,
) -> NDArray[np.float32]:
    """Linear interpolation of (..., X, Y, Z) at positions along the last three axes, in voxel indices.

    A position within the field of view [-0.5, length - 0.5] but beyond the last centre takes the edge's value; a
    position outside it gives zero. The axes are interpolated one after the other.

    Args:
        array: (..., X, Y, Z).
        positions: the positions along each axis.
        steps: the distance of two positions along each axis. Where it is above 1, the result is coarser than the array.
            The linear kernel is then wider by the same factor, so that every voxel counts and there is no aliasing.
        cut: the part of a volume that the array is, in which the positions are those of the volume; None: all of it.
    """
    first_axis = array.ndim - 3
    for axis, (along, step) in enumerate(zip(positions, steps, strict=True)):
        part = cut if cut is not None and cut.axis == axis else Cut(axis, 0, array.shape[first_axis + axis])
        array = resample_axis(array, first_axis + axis, along, step, part)
    return np.ascontiguousarray(array, dtype=np.float32)


def resample_axis(
    array: NDArray[Any], axis: int, positions: NDArray[np.float64], step: float, part: Cut
) -> NDArray[Any]:
    """`resample` along one axis; the array itself where it stays as it is.

    Args:
        array: of any shape.
        axis: along which.
        positions: along the axis.
        step: their distance.
        part: of the volume along the axis that the array is.
    """
    own = np.arange(part.start, part.start + array.shape[axis])
    if step <= 1 and np.array_equal(positions, own):
        return array
    inside = in_field(positions, part.length)
    result = (
        _averaged(array, axis, positions, step, part)
        if step > 1
        else _interpolated(array, axis, positions, part)
    )
    if not inside.all():
        result *= _along(inside, axis, array.ndim).astype(result.dtype)
    return result


def in_field(positions: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Which positions lie in the field of view of ``length`` voxels. It ends half a voxel beyond the outer centres."""
    return np.asarray((positions >= -0.5 - SNAP) & (positions <= length - 0.5 + SNAP))


def _interpolated(array: NDArray[Any], axis: int, positions: NDArray[np.float64], part: Cut) -> NDArray[Any]:
    nearest = np.clip(positions, 0, part.length - 1) - part.start
    below = np.floor(nearest).astype(np.intp)
    result = array.take(below, axis)
    weight = (nearest - below).astype(np.float32)
    if weight.any():
        step = array.take(np.minimum(below + 1, array.shape[axis] - 1), axis)
        step -= result
        step *= _along(weight, axis, array.ndim)
        result += step
    return result


def _averaged(
    array: NDArray[Any], axis: int, positions: NDArray[np.float64], width: float, part: Cut
) -> NDArray[Any]:
    """Averages weighted by a triangle that reaches ``width`` voxels to either side, at least 1."""
    last = part.length - 1
    indices = within_reach(positions, width)
    distances = indices - positions[:, None]
    exists = (indices >= 0) & (indices <= last)
    weights = np.maximum(1 - np.abs(distances) / width, 0) * exists
    # The weights are slightly lopsided if the width is no whole number. Once evened, ramps stay exact.
    moment, spread = (weights * distances).sum(1), (weights * distances**2).sum(1)
    lean = np.divide(moment, spread, out=np.zeros_like(moment), where=exists.all(1) & (spread > 0))
    weights *= 1 - lean[:, None] * distances
    weights /= np.maximum(weights.sum(1, keepdims=True), SNAP)
    result = np.zeros((*array.shape[:axis], len(positions), *array.shape[axis + 1 :]), np.float32)
    for index, weight in zip(
        np.clip(indices, 0, last).T - part.start, weights.T.astype(np.float32), strict=True
    ):
        result += array.take(index, axis) * _along(weight, axis, array.ndim)
    return result


def within_reach(positions: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    """The voxels (positions, n) that a kernel of a width reaches, also where there are none."""
    first = np.floor(positions - width).astype(np.intp) + 1
    return np.asarray(first[:, None] + np.arange(int(2 * width) + 1))


def _along(values: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    return values.reshape([-1 if one == axis else 1 for one in range(dimensions)])
