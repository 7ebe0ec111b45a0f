"""One door: every kind of dataset is recognised, and what is none is told what was looked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.cli.inspected import inspection_lines
from netwright.data import Dataset, Prepared, PreprocessingSettings
from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.images.settings import ImageSettings
from netwright.data.open import inspect_any, open_any, open_prepared_any, prepare_any, split_any
from netwright.data.recognition import recognise
from netwright.data.samples.images import write_classification_sample, write_segmentation_sample
from netwright.errors import DatasetError, SettingsError
from netwright_tests import save_picture
from processes import run


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> dict[str, Path]:
    """A dataset of each format, by name."""
    home = tmp_path_factory.mktemp("any")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 16, 16), dtype=np.uint8), (np.arange(30) % 2).astype(np.uint8)
    np.savez(home / "a.npz", train_images=images, train_labels=labels)
    (home / "idx").mkdir()
    (home / "idx" / "train-images-idx3-ubyte").write_bytes(
        bytes.fromhex("000008030000001e0000001000000010") + images.tobytes()
    )
    (home / "idx" / "train-labels-idx1-ubyte").write_bytes(
        bytes.fromhex("000008010000001e") + labels.tobytes()
    )
    return {
        "msd": sample,
        "image-masks": write_segmentation_sample(home / "masks", pictures=12, size=24),
        "image-folder": write_classification_sample(home / "classes", pictures=10, size=16),
        "npz": home / "a.npz",
        "idx": home / "idx",
    }


@pytest.mark.parametrize("name", ["msd", "image-masks", "image-folder", "npz", "idx"])
def test_every_format_through_the_door(roots: dict[str, Path], name: str, tmp_path: Path) -> None:
    dataset = open_any(roots[name])
    assert dataset.format == name
    assert open_any(roots[name], format=name) == dataset
    inspection = inspect_any(dataset, 2)
    inspection.require_usable()
    lines = list(inspection_lines(roots[name], inspection, show_all=False))
    assert f"format {name}" in lines[0]
    settings = ImageSettings() if isinstance(dataset, ImageSet) else PreprocessingSettings()
    prepared = prepare_any(dataset, settings, tmp_path, workers=2)
    assert isinstance(prepared, PreparedImages if isinstance(dataset, ImageSet) else Prepared)
    again = open_prepared_any(prepared.folder)
    assert again.to_dict() == prepared.to_dict()
    splits = split_any(prepared, 0)
    assert sorted((*splits.training, *splits.validation, *splits.test)) == sorted(prepared.names)


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_any(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="it is empty") as error:
        open_any(tmp_path)
    for words in (
        "imagesTr/ and labelsTr/",
        "images/ and masks/",
        "for each class",
        "docs/layouts.md",
        "netwright sample",
    ):
        assert words in str(error.value)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"found notes\.txt"):
        open_any(tmp_path)
    with pytest.raises(DatasetError, match="it is a file"):
        open_any(tmp_path / "notes.txt")
    with pytest.raises(SettingsError, match=r"image-masks.*image-folder"):
        open_any(tmp_path, format="dicom")


def test_formats_that_are_insisted_on(roots: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="image folder"):
        open_any(roots["idx"], format="image-folder")
    with pytest.raises(DatasetError, match="pictures with masks"):
        open_any(tmp_path, format="image-masks")


def test_label_maps_and_settings_of_the_wrong_kind(roots: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--map-label is for"):
        open_any(roots["npz"], map_label={255: 1})
    with pytest.raises(SettingsError, match="expected PreprocessingSettings"):
        prepare_any(open_any(roots["image-masks"]), ImageSettings(), tmp_path)
    with pytest.raises(SettingsError, match="expected ImageSettings"):
        prepare_any(open_any(roots["npz"]), PreprocessingSettings(), tmp_path)
    assert isinstance(open_any(roots["msd"], map_label={3: 0}), Dataset)


def test_a_folder_of_images_alone_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "images" / "a.png")
    with pytest.raises(
        DatasetError, match=f"{tmp_path} has one class folder.*\n.*put `images` beside `masks`"
    ):
        inspect_any(open_any(tmp_path)).require_usable()


def test_opening_loads_neither_torch_nor_ndimage() -> None:
    """They take long to load."""
    code = "import netwright.data.open, netwright.data.volumes.slices, sys; "
    code += "sys.exit(bool({'torch', 'scipy.ndimage'} & sys.modules.keys()))"
    assert run([sys.executable, "-c", code]).returncode == 0


def test_samples_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for write in (write_classification_sample, write_segmentation_sample):
        first = write(tmp_path / "a", pictures=6, seed=1, size=20)
        content = {path.relative_to(first): path.read_bytes() for path in first.rglob("*.png")}
        second = write(tmp_path / "b", pictures=6, seed=1, size=20)
        assert {path.relative_to(second): path.read_bytes() for path in second.rglob("*.png")} == content
        other = write(tmp_path / "c", pictures=6, seed=2, size=20)
        assert all(
            path.read_bytes() != content[path.relative_to(other)] for path in other.rglob("images/*.png")
        )
        with pytest.raises(SettingsError):
            write(tmp_path / "d", pictures=1)
        (tmp_path / "e").mkdir(exist_ok=True)
        (tmp_path / "e" / "mine").write_text("x")
        with pytest.raises(DatasetError, match="is not empty"):
            write(tmp_path / "e")
        for name in "abc":
            (tmp_path / name).rename(tmp_path / f"{name}-{write.__name__}")


def test_a_folder_beside_datasets_is_not_answered_with_their_parent(
    tmp_path: Path, save_volume: Callable[..., Path]
) -> None:
    array = np.zeros((4, 4, 4), np.uint8)
    array[1] = 1
    for name in ("images/a", "labels/a"):
        save_volume(tmp_path / "sets" / "good" / f"{name}.nii.gz", array)
    save_volume(tmp_path / "sets" / "bad" / "x.nii.gz", array)
    with pytest.raises(DatasetError) as refused:
        open_any(tmp_path / "sets" / "bad")
    assert "Did you mean" not in str(refused.value)
    for inner in ("images", "labels"):
        with pytest.raises(DatasetError, match=f"Did you mean {tmp_path / 'sets' / 'good'}\\?"):
            open_any(tmp_path / "sets" / "good" / inner)


def test_hidden_pictures_are_no_pictures(tmp_path: Path) -> None:
    """As macOS leaves them, ``._a.png`` beside ``a.png``."""
    save_picture(tmp_path / "._a.png", np.zeros((8, 8), np.uint8))
    assert recognise(tmp_path) is None
    for part in ("train/cat/a", "train/dog/a", "train/._b"):
        save_picture(tmp_path / f"{part}.png", np.zeros((8, 8), np.uint8))
    dataset = open_any(tmp_path)
    assert (dataset.format, len(dataset.names)) == ("image-folder", 2)
    assert dataset.problems == ()
