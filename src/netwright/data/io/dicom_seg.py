"""DICOM segmentations (DICOM-SEG), read by pydicom as label maps: the value of a label is the number of its segment.

A segment has a frame for each slice in which it occurs. Frames are placed by their positions, on the voxel grid of the
image or, without an image, on the grid that they make themselves. Where there is no frame is background.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import reading, require_file, without_warnings
from netwright.data.io.bounds import require_voxels
from netwright.data.io.dicom_codecs import require_decoder, stored_numbers
from netwright.data.io.dicom_frames import (
    ADVICE,
    EXPECTED,
    PIXEL_TAGS,
    SEGMENTATIONS,
    Frame,
    frames_of,
    numbers_of,
    read_head,
    refused,
    series_of,
)
from netwright.data.io.dicom_places import Places, own_grid, places_on
from netwright.data.io.grid import Grid
from netwright.data.io.volume_file import WithoutTimeOrScale
from netwright.data.issues import UnusableFile, enumerate_words

_KEPT = 16
"""So many segmentations are remembered with the headers of all their frames."""


@dataclass(frozen=True)
class DicomSegmentation(WithoutTimeOrScale):
    """A segmentation whose header has been read, as a `netwright.data.io.volume_file.VolumeFile`.

    Args:
        path: the file.
        frames: in the order of the file.
        segments: the number of the segment that each frame shows; None: the frames hold numbers themselves (LABELMAP).
        names: of the segments, by number.
        size: rows and columns of a frame.
        step: from slice to slice in mm, as the header says; None: it does not.
        frame_of_reference: the number of the coordinate system; "" if it has none.
        image: the grid on which the frames are placed; None: their own.
    """

    path: Path
    frames: tuple[Frame, ...]
    segments: tuple[int, ...] | None
    names: dict[int, str]
    size: tuple[int, int]
    step: float | None
    frame_of_reference: str
    image: Grid | None = None

    def on(self, image: Grid) -> DicomSegmentation:
        """The same on the grid of an image.

        Raises:
            UnusableFile: the frames lie in another frame of reference, or not on voxels of the grid.
        """
        known = {image.frame_of_reference, self.frame_of_reference} - {""}
        if len(known) > 1:
            raise refused(
                self.path,
                "has another frame of reference than its image",
                f"the FrameOfReferenceUID {image.frame_of_reference}",
                self.frame_of_reference,
                "Its positions count from another point, so it is probably the segmentation of another scan. Correct "
                "the pair, or draw or resample the segmentation on this image.",
                "dicom-seg-reference",
            )
        placed = replace(self, image=image)
        placed._places  # noqa: B018  whatever is wrong with them is raised here
        return placed

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the grid."""
        return self.grid.shape

    @cached_property
    def grid(self) -> Grid:
        """The image's grid, or that from the first to the last of the frames.

        Raises:
            UnusableFile: there is no image, and the frames make no regular grid.
        """
        return self.image or own_grid(self.path, self.frames, self.size, self.step)

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[NDArray[Any]]:
        """The number of the segment of each voxel, 0 where there is none.

        Raises:
            UnusableFile: it is read as an image, or segments overlap.
        """
        if not labels:
            raise refused(
                self.path,
                "is a DICOM segmentation (DICOM-SEG)",
                "an image",
                f"the segments {self._named(sorted(self.names)) or 'without names'}",
                "It is a label map: give the folder of the series that it was drawn on as the image.",
                "dicom-kind",
            )
        yield self._label_map()

    @cached_property
    def _places(self) -> Places:
        return places_on(self.path, self.frames, self.size, self.grid)

    def _label_map(self) -> NDArray[Any]:
        import pydicom

        require_voxels(self.path, self.shape)
        places = self._places
        with reading(self.path, EXPECTED, ADVICE), without_warnings():
            dataset = pydicom.dcmread(self.path, specific_tags=[*PIXEL_TAGS, "PixelData"])
            largest = max(self.segments) if self.segments else 2 ** int(dataset.BitsAllocated) - 1
        labels = np.zeros(self.shape, np.uint8 if largest < 256 else np.uint16)
        for number, frame in enumerate(self.frames):
            with reading(self.path, EXPECTED, ADVICE), without_warnings():
                pixels = _pixels(dataset, number, self.size)
            values = (
                pixels if self.segments is None else (pixels != 0) * labels.dtype.type(self.segments[number])
            )
            target = places.view(labels, number)
            values = places.turned(values)
            self._require_apart(frame, target, values)
            np.copyto(target, values, where=values != 0)
        return labels

    def _require_apart(self, frame: Frame, there: NDArray[Any], values: NDArray[Any]) -> None:
        both = (there != 0) & (values != 0) & (there != values)
        if not both.any():
            return
        numbers = sorted(np.unique([there[both], values[both]]).tolist())
        raise refused(
            self.path,
            "has segments that overlap",
            "at most one segment for each voxel, as a label map has one value",
            f"segments {self._named(numbers)} in the same {np.count_nonzero(both)} pixels of {frame.name}",
            "Decide to which segment these voxels belong, and export the segmentation again, for example from 3D "
            "Slicer; or leave segments out.",
            "dicom-seg-overlap",
        )

    def _named(self, numbers: list[int]) -> str:
        return enumerate_words(
            [f"{one} ({self.names[one]})" if one in self.names else str(one) for one in numbers]
        )


