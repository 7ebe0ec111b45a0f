"""The file formats of images and label maps, and which of them a file is in."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from netwright.data.io.nifti import NIFTI
from netwright.data.io.picture_volume import PICTURES
from netwright.data.io.simple_itk import META_IMAGE, NRRD
from netwright.data.io.volume_file import FileFormat, VolumeFile

FILE_FORMATS: dict[str, FileFormat] = {
    "nifti": NIFTI,
    "nrrd": NRRD,
    "mha": META_IMAGE,
    "png": PICTURES,
}
"""By the names that `predict --format` takes."""

VOLUME_ENDINGS = tuple(
    chain.from_iterable(format.endings for format in FILE_FORMATS.values() if format.volumes)
)
"""File endings of the volumes that netwright reads, in small letters."""


def format_by_ending(path: Path) -> FileFormat | None:
    """The format that a file's name ends for, in small or capital letters; None: none of them."""
    name = path.name.lower()
    return next((format for format in FILE_FORMATS.values() if name.endswith(format.endings)), None)


def format_of(path: Path) -> FileFormat:
    """The format of a file, by its name; NIfTI where that says nothing."""
    return format_by_ending(path) or NIFTI


def open_volume(path: Path) -> VolumeFile:
    """A file of any format, its header read.

    Raises:
        UnusableFile: the file is missing, damaged or of a kind that is not read.
    """
    return format_of(path).open(path)


def is_volume(path: Path) -> bool:
    """Whether the name of a file is that of a volume, in small or capital letters."""
    return path.name.lower().endswith(VOLUME_ENDINGS)


def files_of(path: Path) -> tuple[Path, ...]:
    """An image's file, and the one that has its voxels where that is another.

    Raises:
        UnusableFile: the header of such a file cannot be read.
    """
    return format_of(path).files_of(path)


def image_file_digests(path: Path) -> tuple[str, ...]:
    """Hashes of the content of an image's file, and of the one that has its voxels; the names of both do not matter.

    Raises:
        UnusableFile: a file is missing, or the header of such a file cannot be read.
    """
    return format_of(path).digests(path)
