"""NIfTI files. The header is read first, and never more voxels than it announces."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from netwright.data.files import (
    BROKEN_OFF,
    is_gzipped,
    open_unpacked,
    reading,
    require_file,
    unreadable,
    without_warnings,
    write_whole,
)
from netwright.data.io.bounds import can_hold, require_voxels
from netwright.data.io.grid import Grid, grid_of
from netwright.data.io.header_problems import (
    no_spacing,
    no_volume_in_space,
    not_3d,
    other_unit,
    single_slice,
    too_many_axes,
    unknown_numbers,
)
from netwright.data.io.units import UNITS
from netwright.data.io.volume_file import FileFormat, VolumeFile, label_type
from netwright.data.issues import UnusableFile

_nibabel: Any = nibabel
_array_proxy: Any = nibabel.arrayproxy.ArrayProxy

_logger = logging.getLogger(__name__)
_logger.addHandler(logging.NullHandler())
"""Takes what nibabel says of odd headers, which nibabel would otherwise print."""

_NIFTI2_HEADER_BYTES = 540
_EXPECTED = "a complete NIfTI volume"
_ADVICE = f"{BROKEN_OFF}, or remove the case."

_ADD_AXIS = (
    "image = nibabel.load(path); nibabel.save(nibabel.Nifti1Image(numpy.asarray(image.dataobj)[:, :, None], "
    "image.affine), path)"
)
_SAVE_AFFINE = (
    "the affine, save it: image = nibabel.load(path); nibabel.save(nibabel.Nifti1Image(numpy.asarray(image.dataobj), "
    "affine), new_path). Where only the sform is broken, image.get_qform() may still be right."
)

_SAVE_MILLIMETRES = (
    "If the unit is right, save the scan in millimetres: image = nibabel.load(path); affine = numpy.diag([{:g}] * 3 + "
    "[1]) @ image.affine; new = nibabel.Nifti1Image(numpy.asarray(image.dataobj), affine); "
    "new.header.set_xyzt_units('mm'); nibabel.save(new, new_path). If the numbers are millimetres, do the same with "
    "affine = image.affine."
)

_REST_BYTES = 1 << 24
"""At most this many bytes may follow the voxels; more are a sign of a wrong header."""

_TIME_UNITS = {8: "sec", 16: "msec", 24: "usec"}
"""By the code of ``xyzt_units`` without the three bits of space."""

_OTHER_UNITS = {1: UNITS["m"], 3: UNITS["um"]}
"""By the three bits of space in ``xyzt_units``."""


@dataclass(frozen=True)
class NiftiFile:
    """A NIfTI file whose header has been read; ``header`` is nibabel's, without extensions."""

    path: Path
    header: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """(X, Y, Z) or (X, Y, Z, ...), as stored."""
        return tuple(int(length) for length in self.header.get_data_shape())

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel indices to millimetres (4, 4), by the sform, else by the qform, else by the voxels' size."""
        return np.asarray(self.header.get_best_affine(), dtype=np.float64)

    @property
    def grid(self) -> Grid:
        """The grid that the header describes.

        Raises:
            UnusableFile: it describes none.
        """
        shape = self.shape
        if len(shape) == 2:
            raise single_slice(self.path, shape, _ADD_AXIS)
        vector = len(shape) == 5 and shape[3] == 1
        if len(shape) > 4 and not vector:
            raise too_many_axes(self.path, shape)
        if len(shape) < 3 or min(shape) < 1:
            raise unreadable(self.path, not_3d(shape), _EXPECTED, _ADVICE)
        grid = grid_of(shape[:3], self.affine)
        if grid is None:
            raise no_volume_in_space(self.path, "affine maps", self.affine, _SAVE_AFFINE)
        return grid

    @property
    def time_points(self) -> int:
        """How many volumes lie along the further axes."""
        return int(np.prod(self.shape[3:]))

    @property
    def time_step(self) -> str:
        """How far apart they are, "" where the header does not say that they are time points."""
        unit, step = _TIME_UNITS.get(int(self.header["xyzt_units"]) & ~7), float(self.header["pixdim"][4])
        return f"{step:.3g} {unit}" if unit is not None and step > 0 else ""

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[Any]:
        """nibabel's view of the voxels, scaled as the header says, to be sliced in order of the last axis.

        The rest of the file is read at the end, so that the checksum of a packed file is checked.

        Raises:
            UnusableFile: the file ends too early, or is damaged.
        """
        with reading(self.path, _EXPECTED, _ADVICE), open_unpacked(self.path) as file:
            yield _array_proxy(file, self.header, mmap=False)
            rest = _REST_BYTES
            while content := file.read(min(rest, 1 << 20)):
                rest -= len(content)
                if not rest:
                    raise ValueError("many bytes follow the voxels that the header announces")

    def advice_on_scale(self, off: float) -> str:
        """What to do with a label map whose header scales what is stored.

        ``off``: how far its labels are from whole numbers, at most. Half a step of the scale is its own rounding.
        """
        slope, shift = self.header.get_slope_inter()
        scaled = slope is not None and (slope, shift) != (1.0, 0.0)
        if not scaled or self.header.get_data_dtype().kind not in "iu":
            return ""
        if off <= 0.51 * abs(slope) < 0.1:
            return (
                f"The scale of its header (scl_slope {slope:g}) is the cause: whole numbers were stretched over the "
                "stored type, and rounded. Save them as integers: image = nibabel.load(path); nibabel.save("
                "nibabel.Nifti1Image(numpy.rint(image.get_fdata()).astype(numpy.int16), image.affine), new_path)."
            )
        return (
            f"The file stores whole numbers, which its header multiplies by scl_slope {slope:g} and raises by "
            f"scl_inter {shift:g}. If the stored ones are the labels, save them without the scale: image = "
            "nibabel.load(path); nibabel.save(nibabel.Nifti1Image(image.dataobj.get_unscaled(), image.affine), "
            "new_path)."
        )


