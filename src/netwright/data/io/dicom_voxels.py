"""The voxels of a DICOM series, read slice by slice as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import reading, without_warnings
from netwright.data.io.dicom_codecs import stored_numbers
from netwright.data.io.dicom_frames import ADVICE, EXPECTED, PIXEL_TAGS, Frame


class DicomVoxels:
    """An array of ``shape`` (columns, rows, slices) on disk, to be sliced in the order of its last axis.

    Each number has the slope and intercept of its slice. The last slice and the last file stay in memory, as several
    pieces are taken from them.
    """

    def __init__(self, frames: Sequence[Frame], shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        """A view of the frames, in the order of the slices.

        Args:
            frames: one for each slice.
            shape: columns, rows and slices.
            kind: the type of the voxels.
        """
        self.shape = shape
        self.dtype = kind
        self._frames = frames
        self._file: tuple[Path, Any] | None = None
        self._slice: tuple[int, NDArray[Any]] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All voxels."""
        array = self[:, :, :]
        return array if dtype is None else array.astype(dtype)

    def __getitem__(self, box: tuple[slice, ...]) -> NDArray[Any]:
        """The voxels in a box: a slice of each axis.

        Raises:
            UnusableFile: a file ends too early, or is damaged.
        """
        across, down, along = box
        numbers = range(*along.indices(self.shape[2]))
        sizes = (len(range(*part.indices(size))) for part, size in zip(box, self.shape, strict=False))
        made = np.empty(tuple(sizes)[::-1], self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for place, number in enumerate(numbers):
                made[place] = self._read(number)[down, across]
        return made.transpose(2, 1, 0)

    def _read(self, number: int) -> NDArray[Any]:
        if self._slice is None or self._slice[0] != number:
            self._slice = number, self._decoded(self._frames[number])
        return self._slice[1]

    def _decoded(self, frame: Frame) -> NDArray[Any]:
        """The numbers of a slice (rows, columns)."""
        import pydicom

        rows, columns = self.shape[1::-1]
        with reading(frame.file, EXPECTED, ADVICE), without_warnings():
            if self._file is None or self._file[0] != frame.file:
                dataset = pydicom.dcmread(frame.file, specific_tags=[*PIXEL_TAGS, "PixelData"])
                self._file = frame.file, dataset
            pixels = stored_numbers(self._file[1], frame.number, (rows, columns))
        if (frame.slope, frame.intercept) == (1.0, 0.0):
            return pixels
        return np.asarray(pixels * np.float64(frame.slope) + frame.intercept)
