"""From a file's voxel grid to the prepared grid and back, by one linear interpolation each way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.volumes.slabs import Slabs, labels_of, likeliest

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

_SNAP = 1e-3


@dataclass(frozen=True)
class Geometry:
    """The position of each voxel of a prepared volume in the original volume.

    Along each canonical RAS axis, the centre of prepared voxel i lies at ``scale * i + offset``, in units of the
    original voxels. Positions outside the original field of view are padding. Survives a round trip through JSON.

    Args:
        shape: the shape of the original file, in its own axis order.
        affine: the affine of the original file.
        size: the shape of the prepared volume.
        scale: see above.
        offset: see above.
    """

    shape: Shape
    affine: tuple[tuple[float, ...], ...]
    size: Shape
    scale: Spacing
    offset: Spacing

    @property
    def grid(self) -> Grid:
        """The original file's voxel grid."""
        return Grid(self.shape, self.affine)

    @property
    def spacing(self) -> Spacing:
        """Voxel size of the prepared volume in millimetres."""
        x, y, z = (s * f for s, f in zip(self.grid.spacing, self.scale, strict=True))
        return x, y, z

    def prepare_image(
        self, image: NDArray[np.float32], outside: Sequence[float] | None = None
    ) -> NDArray[np.float32]:
        """Interpolates an image (C, X, Y, Z) in canonical axes linearly on the prepared grid (C, *size).

        ``outside`` is the value of each channel outside the field of view; None: zeros.
        """
        prepared = resample(image, self._sources(), self.scale)
        if outside is None or not any(outside):
            return prepared
        values = np.asarray(outside, dtype=np.float32)[:, None, None, None]
        for axis, positions in enumerate(self._sources()):
            padding = np.flatnonzero(~_in_field(positions, self.grid.canonical_shape[axis]))
            if padding.size:
                np.moveaxis(prepared, axis + 1, 0)[padding] = values[None, :, :, 0]
        return prepared

    def prepare_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices (X, Y, Z) in canonical axes on the prepared grid (*size), background outside."""
        return resample_labels(labels, self._sources(), self.scale)

    def restore(self, prediction: NDArray[Any] | Slabs) -> NDArray[np.uint8]:
        """Class indices on the original file's grid and in its axis order.

        ``prediction``: probabilities (or logits) of the classes (K, *size), also slab by slab, which are interpolated
        linearly before the largest is taken (of slabs as `Slabs.labels` takes them), or class indices (*size).

        Raises:
            ValueError: the shape is not that of a prediction on the prepared grid.
        """
        if len(prediction.shape) not in (3, 4) or prediction.shape[-3:] != self.size:
            raise ValueError(
                f"a prediction of shape {prediction.shape} is not on the prepared grid: expected "
                f"{self.size}, or (classes, *{self.size})"
            )
        targets = self._targets()
        steps = [1 / scale for scale in self.scale]
        if isinstance(prediction, Slabs):
            labels = _labels_of_slabs(prediction, targets, steps)
        elif prediction.ndim == 3:
            labels = resample_labels(prediction.astype(np.uint8), targets, steps)
        else:
            labels = likeliest(_resampled(prediction, targets, steps))
        return self.grid.from_canonical(labels)

    def inside(self, axis: int) -> range:
        """The positions along a canonical axis of the prepared grid that lie in the scan. All others are padding.

        A scan may be so thin that every position misses it: then the middle position.
        """
        within = np.flatnonzero(_in_field(self._sources()[axis], self.grid.canonical_shape[axis]))
        if not within.size:
            return range(self.size[axis] // 2, self.size[axis] // 2 + 1)
        return range(int(within[0]), int(within[-1]) + 1)

    def without_padding(self, axis: int) -> Geometry:
        """The geometry of a prepared volume that is cut to `inside` along an axis."""
        kept = self.inside(axis)
        size, offset = list(self.size), list(self.offset)
        size[axis] = len(kept)
        offset[axis] += self.scale[axis] * kept.start
        return replace(self, size=(size[0], size[1], size[2]), offset=(offset[0], offset[1], offset[2]))

    def _sources(self) -> list[NDArray[np.float64]]:
        """For each axis, the position of every prepared voxel among the original ones."""
        axes = zip(self.size, self.scale, self.offset, strict=True)
        return [scale * np.arange(length, dtype=np.float64) + offset for length, scale, offset in axes]

    def _targets(self) -> list[NDArray[np.float64]]:
        """For each axis, the position of every original voxel among the prepared ones.

        The prepared voxels may cover a little less than the scan. The outermost voxels of the scan then take the edge's
        value.
        """
        axes = zip(self.grid.canonical_shape, self.scale, self.offset, self.size, strict=True)
        return [
            np.clip((np.arange(length, dtype=np.float64) - offset) / scale, 0, last - 1)
            for length, scale, offset, last in axes
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Geometry:
        """The inverse of `to_dict`."""
        affine = tuple(tuple(float(x) for x in row) for row in values["affine"])
        plain = {name: tuple(values[name]) for name in ("shape", "size", "scale", "offset")}
        return cls(affine=affine, **plain)


def resampled_shape(grid: Grid, spacing: Spacing | None) -> Shape:
    """The canonical shape that covers the grid's field of view at a spacing in mm (None: its own)."""
    factors = _factors(grid, spacing)
    x, y, z = (max(1, round(n / factor)) for n, factor in zip(grid.canonical_shape, factors, strict=True))
    return x, y, z


