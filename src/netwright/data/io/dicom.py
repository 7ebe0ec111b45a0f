"""DICOM: the slices of one series in a folder, or in a file of several frames, read by pydicom.

Slices are put in order by their positions; names and numbers of files mean nothing. Numbers are the stored ones, with
the rescale slope and intercept of their own slice. MONOCHROME1 only says that a viewer shows small numbers bright: the
numbers are not changed, so that Hounsfield units stay what they are. Padding values are numbers like others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import (
    content_digest,
    is_file,
    is_folder,
    reading,
    require_file,
    unreadable,
    without_warnings,
)
from netwright.data.io.bounds import require_voxels
from netwright.data.io.dicom_frames import (
    ADVICE,
    ENDING,
    EXPECTED,
    Frame,
    Head,
    count_frames,
    head_of,
    is_dicom,
    patient_in,
    read_head,
    refused,
    series_of,
)
from netwright.data.io.dicom_seg import DicomSegmentation, is_segmentation, open_segmentation
from netwright.data.io.dicom_seg_writer import write_segmentation
from netwright.data.io.dicom_stack import in_order
from netwright.data.io.dicom_voxels import DicomVoxels
from netwright.data.io.grid import LPS_TO_RAS, Grid, grid_of
from netwright.data.io.header_problems import no_volume_in_space
from netwright.data.io.nifti import NIFTI
from netwright.data.io.volume_file import FileFormat, VolumeFile, WithoutTimeOrScale
from netwright.data.issues import UnusableFile, enumerate_words

_NO_SLICES = ("LICENSE", "README", "VERSION", "DICOMDIR")
_MOST_SERIES_NAMED = 5
_KEPT = 64
"""So many series are remembered with the headers of all their slices."""

_Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class DicomVolume(WithoutTimeOrScale):
    """A series whose headers have been read, as a `netwright.data.io.volume_file.VolumeFile`.

    Args:
        path: the folder of the series, or the file of several frames.
        shape: columns, rows and slices.
        affine: voxel indices to millimetres along RAS (4, 4).
        frames: in the order of the slices.
        kind: the type of the voxels.
        frame_of_reference: the number of the coordinate system; "" if it has none.
    """

    path: Path
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    frames: tuple[Frame, ...]
    kind: np.dtype[Any]
    frame_of_reference: str

    @property
    def grid(self) -> Grid:
        """The grid that the slices make.

        Raises:
            UnusableFile: they make none.
        """
        grid = grid_of(self.shape, self.affine)
        if grid is None:
            raise no_volume_in_space(self.path, "axes map", self.affine, "the position, convert it to NIfTI.")
        return replace(grid, frame_of_reference=self.frame_of_reference)

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[DicomVoxels]:
        """All voxels, with the slope and intercept of their slices."""
        yield DicomVoxels(self.frames, self.shape, self.kind)

    def advice_on_scale(self, off: float) -> str:
        """What to do with a label map that slope and intercept change. ``off``: from whole numbers, at most."""
        scales = {(frame.slope, frame.intercept) for frame in self.frames} - {(1.0, 0.0)}
        if not scales:
            return ""
        slope, intercept = min(scales)
        return (
            f"Its header multiplies the stored numbers by a rescale slope of {slope:g} and adds an intercept of "
            f"{intercept:g}. If the stored ones are the labels, save it as NIfTI without them."
        )


def holds_dicom(folder: Path) -> bool:
    """Whether a DICOM file lies in a folder itself."""
    return next(_slices(folder), None) is not None


def holds_slices(folder: Path) -> bool:
    """Whether the DICOM files in a folder are slices of one volume.

    A file of several frames is a volume by itself, and a segmentation is a label map by itself.
    """
    try:
        first = next((file for file in _slices(folder) if not is_segmentation(file)), None)
        return first is not None and count_frames(first) == 1
    except UnusableFile:  # whoever reads it says what is wrong
        return True


def is_slice(file: Path) -> bool:
    """Whether a file is one slice in DICOM; so is one whose header cannot be read."""
    try:
        return looks_like_dicom(file) and not is_segmentation(file) and count_frames(file) == 1
    except UnusableFile:
        return True


def looks_like_dicom(file: Path) -> bool:
    """Whether a file is called as DICOM files are, or may be called so and begins as they do."""
    return _may_be_slice(file) and (file.name.lower().endswith(ENDING) or is_dicom(file)) and is_file(file)


def _slices(folder: Path) -> Iterator[Path]:
    return filter(looks_like_dicom, _entries(folder))


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing where it is none, or must not be read."""
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []


def _may_be_slice(file: Path) -> bool:
    """Whether its name is one that slices have: an ending of DICOM, no ending, or a UID, which ends in a number."""
    if file.name[0] == "." or file.name.upper() in _NO_SLICES:
        return False
    ending = file.suffix.lower()
    return ending in ("", ENDING, ".ima", ".dicom") or ending[1:].isdecimal()


def files_of(path: Path) -> tuple[Path, ...]:
    """A folder and the files of its slices; of a single file that file."""
    return (path, *_slices(path)) if is_folder(path) else (path,)


def digests(path: Path) -> tuple[str, ...]:
    """A hash of the contents of all slices: the names of files mean nothing."""
    if not is_folder(path):
        return (content_digest(path),)
    contents = sorted(content_digest(file) for file in _slices(path))
    return (blake2b(" ".join(contents).encode(), digest_size=16).hexdigest(),)


