"""Writes small DICOM series with pydicom: one file a slice, or one enhanced file of several frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

SPACING = (0.7, 0.8, 2.5)
"""From column to column, from row to row and from slice to slice, in mm."""

ORIGIN = (-31.25, 17.5, 240.125)


def affine_of(
    axes: np.ndarray | None = None, spacing: tuple[float, float, float] = SPACING, origin: Any = ORIGIN
) -> np.ndarray:
    """The affine (4, 4) in LPS, from columns, rows and slices to mm."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * spacing
    affine[:3, 3] = origin
    return affine


def write_series(
    folder: Path,
    stored: np.ndarray,
    affine: np.ndarray | None = None,
    tags: Mapping[str, Any] | None = None,
    of_slice: Callable[[int], Mapping[str, Any]] = lambda number: {},
    name: str = "{}.dcm",
) -> Path:
    """Stored numbers (slices, rows, columns), one file a slice; names and instance numbers run against the slices.

    Args:
        folder: of the series.
        stored: the numbers.
        affine: see `affine_of`.
        tags: further elements of all files; None as a value removes one.
        of_slice: further elements of a slice.
        name: of a file, with the number of the slice, the last first.
    """
    affine = affine_of() if affine is None else affine
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    for number, pixels in enumerate(stored):
        dataset = _image(pixels, CTImageStorage, series)
        dataset.InstanceNumber = len(stored) - number
        dataset.ImagePositionPatient = (affine @ [0, 0, number, 1])[:3].tolist()
        dataset.ImageOrientationPatient = _directions(affine)
        dataset.PixelSpacing = _pixel_spacing(affine)
        dataset.SliceThickness = 99
        _set(dataset, {**(tags or {}), **of_slice(number)})
        dataset.save_as(folder / name.format(len(stored) - number), enforce_file_format=True)
    return folder


def write_enhanced(
    path: Path,
    stored: np.ndarray,
    affine: np.ndarray | None = None,
    tags: Mapping[str, Any] | None = None,
    order: list[int] | None = None,
    of_slice: Callable[[int], tuple[float, float] | None] = lambda number: None,
) -> Path:
    """Stored numbers (slices, rows, columns) as one file of several frames.

    Args:
        path: of the file.
        stored: the numbers.
        affine: see `affine_of`.
        tags: further elements of the file; None as a value removes one.
        order: the slice that each frame holds; None: one after the other.
        of_slice: rescale slope and intercept of a slice; None: it has none of its own.
    """
    affine = affine_of() if affine is None else affine
    order = list(range(len(stored))) if order is None else order
    dataset = _image(stored[order], EnhancedCTImageStorage, generate_uid())
    dataset.NumberOfFrames = len(order)
    measures = Dataset()
    measures.PixelSpacing = _pixel_spacing(affine)
    measures.SliceThickness = 99
    orientation = Dataset()
    orientation.ImageOrientationPatient = _directions(affine)
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame_groups(affine, number, of_slice(number)) for number in order
    ]
    _set(dataset, tags or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _frame_groups(affine: np.ndarray, number: int, scale: tuple[float, float] | None) -> Dataset:
    place = Dataset()
    place.ImagePositionPatient = (affine @ [0, 0, number, 1])[:3].tolist()
    groups = Dataset()
    groups.PlanePositionSequence = [place]
    if scale is not None:
        values = Dataset()
        values.RescaleSlope, values.RescaleIntercept = scale
        groups.PixelValueTransformationSequence = [values]
    return groups


def _image(pixels: np.ndarray, kind: str, series: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return dataset


def _directions(affine: np.ndarray) -> list[float]:
    axes = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    return [*axes[:, 0].tolist(), *axes[:, 1].tolist()]


def _pixel_spacing(affine: np.ndarray) -> list[float]:
    across, down = np.linalg.norm(affine[:3, :2], axis=0).tolist()
    return [down, across]


def _set(dataset: Dataset, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
