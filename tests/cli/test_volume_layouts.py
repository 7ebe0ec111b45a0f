"""A user's whole way with made-up copies of published datasets: inspect, search, train and predict."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

SHAPE = (16, 16, 16)
LABELLED, NEW = range(1, 11), 11


@dataclass(frozen=True)
class Layout:
    """Where the files of a case lie, by its number, without ``.nii.gz``.

    Args:
        root: the folder of the dataset.
        images: one for each channel.
        label: the label map.
        new: the images of the case without a label map.
        to_predict: the folder below the root that is given to ``predict``.
        labels: value -> name.
        beside: other files and what is in them.
    """

    root: str
    images: tuple[str, ...]
    label: str
    new: tuple[str, ...]
    to_predict: str
    labels: Mapping[int, str]
    beside: Mapping[str, str] = field(default_factory=dict)


BRATS = tuple(
    f"BraTS20_Training_{{0:03d}}/BraTS20_Training_{{0:03d}}_{kind}"
    for kind in ("flair", "t1", "t1ce", "t2", "seg")
)
STRUCTURES = {value: f"Structure-{value}" for value in range(2, 59, 3)}
"""As many as in the brain dataset of the SegNAS3D paper."""

ORGANS = ("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta")
ORGANS += ("inferior vena cava", "portal vein and splenic vein", "pancreas")
ORGANS += ("right adrenal gland", "left adrenal gland")

AMOS = {
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "spleen", "15": "prostate/uterus"},
    "training": [
        {"image": f"./imagesTr/amos_{number:04d}.nii.gz", "label": f"./labelsTr/amos_{number:04d}.nii.gz"}
        for number in LABELLED
    ],
    "test": [{"image": f"./imagesTs/amos_{NEW:04d}.nii.gz"}],
}

LAYOUTS = {
    "brats": Layout(
        "MICCAI_BraTS2020_TrainingData",
        BRATS[:4],
        BRATS[4],
        BRATS[:4],
        ".",
        {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"},
    ),
    "kits": Layout(
        "kits23/dataset",
        ("case_{:05d}/imaging",),
        "case_{:05d}/segmentation",
        ("case_{:05d}/imaging",),
        ".",
        {1: "kidney", 2: "tumour", 3: "cyst"},
        {"kits23.json": "[]"},
    ),
    "msd": Layout(
        "amos22",
        ("imagesTr/amos_{:04d}",),
        "labelsTr/amos_{:04d}",
        ("imagesTs/amos_{:04d}",),
        "imagesTs",
        {1: "spleen", 15: "prostate/uterus"},
        {"dataset.json": json.dumps(AMOS)},
    ),
    "btcv": Layout(
        "Abdomen/RawData",
        ("Training/img/img{:04d}",),
        "Training/label/label{:04d}",
        ("Testing/img/img{:04d}",),
        "Testing/img",
        dict(enumerate(ORGANS, 1)),
    ),
    "volume-pairs": Layout(
        "brains",
        ("images/s{:02d}",),
        "labels/s{:02d}",
        ("new scans/s{:02d}",),
        "new scans",
        STRUCTURES,
        {"lut.txt": "\n".join(f"{value} {name} 1 2 3 0" for value, name in STRUCTURES.items())},
    ),
}
"""By the name of the format. Those of ACDC and of pictures with masks are in files of their own."""


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


def made_up(root: Path, layout: Layout) -> Path:
    """Ten cases with a label map, in which each label is a bright block, and one without."""
    rng = np.random.default_rng(0)
    home = root / layout.root
    labels = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(layout.labels):
        x, y = 3 * (number % 5), 4 * (number // 5)
        labels[x : x + 3, y : y + 4, 4:12] = value
    for number in (*LABELLED, NEW):
        for image in layout.new if number == NEW else layout.images:
            noise = rng.normal(100, 5, SHAPE) + 30 * labels
            write(home / f"{image.format(number)}.nii.gz", noise.astype(np.float32))
        if number != NEW:
            write(home / f"{layout.label.format(number)}.nii.gz", labels)
    for name, text in layout.beside.items():
        (home / name).write_text(text)
    return home


@pytest.mark.slow
@pytest.mark.parametrize("format", LAYOUTS)
def test_from_inspect_to_predict(netwright: Command, format: str, tmp_path: Path) -> None:
    layout, run = LAYOUTS[format], tmp_path / "run"
    data = made_up(tmp_path, layout)
    done = netwright("inspect", data)
    assert done.returncode == 0, done.stdout
    assert f"10 cases   format {format}" in done.stdout
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
    assert len(written) == (11 if layout.to_predict == "." else 1)
    for file in written:
        assert set(np.unique(nibabel.load(file).dataobj)) <= {0, *layout.labels}
