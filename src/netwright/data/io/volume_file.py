"""What every file format of images gives: an opened file, and how label maps are written in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import content_digest
from netwright.data.io.grid import Grid


class VolumeFile(Protocol):
    """A file of which no more than the header has been read.

    Reading any of it raises `UnusableFile` where the file is damaged, and names the file.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(X, Y, Z), or (X, Y, Z, ...) of several channels or time points, as stored."""

    @property
    def grid(self) -> Grid:
        """The voxel grid, in millimetres of the patient's RAS axes."""

    @property
    def time_points(self) -> int:
        """How many volumes lie along the further axes, which may be time; 1 of formats that have no time."""

    @property
    def time_step(self) -> str:
        """How far apart time points are, such as "30 msec"; "" where the header does not say that they are any."""

    def voxels(self, *, labels: bool = False) -> AbstractContextManager[Any]:
        """An array of ``shape``, to be sliced in the order of its last axis.

        Args:
            labels: whether a label map is read, whose numbers are not to be changed into colours.
        """

    def advice_on_scale(self, off: float) -> str:
        """What to do with a label map whose header scales what is stored, "" where it does not.

        Args:
            off: how far its labels are from whole numbers, at most.
        """


class WithoutTimeOrScale:
    """What a `VolumeFile` says in a format that has no time and no scale. A format that has one says it itself."""

    @property
    def time_points(self) -> int:
        """1: there is no time."""
        return 1

    @property
    def time_step(self) -> str:
        """Empty: there is no time."""
        return ""

    def advice_on_scale(self, off: float) -> str:
        """Empty: there is no scale."""
        return ""


def _itself(path: Path) -> tuple[Path, ...]:
    return (path,)


def _own_digest(path: Path) -> tuple[str, ...]:
    return (content_digest(path),)


@dataclass(frozen=True)
class FileFormat:
    """A file format of images and label maps.

    Args:
        title: in messages.
        endings: of file names, in small letters.
        label_ending: that of the label maps that are written.
        open: reads the header of a file. It raises `UnusableFile` where that cannot be read.
        write_labels: writes label values (X, Y, Z) or (X, Y, Z, T) at a path, in the geometry of an opened file of
            whatever format, with the names of labels by value, where the format has names. The file appears whole or
            not at all, and equal labels give equal bytes, except in DICOM, which has times.
        volumes: whether the files hold volumes, not pictures.
        files_of: all files that belong to one of them, that one first, as some have their voxels in another.
        digests: hashes of the content of all these files, in which their names do not matter.
        oriented: whether they store how a volume lies in the patient.
    """

    title: str
    endings: tuple[str, ...]
    label_ending: str
    open: Callable[[Path], VolumeFile]
    write_labels: Callable[[Path, NDArray[Any], VolumeFile, Mapping[int, str]], None]
    volumes: bool = True
    files_of: Callable[[Path], tuple[Path, ...]] = _itself
    digests: Callable[[Path], tuple[str, ...]] = _own_digest
    oriented: bool = True


def label_type(labels: NDArray[Any]) -> type[np.integer[Any]]:
    """The smallest type that holds label values, of those that most programs read."""
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    types: tuple[type[np.integer[Any]], ...] = (np.uint8, np.uint16, np.int16, np.int32)
    for one in types:
        if np.iinfo(one).min <= lowest and highest <= np.iinfo(one).max:
            return one
    return np.int64
