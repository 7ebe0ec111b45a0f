"""Every made-up copy of a published dataset, and each file format, as a user goes: sample, inspect, search, predict.

The samples of our own go this way in files of their own: `test_auto.py`, `test_cardiac.py`, `test_classification.py`,
`test_commands.py`, `test_inpainting.py` and `test_pictures.py`.
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from netwright.data.images.dataset import ImageSet
from netwright.data.open import open_any
from netwright.data.samples import LAYOUTS, SAMPLES
from netwright.data.samples.published_volumes import FRAMES, SHAPE, VOLUME_LAYOUTS
from netwright_tests import LAYERS, ONE_TRIAL, save_picture

Command = Callable[..., subprocess.CompletedProcess[str]]

FORMATS = {"amos": "msd", "brats-2018": "brats", "brats-2023": "brats"}
FORMATS |= dict.fromkeys(("brains", "nrrd", "metaimage", "dicom", "tiff", "ome-tiff"), "volume-pairs")
"""By the name of the sample, where it is another."""

ENDINGS = {"nrrd": ".nrrd", "metaimage": ".mha", "tiff": ".tif", "ome-tiff": ".tif"}
"""Of the label maps that are written, where they are not NIfTI."""

MASKS = {
    "isic": "ISIC2018_Task1-2_Test_Input",
    "carvana": "test",
    "data-science-bowl": "stage1_test",
    "voc": "VOC2012/JPEGImages",
    "cityscapes": "leftImg8bit/test/berlin",
}
"""Samples of pictures with masks, and the folder with those that are predicted."""

PICTURES = sorted({*LAYOUTS, "labels"} - {*VOLUME_LAYOUTS, *MASKS, "cine"})

pytestmark = pytest.mark.slow


def inspected(netwright: Command, kind: str, data: Path) -> str:
    """What `inspect` tells of a sample, with the command that `sample` names."""
    done = netwright("sample", "--kind", kind, "-o", data)
    assert done.returncode == 0, done.stderr
    options = list(SAMPLES[kind].options)
    assert "inspect" in (words := done.stdout.split())
    assert words[len(words) - len(options) :] == options
    done = netwright("inspect", data, *SAMPLES[kind].options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def searched(
    netwright: Command, kind: str, data: Path, run: Path, *words: object, cwd: Path | None = None
) -> None:
    done = netwright("search", data, *SAMPLES[kind].options, "-o", run, *words, cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout


def volume(path: Path) -> np.ndarray:
    if path.suffix == ".tif":
        return np.asarray(tifffile.imread(path))
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)))


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", VOLUME_LAYOUTS)
def test_volumes(netwright: Command, kind: str, tmp_path: Path) -> None:
    layout, data, run = VOLUME_LAYOUTS[kind], tmp_path / "data", tmp_path / "run"
    told = inspected(netwright, kind, data)
    assert f"10 cases   format {FORMATS.get(kind, kind)}" in told
    assert "to predict 1 case without a label map" in told
    for value, name in layout.labels.items():
        assert f"{value} {name}" in told
    searched(netwright, kind, data, run, *ONE_TRIAL.split(), "--workers", 1)
    done = netwright("predict", run, data / layout.to_predict, "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr + done.stdout
    written = [volume(path) for path in (tmp_path / "labels").glob(f"*{ENDINGS.get(kind, '.nii.gz')}")]
    assert [found.shape for found in written] == [SHAPE] * (1 if layout.new else 11)
    assert {value for found in written for value in np.unique(found)} <= {0, *layout.labels}


def test_cines(netwright: Command, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    assert "20 cases of 10 patients   format cine" in inspected(netwright, "cine", data)
    searched(netwright, "cine", data, run, *ONE_TRIAL.split(), "--workers", 1)
    done = netwright("predict", run, data / "new cines", "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "labels").glob("*.nii.gz")
    assert volume(written).shape == (FRAMES, 8, *SHAPE[:2])
    assert set(np.unique(volume(written))) <= {0, 1}


@pytest.mark.parametrize("kind", MASKS)
def test_pictures_with_masks(netwright: Command, workshop: Path, kind: str, tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "data" / MASKS[kind]
    assert "format image-masks" in inspected(netwright, kind, data)
    words = (*LAYERS["published"], "--trials", "1", "--verdict-hours", 0.0001)
    searched(
        netwright, kind, data, tmp_path / "run", "--network", "own_networks:segmenter", *words, cwd=workshop
    )
    done = netwright("predict", tmp_path / "run", home, "-o", tmp_path / "out", cwd=workshop)
    assert done.returncode == 0, done.stderr
    written = {path.stem: picture(path) for path in (tmp_path / "out").glob("*.png")}
    given = {path.stem: picture(path).shape[:2] for path in home.rglob("*.*g")}
    assert {name: mask.shape for name, mask in written.items()} == given
    assert {value for mask in written.values() for value in np.unique(mask)} <= {0, 1, 2}


@pytest.mark.parametrize("kind", PICTURES)
def test_labelled_pictures(kind: str, netwright: Command, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    inspected(netwright, kind, data)
    words = ("--recipe", "marl-vgg16", "--trials", 1, "--epochs", 1, "--workers", 1)
    words += ("--set", "images.size=[32,32]", "--set", "space.values.kernels=[2,4]")
    words += ("--set", "space.values.units=[4,8]", "--set", "training.batch_size=8")
    words += ("--set", "verdict.epochs=1", "--set", "verdict.references=[]")
    searched(netwright, kind, data, run, *words)
    evaluated = netwright("evaluate", run, data, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    dataset = open_any(data)
    assert isinstance(dataset, ImageSet)
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28, len(dataset.channels)), dtype=np.uint8)
    save_picture(tmp_path / "new" / "a.png", pixels if pixels.shape[2] == 3 else pixels[..., 0])
    done = netwright("predict", run, tmp_path / "new", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "predictions.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(dataset.classes) <= {name.removeprefix("probability.") for name in row}
