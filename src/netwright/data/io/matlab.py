"""MATLAB files of version 5 to 7, which MATLAB writes by default: arrays of numbers, structs and cells."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.data.files import reading, require_file, without_warnings
from netwright.data.io.bounds import require_unpacked
from netwright.data.issues import Problem, UnusableFile, enumerate_words

TABLE_BYTES = 1 << 26
"""Of a table of names and boxes, unpacked; that of 16,185 cars has 7 MB."""

_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
"""The last two bytes of the header, by the order of bytes."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512
"""Bytes in front of the HDF5 file that version 7.3 is."""

_COMPRESSED = 15
_PIECE = 1 << 14
"""Bytes that are unpacked at a time: at most 17 MB of them."""


def read_matlab(path: Path, names: Sequence[str], most: int = TABLE_BYTES) -> dict[str, Any]:
    """Some variables of a file as arrays with MATLAB's axes, at least two each.

    Texts, structs and cells become arrays of texts, of records and of objects. Nothing in the file is run: functions
    and objects of classes, which such a file may hold, remain data.

    Args:
        path: of the file.
        names: of the variables.
        most: how many bytes the file may hold when it is unpacked. They are counted first, without being kept.

    Raises:
        UnusableFile: the file is missing, damaged, too large, of version 7.3 or before 5, or lacks a variable.
    """
    from scipy.io import loadmat

    require_file(path, "Restore the file.", "a MATLAB file")
    _refuse_hdf5(path)
    with reading(path, "a complete MATLAB file of version 5 to 7"), without_warnings():
        require_unpacked(path, _unpacked_bytes(path, most), most)
        with path.open("rb") as file:
            found = loadmat(file, variable_names=list(names))
    if missing := [name for name in names if name not in found]:
        raise unfit(path, f"lacks the variable {missing[0]}", enumerate_words(names), "no such variable")
    return {name: found[name] for name in names}


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


def _unpacked_bytes(path: Path, most: int) -> int:
    """How many bytes the elements of a file hold, unpacked; the count ends when there are more than ``most``."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or header[-2:] not in _ORDERS:
            raise ValueError("the header is of no such file")
        total = 0
        while (tag := file.read(8)) and total <= most:
            kind, size = struct.unpack(f"{_ORDERS[header[-2:]]}II", tag)
            if kind != _COMPRESSED:
                total += size
                file.seek(size, 1)
                continue
            unpacker = zlib.decompressobj()
            while size and total <= most:
                piece = file.read(min(size, _PIECE))
                if not piece:
                    raise EOFError(f"the file ends {size} bytes too early")
                size -= len(piece)
                total += len(unpacker.decompress(piece))
    return total


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
