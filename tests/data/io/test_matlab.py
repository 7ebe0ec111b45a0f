"""MATLAB files, written by SciPy and byte by byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import savemat

from netwright.data.io.matlab import read_matlab
from netwright.data.issues import UnusableFile
from netwright.data.samples.published_pictures import cars_table

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"
NAMES = ("numbers", "text", "cells", "structs")


def write(path: Path, variables: dict[str, Any], packed: bool = True) -> Path:
    savemat(path, variables, do_compression=packed)
    return path


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, dims: tuple[int, ...], name: bytes, content: bytes, order: str = "<") -> bytes:
    """A variable as the description of the format has it: flags, lengths of the axes, name, content."""
    head = element(6, struct.pack(f"{order}II", kind, 0), order)
    head += element(5, struct.pack(f"{order}{len(dims)}i", *dims), order) + element(1, name, order)
    return element(14, head + content, order)


@given(
    values=st.sampled_from(TYPES).flatmap(
        lambda kind: arrays(
            np.dtype(kind), st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(2, 3))
        )
    ),
    packed=st.booleans(),
)
def test_numbers_of_every_type_are_those_that_scipy_wrote(
    tmp_path_factory: pytest.TempPathFactory, values: Any, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.mat"
    found = read_matlab(write(path, {"other": np.zeros(3), "numbers": values}, packed), ("numbers",))[
        "numbers"
    ]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("packed", [False, True])
def test_texts_cells_and_structs(tmp_path: Path, packed: bool) -> None:
    cells = np.empty((2, 2), dtype=object)
    cells[0, 0], cells[1, 0], cells[0, 1], cells[1, 1] = "a", "Škoda", np.ones((1, 2)), ""
    rows = cars_table("test")
    path = write(tmp_path / "a.mat", {"cells": cells, "text": "two words", "structs": rows}, packed)
    found = read_matlab(path, ("structs", "cells", "text"))
    assert found["text"] == "two words"
    assert found["cells"][:2] == ["a", "Škoda"], "column by column"
    assert found["cells"][2].tolist() == [[1, 1]]
    assert len(found["structs"]) == rows.size
    for row, expected in zip(found["structs"], rows.flat, strict=True):
        assert row["fname"] == expected["fname"]
        assert row["bbox_x2"].item() == expected["bbox_x2"]
        assert tuple(row) == rows.dtype.names


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_by_byte(tmp_path: Path, order: str) -> None:
    """Doubles that are stored in bytes, and a text in a small data element, in either order of bytes."""
    header = HEADER[:124] + struct.pack(f"{order}H", 0x100) + (b"IM" if order == "<" else b"MI")
    numbers = matrix(6, (2, 3), b"n", element(2, bytes([1, 2, 3, 4, 5, 6]), order), order)
    small = struct.pack(f"{order}I", 4 << 16 | 4) + "ab".encode("utf-16-le" if order == "<" else "utf-16-be")
    path = tmp_path / "a.mat"
    path.write_bytes(header + numbers + matrix(4, (1, 2), b"t", small, order))
    found = read_matlab(path, ("n", "t"))
    assert (found["n"].dtype, found["n"].tolist()) == (np.float64, [[1, 3, 5], [2, 4, 6]])
    assert found["t"] == "ab"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (matrix(6, (2, 2), b"x", element(2, bytes(3))), "cannot be read"),
        (matrix(6, (-1, 4), b"x", element(2, bytes(4))), "axes"),
        (matrix(6, (1 << 30, 1 << 30), b"x", element(2, bytes(4))), "cannot be read"),
        (matrix(6, (1, 4), b"x", element(77, bytes(4))), "array of class 6"),
        (matrix(3, (1, 4), b"x", element(2, bytes(4))), "array of class 3"),
        (matrix(1, (1 << 30, 1), b"x", b""), "1073741824 arrays in"),
        (matrix(4, (2, 2), b"x", element(2, b"abcd")), "several lines"),
        (matrix(2, (1, 1), b"x", element(5, bytes(4)) + element(1, b"abcd")), "0 each"),
    ],
)
def test_variables_that_cannot_be(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(HEADER + content)
    with pytest.raises(UnusableFile, match=words):
        read_matlab(path, ("x",))


@pytest.mark.parametrize("packed", [False, True])
def test_the_bound_of_bytes_is_that_of_the_variables_that_are_read(tmp_path: Path, packed: bool) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (1, 1 << 16)).astype(np.uint8)
    path = write(tmp_path / "a.mat", {"X": pictures, "y": np.ones((1, 5))}, packed)
    assert read_matlab(path, ("y",), most=1 << 12)["y"].tolist() == [[1] * 5]
    with pytest.raises(UnusableFile, match="unpacks to more than 4,096 bytes"):
        read_matlab(path, ("X",), most=1 << 12)


def test_cells_in_cells_end_somewhere(tmp_path: Path) -> None:
    content = matrix(6, (1, 1), b"", element(2, b"\1"))
    for _ in range(2000):
        content = matrix(1, (1, 1), b"", content)
    path = tmp_path / "a.mat"
    path.write_bytes(HEADER + matrix(1, (1, 1), b"x", content))
    with pytest.raises(UnusableFile, match="8 deep"):
        read_matlab(path, ("x",))


@given(data=st.data(), packed=st.booleans())
def test_damaged_files_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bool
) -> None:
    """Whatever is changed, the answer is a value or a refusal."""
    cells = np.empty((1, 2), dtype=object)
    cells[0] = "one", "two"
    variables = {
        "numbers": np.arange(12),
        "text": "text",
        "cells": cells,
        "structs": cars_table("test")[:, :2],
    }
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=packed)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 4))
        content[at : at + 4] = data.draw(st.binary(min_size=0, max_size=4))
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    path.write_bytes(bytes(content))
    for name in NAMES:
        try:
            assert read_matlab(path, (name,)).keys() == {name}
        except UnusableFile as error:
            assert error.problem.file == str(path)  # noqa: PT017  either way is right
