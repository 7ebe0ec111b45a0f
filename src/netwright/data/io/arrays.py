"""Files of many pictures in one array, read row by row: IDX, and the members of NumPy's .npz."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import open_unpacked, reading
from netwright.data.io.bounds import require_pictures
from netwright.data.issues import Problem, UnusableFile

CHUNK_BYTES = 1 << 24
"""About how many bytes are read at a time."""

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type code in the third byte of an IDX file (LeCun, the MNIST database)."""

_KINDS = {".npz": ".npz", ".bin": "binary"}


class PictureArray(Protocol):
    """Many pictures in a file, or in several."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(pictures, height, width), or with the channels as a fourth axis."""

    def chunks(self) -> Iterator[NDArray[Any]]:
        """The pictures in order, some at a time.

        Raises:
            UnusableFile: a file is damaged.
        """


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file: its header, and the way to its rows.

    ``key`` names it within the file, "" where that holds nothing else. ``start`` is the number of bytes in front of
    the first value.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    start: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file, as a tuple of one."""
        return (self.path,)

    @property
    def location(self) -> str:
        """The file, and the array in it."""
        return _location(self.path, self.key)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """The rows in order, some at a time, in the machine's order of bytes.

        Raises:
            UnusableFile: the file ends too early, holds more than its header says, or is damaged.
        """
        dtype = np.dtype(self.dtype)
        require_pictures(self.path, self.location, self.shape, dtype.itemsize)
        row = prod(self.shape[1:]) * dtype.itemsize
        step = max(1, CHUNK_BYTES // max(row, 1))
        with _named_errors(self.path, self.key), _stream(self.path, self.key) as file:
            _exactly(file, self.start)
            for first in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - first)
                values = np.frombuffer(_exactly(file, count * row), dtype=dtype)
                yield values.reshape(count, *self.shape[1:]).astype(dtype.newbyteorder("="), copy=False)
            if file.read(1):
                raise ValueError(f"bytes follow the {self.shape[0]} rows that the header announces")

    def read(self) -> NDArray[Any]:
        """The whole array.

        Raises:
            UnusableFile: as `chunks`.
        """
        rows = list(self.chunks())
        return np.concatenate(rows) if rows else np.zeros(self.shape, np.dtype(self.dtype).newbyteorder("="))


def idx_file(path: Path) -> ArrayFile:
    """The array of an IDX file, plain or gzipped: two zero bytes, type, number of axes, their lengths, values.

    Raises:
        UnusableFile: the header is not of this kind.
    """
    with _named_errors(path, ""), _stream(path, "") as file:
        zeros, code, axes = struct.unpack(">HBB", _exactly(file, 4))
        if zeros != 0 or code not in IDX_TYPES or axes == 0:
            magic = (zeros << 16) + (code << 8) + axes
            raise ValueError(
                f"the magic number {magic} where an IDX file has two zero bytes, a type code and a number of axes, "
                "such as 2051 for images and 2049 for labels"
            )
        shape = struct.unpack(f">{axes}I", _exactly(file, 4 * axes))
    return ArrayFile(path, "", shape, IDX_TYPES[code], 4 + 4 * axes)


def npz_files(path: Path) -> dict[str, ArrayFile]:
    """The arrays of an .npz file by name. Nothing is ever unpickled.

    Raises:
        UnusableFile: it is no such file, or an array is pickled or stored by columns.
    """
    arrays = {}
    with _named_errors(path, ""), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            key = member.removesuffix(".npy")
            with archive.open(member) as file:
                arrays[key] = _npy_header(path, key, file)
    return arrays


def _npy_header(path: Path, key: str, file: Any) -> ArrayFile:
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Callable[[Any], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"{key} is of version {version} of NumPy's format, where 1.0 or 2.0 is expected")
    shape, by_columns, dtype = readers[version](file)
    if dtype.hasobject:
        raise UnusableFile(
            Problem(
                "error",
                _location(path, key),
                "is a pickled array",
                expected="numbers",
                found="Python objects",
                advice="Unpickling runs code that the file brings along, so such arrays are never read: save it again "
                "with a numeric type, for example array.astype(numpy.uint8).",
                kind="pickled",
            )
        )
    if by_columns and len(shape) > 1:
        raise ValueError(f"{key} is stored by columns; save numpy.ascontiguousarray of it")
    return ArrayFile(path, key, tuple(shape), dtype.str, file.tell())


def _stream(path: Path, key: str) -> AbstractContextManager[Any]:
    """The bytes of a file, or of a member of an archive; unpacked."""
    return _member(path, key) if key else open_unpacked(path)


@contextmanager
def _member(path: Path, key: str) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        yield file


def _named_errors(path: Path, key: str) -> AbstractContextManager[None]:
    expected = f"a complete {_KINDS.get(path.suffix.lower(), 'IDX')} file"
    return reading(path, expected, location=_location(path, key))


def _exactly(file: Any, count: int) -> bytes:
    content = bytes(file.read(count))
    if len(content) < count:
        raise EOFError(f"the file ends {count - len(content)} bytes too early")
    return content


def _location(path: Path, key: str) -> str:
    return f"{path} ({key})" if key else str(path)