def plan_geometry(grid: Grid, spacing: Spacing | None, size: Shape, *, pad: bool, resize: bool) -> Geometry:
    """Plans the way from a file's grid to the prepared grid (Wong and Moradi 2019, section 3.1).

    Resampling, zero padding and resizing become one interpolation, so that nothing is blurred twice. Nothing is cut
    off.

    Args:
        grid: the file's grid.
        spacing: the voxel size to resample to, in mm; None: no resampling.
        size: the shape of the result, or with ``pad`` alone its smallest shape.
        pad: with ``resize``, the field of view is first padded on both sides to the proportions of ``size``. Without
            ``resize``, volumes smaller than ``size`` are filled up.
        resize: the result has exactly ``size``. Without ``pad``, the volume is stretched.
    """
    fields = np.array(grid.canonical_shape, dtype=np.float64)
    factors = np.array(_factors(grid, spacing))
    shape = np.array(resampled_shape(grid, spacing))
    low = np.zeros(3)
    if resize:
        stretch = fields / factors / np.array(size)
        scale = factors * (stretch.max() if pad else stretch)
        shape = np.array(size)
    else:
        scale = factors
        if pad:
            low = np.maximum(np.array(size) - shape, 0) // 2
    # the two fields of view share their centre, (length - 1) / 2 in either grid's indices
    offset = (fields - 1) / 2 - scale * (low + (shape - 1) / 2)
    total = shape if resize or not pad else np.maximum(shape, size)
    return Geometry(
        grid.shape,
        grid.affine,
        size=(int(total[0]), int(total[1]), int(total[2])),
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        offset=(float(offset[0]), float(offset[1]), float(offset[2])),
    )


def _factors(grid: Grid, spacing: Spacing | None) -> Spacing:
    """Prepared divided by original voxel size along each axis; exactly 1 where they are nearly equal."""
    if spacing is None:
        return 1.0, 1.0, 1.0
    ratios = (target / own for target, own in zip(spacing, grid.spacing, strict=True))
    x, y, z = (1.0 if abs(ratio - 1) < _SNAP else ratio for ratio in ratios)
    return x, y, z


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
        array = _resample_axis(array, first_axis + axis, along, step, part)
    return np.ascontiguousarray(array, dtype=np.float32)


def _resample_axis(
    array: NDArray[Any], axis: int, positions: NDArray[np.float64], step: float, part: Cut
) -> NDArray[Any]:
    own = np.arange(part.start, part.start + array.shape[axis])
    if step <= 1 and np.array_equal(positions, own):
        return array
    inside = _in_field(positions, part.length)
    result = (
        _averaged(array, axis, positions, step, part)
        if step > 1
        else _interpolated(array, axis, positions, part)
    )
    if not inside.all():
        result *= _along(inside, axis, array.ndim).astype(result.dtype)
    return result


