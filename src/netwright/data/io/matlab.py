"""MATLAB files of version 5 to 7, which MATLAB writes by default: numbers, texts, cells and structs.

They are not read with SciPy, because ``scipy.io.loadmat`` (1.17.1) can end the process where a file is damaged. The
format is described in MathWorks' "MAT-File Format", whose names are used here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from netwright.data.files import reading, require_file
from netwright.data.io.bounds import require_unpacked
from netwright.data.issues import Problem, UnusableFile, enumerate_words

TABLE_BYTES = 1 << 26
"""Of a table of names and boxes, unpacked; that of 8,144 cars has 4 MB."""

_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
"""The last two bytes of the header, by the order of bytes."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512
"""Bytes in front of the HDF5 file that version 7.3 is."""

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How numbers are stored, by the type of a data element. They may be stored smaller than they are."""

_CODECS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""What numbers are, by the class of an array."""

_COMPLEX = 0x800
_PIECE = 1 << 14
"""Bytes that are unpacked at a time: at most 17 MB of them."""

_HEAD_BYTES = 1 << 10
"""Of an unpacked variable, in which its name is: one of MATLAB has 63 characters at most."""

_DEEPEST = 8
"""Cells and structs in one another."""


def read_matlab(path: Path, names: Sequence[str], most: int = TABLE_BYTES) -> dict[str, Any]:
    """Some variables of a file.

    An array of numbers has MATLAB's axes, two or more. A text of one line is a ``str``. Cells are a list of what is in
    them, and structs a list of dictionaries, both in MATLAB's order, column by column. Objects and functions, which a
    file may hold, too, are not read.

    Args:
        path: of the file.
        names: of the variables.
        most: how many bytes each of them may have, unpacked.

    Raises:
        UnusableFile: the file is missing, damaged, too large, of version 7.3 or before 5, or lacks a variable.
    """
    require_file(path, "Restore the file.", "a MATLAB file")
    found: dict[str, Any] = {}
    with reading(path, "a complete MATLAB file of version 5 to 7"):
        _refuse_hdf5(path)
        for content in _matrices(path, names, most):
            found[content.name()] = content.value()
    if missing := [name for name in names if name not in found]:
        raise unfit(path, f"lacks the variable {missing[0]}", enumerate_words(names), "no such variable")
    return found


def unfit(path: Path, what: str, expected: str, found: str) -> UnusableFile:
    """That a file holds something else than its publisher put into it.

    Args:
        path: of the file.
        what: is wrong with it.
        expected: what should be there.
        found: what is there instead.
    """
    advice = "Fetch the file again, as its publisher has it."
    return UnusableFile(Problem("error", str(path), what, expected, found, advice, kind="matlab"))


