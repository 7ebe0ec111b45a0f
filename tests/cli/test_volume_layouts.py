"""A user's whole way with made-up copies of published datasets: inspect, search, train and predict."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

SHAPE = (16, 16, 16)
ROOTS = {"brats": "MICCAI_BraTS2020_TrainingData", "kits": "kits23/dataset"}
LABELS = {
    "brats": (0, 1, 2, 4, "label      4 enhancing tumour"),
    "kits": (0, 1, 2, 3, "label      3 cyst"),
}


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


def made_up(root: Path, layout: str) -> Path:
    """Ten patients with a label map, and one without."""
    rng = np.random.default_rng(0)
    home = root / ROOTS[layout]
    for number in range(11):
        labels = np.zeros(SHAPE, np.uint8)
        for position, value in enumerate(LABELS[layout][1:4]):
            labels[2 + 4 * position : 5 + 4 * position, 4:12, 4:12] = value
        image = rng.normal(100, 5, SHAPE) + 30 * labels
        name = f"BraTS20_Training_{number:03d}" if layout == "brats" else f"case_{number:05d}"
        files = (
            [f"{name}_{kind}" for kind in ("flair", "t1", "t1ce", "t2")] if layout == "brats" else ["imaging"]
        )
        for file in files:
            write(home / name / f"{file}.nii.gz", (image + rng.normal(0, 5, SHAPE)).astype(np.float32))
        if number < 10:
            write(
                home / name / (f"{name}_seg.nii.gz" if layout == "brats" else "segmentation.nii.gz"), labels
            )
    if layout == "kits":
        (home / "kits23.json").write_text("[]")
    return home


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["brats", "kits"])
def test_from_inspect_to_predict(netwright: Command, layout: str, tmp_path: Path) -> None:
    data, run = made_up(tmp_path, layout), tmp_path / "run"
    done = netwright("inspect", data)
    assert done.returncode == 0, done.stdout
    assert f"10 cases   format {layout}" in done.stdout
    assert "to predict 1 case without a label map" in done.stdout
    assert LABELS[layout][4] in done.stdout
    done = netwright(
        *(
            "search",
            data,
            "--recipe",
            "segnas4",
            "--trials",
            2,
            "--epochs",
            1,
            "--verdict-hours",
            0,
            "-o",
            run,
        ),
        *("--workers", 1),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    done = netwright("train", run, "--epochs", 1)
    assert done.returncode == 0, done.stderr + done.stdout
    done = netwright("predict", run, data, "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert "predicted  11 label maps" in done.stdout
    assert "warning" not in done.stderr + done.stdout
    for file in (tmp_path / "labels").glob("*.nii.gz"):
        assert set(np.unique(nibabel.load(file).dataobj)) <= set(LABELS[layout][:4])