def patient_of_series(path: Path) -> str:
    """What the header of a file, or of the first slice in a folder, calls the patient: see `patient_in`.

    Raises:
        UnusableFile: the header cannot be read.
    """
    file = next(_slices(path), None) if is_folder(path) else path
    return "" if file is None else patient_in(file, read_head(file))


def open_dicom(path: Path) -> DicomVolume | DicomSegmentation:
    """The headers of a series, or that of a segmentation.

    Raises:
        UnusableFile: there is no series, more than one, or its slices make no volume.
    """
    if not is_folder(path):
        require_file(path, expected="a DICOM file")
        if is_dicom(path) and is_segmentation(path):
            return open_segmentation(path)
    signature = tuple(
        (file.name, status.st_size, status.st_mtime_ns)
        for file in _files_to_read(path)
        for status in [file.stat()]
    )
    volume = _opened(path, signature)
    require_voxels(path, volume.shape)
    return volume


def _files_to_read(path: Path) -> list[Path]:
    """A file itself; of a folder all files that are named as slices are, as one that begins otherwise is damaged."""
    if not is_folder(path):
        return [path]
    return [file for file in _entries(path) if _may_be_slice(file) and is_file(file)]


@lru_cache(_KEPT)
def _opened(path: Path, signature: _Signature) -> DicomVolume:
    """``signature``: name, size and time of the files. Cached: a volume is opened several times, and has many."""
    folder = path if is_folder(path) else path.parent
    files = [folder / name for name, _, _ in signature]
    if not files:
        raise refused(
            path,
            "is a folder without DICOM files",
            "the file of a volume, or a folder with the slices of a DICOM series",
            enumerate_words([file.name for file in _entries(path)[:5]]) or "nothing",
            "Correct the path, or put the slices there.",
        )
    first = read_head(files[0])
    _require_bounds(path, first, len(files))
    datasets = [first, *map(read_head, files[1:])]
    _require_one_series(path, files, [series_of(*pair) for pair in zip(files, datasets, strict=True)])
    heads = [head_of(*pair) for pair in zip(files, datasets, strict=True)]
    frames, affine = in_order(path, heads)
    rows, columns = heads[0].size
    shape = (columns, rows, len(frames))
    for head in heads:
        _require_bytes(head)
    plain = all((frame.slope, frame.intercept) == (1.0, 0.0) for frame in frames)
    kind = np.result_type(*(head.kind for head in heads)) if plain else np.dtype(np.float32)
    with reading(files[0], EXPECTED, ADVICE), without_warnings():
        reference = str(first.get("FrameOfReferenceUID") or "")
    return DicomVolume(path, shape, LPS_TO_RAS @ affine, tuple(frames), kind, reference)


def _require_bounds(path: Path, dataset: Any, files: int) -> None:
    """Refuse very many or very large slices by the first, before the headers of all are read."""
    with reading(path, EXPECTED, ADVICE):
        frames = int(dataset.get("NumberOfFrames") or 1)
        size = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    require_voxels(path, (*size, max(files, frames)))


def _require_one_series(path: Path, files: Sequence[Path], series: Sequence[tuple[str, str]]) -> None:
    if len({number for number, _ in series}) < 2:
        return
    members: dict[str, list[Path]] = {}
    for file, (number, _) in zip(files, series, strict=True):
        members.setdefault(number, []).append(file)
    titles = dict(series)
    named = [
        f"{titles[number]} ({len(those)} {'file' if len(those) == 1 else 'files such as'} {those[0].name}, "
        f"{number or 'without a SeriesInstanceUID, as its header may be cut off'})"
        for number, those in list(members.items())[:_MOST_SERIES_NAMED]
    ]
    if len(titles) > len(named):
        named.append(f"{len(titles) - len(named)} more")
    raise refused(
        path,
        f"has {len(titles)} DICOM series",
        "one series in a folder",
        enumerate_words(named),
        "Put each into a folder of its own, by the SeriesInstanceUID of the files, and give the one that is meant.",
        "dicom-several-series",
    )


def _require_bytes(head: Head) -> None:
    """Refuse a file that is too small for its pixels, where they are not compressed."""
    wanted = prod(head.size) * len(head.frames) * head.kind.itemsize
    if not head.compressed and head.file.stat().st_size < wanted:
        raise unreadable(head.file, f"a header that announces {wanted} bytes of pixels", EXPECTED, ADVICE)


def _write_labels(path: Path, labels: NDArray[Any], reference: VolumeFile, names: Mapping[int, str]) -> None:
    """As `write_segmentation`.

    Raises:
        ValueError: the reference is no DICOM series.
    """
    if not isinstance(reference, DicomVolume):
        raise ValueError(f"{reference.path} is no DICOM series: its label map cannot be a DICOM segmentation")
    step = float(np.linalg.norm(reference.affine[:3, 2]))
    write_segmentation(path, labels, reference.frames, step, names)


DICOM = FileFormat(
    title="DICOM",
    endings=(ENDING,),
    label_ending=NIFTI.label_ending,
    open=open_dicom,
    write_labels=_write_labels,
    files_of=files_of,
    digests=digests,
)
"""Label maps of such images are NIfTI files, unless DICOM segmentations are asked for."""

DICOM_SEG = replace(DICOM, title="DICOM-SEG", label_ending=ENDING)
