"""The examples run as they stand, at their own small budget."""

from __future__ import annotations

import sys
from pathlib import Path

from processes import run

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_a_search_from_python(tmp_path: Path) -> None:
    done = run([sys.executable, EXAMPLES / "search_from_python.py", tmp_path / "example"], seconds=300)
    assert done.returncode == 0, done.stderr
    assert "best of 2 trials" in done.stdout
    assert list((tmp_path / "example" / "labels").glob("*.nii.gz"))


def test_the_tour_removes_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"a scan")
    done = run([sys.executable, EXAMPLES / "demo.py", tmp_path], seconds=60)
    assert done.returncode == 1
    assert "other files" in done.stderr
    assert (tmp_path / "scan.nii.gz").read_bytes() == b"a scan"
