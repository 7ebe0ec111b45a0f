"""NRRD and MetaImage files, read and written by SimpleITK. The voxels may lie in a file of their own.

SimpleITK's axes run to the patient's left, back and head (LPS); everywhere else in netwright they are RAS. The header
is read here first, and sizes, files and checksums are checked, so that SimpleITK only reads what is whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import (
    BROKEN_OFF,
    content_digest,
    reading,
    require_file,
    unreadable,
    write_whole,
)
from netwright.data.io.bounds import require_voxels
from netwright.data.io.grid import LPS_TO_RAS, Grid, grid_of
from netwright.data.io.header_problems import (
    no_volume_in_space,
    not_3d,
    other_unit,
    single_slice,
    unknown_numbers,
)
from netwright.data.io.itk_storage import Storage, meta_storage, nrrd_storage
from netwright.data.io.units import UNITS
from netwright.data.io.volume_file import FileFormat, VolumeFile, WithoutTimeOrScale, label_type

_ADVICE = f"{BROKEN_OFF}, or remove the case."
_ADD_AXIS = "SimpleITK.WriteImage(SimpleITK.JoinSeries([SimpleITK.ReadImage(path)]), path)"
_CORRECT_AXES = "spacing, origin and direction, correct them in the header, which is text."
_SAVE_MAGNITUDE = (
    "Save the magnitude: SimpleITK.WriteImage(SimpleITK.ComplexToModulus(SimpleITK.ReadImage(path)), "
    "new_path)."
)
_CORRECT_UNIT = (
    "Correct the header, which is text: multiply the directions or spacings, and the origin, by {:g} if the unit is "
    'right, and write "mm" for the unit.'
)


@dataclass(frozen=True)
class _Kind:
    """One of the two formats.

    Args:
        title: in messages.
        image_io: SimpleITK's name for what reads it.
        storage: says where a file's voxels lie.
        ending: of a file that has its voxels itself.
        in_order: whether SimpleITK gives the voxels in the order of the file. It may exchange the axes of a NRRD.
    """

    title: str
    image_io: str
    storage: Callable[[Path], Storage]
    ending: str
    in_order: bool

    @property
    def expected(self) -> str:
        """In messages."""
        return f"a complete {self.title} volume"


_NRRD = _Kind("NRRD", "NrrdImageIO", nrrd_storage, ".nrrd", in_order=False)
_META_IMAGE = _Kind("MetaImage", "MetaImageIO", meta_storage, ".mha", in_order=True)


@dataclass(frozen=True)
class ItkFile(WithoutTimeOrScale):
    """A file whose header has been read, as a `netwright.data.io.volume_file.VolumeFile`.

    Args:
        path: the file.
        kind: its format.
        storage: where its voxels lie.
        shape: (X, Y, Z), with the channels or time points as a fourth axis.
        affine: voxel indices to millimetres along RAS (4, 4).
        value_bytes: the bytes of one number.
        components: how many numbers a voxel has; more than one are the last axis of ``shape``.
        later_spacing: the step from one time point to the next, in any unit; empty where the fourth axis holds
            channels.
    """

    path: Path
    kind: _Kind
    storage: Storage
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    value_bytes: int
    components: int
    later_spacing: tuple[float, ...]

    @property
    def grid(self) -> Grid:
        """The grid that the header describes.

        Raises:
            UnusableFile: it describes none.
        """
        axes = self.shape[:-1] if self.components > 1 else self.shape
        if len(axes) == 2:
            raise single_slice(self.path, axes, _ADD_AXIS)
        if not 3 <= len(self.shape) <= 4 or min(self.shape) < 1:
            raise unreadable(self.path, not_3d(self.shape), self.kind.expected, _ADVICE)
        grid = grid_of(self.shape[:3], self.affine)
        if grid is None:
            raise no_volume_in_space(self.path, "axes map", self.affine, _CORRECT_AXES)
        return grid

    @property
    def time_points(self) -> int:
        """How many volumes lie along the fourth axis."""
        return prod(self.shape[3:])

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[NDArray[Any]]:
        """All voxels.

        Raises:
            UnusableFile: the file ends too early, or is damaged.
        """
        with _reading(self.path, self.kind):
            packed = self.storage.packed
            checksum = self.storage.require_sound(prod(self.shape) * self.value_bytes) if packed else None
            array = _simple_itk().GetArrayFromImage(_reader(self.path, self.kind).Execute())
            if checksum is not None and self.kind.in_order:
                _require_same(array, checksum)
        # SimpleITK gives (Z, Y, X), or (Z, Y, X, C).
        yield np.moveaxis(array.T, 0, -1) if self.components > 1 else array.T


def _open(path: Path, kind: _Kind) -> ItkFile:
    storage = _storage(path, kind)
    with _reading(path, kind):
        if not storage.data.is_file():
            raise ValueError(f"a header whose voxels lie in {storage.data.name}, which is missing")
        reader = _reader(path, kind)
        reader.ReadImageInformation()
        shape, channels = reader.GetSize(), reader.GetNumberOfComponents()
        numbers = _simple_itk().GetPixelIDValueAsString(reader.GetPixelID())
        bits = re.fullmatch(r"(?:vector of )?(\d+)-bit .*", numbers)
        spacing = reader.GetSpacing()
        affine = _affine(spacing, reader.GetOrigin(), reader.GetDirection())
    if bits is None:
        raise unknown_numbers(path, numbers, _SAVE_MAGNITUDE)
    if (unit := UNITS.get(storage.unit)) is not None and unit.millimetres != 1:
        raise other_unit(path, unit, spacing[:3], _CORRECT_UNIT.format(unit.millimetres))
    full_shape = (*shape, channels) if channels > 1 else tuple(shape)
    require_voxels(path, full_shape)
    value_bytes = int(bits[1]) // 8
    with _reading(path, kind):
        storage.require_bytes(prod(full_shape) * value_bytes)
    return ItkFile(path, kind, storage, full_shape, affine, value_bytes, channels, tuple(spacing[3:]))


def _storage(path: Path, kind: _Kind) -> Storage:
    """Where the voxels of a file lie, by its header."""
    require_file(path, expected=f"a {kind.title} volume")
    with _reading(path, kind):
        return kind.storage(path)


def _require_same(array: NDArray[Any], checksum: int) -> None:
    """Refuse voxels that are not those of the file, in either order of bytes."""
    if checksum not in (zlib.crc32(array.data), zlib.crc32(array.byteswap().data)):
        raise ValueError("packed voxels that SimpleITK could not unpack")


def _affine(
    spacing: tuple[float, ...], origin: tuple[float, ...], direction: tuple[float, ...]
) -> NDArray[np.float64]:
    """The affine (4, 4) of the first three axes, in RAS; the identity where there are fewer."""
    axes = len(spacing)
    affine = np.eye(4)
    if axes >= 3:
        affine[:3, :3] = (np.reshape(direction, (axes, axes)) * spacing)[:3, :3]
        affine[:3, 3] = origin[:3]
    return np.asarray(LPS_TO_RAS @ affine)


def _files_of(path: Path, kind: _Kind) -> tuple[Path, ...]:
    data = _storage(path, kind).data
    return (path,) if data == path else (path, data)


def _digests(path: Path, kind: _Kind) -> tuple[str, ...]:
    storage = _storage(path, kind)
    if storage.data == path:
        return (content_digest(path),)
    return (storage.header_digest, content_digest(storage.data))


def _write_labels(
    path: Path, labels: NDArray[Any], reference: VolumeFile, names: Mapping[int, str], kind: _Kind
) -> None:
    """Writes a label map, packed, in one file.

    Raises:
        ValueError: the path has the ending of a header whose voxels lie in another file.
    """
    if not path.name.lower().endswith(kind.ending):
        raise ValueError(f"{path} does not end in {kind.ending}")
    simple_itk, further = _simple_itk(), labels.ndim - 3
    affine = LPS_TO_RAS @ reference.grid.matrix
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = np.eye(labels.ndim)
    direction[:3, :3] = affine[:3, :3] / spacing
    later = reference.later_spacing if isinstance(reference, ItkFile) else ()
    image = simple_itk.GetImageFromArray(
        np.ascontiguousarray(labels.astype(label_type(labels)).T), isVector=False
    )
    image.SetSpacing([*spacing.tolist(), *(later or (1.0,) * further)[:further]])
    image.SetOrigin([*affine[:3, 3].tolist(), *[0.0] * further])
    image.SetDirection(direction.ravel().tolist())
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"labels{kind.ending}"
        simple_itk.WriteImage(image, file, useCompression=True, imageIO=kind.image_io)
        content = file.read_bytes()
    write_whole(path, content)


def _reader(path: Path, kind: _Kind) -> Any:
    reader = _simple_itk().ImageFileReader()
    reader.SetImageIO(kind.image_io)
    reader.SetFileName(path)
    return reader


def _simple_itk() -> Any:
    """The library, which takes half a second to import."""
    import SimpleITK

    return SimpleITK


@contextmanager
def _reading(path: Path, kind: _Kind) -> Iterator[None]:
    """`reading`. From SimpleITK's errors it takes away the source files and memory addresses."""
    with reading(path, kind.expected, _ADVICE):
        try:
            yield
        except RuntimeError as error:
            raise ValueError(re.sub(r"(?s).*ERROR: (\w+\(0x\w+\): )?", "", str(error))) from error


def _format(kind: _Kind, header_ending: str) -> FileFormat:
    return FileFormat(
        title=kind.title,
        endings=(kind.ending, header_ending),
        label_ending=kind.ending,
        open=partial(_open, kind=kind),
        write_labels=partial(_write_labels, kind=kind),
        files_of=partial(_files_of, kind=kind),
        digests=partial(_digests, kind=kind),
    )


NRRD = _format(_NRRD, ".nhdr")
META_IMAGE = _format(_META_IMAGE, ".mhd")
