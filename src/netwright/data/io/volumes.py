"""Volumes with their geometry: read into canonical RAS axes, written on a reference's grid.

They may be files of any format of `FILE_FORMATS` (`formats.py`), pictures among them (`picture_volume.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.alignment import misplacement
from netwright.data.io.dicom import DICOM, DICOM_SEG
from netwright.data.io.dicom_seg_writer import require_highdicom
from netwright.data.io.formats import (
    FILE_FORMATS,
    format_of,
    format_written,
    is_flat,
    open_label,
    open_volume,
)
from netwright.data.io.grid import Grid, shape_text
from netwright.data.io.images import write_pages
from netwright.data.io.nifti import write_on_grid
from netwright.data.io.time_axis import advice_on_time, at_time
from netwright.data.io.volume_file import FileFormat, VolumeFile
from netwright.data.io.whole_labels import whole_labels
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.errors import SettingsError


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
        UnusableFile: the file is missing or no readable volume or picture.
    """
    return open_volume(path).grid


def read_label_grid(path: Path, image: Grid | None) -> Grid:
    """The voxel grid of a label map, from its header alone. ``image``: that of its image; None: it is not known.

    Raises:
        UnusableFile: the file cannot be read, or a DICOM segmentation does not lie on the image's grid.
    """
    return open_label(path, image).grid


def read_image(paths: Sequence[Path], time: int | None = None) -> Volume:
    """An image from one file a channel, or from one 3D file, 4D file with the channels last, or picture.

    Each file is turned into canonical axes by its own affine; the first file's grid then holds for all of them.
    ``time``: the volume to take, from 0, of 4D files (x, y, z, time).

    Raises:
        UnusableFile: a file is missing, truncated or neither volume nor picture, ends before ``time``, or the
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

    Args:
        path: of the label map.
        reference: the grid of its image; None: the label map's own.
        time: the label map in a 4D file, from 0.

    Raises:
        UnusableFile: the file is missing, truncated, neither volume nor mask, holds more than one volume, or
            does not lie where the image does, or a label is no whole number.
    """
    file = open_label(path, reference)
    array = _array(file, time if time is not None and file.time_points > 1 else None, labels=True)
    grid = file.grid
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
    path: Path,
    labels: NDArray[Any],
    reference: Path,
    values: Sequence[int] | None = None,
    names: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Write class indices (X, Y, Z), in the reference file's own axis order, as a label map.

    The ending of ``path`` says in which format, or else that of the reference does. They may be (X, Y, Z, T), one label
    map for each volume of a 4D reference. Shape, and of a volume affine and header geometry, are the reference's.
    ``values`` are the label values of the classes, in order of class index (by default the indices themselves). The
    file appears whole or not at all, and the same labels give the same bytes, except in DICOM, which has times.

    Args:
        path: of the file to write.
        labels: class indices.
        reference: the file of the image.
        values: the label value of each class index; None: the index itself.
        names: of the labels, by value, for formats that have names.

    Raises:
        ValueError: the shape is not the reference's.
        UnusableFile: the reference cannot be read.
        StorageError: the file cannot be written.
    """
    file = open_volume(reference)
    grid = file.grid
    if labels.shape not in (grid.shape, (*grid.shape, file.time_points)):
        raise ValueError(f"labels of shape {labels.shape} do not fit {reference}, which has {grid.shape}")
    if values is not None:
        labels = np.asarray(values)[labels]
    format_written(path, reference).write_labels(path, labels, file, names)


def scores_ending(reference: Path) -> str:
    """The ending of a file of real numbers for an image: NIfTI, or of a picture TIFF."""
    return ".tif" if is_flat(reference) else ".nii.gz"


def write_scores(path: Path, scores: NDArray[np.float32], reference: Path) -> None:
    """Write real numbers in the reference file's own axis order, whole or not at all.

    Args:
        path: of the file, which ends as `scores_ending` says.
        scores: (X, Y, Z), or with more axes. The numbers of a picture are written as it is shown, a page for each value
            of the last axis.
        reference: the file of the image.

    Raises:
        ValueError: the shape is not the reference's.
        UnusableFile: the reference cannot be read.
        StorageError: the file cannot be written.
    """
    file = open_volume(reference)
    if scores.shape[:3] != file.grid.shape:
        raise ValueError(
            f"scores of shape {scores.shape} do not fit {reference}, which has {file.grid.shape}"
        )
    if is_flat(reference):
        write_pages(path, scores[:, :, 0].reshape(*scores.shape[:2], -1).T)
    else:
        write_on_grid(path, scores, file)


def label_ending(reference: Path, format: str | None = None) -> str:
    """The file ending of a label map for an image: that of the image's own format, or of another one of `FILE_FORMATS`.

    Raises:
        SettingsError: there is no such format; or it is one of pictures and the image is a volume; or one of DICOM and
            the image is in another format, or a library is missing; or it does not store how the image lies in the
            patient.
    """
    own = format_of(reference)
    if format is None:
        return own.label_ending
    if format not in FILE_FORMATS:
        raise SettingsError(
            f"The format of label maps: expected {enumerate_words(list(FILE_FORMATS), 'or')}, got {format!r}."
        )
    chosen = FILE_FORMATS[format]
    if why := _unfit(own, chosen):
        possible = enumerate_words([name for name, one in FILE_FORMATS.items() if not _unfit(own, one)], "or")
        raise SettingsError(f"{reference} {why}: expected the format {possible}, got {format!r}.")
    if chosen is DICOM_SEG:
        require_highdicom()
    return chosen.label_ending


def _unfit(image: FileFormat, labels: FileFormat) -> str:
    """Why label maps of images in one format cannot be written in another; "" where they can."""
    if image.volumes and not labels.volumes:
        return "is a volume, of which the label map is no picture"
    if labels is DICOM_SEG and image is not DICOM:
        return "is no DICOM series, to whose slices a DICOM segmentation refers"
    if image.volumes and image.oriented and not labels.oriented:
        return f"is in {image.title}, and a label map in {labels.title} would not store how it lies in the patient"
    return ""


def _load(path: Path, time: int | None = None) -> tuple[NDArray[Any], Grid]:
    """The array (X, Y, Z) or (X, Y, Z, C) as stored, and its grid. With a ``time``: that volume (X, Y, Z)."""
    file = open_volume(path)
    return _array(file, time), file.grid


def _array(file: VolumeFile, time: int | None, *, labels: bool = False) -> NDArray[Any]:
    """The voxels (X, Y, Z) or (X, Y, Z, C), all of them or those of a time point."""
    shape = file.grid.shape
    with file.voxels(labels=labels) as voxels:
        array: NDArray[Any] = np.asanyarray(voxels if time is None else at_time(file, voxels, time))
    array = array.reshape(*shape, -1)
    return array[..., 0] if array.shape[-1] == 1 else array
