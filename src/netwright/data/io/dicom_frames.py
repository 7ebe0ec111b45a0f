"""The headers of DICOM files: how each frame lies in space, and what its stored numbers stand for.

A file holds one frame, or several with a header each (enhanced CT, MR and PET). Only the elements named here are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.files import BROKEN_OFF, is_file, printable, reading, unreadable, without_warnings
from netwright.data.io.dicom_codecs import require_decoder
from netwright.data.issues import Problem, UnusableFile

EXPECTED = "a complete DICOM image"
ADVICE = f"{BROKEN_OFF}, or remove the case."

_NO_MARKER = (
    f"{ADVICE} A DICOM file that lacks this beginning gets it from dcmtk: dcmconv IN OUT. If it is "
    "no slice, move it out of the folder."
)

ENDING = ".dcm"
_MARKER_AT = 128
_MARKER = b"DICM"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""The SOP classes of segmentations: with a frame for each segment, and with label maps."""
_DEFLATED = "1.2.840.10008.1.2.1.99"

_SERIES_TAGS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "ImageType",
)
PIXEL_TAGS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
"""What says how pixels are stored."""

_SPACE_TAGS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "DoseGridScaling",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_PATIENT = "PatientID"
_SEGMENT_TAGS = ("FrameOfReferenceUID", "SegmentationType", "SegmentSequence", "PixelPaddingValue")
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Of a file of several frames: the sequence of the functional groups that has an element."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice, as its header describes it.

    Args:
        file: that has it.
        number: of the frame in its file, from 0.
        name: in messages.
        position: the centre of its first pixel, in mm to the patient's left, back and head (LPS).
        along_row: the direction in which columns are counted, a unit vector in LPS.
        along_column: the direction in which rows are counted, a unit vector in LPS.
        spacing: from one row to the next, and from one column to the next, in mm.
        slope: what a stored number is multiplied with.
        intercept: what is then added.
    """

    file: Path
    number: int
    name: str
    position: Triple
    along_row: Triple
    along_column: Triple
    spacing: tuple[float, float]
    slope: float
    intercept: float


@dataclass(frozen=True)
class Head:
    """The header of a file.

    Args:
        file: the file.
        photometric: what the numbers mean where they are shown: MONOCHROME1 or MONOCHROME2.
        size: rows and columns.
        kind: the type of the stored numbers.
        compressed: whether the pixels are compressed.
        frames: its slices, in the order of the file.
    """

    file: Path
    photometric: str
    size: tuple[int, int]
    kind: np.dtype[Any]
    compressed: bool
    frames: tuple[Frame, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, and is no table of contents of such files."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_MARKER_AT + len(_MARKER))
    except (OSError, ValueError):
        return False
    return beginning[_MARKER_AT:] == _MARKER and path.name.upper() != "DICOMDIR"


def refused(
    path: Path, what: str, expected: str, found: str, advice: str, kind: str = "dicom"
) -> UnusableFile:
    """The error for a DICOM file or folder that cannot be used.

    Args:
        path: of the file or folder.
        what: the file does or has.
        expected: what should be there.
        found: what is there.
        advice: what to do.
        kind: a short name.
    """
    return UnusableFile(Problem("error", str(path), what, expected, printable(found, 800), advice, kind))


def read_head(path: Path) -> Any:
    """pydicom's data set of a file, with the elements named here alone, and no pixels.

    Raises:
        UnusableFile: the file is damaged or no DICOM file, or all of it is packed.
    """
    import pydicom

    if not is_file(path) or not is_dicom(path):
        raise unreadable(path, "no DICM after 128 bytes, as all DICOM files have", EXPECTED, _NO_MARKER)
    with reading(path, EXPECTED, ADVICE), without_warnings():
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.TransferSyntaxUID == _DEFLATED:
            raise ValueError("a header that is packed itself (deflated), which is not read")
        # Texts are decoded, and numbers converted, where they are taken from the data set: see `head_of`.
        return pydicom.dcmread(
            path,
            stop_before_pixels=True,
            specific_tags=[*_SERIES_TAGS, *PIXEL_TAGS, *_SPACE_TAGS, *_SEGMENT_TAGS, _PATIENT],
        )


def count_frames(path: Path) -> int:
    """How many frames a file says that it has.

    Raises:
        UnusableFile: as `read_head`.
    """
    dataset = read_head(path)
    with reading(path, EXPECTED, ADVICE), without_warnings():
        return int(dataset.get("NumberOfFrames") or 1)


def patient_in(path: Path, dataset: Any) -> str:
    """What a file's header calls the patient; empty where it does not. It is for comparing, and never to be shown."""
    with reading(path, EXPECTED, ADVICE), without_warnings():
        return str(dataset.get(_PATIENT, "") or "").strip()


