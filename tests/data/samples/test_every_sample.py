"""Every generated dataset that `netwright sample` writes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.data.base import AnyDataset
from netwright.data.io.volumes import read_image, read_label
from netwright.data.layouts import FORMATS as VOLUME_FORMATS
from netwright.data.layouts.image_formats import IMAGE_FORMATS
from netwright.data.open import inspect_any, open_any
from netwright.data.samples import LAYOUTS, SAMPLES, write_kind
from netwright.data.samples.published_volumes import VOLUME_LAYOUTS
from netwright.data.volumes.fingerprint import Fingerprint
from netwright.errors import DatasetError, SettingsError

FEW = 12
TASKS = {
    "volumes": "segmentation",
    "masks": "segmentation",
    "classes": "classification",
    "labels": "multilabel",
    "cardiac": "segmentation",
    "images": "inpainting",
    **dict.fromkeys((*VOLUME_LAYOUTS, "cine"), "segmentation"),
    **dict.fromkeys(("isic", "carvana", "data-science-bowl", "voc", "cityscapes"), "segmentation"),
    **dict.fromkeys(("chestmnist", "celeba"), "multilabel"),
}
FORMATS = {"amos": "msd", "brats-2018": "brats", "brats-2023": "brats"}
FORMATS |= dict.fromkeys(("brains", "nrrd", "metaimage", "dicom", "tiff", "ome-tiff"), "volume-pairs")
FORMATS |= {"mnist": "idx", "cifar-10": "cifar", "cifar-100": "cifar", "ham10000": "class-table"}
FORMATS |= {"medmnist": "npz", "chestmnist": "npz"}
FORMATS |= dict.fromkeys(("isic", "carvana", "data-science-bowl", "voc", "cityscapes"), "image-masks")
OWN = {"volumes": "msd", "masks": "image-masks", "classes": "image-folder", "labels": "label-table"}
OWN |= {"cardiac": "acdc", "images": "images"}
OF_THE_SAME_FILES = ("cifar-coarse", "svhn-extra", "svhn-numbers-extra")
"""Formats that read the files of others in another way."""


def opened(kind: str, folder: Path) -> AnyDataset:
    """A sample, with the options that `sample` names."""
    options = SAMPLES[kind].options
    given = dict(zip(options[::2], options[1::2], strict=True))
    pairs = [pair.split("=") for pair in given.get("--map-label", "").split(",") if pair]
    map_label = {int(value): int(label) for value, label in pairs}
    return open_any(folder, format=given.get("--format"), map_label=map_label)


def test_there_is_a_sample_of_each_format() -> None:
    formats = {OWN.get(kind) or FORMATS.get(kind, kind) for kind in SAMPLES}
    assert formats == {*VOLUME_FORMATS, *IMAGE_FORMATS} - {*OF_THE_SAME_FILES}


@pytest.mark.parametrize("kind", SAMPLES)
def test_it_is_recognised_and_read_as_data_for_its_task(kind: str, tmp_path: Path) -> None:
    told = write_kind(kind, tmp_path / "sample", FEW)
    assert told == f"{FEW} {SAMPLES[kind].words}"
    dataset = opened(kind, tmp_path / "sample")
    assert dataset.task == TASKS.get(kind, "classification")
    assert dataset.format == (OWN.get(kind) or FORMATS.get(kind, kind))
    inspection = inspect_any(dataset)
    assert not inspection.errors
    found = inspection.fingerprint
    assert found.cases == len(dataset.names) > 0
    if isinstance(found, Fingerprint):
        assert all(label.voxels for label in found.labels)
        first = dataset.cases[0]
        image = read_image(first.images, first.time)
        assert image.array.shape[0] == len(dataset.channels)
        assert read_label(first.label, image.grid, first.time).shape == image.array.shape[1:]
    else:
        assert all(one.pictures for one in found.classes)


@pytest.mark.parametrize("kind", ["metaimage", "dicom", "tiff", "ome-tiff"])
def test_the_same_volumes_are_in_every_file_format(kind: str, tmp_path: Path) -> None:
    write_kind("nrrd", tmp_path / "nrrd", 4)
    write_kind(kind, tmp_path / kind, 4)
    turned = (slice(None, None, -1),) * 2 if "tiff" in kind else ()  # TIFF knows no orientation
    for one, other in zip(open_any(tmp_path / "nrrd").cases, open_any(tmp_path / kind).cases, strict=True):
        np.testing.assert_array_equal(read_label(one.label), read_label(other.label)[turned])
        np.testing.assert_allclose(
            read_image(one.images).array[0], read_image(other.images).array[0][turned], atol=0.5
        )


def test_the_usual_numbers_are_those_of_the_functions() -> None:
    assert {kind: sample.usual for kind, sample in SAMPLES.items()} == {
        "volumes": 30,
        "masks": 24,
        "classes": 40,
        "labels": 160,
        "cardiac": 20,
        "images": 200,
        **dict.fromkeys((*VOLUME_LAYOUTS, "cine"), 10),
        **dict.fromkeys(("isic", "carvana", "data-science-bowl", "voc", "cityscapes"), 20),
        **dict.fromkeys(("svhn-numbers", "celeba"), 20),
        **dict.fromkeys(("mnist", "cifar-10", "medmnist"), 60),
        **dict.fromkeys(("cifar-100", "chestmnist", "stanford-cars", "ham10000"), 24),
        "svhn": 40,
        "imagenet": 6,
    }


def test_the_help_names_every_one_and_others_are_refused(tmp_path: Path) -> None:
    command = CliRunner()
    told = command.invoke(app, ["sample", "--help"], env={"COLUMNS": "200"}).output.replace("│", " ")
    assert {kind for kind in SAMPLES if not re.search(rf"(?<![\w-]){kind}(?![\w-])", told)} == set()
    with pytest.raises(
        SettingsError, match=r"no sample 'lables'\. Did you mean labels\? There are: volumes, masks"
    ):
        write_kind("lables", tmp_path)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_same_seed_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    written: list[dict[Path, bytes]] = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write_kind(kind, tmp_path / name, 4 if kind in VOLUME_LAYOUTS else FEW, seed)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        written.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert written[0] != written[2]
    with pytest.raises(DatasetError, match="expected a new folder"):
        write_kind(kind, tmp_path / "one", FEW)