def _matrices(path: Path, names: Sequence[str], most: int) -> Iterator[_Matrix]:
    """The variables of these names. Others are passed over, however large they are."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or header[-2:] not in _ORDERS:
            raise ValueError("the header is of no such file")
        order = _ORDERS[header[-2:]]
        while tag := file.read(8):
            kind, size = struct.unpack(f"{order}II", tag)
            end = file.tell() + size
            if end > path.stat().st_size:
                raise EOFError(f"the file ends {end - path.stat().st_size} bytes too early")
            matrix = None
            if kind == _COMPRESSED:
                matrix = _unpacked(path, file, size, order, names, most)
            elif kind == _MATRIX:
                matrix = _stored(path, file, size, order, names, most)
            if matrix is not None:
                yield matrix
            file.seek(end)


def _stored(
    path: Path, file: BinaryIO, size: int, order: str, names: Sequence[str], most: int
) -> _Matrix | None:
    """A variable of these names that is not compressed; None: another one."""
    head = file.read(min(size, _HEAD_BYTES))
    if _Matrix(memoryview(head), order).name() not in names:
        return None
    require_unpacked(path, size, most)
    return _Matrix(memoryview(head + file.read(size - len(head))), order)


def _unpacked(
    path: Path, file: BinaryIO, size: int, order: str, names: Sequence[str], most: int
) -> _Matrix | None:
    """A compressed variable of these names; None: another one."""
    unpacker = zlib.decompressobj()
    content = bytearray()
    while size:
        piece = file.read(min(size, _PIECE))
        first = not content
        content += unpacker.decompress(piece)
        size -= len(piece)
        if first and _Matrix.of_element(bytes(content[:_HEAD_BYTES]), order).name() not in names:
            return None
        require_unpacked(path, len(content), most)
    if not unpacker.eof:
        raise EOFError("a compressed variable ends too early")
    return _Matrix.of_element(content, order)


@dataclass(frozen=True)
class _Matrix:
    """The content of a data element of the type miMATRIX: a variable, or what lies in a cell or struct."""

    view: memoryview
    order: str
    depth: int = 0

    @staticmethod
    def of_element(content: bytes | bytearray, order: str) -> _Matrix:
        """The matrix of an unpacked data element, whose end may be missing yet."""
        kind, size = struct.unpack_from(f"{order}II", content)
        if kind != _MATRIX:
            raise ValueError(f"a compressed element of type {kind} where a variable is expected")
        return _Matrix(memoryview(content)[8 : 8 + size], order)

    def name(self) -> str:
        """The name of the variable."""
        return bytes(self._head()[2]).decode("ascii")

    def value(self) -> Any:
        """See `read_matlab`."""
        if not self.view:
            return np.zeros((0, 0))
        flags, dims, _, at = self._head()
        kind = flags & 0xFF
        if kind == _CELL:
            return [matrix.value() for matrix in self._inner(at, prod(dims))]
        if kind == _STRUCT:
            return self._structs(at, prod(dims))
        stored, data, _ = self._element(at)
        if kind == _CHAR:
            if len(dims) != 2 or dims[0] > 1 or stored not in _CODECS:
                raise ValueError("a text of several lines, or in an unknown encoding")
            codec = _CODECS[stored]
            if codec == "utf-16":
                codec += "-le" if self.order == "<" else "-be"
            return bytes(data).decode(codec)
        if kind not in _CLASSES or stored not in _NUMBERS or flags & _COMPLEX:
            raise ValueError(
                f"an array of class {kind}, where real numbers, texts, cells and structs are read"
            )
        values = np.frombuffer(data, np.dtype(f"{self.order}{_NUMBERS[stored]}"))
        return values.reshape(dims, order="F").astype(_CLASSES[kind], copy=False)

    def _head(self) -> tuple[int, tuple[int, ...], memoryview, int]:
        """Flags, lengths of the axes and name, and where the content begins."""
        _, flags, at = self._element(0)
        _, lengths, at = self._element(at)
        _, name, at = self._element(at)
        dims = tuple(np.frombuffer(lengths, f"{self.order}i4").tolist())
        if len(dims) < 2 or min(dims) < 0:
            raise ValueError(f"an array with the axes {dims}")
        return int(np.frombuffer(flags, f"{self.order}u4")[0]), dims, name, at

    def _element(self, at: int) -> tuple[int, memoryview, int]:
        """Type and data of the element at a position, and where the next one begins."""
        first, size = struct.unpack_from(f"{self.order}II", self.view, at)
        if first >> 16:  # a small data element, within the eight bytes of a tag
            first, size, start, end = first & 0xFFFF, first >> 16, at + 4, at + 8
        else:
            start, end = at + 8, at + 8 + size + -size % 8
        data = self.view[start : start + size]
        if len(data) < size or start + size > end:
            raise EOFError(f"an element announces {size} bytes and has {len(data)}")
        return first, data, end

    def _inner(self, at: int, count: int) -> Iterator[_Matrix]:
        """The arrays in a cell or struct. Each has a tag of 8 bytes at least."""
        if self.depth >= _DEEPEST or 8 * count > len(self.view):
            raise ValueError(f"{count} arrays in {len(self.view)} bytes, {self.depth} deep")
        for _ in range(count):
            kind, data, at = self._element(at)
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in a cell or struct")
            yield _Matrix(data, self.order, self.depth + 1)

    def _structs(self, at: int, count: int) -> list[dict[str, Any]]:
        _, length, at = self._element(at)
        _, text, at = self._element(at)
        width = int(np.frombuffer(length, f"{self.order}i4")[0])
        if width < 1 or len(text) % width:
            raise ValueError(f"names of fields in {len(text)} bytes, {width} each")
        fields = [
            bytes(text[first : first + width]).partition(b"\0")[0].decode("ascii")
            for first in range(0, len(text), width)
        ]
        if not fields:
            raise ValueError("structs without fields")
        values = iter([matrix.value() for matrix in self._inner(at, count * len(fields))])
        return [{field: next(values) for field in fields} for _ in range(count)]


def _refuse_hdf5(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(_USER_BLOCK + len(_HDF5))
    if not start.startswith(_HDF5) and start[_USER_BLOCK:] != _HDF5:
        return
    raise UnusableFile(
        Problem(
            "error",
            str(path),
            "is a MATLAB file of version 7.3",
            expected="version 5 to 7",
            found="HDF5, which this version is",
            advice="Save it again in MATLAB with save(..., '-v7').",
            kind="matlab",
        )
    )
