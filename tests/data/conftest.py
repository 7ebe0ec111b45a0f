"""Small datasets on disk, good and bad, built with nibabel alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from netwright.data.samples.phantoms import write_sample

HIPPOCAMPUS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "Task04_Hippocampus"

Folder = Callable[..., Path]


@pytest.fixture(scope="session")
def hippocampus() -> Path:
    if not HIPPOCAMPUS.is_dir():
        pytest.skip(f"{HIPPOCAMPUS} is not there")
    return HIPPOCAMPUS


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("data") / "sample", cases=6, size=24)


def save(path: Path, array: Any, affine: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def save_volume() -> Callable[..., Path]:
    return save


@pytest.fixture
def msd_folder(tmp_path: Path) -> Folder:
    """A decathlon folder with ``cases`` random cases a..., labels 0 to 2, to be spoilt by the test."""

    def build(cases: int = 10, root: Path = tmp_path / "MSD", **description: Any) -> Path:
        rng = np.random.default_rng(0)
        entries = []
        for number in range(cases):
            name = f"case_{number:02d}.nii.gz"
            save(root / "imagesTr" / name, rng.normal(100, 20, (6, 7, 8)).astype(np.float32))
            save(root / "labelsTr" / name, rng.integers(0, 3, (6, 7, 8)).astype(np.uint8))
            entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
        root.mkdir(exist_ok=True)
        values = {
            "name": "Toy",
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
            "training": entries,
        }
        (root / "dataset.json").write_text(json.dumps({**values, **description}))
        return root

    return build


@pytest.fixture
def nnunet_folder(tmp_path: Path) -> Folder:
    """An nnU-Net v2 raw folder with two channels and three cases."""

    def build(**description: Any) -> Path:
        root = tmp_path / "Dataset001_Toy"
        rng = np.random.default_rng(1)
        for case in ("a", "b", "c"):
            for channel in range(2):
                image = rng.normal(channel, 1, (5, 6, 7)).astype(np.float32)
                save(root / "imagesTr" / f"{case}_{channel:04d}.nii.gz", image)
            save(root / "labelsTr" / f"{case}.nii.gz", rng.integers(0, 2, (5, 6, 7)).astype(np.uint8))
        values = {
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "tumour": 1},
            "file_ending": ".nii.gz",
            "numTraining": 3,
        }
        (root / "dataset.json").write_text(json.dumps({**values, **description}))
        return root

    return build