def series_of(path: Path, dataset: Any) -> tuple[str, str]:
    """The number of a file's series, and its title in words: ``CT "Thorax 1.0"``."""
    with reading(path, EXPECTED, ADVICE), without_warnings():
        words = [str(dataset.get("Modality", "") or "image")]
        if description := dataset.get("SeriesDescription"):
            words.append(f'"{description}"')
        if number := dataset.get("SeriesNumber"):
            words.append(f"number {number}")
        return str(dataset.get("SeriesInstanceUID", "") or ""), " ".join(words)


def head_of(path: Path, dataset: Any) -> Head:
    """What a file's header says of its frames.

    Raises:
        UnusableFile: it is no grey image in space, or lacks what describes one.
    """
    with reading(path, EXPECTED, ADVICE), without_warnings():
        _require_image(path, dataset)
        _require_grey(path, dataset)
        require_decoder(path, dataset.file_meta.TransferSyntaxUID)
        allocated, signed = int(dataset.BitsAllocated), int(dataset.PixelRepresentation)
        size = int(dataset.Rows), int(dataset.Columns)
        return Head(
            path,
            str(dataset.PhotometricInterpretation),
            size,
            np.dtype(f"{'i' if signed else 'u'}{allocated // 8}"),
            bool(dataset.file_meta.TransferSyntaxUID.is_compressed),
            tuple(frames_of(path, dataset)),
        )


def _require_image(path: Path, dataset: Any) -> None:
    _, title = series_of(path, dataset)
    if dataset.get("SOPClassUID") in SEGMENTATIONS:
        raise refused(
            path,
            "is a DICOM segmentation (DICOM-SEG)",
            "slices alone in the folder of a series",
            title,
            "It is a label map, and no slice: move it out of the folder, and give the file itself as the label map.",
            "dicom-kind",
        )
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise refused(
            path,
            "is a DICOM file without an image",
            "slices alone in the folder of a series",
            title,
            "Move it out of the folder.",
            "dicom-kind",
        )
    if "DoseGridScaling" in dataset:
        scaling = float(dataset.DoseGridScaling)
        raise refused(
            path,
            "is a radiotherapy dose",
            "the slices of one scan",
            f"{title}, whose numbers become doses by a DoseGridScaling of {scaling}",
            "Save it as NIfTI; SimpleITK leaves the scaling to you: SimpleITK.WriteImage(SimpleITK.Cast("
            f"SimpleITK.ReadImage(path), SimpleITK.sitkFloat32) * {scaling}, new_path).",
            "dicom-dose",
        )
    if "LOCALIZER" in (dataset.get("ImageType") or ()):
        raise refused(
            path,
            "is a localizer",
            "the slices of one scan",
            f"{title}, image type {'/'.join(dataset.ImageType)}",
            "A localizer only shows where a scan was planned. Move all such files out of the folder.",
            "dicom-localizer",
        )


def _require_grey(path: Path, dataset: Any) -> None:
    shown = str(dataset.get("PhotometricInterpretation", "")) or "no photometric interpretation"
    if shown not in ("MONOCHROME1", "MONOCHROME2") or int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise refused(
            path,
            "is an image in colours",
            "grey slices (MONOCHROME1 or MONOCHROME2)",
            shown,
            "Colours mean nothing in a scan: they are drawn by another program, such as a map of perfusion. Export the "
            "numbers behind it, or remove the case.",
            "dicom-colours",
        )
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or high != stored - 1:
        raise refused(
            path,
            "stores its numbers in a way that is not read",
            "8, 16 or 32 bits allocated, of which the lowest are stored",
            f"{allocated} allocated, {stored} stored, the highest at {high}",
            "Convert the series with the program that wrote it, or to NIfTI with dcm2niix.",
            "dicom-bits",
        )
    if "ModalityLUTSequence" in dataset:
        raise refused(
            path,
            "has a table (Modality LUT) for what its numbers mean",
            "a rescale slope and intercept, or none",
            "a Modality LUT Sequence",
            "Export it with rescale slope and intercept, or convert it to NIfTI.",
            "dicom-lut",
        )


