"""Folders of parts, pieces and contents are no classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.data.images.dataset import ImageSet
from netwright.data.layouts.part_names import is_piece, part_in
from netwright.data.open import inspect_any, open_any
from netwright.errors import DatasetError
from netwright_tests import save_photograph

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Four pictures in each folder."""

    def make(*folders: str) -> Path:
        for folder in folders:
            for number in range(4):
                save_photograph(tmp_path / folder / f"{folder.replace('/', '_')}_{number}.png")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train2017", "val2017"), {"train": 4, "val": 4}),
        (("train_images", "test_images"), {"train": 4, "test": 4}),
        (("ISIC_2019_Training_Input", "ISIC_2019_Test_Input"), {"train": 4, "test": 4}),
        (("TrainData", "ValidData", "TestData"), {"train": 4, "val": 4, "test": 4}),
    ],
)
def test_folders_of_parts_are_parts(build: Build, folders: tuple[str, ...], parts: dict[str, int]) -> None:
    data = open_any(build(*folders))
    assert isinstance(data, ImageSet)
    assert (data.format, data.classes) == ("images", ())
    assert Counter(data.parts) == parts


def test_parts_with_classes_in_them(build: Build) -> None:
    data = open_any(build("train_images/cat", "train_images/dog", "test_images/cat", "test_images/dog"))
    assert isinstance(data, ImageSet)
    assert (data.format, data.classes) == ("image-folder", ("cat", "dog"))
    assert Counter(data.parts) == {"train": 8, "test": 8}


@pytest.mark.parametrize(
    "folders",
    [
        ("HAM10000_images_part_1", "HAM10000_images_part_2"),
        ("images_001/images", "images_002/images"),
        ("batch1", "batch2", "batch3"),
        ("part_A", "part_B"),
        ("patient_1", "patient_2"),
        ("train_1", "train_2", "test_1"),
        ("train/part1", "train/part2"),
    ],
)
def test_pieces_of_one_set_are_refused(build: Build, folders: tuple[str, ...]) -> None:
    root = build(*folders)
    with pytest.raises(
        DatasetError, match=r"pieces of one set by their names.*--format image-folder.*--format images"
    ):
        open_any(root)
    data = open_any(root, format="image-folder")
    assert isinstance(data, ImageSet)
    assert len(data.classes) == len(folders)
    assert open_any(root, format="images").task == "inpainting"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("images/cat", "images/dog", "attributes"), "attributes is called .* Did you mean .*images[?]"),
        (("images", "annotations"), "annotations is called"),
        (("cat", "dog", "metadata"), "metadata is called .* move it elsewhere"),
    ],
)
def test_folders_called_after_their_contents_are_refused(
    build: Build, folders: tuple[str, ...], names: str
) -> None:
    with pytest.raises(DatasetError, match=names):
        open_any(build(*folders))


@pytest.mark.parametrize(
    "folders",
    [
        ("0", "1", "2"),
        ("class_1", "class_2"),
        ("grade1", "grade2"),
        ("bus", "car", "train_station"),
        ("original", "fake"),
        ("with_mask", "without_mask"),
        ("label_0", "label_1"),
        ("photo", "sketch"),
        ("bus", "images of cars"),
    ],
)
def test_classes_stay_classes(build: Build, folders: tuple[str, ...]) -> None:
    data = open_any(build(*folders))
    assert isinstance(data, ImageSet)
    assert (data.format, data.classes) == ("image-folder", tuple(sorted(folders)))


def test_a_train_among_vehicles_is_asked_for(build: Build) -> None:
    root = build("bus", "car", "train")
    with pytest.raises(DatasetError, match=r"pictures in train and in bus and car.*give its folder a name"):
        open_any(root)
    (root / "train").rename(root / "railway")
    assert open_any(root).classes == ("bus", "car", "railway")


def test_pictures_beside_the_parts_are_told(build: Build) -> None:
    root = build("train/cat", "train/dog", "test/cat", "test/dog", "more")
    told = [str(one) for one in inspect_any(open_any(root)).problems if one.kind == "ignored-file"]
    assert len(told) == 1
    assert told[0].startswith("more/more_0.png lies in a folder beside the parts")


def test_pictures_of_a_part_that_are_not_sorted_are_no_class(build: Build) -> None:
    """As Tiny ImageNet has its validation part."""
    root = build("train/cat", "train/dog", "val/images")
    (error,) = inspect_any(open_any(root)).errors
    assert "sort the pictures into folders of their classes" in str(error)


def test_one_folder_of_class_folders_is_named(build: Build) -> None:
    root = build("pets/cat", "pets/dog")
    (error,) = [one for one in inspect_any(open_any(root)).errors if one.kind == "one-class"]
    assert f"Are the 2 folders in {root / 'pets'} the classes? Then name that folder." in str(error)


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train2017", "train"),
        ("val_2014", "val"),
        ("imagesTs", "test"),
        ("TestData", "test"),
        ("BraTS20_Training_001", None),
        ("train_001", None),
        ("LiTS", None),
        ("train_station", None),
    ],
)
def test_the_part_in_a_name(folder: str, part: str | None) -> None:
    assert part_in(folder) == part


def test_a_piece_has_a_number_or_letter_and_says_of_what() -> None:
    assert [is_piece(name) for name in ("images_001", "part2", "set_b", "images", "digit_1", "7")] == [
        *[True] * 3,
        *[False] * 3,
    ]
