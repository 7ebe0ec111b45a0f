"""The file formats of images and label maps, and which of them a file is in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain, islice
from pathlib import Path

from netwright.data.files import is_folder
from netwright.data.io.dicom import (
    DICOM,
    DICOM_SEG,
    holds_dicom,
    holds_slices,
    is_slice,
    looks_like_dicom,
    patient_of_series,
)
from netwright.data.io.dicom_seg import DicomSegmentation
from netwright.data.io.grid import Grid
from netwright.data.io.masks import holds_objects
from netwright.data.io.nifti import NIFTI
from netwright.data.io.picture_volume import PICTURES
from netwright.data.io.simple_itk import META_IMAGE, NRRD
from netwright.data.io.tiff import PAGED_ENDINGS, is_stack
from netwright.data.io.tiff_stack import TIFF_STACKS
from netwright.data.io.volume_file import FileFormat, VolumeFile

FILE_FORMATS: dict[str, FileFormat] = {
    "nifti": NIFTI,
    "nrrd": NRRD,
    "mha": META_IMAGE,
    "png": PICTURES,
    "tiff": TIFF_STACKS,
    "dicom-seg": DICOM_SEG,
}
"""Those that label maps are written in, by the names that `predict --format` takes."""

_READ = (NIFTI, NRRD, META_IMAGE, PICTURES, DICOM)

VOLUME_ENDINGS = tuple(chain.from_iterable(format.endings for format in _READ if format.volumes))
"""File endings that only volumes have, in small letters. A TIFF may be a picture or a stack: see `is_stack`."""


def format_by_ending(path: Path) -> FileFormat | None:
    """The format that a file's name ends for, in small or capital letters; None: none of them."""
    name = path.name.lower()
    found = next((format for format in _READ if name.endswith(format.endings)), None)
    return TIFF_STACKS if found is PICTURES and is_stack(path) else found


def format_written(path: Path, reference: Path) -> FileFormat:
    """The format of a label map that is to be written for an image: by the ending of its name, else the image's."""
    if path.name.lower().endswith(PAGED_ENDINGS):
        return TIFF_STACKS if format_of(reference).volumes else PICTURES
    return format_by_ending(path) or format_of(reference)


def format_of(path: Path) -> FileFormat:
    """The format of a file by its name, or where that says nothing by how it begins; otherwise NIfTI.

    A folder is one of slices, in DICOM, or of masks, one for each object.
    """
    if is_folder(path):
        return PICTURES if holds_objects(path) and not holds_dicom(path) else DICOM
    return format_by_ending(path) or (DICOM if looks_like_dicom(path) else NIFTI)


def open_volume(path: Path) -> VolumeFile:
    """A file of any format, its header read.

    Raises:
        UnusableFile: the file is missing, damaged or of a kind that is not read.
    """
    return format_of(path).open(path)


def open_label(path: Path, image: Grid | None) -> VolumeFile:
    """A label map of any format, its header read.

    A DICOM segmentation has the slices of its segments alone, and is placed on the grid of its image, if that is given.

    Raises:
        UnusableFile: as `open_volume`, or a DICOM segmentation does not lie on that grid.
    """
    file = open_volume(path)
    return file.on(image) if image is not None and isinstance(file, DicomSegmentation) else file


def segment_names(path: Path) -> dict[int, str]:
    """The names that a DICOM segmentation gives to its labels, by value; empty for files of other formats.

    Raises:
        UnusableFile: it cannot be read.
    """
    file = open_volume(path) if format_of(path) is DICOM else None
    return dict(file.names) if isinstance(file, DicomSegmentation) else {}


def patient_of(path: Path) -> str:
    """What a DICOM header calls the patient, to be compared alone; empty for files of other formats.

    Raises:
        UnusableFile: the header cannot be read.
    """
    return patient_of_series(path) if format_of(path) is DICOM and path.exists() else ""


def is_flat(path: Path) -> bool:
    """Whether a file is a picture or mask of one page, and no volume: by its name, and of a TIFF by its pages."""
    return not format_of(path).volumes


def is_volume(path: Path) -> bool:
    """Whether a file is a volume, by its name in small or capital letters, or a folder holds slices of one.

    Files of DICOM may have no ending: they are known by how they begin. A TIFF is one if it has several pages.
    """
    if is_folder(path):
        return holds_dicom(path)
    return path.name.lower().endswith(VOLUME_ENDINGS) or is_stack(path) or looks_like_dicom(path)


def volumes_in(path: Path) -> list[Path]:
    """The volumes of a folder, sorted: its files, and folders in it that hold slices.

    The path itself where it is a volume: a file, or a folder of slices in which nothing else can be read. Slices among
    other images are none of the volumes. Empty where there is none.
    """
    if not is_folder(path):
        return [path] if is_volume(path) else []
    there = sorted(file for file in path.iterdir() if file.name[0] != ".")
    if holds_slices(path):
        if not any(_is_no_slice(file) for file in there):
            return [path]
        there = [file for file in there if not is_slice(file)]
    stacks = first_is_stack(there)
    files = [file for file in there if (stacks or not is_paged(file)) and is_volume(file)]
    return [file for file in files if not (is_folder(file) and _holds_others(file))]


def _is_no_slice(file: Path) -> bool:
    """Whether a file is an image in another format than DICOM, by its name."""
    return format_by_ending(file) not in (None, DICOM) and not is_folder(file)


def _holds_others(folder: Path) -> bool:
    """Whether a folder has volumes in other formats than DICOM; pictures may show its slices."""
    return any(_is_no_slice(file) and is_volume(file) for file in folder.iterdir() if file.name[0] != ".")


def is_paged(path: Path) -> bool:
    """Whether a file is a TIFF by its name, of one page or several."""
    return path.name.lower().endswith(PAGED_ENDINGS)


def first_is_stack(files: Iterable[Path]) -> bool:
    """Whether the first TIFF among files has several pages. So has every other one in a folder of volumes."""
    return any(map(is_stack, islice(filter(is_paged, files), 1)))


def images_of(files: Iterable[Path]) -> list[Path]:
    """What files are images of, each once: the folder of a slice, otherwise the file itself."""
    of_slices = cache(holds_slices)
    return list(
        dict.fromkeys(
            file.parent if looks_like_dicom(file) and of_slices(file.parent) else file for file in files
        )
    )


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that an image is read from, its own first.

    Others are the voxels of a header in a file of its own, the slices in a folder, and the JSON file beside a TIFF.

    Raises:
        UnusableFile: the header of such a file cannot be read.
    """
    return format_of(path).files_of(path)


def image_file_digests(path: Path) -> tuple[str, ...]:
    """Hashes of the contents of `files_of`, whose names do not matter; of a folder of slices a single one.

    Raises:
        UnusableFile: a file is missing, or the header of such a file cannot be read.
    """
    return format_of(path).digests(path)
