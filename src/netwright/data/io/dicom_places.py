"""Where the frames of a DICOM segmentation lie on a voxel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.alignment import ALIKE
from netwright.data.io.dicom_frames import Frame, refused
from netwright.data.io.dicom_stack import plane_text
from netwright.data.io.grid import LPS_TO_RAS, Grid, grid_of, shape_text
from netwright.data.io.header_problems import no_volume_in_space

_SAME_PLACE_MM = 0.01
"""Frames nearer than this along their normal lie in one slice."""


@dataclass(frozen=True)
class Places:
    """Frames on a grid.

    Args:
        first: the voxel of the first pixel of each frame (N, 3).
        steps: from column to column and from row to row, in voxels (2, 3): 1 or -1 along one axis.
        size: rows and columns of a frame.
    """

    first: NDArray[np.int64]
    steps: NDArray[np.int64]
    size: tuple[int, int]

    def view(self, array: NDArray[Any], number: int) -> NDArray[Any]:
        """The voxels (rows, columns) of an array (X, Y, Z) on which a frame lies, along the axes of the array.

        ``number``: of the frame, from 0.
        """
        across, down = (int(np.abs(step).argmax()) for step in self.steps)
        through = 3 - across - down
        plane = array.transpose(through, down, across)[self.first[number, through]]
        rows, columns = (
            _extent(int(self.first[number, axis]), length, int(step[axis]))
            for axis, length, step in zip((down, across), self.size, self.steps[::-1], strict=True)
        )
        found: NDArray[Any] = plane[rows, columns]
        return found

    def turned(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels of a frame (rows, columns) in the order of `view`."""
        across, down = self.steps.sum(axis=1).tolist()
        return pixels[::down, ::across]


def _extent(first: int, length: int, step: int) -> slice:
    return slice(first, first + length) if step > 0 else slice(first - length + 1, first + 1)


def places_on(path: Path, frames: Sequence[Frame], size: tuple[int, int], grid: Grid) -> Places:
    """Where frames lie on a grid.

    Args:
        path: of the file, for errors.
        frames: of the file.
        size: rows and columns of each.
        grid: of the image.

    Raises:
        UnusableFile: they have another orientation or pixel spacing than the grid, or lie between voxels or outside.
    """
    to_voxels = np.linalg.inv(grid.matrix) @ LPS_TO_RAS
    lengths = np.array([[size[1] - 1], [size[0] - 1]])
    with np.errstate(all="ignore"):  # damaged headers may have numbers of any size
        edges = np.array([_edges(frame) for frame in frames]) @ to_voxels[:3, :3].T
        positions = np.array([frame.position for frame in frames]) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        first, steps = np.rint(positions), np.rint(edges[0])
        off = np.abs((edges - steps) * np.maximum(lengths, 1)).max(axis=(1, 2))
        between = np.abs(positions - first).max(axis=1)
    straight = np.abs(steps).sum(axis=1).tolist() == [1, 1] and not np.abs(steps).prod(axis=0).any()
    if not straight or not off.max() <= ALIKE:
        raise _otherwise(path, frames[int(off.argmax())], grid)
    if not between.max() <= ALIKE:
        raise _beside(
            path,
            frames[int(between.argmax())],
            positions[int(between.argmax())],
            "lies between the voxels of its image",
            grid,
        )
    last = first + (steps * lengths).sum(axis=0)
    outside = ((np.minimum(first, last) < 0) | (np.maximum(first, last) >= grid.shape)).any(axis=1)
    if outside.any():
        number = int(outside.argmax())
        raise _beside(path, frames[number], positions[number], "reaches beyond its image", grid)
    return Places(first.astype(np.int64), steps.astype(np.int64), size)


def _edges(frame: Frame) -> NDArray[np.float64]:
    """From column to column and from row to row, in mm (2, 3)."""
    return np.array(
        [np.multiply(frame.along_row, frame.spacing[1]), np.multiply(frame.along_column, frame.spacing[0])]
    )


def own_grid(path: Path, frames: Sequence[Frame], size: tuple[int, int], step: float | None) -> Grid:
    """The grid from the first to the last of some frames.

    Args:
        path: of the file, for errors.
        frames: of the file.
        size: rows and columns of each.
        step: from slice to slice in mm, as the header says; the smallest distance of two frames counts instead where it
            is None, or does not fit the positions.

    Raises:
        UnusableFile: nothing says how far slices are apart, or they make no grid.
    """
    plane = frames[0]
    normal = np.cross(plane.along_row, plane.along_column)
    along = np.array([float(np.dot(frame.position, normal)) for frame in frames])
    gaps = np.diff(np.sort(along))
    gaps = gaps[gaps > _SAME_PLACE_MM]
    if step is None and not gaps.size:
        raise refused(
            path,
            "has frames in one place alone, and does not say how far slices are apart",
            "an image beside it, SpacingBetweenSlices, or frames in several slices",
            plane.name,
            "Use it together with its image.",
            "dicom-seg-one-slice",
        )
    fits = step is not None and np.abs(gaps / step - np.rint(gaps / step)).max(initial=0) <= ALIKE
    step = step if step is not None and (fits or not gaps.size) else float(gaps.min())
    affine = np.eye(4)
    affine[:3, :2] = _edges(plane).T
    affine[:3, 2] = normal * step
    affine[:3, 3] = frames[int(along.argmin())].position
    slices = round(float(along.max() - along.min()) / step) + 1
    shape = (size[1], size[0], slices)
    grid = grid_of(shape, LPS_TO_RAS @ affine)
    if grid is None:
        raise no_volume_in_space(path, "axes map", LPS_TO_RAS @ affine, "the position, convert it to NIfTI.")
    places_on(path, frames, size, grid)
    return grid


def _otherwise(path: Path, frame: Frame, grid: Grid) -> Exception:
    edges = np.linalg.norm(grid.matrix[:3, :3], axis=0)
    axes = (grid.matrix[:3, :3] / edges).T @ LPS_TO_RAS[:3, :3]
    directions = "; ".join(", ".join(f"{one:.4g}" for one in axis) for axis in axes.tolist())
    return refused(
        path,
        "has frames in another orientation or with another pixel spacing than its image",
        f"voxels of {' x '.join(f'{edge:.4g}' for edge in edges.tolist())} mm along ({directions})",
        f"{plane_text(frame)} in {frame.name}",
        "Draw the segmentation on this image, or resample it (nearest neighbour) onto it.",
        "dicom-seg-grid",
    )


def _beside(path: Path, frame: Frame, voxel: NDArray[np.float64], what: str, grid: Grid) -> Exception:
    place = ", ".join(f"{one:.4g}" for one in voxel.tolist())
    return refused(
        path,
        f"has a frame that {what}",
        f"first pixels at whole numbers of voxels, to a tenth, and frames within {shape_text(grid.shape)} voxels",
        f"{frame.name} at ({place})",
        "It may be the segmentation of another series. Draw it on this image, or resample it (nearest neighbour) onto "
        "it.",
        "dicom-seg-grid",
    )
