"""Volumes with their geometry: read into canonical RAS axes, written on a reference's grid.

They are NIfTI files, or pictures: a picture is a volume (columns, rows, 1) of 1 mm voxels, whose columns run to the
patient's left and whose rows to the back, as radiologists look at axial slices. So it is shown upright, and its
canonical array is (columns, rows, 1), both reversed.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from netwright.data.files import BROKEN_OFF, unreadable, write_whole
from netwright.data.io.alignment import misplacement, same_place
from netwright.data.io.grid import Grid, shape_text
from netwright.data.io.images import is_picture, mask_size, read_mask, read_picture, write_label_picture
from netwright.data.io.nifti import NiftiFile, open_nifti
from netwright.data.io.time_axis import advice_on_time, at_time, time_points
from netwright.data.io.whole_labels import whole_labels
from netwright.data.issues import Problem, UnusableFile

__all__ = [
    "ENDINGS",
    "Grid",
    "Volume",
    "label_ending",
    "read_grid",
    "read_image",
    "read_label",
    "same_place",
    "shape_text",
    "write_label_map",
    "write_volume",
]

ENDINGS = (".nii.gz", ".nii")
"""File endings of the volumes that netwright reads."""

_orientations: Any = nibabel.orientations

_NIFTI2_HEADER_BYTES = 540


@dataclass(frozen=True)
class Volume:
    """An image in canonical RAS axes: ``array`` (C, X, Y, Z) float32, and the ``grid`` that its first file has.

    ``problems``: warnings of channels that lie a little beside the first.
    """

    array: NDArray[np.float32]
    grid: Grid
    problems: tuple[Problem, ...] = ()

    @property
    def affine(self) -> NDArray[np.float64]:
        """The affine (4, 4) of ``array``, in millimetres."""
        return self.grid.canonical_affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size of ``array`` in millimetres."""
        return self.grid.spacing


def read_grid(path: Path) -> Grid:
    """The voxel grid of a file, from its header alone.

    Raises:
        UnusableFile: the file is missing or no readable NIfTI volume or picture.
    """
    if is_picture(path):
        return _grid_of_picture(mask_size(path))
    return _grid_of(open_nifti(path))


def read_image(paths: Sequence[Path], time: int | None = None) -> Volume:
    """An image from one file a channel, or from one 3D file, 4D file with the channels last, or picture.

    Each file is turned into canonical axes by its own affine; the first file's grid then holds for all of them.
    ``time``: the volume to take, from 0, of 4D files (x, y, z, time).

    Raises:
        UnusableFile: a file is missing, truncated or neither NIfTI volume nor picture, ends before ``time``, or the
            files differ in shape or lie more than a voxel from the first.
    """
    images = [(path, *_load(path, time)) for path in paths]
    grid = images[0][2]
    channels: list[NDArray[Any]] = []
    problems: list[Problem] = []
    for path, array, own in images:
        problem = None if own is grid else misplacement(path, own, grid, paths[0].name, "channel")
        if problem is not None and problem.severity == "error":
            raise UnusableFile(problem)
        problems += [] if problem is None else [problem]
        parts = array[..., None] if array.ndim == 3 else array
        channels += list(own.to_axes_of(grid, np.moveaxis(parts, -1, 0)))
    with np.errstate(over="ignore", invalid="ignore"):
        stacked = np.stack([channel.astype(np.float32) for channel in channels])
    return Volume(np.ascontiguousarray(stacked), grid, tuple(problems))


def read_label(path: Path, reference: Grid | None = None, time: int | None = None) -> NDArray[Any]:
    """A label map (X, Y, Z) in canonical RAS axes, its values the integers that they stand for: see `whole_labels`.

    ``time``: the label map to take, from 0, of a 4D file; of a 3D file it is the one that is there.

    Its own affine says how its axes run. Where ``reference``, the image's grid, is given, it is then taken voxel by
    voxel in the image's geometry, from which it may lie up to a voxel away: see `misplacement`.

    Raises:
        UnusableFile: the file is missing, truncated, neither NIfTI volume nor mask, holds more than one volume, or
            does not lie where the image does, or a label is no whole number.
    """
    if is_picture(path):
        labels = read_mask(path)
        array, grid = labels.T[..., None], _grid_of_picture(labels.shape)
    else:
        array, grid = _load(path, time if time is not None and time_points(path) > 1 else None)
    require_one_volume(path, array.shape)
    array = whole_labels(path, array)
    if reference is None:
        return grid.to_canonical(array)
    problem = misplacement(path, grid, reference)
    if problem is not None and problem.severity == "error":
        raise UnusableFile(problem)
    return grid.to_axes_of(reference, array)


def require_one_volume(path: Path, shape: Sequence[int]) -> None:
    """Refuse a label map of a shape that holds more than one volume.

    Raises:
        UnusableFile: it does.
    """
    if len(shape) != 3:
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                "holds more than one volume",
                expected="one label map (X, Y, Z) with an integer a voxel",
                found=f"an array of shape {shape_text(shape)}",
                advice="If it is one-hot encoded, save the index of the largest channel instead."
                + advice_on_time(path),
                kind="label-dimensions",
            )
        )