def _in_field(positions: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Which positions lie in the field of view of ``length`` voxels. It ends half a voxel beyond the outer centres."""
    return np.asarray((positions >= -0.5 - _SNAP) & (positions <= length - 0.5 + _SNAP))


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
    indices = _within_reach(positions, width)
    distances = indices - positions[:, None]
    exists = (indices >= 0) & (indices <= last)
    weights = np.maximum(1 - np.abs(distances) / width, 0) * exists
    # The weights are slightly lopsided if the width is no whole number. Once evened, ramps stay exact.
    moment, spread = (weights * distances).sum(1), (weights * distances**2).sum(1)
    lean = np.divide(moment, spread, out=np.zeros_like(moment), where=exists.all(1) & (spread > 0))
    weights *= 1 - lean[:, None] * distances
    weights /= np.maximum(weights.sum(1, keepdims=True), _SNAP)
    result = np.zeros((*array.shape[:axis], len(positions), *array.shape[axis + 1 :]), np.float32)
    for index, weight in zip(
        np.clip(indices, 0, last).T - part.start, weights.T.astype(np.float32), strict=True
    ):
        result += array.take(index, axis) * _along(weight, axis, array.ndim)
    return result


def _within_reach(positions: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    """The voxels (positions, n) that a kernel of a width reaches, also where there are none."""
    first = np.floor(positions - width).astype(np.intp) + 1
    return np.asarray(first[:, None] + np.arange(int(2 * width) + 1))


def _needed(
    positions: NDArray[np.float64], step: float, length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last of ``length`` voxels that each position within them needs."""
    if step > 1:
        indices = _within_reach(positions, step).clip(0, length - 1)
        return indices[:, 0], indices[:, -1]
    return np.floor(positions).astype(np.intp), np.ceil(positions).astype(np.intp)


def _along(values: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    return values.reshape([-1 if one == axis else 1 for one in range(dimensions)])


def resample_labels(
    labels: NDArray[np.uint8],
    positions: Sequence[NDArray[np.float64]],
    steps: Sequence[float] = (1.0, 1.0, 1.0),
) -> NDArray[np.uint8]:
    """Class indices (X, Y, Z) at positions: each class interpolated linearly as a mask, the largest wins.

    Nearest-neighbour sampling would keep the labels as well, but moves their borders by up to half a voxel:
    for balls of 5 to 9 voxels radius, resampled by factors of 0.5 to 1.3, the Dice against the exact ball
    on the new grid is 0.97 with interpolated masks and 0.95 with nearest neighbours.

    Args:
        labels: class indices.
        positions: to sample at, along each axis.
        steps: the distance between positions along each axis, in voxels.
    """
    whole = all(np.array_equal(along, np.round(along)) for along in positions)
    if whole and max(steps) <= 1:
        result = labels
        for axis, (along, step) in enumerate(zip(positions, steps, strict=True)):
            result = _resample_axis(result, axis, along, step, Cut(axis, 0, result.shape[axis]))
        return np.ascontiguousarray(result)
    present = np.array(sorted({0, *np.flatnonzero(np.bincount(labels.ravel())).tolist()}), np.uint8)
    return present[likeliest(_resampled((labels == index for index in present), positions, steps))]


def _resampled(
    scores: Iterable[NDArray[Any]],
    positions: Sequence[NDArray[np.float64]],
    steps: Sequence[float],
    cut: Cut | None = None,
) -> Iterator[NDArray[np.float32]]:
    return (resample(np.asarray(score, dtype=np.float32), positions, steps, cut) for score in scores)


def _labels_of_slabs(
    slabs: Slabs, positions: Sequence[NDArray[np.float64]], steps: Sequence[float]
) -> NDArray[np.uint8]:
    """The classes of interpolated scores (see `labels_of`), of each plane as soon as all that it needs has come."""
    axis, along, length = slabs.axis, positions[slabs.axis], slabs.shape[slabs.axis]
    first, last = _needed(along, steps[axis], length)
    labels = np.empty([len(each) for each in positions], np.uint8)
    done = start = 0  # planes with labels, and the voxel that the kept scores begin with
    kept: NDArray[np.float32] | None = None
    for part in slabs.parts:
        kept = part if kept is None else np.concatenate([kept, part], axis + 1)
        stop = start + kept.shape[axis + 1]
        ready = int(np.searchsorted(last, stop))
        if ready > done:
            chosen = [*positions[:axis], along[done:ready], *positions[axis + 1 :]]
            scores = _resampled(kept, chosen, steps, Cut(axis, start, length))
            of_planes = labels_of(scores, slabs.written)
            np.moveaxis(labels, axis, 0)[done:ready] = np.moveaxis(of_planes, axis, 0)
            done = ready
        needed = min(int(first[done]), stop) if done < len(along) else stop
        # a copy: the next part takes this one's place
        kept = np.delete(kept, np.s_[: needed - start], axis + 1)
        start = needed
    return labels
