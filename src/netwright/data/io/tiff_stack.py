"""Volumes as stacks of TIFF pages, by tifffile: plain ones, those of ImageJ, and OME-TIFF.

No TIFF says how its axes run in the patient. As in ITK, columns run to the left, rows to the back, slices to the head,
and the first voxel lies at the origin.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, imwrite

from netwright.data.files import BROKEN_OFF, content_digest, reading, require_file, write_whole
from netwright.data.io.bounds import require_voxels
from netwright.data.io.grid import Grid, shape_text
from netwright.data.io.header_problems import unknown_numbers
from netwright.data.io.stored import ORIENTATION_TAG, UPRIGHT
from netwright.data.io.tiff import PAGED_ENDINGS
from netwright.data.io.tiff_pages import Pages, require_all_pages
from netwright.data.io.tiff_spacing import Edges, spacing_file, spacing_of
from netwright.data.io.volume_file import FileFormat, VolumeFile, WithoutTimeOrScale, label_type
from netwright.data.issues import Problem, UnusableFile

_EXPECTED = "a complete stack of TIFF pages"
_ADVICE = f"{BROKEN_OFF}, or remove the case."
_SAVE_SLICES = (
    "tifffile.imwrite(new_path, array, ome=True, metadata={'axes': 'ZYX', 'PhysicalSizeX': ..., "
    "'PhysicalSizeXUnit': 'mm', ...})"
)
_READ = ("ZYX", "CZYX", "ZCYX")
_PAGES_OF_ANYTHING = "IQ"
"""tifffile's letters for an axis of pages that nothing says the meaning of."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE = 0, 1, 3
_LOSSY = (6, 7, 33003, 33004, 33005, 34712, 34892)
"""JPEG and JPEG 2000, which may change numbers."""


