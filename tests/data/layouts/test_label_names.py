"""Tables of labels as FreeSurfer and ITK-SNAP write them, and what is said of faults in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.data.layouts.label_names import read_table, table_in
from netwright.errors import DatasetError

FREESURFER = """#$Id: FreeSurferColorLUT.txt,v 1.70 $

#No. Label Name:                            R   G   B   A

0   Unknown                                 0   0   0   0
17  Left-Hippocampus                        220 216 20  0
53  Right-Hippocampus                       220 216 20  0
"""
ITK_SNAP = """################################################
# ITK-SnAP Label Description File
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "left hippocampus"
    2     0  255    0     0.50  1  0    "right hippocampus (tail)"
"""


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        (
            "FreeSurferColorLUT.txt",
            FREESURFER,
            {0: "Unknown", 17: "Left-Hippocampus", 53: "Right-Hippocampus"},
        ),
        ("brain.label", ITK_SNAP, {0: "Clear Label", 1: "left hippocampus", 2: "right hippocampus (tail)"}),
        ("slicer.ctbl", "0 background 0 0 0 0\n1 tumour 128 174 128 255\n", {0: "background", 1: "tumour"}),
    ],
)
def test_tables_are_found_and_read(tmp_path: Path, name: str, text: str, names: dict[int, str]) -> None:
    (tmp_path / "README.txt").write_text("Scans of 43 people.\nSee the paper.\n")
    (tmp_path / "numbers.txt").write_text("1 2 3 4 5\n6 7 8 9 10\n")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xfe\x00")
    assert table_in(tmp_path) is None
    (tmp_path / name).write_text(text)
    assert table_in(tmp_path) == tmp_path / name
    assert read_table(tmp_path / name) == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "54 Left Amygdala 1 2 3 0",
            r"line 8 is '54 Left Amygdala 1 2 3 0': expected a value, a name and a colour",
        ),
        ("17 Left-Amygdala 1 2 3 0", r"line 8 names 17 'Left-Amygdala', which is 'Left-Hippocampus' above"),
    ],
)
def test_faults_in_a_table_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "lut.txt").write_text(FREESURFER + line + "\n")
    table = table_in(tmp_path)
    assert table is not None
    with pytest.raises(DatasetError, match=message):
        read_table(table)


def test_two_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(FREESURFER)
    (tmp_path / "b.label").write_text(ITK_SNAP)
    with pytest.raises(DatasetError, match=r"holds 2 tables of labels, a\.txt and b\.label: expected one"):
        table_in(tmp_path)
