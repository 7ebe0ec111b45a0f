"""Which files of a folder to predict are left out, and told."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK

from netwright.data.layouts import find_cases
from netwright.errors import DatasetError, DatasetWarning


@pytest.mark.parametrize("ending", [".nhdr", ".mhd", ".nii.gz"])
def test_files_of_voxels_that_no_header_names_are_told(ending: str, tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkUInt8), tmp_path / f"scan{ending}")
    for name in ("other.raw", "other.raw.gz", "other.zraw"):
        (tmp_path / name).write_bytes(bytes(9))
    with pytest.warns(DatasetWarning) as told:
        find_cases(tmp_path, 1)
    (warning,) = told
    assert "left out 3 files" in str(warning.message)
    assert "other.raw, other.raw.gz and other.zraw." in str(warning.message)


def test_a_folder_with_nothing_but_voxels_names_them(tmp_path: Path) -> None:
    (tmp_path / "scan.raw").write_bytes(bytes(9))
    with pytest.raises(DatasetError, match=r"found scan\.raw\."):
        find_cases(tmp_path, 1)