def open_nifti(path: Path) -> NiftiFile:
    """The header of a NIfTI file, packed or not.

    Raises:
        UnusableFile: the file is missing or no NIfTI file, lacks bytes that its header announces, or announces more
            voxels than are read.
    """
    require_file(path)
    with reading(path, _EXPECTED, _ADVICE), without_warnings(), open_unpacked(path) as file:
        content = file.read(4)
        nifti2 = any(int.from_bytes(content, order) == _NIFTI2_HEADER_BYTES for order in ("little", "big"))
        content += file.read((_NIFTI2_HEADER_BYTES if nifti2 else 348) - len(content))
        kind_of_header: Any = nibabel.Nifti2Header if nifti2 else nibabel.Nifti1Header
        header = kind_of_header.from_fileobj(io.BytesIO(content), check=False)
        spacing = [float(edge) for edge in header["pixdim"][1:4]]
        header.check_fix(_logger)
        opened = NiftiFile(path, header)
        shape, kind = opened.shape, header.get_data_dtype()
        offset = int(header.get_data_offset())
        header.get_slope_inter()
        opened.affine  # noqa: B018  whatever is wrong with one of them is raised here
    if kind.kind not in "biuf":
        raise _other_numbers(path, kind)
    _require_millimetres(path, header, spacing)
    require_voxels(path, shape)
    _require_bytes(path, offset + prod(shape) * kind.itemsize)
    return opened


def _require_millimetres(path: Path, header: Any, spacing: list[float]) -> None:
    """Refuse a header in another unit, or without the size of its voxels. ``spacing``: as stored."""
    if (unit := _OTHER_UNITS.get(int(header["xyzt_units"]) & 7)) is not None:
        with without_warnings():
            edges = np.linalg.norm(header.get_best_affine()[:3, :3], axis=0).tolist()
        raise other_unit(path, unit, edges, _SAVE_MILLIMETRES.format(unit.millimetres))
    needed = spacing if header["sform_code"] == 0 else []
    if len(header.get_data_shape()) > 2 and not all(isfinite(edge) and edge for edge in needed):
        raise no_spacing(path, spacing)


def _other_numbers(path: Path, kind: np.dtype[Any]) -> UnusableFile:
    colours = kind.names is not None
    first = "numpy.asarray(image.dataobj)['R']" if colours else "numpy.abs(numpy.asarray(image.dataobj))"
    return unknown_numbers(
        path,
        "colours" if colours else f"numbers of type {kind}",
        f"Save {'one colour' if colours else 'the magnitude'}: image = nibabel.load(path); "
        f"nibabel.save(nibabel.Nifti1Image({first}, image.affine), new_path).",
    )


def _require_bytes(path: Path, wanted: int) -> None:
    """Refuse a file that cannot hold what its header announces, before memory is taken for it."""
    if not can_hold(path.stat().st_size, wanted, packed=is_gzipped(path)):
        raise unreadable(path, f"a header that announces {wanted}", _EXPECTED, _ADVICE)


def write_volume(path: Path, image: Any) -> None:
    """Write a nibabel image whole or not at all, without a time stamp: equal images give equal bytes."""
    content = image.to_bytes()
    write_whole(path, gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def _write_labels(path: Path, labels: NDArray[Any], reference: VolumeFile, names: Mapping[int, str]) -> None:
    write_on_grid(path, labels.astype(label_type(labels)), reference)


def write_on_grid(path: Path, stored: NDArray[Any], reference: VolumeFile) -> None:
    """Write an array with the header of a reference; of a reference in another format it takes the geometry alone.

    Args:
        path: of the file.
        stored: (X, Y, Z), or with more axes, in the reference's axis order.
        reference: the file of the image.

    Raises:
        StorageError: the file cannot be written.
    """
    if not isinstance(reference, NiftiFile):
        image: Any = _nibabel.Nifti1Image(stored, reference.grid.matrix)
        image.header.set_xyzt_units("mm")
        write_volume(path, image)
        return
    header = reference.header.copy()
    header.set_data_dtype(stored.dtype)
    header.set_data_offset(0)
    header.set_slope_inter(None, None)  # the image's scale is not that of what is stored
    header["cal_min"], header["cal_max"] = 0, 0
    nifti2 = header["sizeof_hdr"] == _NIFTI2_HEADER_BYTES
    image_class: Any = _nibabel.Nifti2Image if nifti2 else _nibabel.Nifti1Image
    write_volume(path, image_class(stored, reference.grid.matrix, header))


NIFTI = FileFormat("NIfTI", (".nii.gz", ".nii"), ".nii.gz", open_nifti, _write_labels)
