"""Label maps written as DICOM segmentations (DICOM-SEG) of the series that they were made of, by highdicom."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import reading, without_warnings, write_whole
from netwright.data.io.dicom_frames import ADVICE, EXPECTED, Frame, refused
from netwright.errors import SettingsError

MAKER = "netwright"
_CODES = "99NETWRIGHT"
"""The coding scheme of the labels' names; those of one's own begin with 99."""

_LONGEST = 64
_SEXES = ("M", "F", "O", "")
_LARGEST = 2**16 - 1
_SERIES_NUMBERS = 1000
"""Above those of the scans of a study."""

_EMPTY_IF_MISSING = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
"""What a segmentation repeats of its series, and what may be empty in DICOM: anonymised files lack it."""


def require_highdicom() -> None:
    """Refuses to write DICOM segmentations where the library is missing.

    Raises:
        SettingsError: highdicom is not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise SettingsError(
            "Label maps as DICOM segmentations (dicom-seg) need highdicom, which is not installed. Run "
            "pip install 'netwright[dicom-seg]', or choose another format, such as nifti."
        )


def write_segmentation(
    path: Path, labels: NDArray[Any], frames: Sequence[Frame], step: float, names: Mapping[int, str]
) -> None:
    """Write a label map as the segmentation of a series.

    Each label but 0 is a segment, numbered by the label's value. Values that are numbered 1, 2, 3, ... are stored as a
    BINARY segmentation; as that knows no other numbers, all others are stored as a LABELMAP.

    Args:
        path: of the file to write.
        labels: the label values (columns, rows, slices).
        frames: the slices, in their order.
        step: from slice to slice, in mm.
        names: of the labels, by value.

    Raises:
        SettingsError: highdicom is not installed.
        UnusableFile: a value cannot be the number of a segment, or the series has a header that its segmentation cannot
            repeat.
        StorageError: the file cannot be written.
    """
    require_highdicom()
    values = sorted({*names, *np.unique(labels).tolist()} - {0})
    series = frames[0].file if len({frame.file for frame in frames}) == 1 else frames[0].file.parent
    if not values or values[0] < 0 or values[-1] > _LARGEST:
        raise refused(
            series,
            "has labels that cannot be segments",
            f"label values from 1 to {_LARGEST}",
            f"{values[0]} to {values[-1]}" if values else "none",
            "Choose another format for its label map, such as nifti.",
            "dicom-seg-values",
        )
    sources = _sources(frames, step)
    _require_reference(series, sources[0])
    write_whole(path, _written(series, sources, _in_file_order(labels, frames), values, names))


def _sources(frames: Sequence[Frame], step: float) -> list[Any]:
    """pydicom's data sets of the files of the slices, without pixels, each once, with all that highdicom asks for.

    It wants orientation and pixel spacing equal to the last digit, which the slices of a volume need not have.
    """
    import pydicom

    sources = []
    for file in dict.fromkeys(frame.file for frame in frames):
        with reading(file, EXPECTED, ADVICE), without_warnings():
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            for keyword in _EMPTY_IF_MISSING:
                if keyword not in dataset:
                    setattr(dataset, keyword, "")
            if dataset.PatientSex not in _SEXES:
                dataset.PatientSex = ""
            _set_plane(dataset, frames[0], step)
            sources.append(dataset)
    return sources


def _set_plane(dataset: Any, frame: Frame, step: float) -> None:
    """Orientation and spacing of a frame, in the header of a slice or in what all frames of a file share."""
    from pydicom.dataset import Dataset

    orientation = measures = dataset
    if "PerFrameFunctionalGroupsSequence" in dataset:
        orientation, measures, shared = Dataset(), Dataset(), Dataset()
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
        dataset.SharedFunctionalGroupsSequence = [shared]
    orientation.ImageOrientationPatient = [*frame.along_row, *frame.along_column]
    measures.PixelSpacing = list(frame.spacing)
    measures.SpacingBetweenSlices = step
    if not measures.get("SliceThickness"):
        measures.SliceThickness = step


def _require_reference(series: Path, source: Any) -> None:
    if not source.get("FrameOfReferenceUID"):
        raise refused(
            series,
            "has no FrameOfReferenceUID",
            "the number of the coordinate system, which a DICOM segmentation repeats",
            "none",
            "Choose another format for its label map, such as nifti.",
            "dicom-seg-reference",
        )


def _in_file_order(labels: NDArray[Any], frames: Sequence[Frame]) -> NDArray[Any]:
    """The slices (slices, rows, columns), in the order in which one file of several frames has them."""
    kind = np.uint8 if labels.max(initial=0) < 256 else np.uint16
    slices = np.ascontiguousarray(labels.T.astype(kind))
    if len({frame.file for frame in frames}) > 1:
        return slices
    return slices[np.argsort([frame.number for frame in frames])]


def _written(
    series: Path,
    sources: Sequence[Any],
    slices: NDArray[Any],
    values: Sequence[int],
    names: Mapping[int, str],
) -> bytes:
    try:
        with without_warnings():
            return _content(sources, slices, values, names)
    except Exception as error:  # whatever a header has led highdicom to
        raise refused(
            series,
            "has a header that no DICOM segmentation can repeat",
            "a series with patient, study, positions and pixel spacing as in the standard",
            " ".join(str(error).split()) or type(error).__name__,
            "Choose another format for its label map, such as nifti, or export the series again.",
            "dicom-seg-header",
        ) from error


def _content(
    sources: Sequence[Any], slices: NDArray[Any], values: Sequence[int], names: Mapping[int, str]
) -> bytes:
    import highdicom

    numbered = list(values) == list(range(1, len(values) + 1))
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=slices,
        segmentation_type="BINARY" if numbered else "LABELMAP",
        segment_descriptions=[_segment(value, names.get(value, f"label {value}")) for value in values],
        series_instance_uid=highdicom.UID(),
        series_number=_SERIES_NUMBERS + int(sources[0].get("SeriesNumber") or 0),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=version(MAKER),
        device_serial_number="0",
        series_description=f"Segmentation by {MAKER}",
        content_label="SEGMENTATION",
        omit_empty_frames=bool(slices.any()),
        specific_character_set="ISO_IR 192",
    )
    buffer = BytesIO()
    segmentation.save_as(buffer)
    return buffer.getvalue()


def _segment(number: int, name: str) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    name = name.replace("\\", "/")[:_LONGEST]
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.cid7150.SpatialAndRelationalConcept,
        segmented_property_type=highdicom.sr.CodedConcept(str(number), _CODES, name),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MAKER, family=codes.cid7162.ArtificialIntelligence, version=version(MAKER)
        ),
    )