@dataclass(frozen=True)
class TiffStack(WithoutTimeOrScale):
    """A stack whose header has been read, as a `netwright.data.io.volume_file.VolumeFile`.

    Args:
        path: the file.
        axes: those of its pages, slowest first: ``ZYX``, ``CZYX`` or ``ZCYX``.
        shape: (X, Y, Z), or (X, Y, Z, C) of several channels.
        spacing: the edges of the voxels along X, Y and Z in mm; None where nothing says them.
        lossy: whether the pages are compressed in a way that changes numbers.
        white_is_zero: whether the pages say so.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    spacing: Edges | None
    lossy: bool
    white_is_zero: bool

    @property
    def grid(self) -> Grid:
        """The grid, with voxels of 1 mm where nothing says their size."""
        x, y, z = self.spacing or (1.0, 1.0, 1.0)
        rows = ((-x, 0.0, 0.0, 0.0), (0.0, -y, 0.0, 0.0), (0.0, 0.0, z, 0.0), (0.0, 0.0, 0.0, 1.0))
        return Grid((self.shape[0], self.shape[1], self.shape[2]), rows, sized=self.spacing is not None)

    @property
    def time_points(self) -> int:
        """How many channels there are: stacks with time are not read."""
        return prod(self.shape[3:])

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[Pages]:
        """The numbers as they are stored, of palettes the indices. A page is read when it is needed.

        Raises:
            UnusableFile: a page is damaged, or missing; a label map does not have the values that were drawn.
        """
        if labels and (self.lossy or self.white_is_zero):
            raise _changed_labels(self)
        with reading(self.path, _EXPECTED, _ADVICE), TiffFile(self.path, _multifile=False) as file:
            yield Pages(self.path, file.series[0], self.axes, self.shape)


def open_tiff_stack(path: Path) -> TiffStack:
    """The header of a stack.

    Raises:
        UnusableFile: the file is missing or damaged; it has other axes than slices and channels, or several images; the
            pages have colours, or numbers of a type that is not read; or there are too many voxels.
    """
    require_file(path, expected=_EXPECTED)
    with reading(path, _EXPECTED, _ADVICE), TiffFile(path, _multifile=False) as file:
        require_all_pages(file)
        if len(file.series) != 1:
            raise _several_images(path, [f"{one.axes} {shape_text(one.shape)}" for one in file.series])
        series: Any = file.series[0]
        lengths = tuple(int(length) for length in series.shape)
        page, stored = series.keyframe, series.axes.upper()
        axes = f"Z{stored[1:]}" if len(stored) == 3 and stored[0] in _PAGES_OF_ANYTHING else stored
        _require_numbers(path, page, stored)
        if axes not in _READ or min(lengths) < 1:
            raise _other_axes(path, stored, lengths)
        length = dict(zip(axes, lengths, strict=True))
        shape = tuple(length[axis] for axis in "XYZC" if axis in length)
        require_voxels(path, shape)
        return TiffStack(
            path,
            axes,
            shape,
            spacing_of(path, file),
            lossy=page.compression in _LOSSY,
            white_is_zero=page.photometric == _WHITE_IS_ZERO,
        )


def _require_numbers(path: Path, page: Any, axes: str) -> None:
    """Refuse pages that have anything but one number a pixel, upright."""
    grey = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE)
    if not grey or page.samplesperpixel != 1 or "S" in axes:
        raise unknown_numbers(
            path, "colours", "Save one channel, or each channel as a slice of its own axis C (OME-TIFF)."
        )
    if page.dtype is None or page.dtype.kind not in "buif" or page.imagedepth != 1:
        raise unknown_numbers(
            path, f"numbers of type {page.dtype or 'unknown'}", f"Save real numbers: {_SAVE_SLICES}."
        )
    tag = page.tags.get(ORIENTATION_TAG)
    if tag is not None and tag.value not in (0, UPRIGHT):
        raise unknown_numbers(
            path,
            f"pages that are to be turned (orientation tag {tag.value})",
            f"Programs differ in whether they turn them. Save them as they should lie: {_SAVE_SLICES}.",
        )


def _several_images(path: Path, images: list[str]) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            f"holds {len(images)} images" if images else "holds no image",
            expected="one stack of pages of one size",
            found=", ".join(images[:4]) + ", ..." * (len(images) > 4) or "none",
            advice="Small copies of a page (pyramids, thumbnails) and several scans in a file are not read: save one "
            f"stack a file, {_SAVE_SLICES}.",
            kind="pages",
        )
    )


def _other_axes(path: Path, axes: str, lengths: tuple[int, ...]) -> UnusableFile:
    """Axes that are no slices, or pages of which nothing says what they are."""
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has axes that are not those of a volume",
            expected="slices Z, Y, X, or channels and slices C, Z, Y, X",
            found=f"{' '.join(axes)}, {shape_text(lengths)}"
            + " (T is time, and Q and I say nothing)" * any(axis in axes for axis in "TQI"),
            advice="If an axis has the wrong name, as programs often write slices as time points, save the stack with "
            f"the right one: array = tifffile.imread(path); {_SAVE_SLICES}. Save each time point as a file.",
            kind="axes",
        )
    )


def _changed_labels(stack: TiffStack) -> UnusableFile:
    what = (
        "JPEG, which changes values"
        if stack.lossy
        else "white as zero, which programs show the other way round"
    )
    return UnusableFile(
        Problem(
            "error",
            str(stack.path),
            "may have other labels than those that were drawn",
            expected="a label map without loss (plain, LZW or deflate), with black as zero",
            found=what,
            advice="Export the labels again, or if you know that the numbers are right (tifffile stores arrays of true "
            "and false so), save them as integers: tifffile.imwrite(path, tifffile.imread(path).astype('uint8'), "
            "photometric='minisblack').",
            kind="lossy" if stack.lossy else "white-is-zero",
        )
    )


def _files_of(path: Path) -> tuple[Path, ...]:
    beside = spacing_file(path)
    return (path,) if beside is None else (path, beside)


def _digests(path: Path) -> tuple[str, ...]:
    return tuple(content_digest(file) for file in _files_of(path))


def _write_labels(path: Path, labels: NDArray[Any], reference: VolumeFile, names: Mapping[int, str]) -> None:
    """A label map as OME-TIFF, packed, with the voxels' size where the reference says it; other files store none.

    The numbers of pixels a centimetre are written, too, for programs that do not read OME-XML.

    Raises:
        ValueError: the reference is no such stack: a TIFF would lose how it lies in the patient.
    """
    if not isinstance(reference, TiffStack):
        raise ValueError(f"{path} would not store how {reference.path} lies in the patient")
    stored = np.ascontiguousarray(labels.astype(label_type(labels)).T)
    metadata: dict[str, Any] = {
        "axes": "CZYX"[-stored.ndim :],
        "Creator": "netwright",
        "UUID": str(uuid5(NAMESPACE_URL, sha256(stored.data).hexdigest())),
    }
    resolution: dict[str, Any] = {}
    if reference.spacing is not None:
        for axis, edge in zip("XYZ", reference.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "mm"}
        x, y, _ = reference.spacing
        resolution = {"resolution": (10 / x, 10 / y), "resolutionunit": "CENTIMETER"}
    content = io.BytesIO()
    imwrite(
        content,
        stored,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        metadata=metadata,
        maxworkers=1,
        **resolution,
    )
    write_whole(path, content.getvalue())


TIFF_STACKS = FileFormat(
    "TIFF",
    PAGED_ENDINGS,
    ".tif",
    open_tiff_stack,
    _write_labels,
    files_of=_files_of,
    digests=_digests,
    oriented=False,
)
"""Their names are those of pictures: whether a file is one, `netwright.data.io.tiff.is_stack` says."""
