"""The examples run as they stand, at their own small budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_a_search_from_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "search_from_python.py", tmp_path / "example"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "best of 2 trials" in done.stdout
    assert list((tmp_path / "example" / "labels").glob("*.nii.gz"))
