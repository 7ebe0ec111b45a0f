"""The voxel grid of a file: how its axes run in the world, and the way to canonical RAS axes and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

_orientations: Any = nibabel.orientations

Affine = tuple[tuple[float, ...], ...]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the axes of DICOM and ITK, to the patient's left, back and head, to those of a `Grid`; and back again."""


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a file, in the file's own axis order.

    ``shape`` (X, Y, Z) in voxels; ``affine`` 4 x 4, voxel indices to millimetres in RAS+ world coordinates.
    ``frame_of_reference``: the number that DICOM gives these coordinates; "" where it is not known. ``sized``: whether
    the file says how large its voxels are; where it does not, they are 1 mm wide.
    """

    shape: tuple[int, int, int]
    affine: Affine
    frame_of_reference: str = field(default="", compare=False)
    sized: bool = True

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The affine as an array (4, 4)."""
        return np.array(self.affine, dtype=np.float64)

    @property
    def _orientation(self) -> NDArray[np.float64]:
        """For each of the file's axes (3, 2): the canonical axis that it runs along, and 1 or -1."""
        return _orientation_of(self.affine)

    @property
    def orientation(self) -> str:
        """The directions in which the file's axes run, for example ``RAS`` or ``LPI``."""
        return "".join(_orientations.aff2axcodes(self.matrix))

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """The shape in canonical RAS axis order."""
        x, y, z = (self.shape[axis] for axis in _order(self._orientation))
        return x, y, z

    @property
    def canonical_affine(self) -> NDArray[np.float64]:
        """The affine (4, 4) of the volume in canonical RAS axis order."""
        return self._turned_affine(self._orientation)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in millimetres, in canonical RAS axis order."""
        x, y, z = (float(size) for size in np.linalg.norm(self.canonical_affine[:3, :3], axis=0))
        return x, y, z

    def to_canonical(self, array: NDArray[Any]) -> NDArray[Any]:
        """From the file's axes (..., X, Y, Z) to canonical RAS axes, by flips and a permutation alone."""
        return _turned(array, self._orientation)

    def from_canonical(self, array: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `to_canonical`."""
        lead = array.ndim - 3
        order = [*range(lead), *(lead + int(axis) for axis in self._orientation[:, 0])]
        return np.ascontiguousarray(np.flip(array.transpose(order), _flips(self._orientation, lead)))

    def displacement(self, reference: Grid) -> float | None:
        """How far this grid's voxels lie from those of another, at most, in voxels of the other along one axis.

        Both in the canonical axes of ``reference``. None where the shapes differ there, so that no voxel has a
        counterpart.
        """
        orientation = _orientation_along(self.affine, reference)
        if orientation is None or self._turned_shape(orientation) != reference.canonical_shape:
            return None
        target = reference.canonical_affine
        corners = np.array(list(product(*((0, length - 1) for length in reference.canonical_shape), [1]))).T
        moved = np.linalg.solve(target, (self._turned_affine(orientation) - target) @ corners)
        return float(np.abs(moved[:3]).max())

    def with_size_of(self, reference: Grid) -> Grid:
        """This grid with voxels as large as those of another along each of the file's axes."""
        scale = np.linalg.norm(reference.matrix[:3, :3], axis=0) / np.linalg.norm(self.matrix[:3, :3], axis=0)
        affine = self.matrix @ np.diag([*scale, 1.0])
        return Grid(self.shape, tuple(tuple(float(x) for x in row) for row in affine), sized=reference.sized)

    def to_axes_of(self, reference: Grid, array: NDArray[Any]) -> NDArray[Any]:
        """From the file's axes (..., X, Y, Z) to the canonical axes of another grid, by flips and a permutation.

        For axes that run obliquely this is steadier than turning both by themselves: at 45 degrees the rounding of a
        header decides which direction is called which.

        Raises:
            ValueError: the axes of the two grids have nothing to do with one another: see `displacement`.
        """
        return _turned(array, self.orientation_in(reference))

    def orientation_in(self, reference: Grid) -> NDArray[np.float64]:
        """For each axis of the file (3, 2): the canonical axis of another grid that it runs along, and 1 or -1.

        Raises:
            ValueError: the axes of the two grids have nothing to do with one another: see `displacement`.
        """
        orientation = _orientation_along(self.affine, reference)
        if orientation is None:
            raise ValueError("the axes of the two grids cannot be told apart")
        return orientation

    def _turned_shape(self, orientation: NDArray[np.float64]) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in _order(orientation))

    def _turned_affine(self, orientation: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.matrix @ _orientations.inv_ornt_aff(orientation, self.shape), dtype=np.float64)


def shape_text(shape: Sequence[int]) -> str:
    """``34 x 52 x 35``."""
    return " x ".join(str(length) for length in shape)


@lru_cache(maxsize=4096)
def _orientation_of(affine: Affine) -> NDArray[np.float64]:
    """Cached: it is asked for often, takes a singular value decomposition, and most scans of a dataset agree."""
    return np.asarray(_orientations.io_orientation(np.array(affine)))


@lru_cache(maxsize=4096)
def _orientation_along(affine: Affine, reference: Grid) -> NDArray[np.float64] | None:
    """For each axis of a file (3, 2): the canonical axis of ``reference`` that it runs along, and 1 or -1."""
    if affine == reference.affine:
        return _orientation_of(affine)
    among = np.linalg.solve(_unit_columns(reference.canonical_affine), _unit_columns(np.array(affine)))
    orientation = np.asarray(_orientations.io_orientation(among))
    return None if np.isnan(orientation).any() else orientation


def _unit_columns(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine with voxels of 1 mm: only the directions of its axes matter."""
    result = affine.copy()
    result[:3, :3] /= np.linalg.norm(affine[:3, :3], axis=0)
    return result


def _order(orientation: NDArray[np.float64]) -> list[int]:
    """For each canonical axis, the axis of the file that runs along it."""
    return [int(axis) for axis in np.argsort(orientation[:, 0])]


def _flips(orientation: NDArray[np.float64], lead: int) -> tuple[int, ...]:
    return tuple(lead + axis for axis in range(3) if orientation[axis, 1] < 0)


def _turned(array: NDArray[Any], orientation: NDArray[np.float64]) -> NDArray[Any]:
    lead = array.ndim - 3
    order = [*range(lead), *(lead + axis for axis in _order(orientation))]
    return np.ascontiguousarray(np.flip(array, _flips(orientation, lead)).transpose(order))


def grid_of(shape: Sequence[int], affine: NDArray[np.float64]) -> Grid | None:
    """The grid of a volume (X, Y, Z) with an affine (4, 4); None where that maps the voxels to no volume in space."""
    if not np.isfinite(affine).all() or not _spans(affine[:3, :3]):
        return None
    rows = tuple(tuple(float(x) for x in row) for row in affine)
    return Grid((shape[0], shape[1], shape[2]), rows)


def _spans(axes: NDArray[np.float64]) -> bool:
    """Whether three axes (3, 3) in millimetres a voxel span a volume, and each runs along one of the patient's."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    with np.errstate(all="ignore"):
        volume = abs(np.linalg.det(axes))
        return bool(1e-9 <= volume <= 1e18 and np.isfinite(_orientations.io_orientation(affine)).all())
