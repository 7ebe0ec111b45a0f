"""The examples run as they stand, at their own small budget."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from processes import run

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.slow  # the notebook, which .ci/run runs, makes the same calls
def test_a_search_from_python(tmp_path: Path) -> None:
    done = run([sys.executable, EXAMPLES / "search_from_python.py", tmp_path / "example"], seconds=300)
    assert done.returncode == 0, done.stderr
    assert "best of 2 trials" in done.stdout
    assert list((tmp_path / "example" / "labels").glob("*.nii.gz"))


@pytest.mark.slow  # .ci/run runs it
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("FIRST_LOOK", str(tmp_path / "look"))
    notebook = nbformat.read(EXAMPLES / "first_look.ipynb", as_version=4)
    nbformat.validate(notebook)
    done = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [cell.outputs[-1]["data"]["text/plain"] for cell in done.cells if cell.cell_type == "code"]
    assert "imagesTr" in shown[0]
    assert "report.html" in shown[-1]
    assert list((tmp_path / "look" / "labels").glob("*.nii.gz"))


def test_the_tour_removes_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"a scan")
    done = run([sys.executable, EXAMPLES / "demo.py", tmp_path], seconds=60)
    assert done.returncode == 1
    assert "other files" in done.stderr
    assert (tmp_path / "scan.nii.gz").read_bytes() == b"a scan"