def write_label_map(
    path: Path, labels: NDArray[Any], reference: Path, values: Sequence[int] | None = None
) -> None:
    """Write class indices (X, Y, Z), in the reference file's own axis order, as a label map of its kind.

    They may be (X, Y, Z, T), one label map for each volume of a 4D reference. Shape, and of a volume affine and header
    geometry, are the reference's. ``values`` are the label values of the classes, in order of class index (by default
    the indices themselves). The file appears whole or not at all, and the same labels give the same bytes.

    Raises:
        ValueError: the shape is not the reference's.
        UnusableFile: the reference cannot be read.
        StorageError: the file cannot be written.
    """
    grid = read_grid(reference)
    if labels.shape not in (grid.shape, (*grid.shape, time_points(reference))):
        raise ValueError(f"labels of shape {labels.shape} do not fit {reference}, which has {grid.shape}")
    if values is not None:
        labels = np.asarray(values)[labels]
    if is_picture(reference):
        write_label_picture(path, labels, reference)
        return
    stored = labels.astype(_label_type(int(labels.min(initial=0)), int(labels.max(initial=0))))
    header = open_nifti(reference).header.copy()
    header.set_data_dtype(stored.dtype)
    header.set_data_offset(0)
    header.set_slope_inter(None, None)  # the image's scale is not that of labels
    header["cal_min"], header["cal_max"] = 0, 0
    image_class: Any = (
        nibabel.Nifti2Image if header["sizeof_hdr"] == _NIFTI2_HEADER_BYTES else nibabel.Nifti1Image
    )
    write_volume(path, image_class(stored, grid.matrix, header))


def _label_type(lowest: int, highest: int) -> type[np.integer[Any]]:
    """The smallest type of NIfTI that holds label values, of those that most programs read."""
    types: tuple[type[np.integer[Any]], ...] = (np.uint8, np.uint16, np.int16, np.int32)
    for one in types:
        if np.iinfo(one).min <= lowest and highest <= np.iinfo(one).max:
            return one
    return np.int64


def label_ending(reference: Path) -> str:
    """The file ending of a label map for an image: ".png" for a picture, else that of a packed volume."""
    return ".png" if is_picture(reference) else ENDINGS[0]


def write_volume(path: Path, image: Any) -> None:
    """Write a nibabel image whole or not at all, without a time stamp: equal images give equal bytes."""
    content = image.to_bytes()
    write_whole(path, gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def _load(path: Path, time: int | None = None) -> tuple[NDArray[Any], Grid]:
    """The array (X, Y, Z) or (X, Y, Z, C) as stored, and its grid; of a ``time`` (X, Y, Z). Checks gzip's checksum."""
    if is_picture(path):
        pixels = read_picture(path).pixels
        return np.moveaxis(pixels, 0, 1)[:, :, None], _grid_of_picture(pixels.shape)
    file = open_nifti(path)
    grid = _grid_of(file)
    with file.voxels() as voxels:
        array = np.asanyarray(voxels if time is None else at_time(path, voxels, time))
    array = array.reshape(*grid.shape, -1)
    return (array[..., 0] if array.shape[-1] == 1 else array), grid


def _grid_of_picture(shape: Sequence[int]) -> Grid:
    """The grid of a picture (rows, columns): its last pixel lies at the origin."""
    height, width = shape[:2]
    rows = (
        (-1.0, 0.0, 0.0, width - 1.0),
        (0.0, -1.0, 0.0, height - 1.0),
        (0.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    return Grid((width, height, 1), rows)


def _grid_of(file: NiftiFile) -> Grid:
    """The grid that a header describes.

    Raises:
        UnusableFile: it describes none.
    """
    shape, affine = file.shape, file.affine
    if len(shape) == 2:
        raise _single_slice(file.path, shape)
    vector = len(shape) == 5 and shape[3] == 1
    if not (3 <= len(shape) <= 4 or vector) or min(shape) < 1:
        raise _no_volume(file.path, f"an array of shape {shape_text(shape)}, where a 3D volume is expected")
    rows = tuple(tuple(float(x) for x in row) for row in affine)
    if not np.isfinite(affine).all() or not _spans(affine[:3, :3]):
        raise _nowhere(file.path, affine)
    return Grid((shape[0], shape[1], shape[2]), rows)


def _spans(axes: NDArray[np.float64]) -> bool:
    """Whether three axes (3, 3) in millimetres a voxel span a volume, and each runs along one of the patient's."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    with np.errstate(all="ignore"):
        volume = abs(np.linalg.det(axes))
        return bool(1e-9 <= volume <= 1e18 and np.isfinite(_orientations.io_orientation(affine)).all())


def _no_volume(path: Path, reason: str) -> UnusableFile:
    return unreadable(path, reason, "a complete NIfTI volume", f"{BROKEN_OFF}, or remove the case.")


def _nowhere(path: Path, affine: NDArray[np.float64]) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has a header whose affine maps the voxels to no volume in space",
            expected="three axes (mm) that span one",
            found=", ".join(str([float(f"{x:.3g}") for x in row]) for row in affine[:3]),
            advice="Nothing tells how the scan lies. Export it again; or, if you know the affine, save it: image = "
            "nibabel.load(path); nibabel.save(nibabel.Nifti1Image(numpy.asarray(image.dataobj), affine), new_path). "
            "Where only the sform is broken, image.get_qform() may still be right.",
            kind="affine",
        )
    )


def _single_slice(path: Path, shape: Sequence[int]) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has two axes",
            expected="a volume with three (X, Y, Z)",
            found=f"an array of shape {shape_text(shape)}, where a 3D volume is expected",
            advice="A single slice is a volume one voxel thick: add the axis to images and label maps, for example "
            "image = nibabel.load(path); nibabel.save(nibabel.Nifti1Image(numpy.asarray(image.dataobj)[:, :, None], "
            "image.affine), path).",
            kind="two-axes",
        )
    )