def is_segmentation(path: Path) -> bool:
    """Whether a DICOM file says at its beginning that it is a segmentation.

    Raises:
        UnusableFile: the beginning is damaged.
    """
    import pydicom

    with reading(path, EXPECTED, ADVICE), without_warnings():
        meta = pydicom.filereader.read_file_meta_info(path)
        return str(meta.get("MediaStorageSOPClassUID", "")) in SEGMENTATIONS


def open_segmentation(path: Path) -> DicomSegmentation:
    """The header of a segmentation.

    Raises:
        UnusableFile: the file is damaged, or of a kind that is not read.
    """
    require_file(path, expected="a DICOM segmentation")
    status = path.stat()
    segmentation = _opened(path, status.st_size, status.st_mtime_ns)
    rows, columns = segmentation.size
    require_voxels(path, (columns, rows, len({frame.position for frame in segmentation.frames})))
    return segmentation


@lru_cache(_KEPT)
def _opened(path: Path, size: int, time: int) -> DicomSegmentation:
    """``size`` and ``time`` are those of the file. Cached: a label map is opened several times, and has many frames."""
    dataset = read_head(path)
    with reading(path, EXPECTED, ADVICE), without_warnings():
        kind = str(dataset.get("SegmentationType", "")) or "none"
        _, title = series_of(path, dataset)
        if kind not in ("BINARY", "LABELMAP"):
            raise _not_read(path, kind, title)
        require_decoder(path, dataset.file_meta.TransferSyntaxUID)
        if kind == "LABELMAP" and int(dataset.BitsAllocated) not in (8, 16):
            raise ValueError(f"numbers of {dataset.BitsAllocated} bits, where 8 or 16 are expected")
        if kind == "LABELMAP" and int(dataset.get("PixelPaddingValue") or 0) != 0:
            raise ValueError(
                f"a background (PixelPaddingValue) of {dataset.PixelPaddingValue}, where 0 is expected"
            )
        frames = tuple(frames_of(path, dataset))
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
        groups = [(one, *shared) for one in dataset.PerFrameFunctionalGroupsSequence]
        names = {
            int(segment.SegmentNumber): str(segment.get("SegmentLabel") or "").strip()
            for segment in dataset.get("SegmentSequence") or ()
        }
        step = numbers_of(groups[0], "SpacingBetweenSlices", 1) or (0.0,)
        segments = None if kind == "LABELMAP" else tuple(map(_segment_of, groups))
        return DicomSegmentation(
            path,
            frames,
            segments,
            {number: name for number, name in names.items() if name and number},
            (int(dataset.Rows), int(dataset.Columns)),
            abs(step[0]) or None,
            str(dataset.get("FrameOfReferenceUID") or ""),
        )


def _pixels(dataset: Any, number: int, size: tuple[int, int]) -> NDArray[Any]:
    """The numbers stored in a frame (rows, columns).

    Bits are unpacked here: pydicom 3.0.2 fails on frames whose bits lie in one byte more than they fill.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if int(dataset.BitsAllocated) == 1 and not syntax.is_compressed and syntax.is_little_endian:
        first, count = number * size[0] * size[1], size[0] * size[1]
        packed = np.frombuffer(dataset.PixelData, np.uint8)[first // 8 : (first + count + 7) // 8]
        return np.unpackbits(packed, bitorder="little")[first % 8 :][:count].reshape(size)
    pixels = stored_numbers(dataset, number, size)
    if pixels.dtype.kind != "u":
        raise ValueError(f"numbers of type {pixels.dtype}, where a segmentation has none below 0")
    return pixels


def _segment_of(groups: tuple[Any, ...]) -> int:
    for group in groups:
        if inner := group.get("SegmentIdentificationSequence"):
            number = int(inner[0].ReferencedSegmentNumber)
            if number > 0:
                return number
    raise ValueError("a frame that does not say which segment it shows")


def _not_read(path: Path, kind: str, title: str) -> UnusableFile:
    return refused(
        path,
        "is a DICOM segmentation of a kind that is not read",
        "the SegmentationType BINARY or LABELMAP",
        f"{kind} ({title})",
        "FRACTIONAL holds probabilities or shares of voxels. Decide above which one a voxel has the label, and save "
        "that as a BINARY segmentation or as a NIfTI label map.",
        "dicom-seg-kind",
    )
