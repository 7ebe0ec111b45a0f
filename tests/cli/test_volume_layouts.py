"""A user's whole way with made-up copies of published datasets: inspect, search, train and predict."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data.samples.published_volumes import VOLUME_LAYOUTS

FORMATS = {"amos": "msd", "brains": "volume-pairs"}
"""By the name of the sample, where it is another. ACDC and pictures with masks are in files of their own."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", VOLUME_LAYOUTS)
def test_from_inspect_to_predict(netwright: Command, kind: str, tmp_path: Path) -> None:
    layout, data, run = VOLUME_LAYOUTS[kind], tmp_path / "data", tmp_path / "run"
    assert netwright("sample", "--kind", kind, "-o", data).returncode == 0
    done = netwright("inspect", data)
    assert done.returncode == 0, done.stdout
    assert f"10 cases   format {FORMATS.get(kind, kind)}" in done.stdout
    assert "to predict 1 case without a label map" in done.stdout
    for value, name in layout.labels.items():
        assert f"{value} {name}" in done.stdout
    words = ("--recipe", "segnas4", "--trials", 2, "--epochs", 1, "--verdict-hours", 0, "--workers", 1)
    done = netwright("search", data, "-o", run, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    done = netwright("train", run, "--epochs", 1)
    assert done.returncode == 0, done.stderr + done.stdout
    done = netwright("predict", run, data / layout.to_predict, "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr + done.stdout
    written = list((tmp_path / "labels").glob("*.nii.gz"))
    assert len(written) == (11 if kind in ("brats", "kits") else 1)
    for file in written:
        assert set(np.unique(nibabel.load(file).dataobj)) <= {0, *layout.labels}


@pytest.mark.slow
def test_cines_from_inspect_to_predict(netwright: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data, run = tmp_path / "data", tmp_path / "run"
    for number in range(6):
        labels = np.zeros((16, 16, 8, 3), np.uint8)
        labels[4:9, 4 + number : 9 + number, 2:6, ::2] = 1
        images = rng.normal(100, 5, labels.shape).astype(np.float32) + 50 * labels
        for home, array in (("images", images), ("labels", labels)):
            (data / home).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(array, np.eye(4))
            image.header.set_xyzt_units("mm", "msec")
            nibabel.save(image, data / home / f"heart{number}.nii.gz")
    done = netwright("inspect", data, "--format", "cine")
    assert done.returncode == 0, done.stdout
    assert "12 cases of 6 patients   format cine" in done.stdout
    words = ("--recipe", "segnas4", "--trials", 1, "--epochs", 1, "--verdict-hours", 0, "--workers", 1)
    done = netwright("search", data, "--format", "cine", "-o", run, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    assert netwright("train", run, "--epochs", 1).returncode == 0
    done = netwright("predict", run, data / "images", "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "labels").glob("*.nii.gz"))
    assert [nibabel.load(file).shape for file in written] == [(16, 16, 8, 3)] * 6