def frames_of(path: Path, dataset: Any) -> Iterator[Frame]:
    """The frames that a header describes, in the order of the file.

    Raises:
        UnusableFile: one has no place in space.
        ValueError: a number in the header cannot be right.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        if count > 1:
            raise refused(
                path,
                f"has {count} frames that do not say where they lie",
                "an enhanced multi-frame file, with a position for each frame, or one slice a file",
                "no Per-frame Functional Groups Sequence",
                "Export the scan as enhanced CT or MR, or as one file a slice.",
                "dicom-no-position",
            )
        yield _frame(path, 0, path.name, (dataset,))
        return
    if len(groups) != count:
        raise ValueError(f"{len(groups)} descriptions of frames, where the header announces {count}")
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
    for number, group in enumerate(groups):
        yield _frame(path, number, f"{path.name} frame {number + 1}", (group, *shared))


def _frame(path: Path, number: int, name: str, groups: tuple[Any, ...]) -> Frame:
    position = _required(path, groups, "ImagePositionPatient", 3)
    axes = np.reshape(_required(path, groups, "ImageOrientationPatient", 6), (2, 3))
    spacing = _required(path, groups, "PixelSpacing", 2)
    lengths = np.linalg.norm(axes, axis=1)
    if min(spacing) <= 0 or np.abs(lengths - 1).max() > 0.01 or abs(axes[0] @ axes[1]) > 0.01:
        raise refused(
            path,
            "has a header that describes no plane in space",
            "two directions of length 1 at right angles, and a pixel spacing above 0 mm",
            f"ImageOrientationPatient {axes.ravel().tolist()} and PixelSpacing {list(spacing)}",
            "Export the series again, or remove the case.",
            "dicom-orientation",
        )
    row, column = (axes / lengths[:, None]).tolist()
    slope = numbers_of(groups, "RescaleSlope", 1) or (1.0,)
    intercept = numbers_of(groups, "RescaleIntercept", 1) or (0.0,)
    if slope[0] == 0:
        raise ValueError("a rescale slope of 0, which leaves nothing of the image")
    return Frame(
        path,
        number,
        name,
        (position[0], position[1], position[2]),
        (row[0], row[1], row[2]),
        (column[0], column[1], column[2]),
        (spacing[0], spacing[1]),
        slope[0],
        intercept[0],
    )


def _required(path: Path, groups: tuple[Any, ...], keyword: str, count: int) -> tuple[float, ...]:
    values = numbers_of(groups, keyword, count)
    if values is None:
        raise refused(
            path,
            f"has no {keyword}",
            "the position, orientation and pixel spacing of each slice, without which no volume can be made",
            "none",
            "Pictures of a screen, X-ray images and maps that other programs have made have none. Move it out of the "
            "folder, or export the series from the scanner or archive again.",
            "dicom-no-position",
        )
    return values


def numbers_of(groups: tuple[Any, ...], keyword: str, count: int) -> tuple[float, ...] | None:
    """The numbers of an element, from the first group that has it; None where none has.

    Args:
        groups: those of a frame, and those of all frames.
        keyword: of the element.
        count: how many numbers it has.

    Raises:
        ValueError: it has others.
    """
    for group in groups:
        inner = group.get(_GROUPS[keyword])
        value = (inner[0] if inner else group).get(keyword)
        if value is None or value == "":
            continue
        numbers = tuple(float(one) for one in (value if count > 1 else (value,)))
        if len(numbers) != count or not all(map(isfinite, numbers)):
            raise ValueError(f"a {keyword} of {list(numbers)}, where {count} numbers are expected")
        return numbers
    return None
