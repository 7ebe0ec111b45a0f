"""NIfTI files: their header first, and of their voxels no more than it announces."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from numpy.typing import NDArray

from netwright.data.files import BROKEN_OFF, reading, require_file, unreadable, without_warnings
from netwright.data.io.bounds import require_voxels
from netwright.data.issues import Problem, UnusableFile

_array_proxy: Any = nibabel.arrayproxy.ArrayProxy

_logger = logging.getLogger(__name__)
_logger.addHandler(logging.NullHandler())
"""For what nibabel says of odd headers, which it would otherwise print by itself."""

_GZIP_MAGIC = b"\x1f\x8b"
_NIFTI2_HEADER_BYTES = 540
_EXPECTED = "a complete NIfTI volume"
_ADVICE = f"{BROKEN_OFF}, or remove the case."

_MOST_PACKED = 1032
"""Deflate makes no more bytes than these of one."""

_REST_BYTES = 1 << 24
"""So many bytes may follow the voxels; more are a sign of a wrong header."""


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

    @contextmanager
    def voxels(self) -> Iterator[Any]:
        """nibabel's view of the voxels, scaled as the header says, to be sliced in order of the last axis.

        What is left of the file is read at the end, so that the checksum of a packed one is looked at.

        Raises:
            UnusableFile: the file ends too early, or is damaged.
        """
        with reading(self.path, _EXPECTED, _ADVICE), _unpacked(self.path) as file:
            yield _array_proxy(file, self.header, mmap=False)
            rest = _REST_BYTES
            while content := file.read(min(rest, 1 << 20)):
                rest -= len(content)
                if not rest:
                    raise ValueError("many bytes follow the voxels that the header announces")


def open_nifti(path: Path) -> NiftiFile:
    """The header of a NIfTI file, packed or not.

    Raises:
        UnusableFile: the file is missing or none, has not the bytes that its header announces, or announces more
            voxels than are read.
    """
    require_file(path)
    with reading(path, _EXPECTED, _ADVICE), without_warnings(), _unpacked(path) as file:
        content = file.read(4)
        nifti2 = any(int.from_bytes(content, order) == _NIFTI2_HEADER_BYTES for order in ("little", "big"))
        content += file.read((_NIFTI2_HEADER_BYTES if nifti2 else 348) - len(content))
        kind_of_header: Any = nibabel.Nifti2Header if nifti2 else nibabel.Nifti1Header
        header = kind_of_header.from_fileobj(io.BytesIO(content), check=False)
        header.check_fix(_logger)
        opened = NiftiFile(path, header)
        shape, kind = opened.shape, header.get_data_dtype()
        offset = int(header.get_data_offset())
        header.get_slope_inter()
        opened.affine  # noqa: B018  whatever is wrong with one of them is raised here
    if kind.kind not in "biuf":
        raise _other_numbers(path, kind)
    require_voxels(path, shape)
    _require_bytes(path, offset + prod(shape) * kind.itemsize)
    return opened


def _other_numbers(path: Path, kind: np.dtype[Any]) -> UnusableFile:
    colours = kind.names is not None
    first = "numpy.asarray(image.dataobj)['R']" if colours else "numpy.abs(numpy.asarray(image.dataobj))"
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has voxels of a type that is not read",
            expected="integers or real numbers",
            found="colours" if colours else f"numbers of type {kind}",
            advice=f"Save {'one colour' if colours else 'the magnitude'}: image = nibabel.load(path); "
            f"nibabel.save(nibabel.Nifti1Image({first}, image.affine), new_path).",
            kind="voxel-type",
        )
    )


def _require_bytes(path: Path, wanted: int) -> None:
    """Refuse a file that cannot hold what its header announces, before memory is taken for it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    if size * (_MOST_PACKED if packed else 1) < wanted:
        raise unreadable(path, f"a header that announces {wanted}", _EXPECTED, _ADVICE)


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked  # type: ignore[misc]
