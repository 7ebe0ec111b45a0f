"""Published pictures, and a folder one level above or below theirs: the one that is meant is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.data.samples import write_kind
from netwright.errors import DatasetError
from netwright_tests import save_photograph

KINDS = {
    "stanford-cars": "stanford-cars",
    "celeba": "celeba",
    "imagenet": "imagenet",
    "cifar-10": "cifar",
    "cifar-100": "cifar",
    "svhn": "svhn",
    "svhn-numbers": "svhn-numbers",
    "mnist": "idx",
    "medmnist": "npz",
}

WITHIN = {
    "imagenet": [
        "ILSVRC",
        "ILSVRC/Data",
        "ILSVRC/Data/CLS-LOC",
        "ILSVRC/Data/CLS-LOC/train",
        "ILSVRC/Data/CLS-LOC/val",
    ],
    "celeba": ["img_align_celeba", "list_attr_celeba.txt"],
    "stanford-cars": ["cars_train", "devkit", "devkit/cars_meta.mat", "cars_test_annos_withlabels.mat"],
    "cifar-10": ["data_batch_1.bin"],
    "svhn": ["train_32x32.mat"],
    "mnist": ["train-images-idx3-ubyte"],
}


def meant(root: Path) -> str:
    """The folder that is named where one is refused."""
    with pytest.raises(DatasetError) as error:
        open_any(root)
    text = str(error.value).partition("Did you mean ")[2]
    assert text, str(error.value)
    return text.partition("?")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_around_a_published_dataset(kind: str, tmp_path: Path) -> None:
    inner = tmp_path / "around" / "data"
    write_kind(kind, inner)
    assert recognise(inner) == KINDS[kind]
    assert meant(tmp_path / "around") == str(inner)


@pytest.mark.parametrize("kind", WITHIN)
def test_the_folders_and_files_within(kind: str, tmp_path: Path) -> None:
    write_kind(kind, tmp_path / "data")
    for name in WITHIN[kind]:
        assert (tmp_path / "data" / name).exists()
        assert meant(tmp_path / "data" / name) == str(tmp_path / "data")


def test_a_part_is_read_alone_where_the_format_is_given(tmp_path: Path) -> None:
    write_kind("imagenet", tmp_path)
    training = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "train"
    with pytest.raises(DatasetError, match="To read this part alone, say --format image-folder"):
        open_any(training)
    assert len(open_any(training, format="image-folder").classes) == 3
    validation = training.parent / "val"
    with pytest.raises(DatasetError, match="To read this part alone, say --format images"):
        open_any(validation)
    assert open_any(validation, format="images").task == "inpainting"


def test_two_datasets_in_a_folder_are_both_named(tmp_path: Path) -> None:
    write_kind("celeba", tmp_path / "a")
    write_kind("cifar-10", tmp_path / "b")
    with pytest.raises(DatasetError, match=r"holds a \(CelebA\) and b \(CIFAR, binary version\)"):
        open_any(tmp_path)
    assert meant(tmp_path) == f"{tmp_path / 'a'} or {tmp_path / 'b'}"


def test_other_folders_beside_published_ones_are_what_they_are(tmp_path: Path) -> None:
    """The dataset around has a name for each of its folders; a class with an array among its pictures is a class."""
    write_kind("stanford-cars", tmp_path)
    for name in ("mine/bus/a", "mine/bus/b", "mine/car/c", "mine/car/d"):
        save_photograph(tmp_path / f"{name}.png")
    (tmp_path / "mine" / "bus" / "features.npz").write_bytes(b"")
    assert recognise(tmp_path / "mine") == "image-folder"
