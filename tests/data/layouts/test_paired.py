"""Images and masks that lie otherwise than they are read: refused with a hint, and no classes of pictures refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netwright.data import find_cases, inspect_dataset, open_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError
from netwright.tasks.images import find_pictures
from netwright_tests import save_photograph, save_picture

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
COUNT = 8


def mask(path: Path) -> Path:
    pixels = np.zeros((24, 32), np.uint8)
    pixels[5:15, 8:20] = 255
    return save_picture(path, pixels)


def build(root: Path, image: str, label: str, count: int = COUNT) -> Path:
    """Images and masks under the names given, in which ``#`` is a number."""
    for number in range(count):
        save_photograph(root / image.replace("#", f"{number:03d}"))
        mask(root / label.replace("#", f"{number:03d}"))
    return root


LAYOUTS = [
    ("x/#.png", "y/#.png", '{"images": "x", "masks": "y"}'),
    ("photographs/#.jpg", "drawings/#.png", '{"images": "photographs", "masks": "drawings"}'),
    ("#.jpg", "#.png", '{"images": ".jpg", "masks": ".png"}'),
    ("imagesTr/case_#_0000.png", "labelsTr/case_#.png", None),
    ("stare-images/im#.png", "labels-ah/im#.ah.png", None),
    ("train_#.bmp", "train_#_anno.bmp", '{"masks": "_anno"}'),
    ("train/a_#.png", "train/a_#_L.png", '{"masks": "_L"}'),
    ("case#/scan.png", "case#/outline.png", '{"images": "scan.png", "masks": "outline.png"}'),
    ("IMD#/IMD#_Image/IMD#.bmp", "IMD#/IMD#_lesion/IMD#_lesion.bmp", None),
]


@pytest.mark.parametrize(("image", "label", "choice"), LAYOUTS)
def test_images_and_masks_are_no_classes(tmp_path: Path, image: str, label: str, choice: str | None) -> None:
    """They are refused, and what is advised makes them readable."""
    root = build(tmp_path, image, label)
    for opened in (open_any, recognise, lambda folder: open_any(folder, format="images")):
        with pytest.raises(DatasetError) as error:
            opened(root)
        text = str(error.value)
        assert "looks like images and masks" in text
        assert "Put the images into a folder images and the masks into a folder masks, stems alike" in text
        assert image.replace("#", "000") in text
        assert label.replace("#", "000") in text
    if choice is not None:
        assert choice in text
        (root / "dataset.json").write_text(choice)
        dataset = open_any(root, map_label={255: 1})
        assert len(dataset.cases) == COUNT
        assert inspect_dataset(dataset).errors == ()


def test_a_description_that_would_leave_out_images_is_not_advised(tmp_path: Path) -> None:
    """Masks to be filled in, of which each is for a picture of training and one of testing."""
    root = build(tmp_path, "test/#.jpg", "masks/#.png")
    build(root, "train/#.jpg", "masks/#.png")
    with pytest.raises(
        DatasetError,
        match="Put the images into a folder images and the masks into a folder masks, stems alike\\. If these",
    ):
        open_any(root)


def test_masks_of_single_objects_are_to_be_joined(tmp_path: Path) -> None:
    """A folder for each image, with a mask for each nucleus, in folders of other names than those that are read."""
    root = build(tmp_path, "stage1_train/id#/raw/id#.png", "stage1_train/id#/nuclei/a5b#.png")
    for number in range(COUNT):
        mask(root / f"stage1_train/id{number:03d}/nuclei/77c{number:03d}.png")
    with pytest.raises(DatasetError, match="join those of an image into one picture"):
        open_any(root)


def faces(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / "masks" / f"{number}.png")
        save_photograph(root / "faces" / f"{number}.png")


def with_and_without(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / "with_mask" / f"with_mask_{number}.png")
        save_photograph(root / "without_mask" / f"without_mask_{number}.png")


def drawings(root: Path) -> None:
    for number in range(COUNT):
        mask(root / "circles" / f"{number}.png")
        mask(root / "squares" / f"{number}.png")


def three_classes(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / "train" / "a" / f"{number}.png")
        save_photograph(root / "train" / "b" / f"{number}.png")
        mask(root / "train" / "label" / f"x{number}.png")


def flat_and_not(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / "full" / f"a{number}.png")
        mask(root / "empty" / f"b{number}.png")


def few_of_each(root: Path) -> None:
    for number in range(COUNT):
        for picture in range(3):
            save_photograph(root / f"person{number}" / f"{picture}.png")


def drawn_of_each(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / f"person{number}" / "a.png")
        save_photograph(root / f"person{number}" / "a_close.png")
        mask(root / f"person{number}" / "b.png")


@pytest.mark.parametrize(
    "write",
    [faces, with_and_without, drawings, three_classes, flat_and_not, few_of_each, drawn_of_each],
)
def test_classes_with_such_names_or_looks_stay_classes(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    assert open_any(tmp_path).format == "image-folder"


def test_the_format_that_is_named_is_taken(tmp_path: Path) -> None:
    root = build(tmp_path, "image/#.png", "mask/#.png")
    assert open_any(root, format="image-folder").classes == ("image", "mask")


def test_pairs_in_folders_below_are_cases(tmp_path: Path) -> None:
    root = build(tmp_path, "images/#.png", "masks/#.png", 10)
    for number in range(5):
        for folder in ("images", "masks"):
            (root / folder / "a").mkdir(exist_ok=True)
            (root / folder / f"{number:03d}.png").rename(root / folder / "a" / f"{number:03d}.png")
    dataset = open_any(root, map_label={255: 1})
    assert [case.name for case in dataset.cases] == [f"{number:03d}" for number in range(5)] + [
        f"{number:03d}" for number in range(5, 10)
    ]
    assert inspect_dataset(dataset).errors == ()
    save_photograph(root / "images" / "thumbnails" / "007.png")
    dataset = open_any(root, map_label={255: 1})
    assert len(dataset.cases) == 10
    (warning,) = (one for one in inspect_dataset(dataset).warnings if one.kind.startswith("left-out"))
    assert warning.file == "images/thumbnails/007.png"
    mask(root / "masks" / "a" / "007.png")
    save_photograph(root / "images" / "a" / "007.png")
    assert {"007", "a_007"} < {case.name for case in open_any(root).cases}


@pytest.mark.parametrize(("image", "label"), [("#.png", "#_mask.png"), ("#.jpg", "#-label.png")])
def test_masks_beside_images_are_not_predicted(tmp_path: Path, image: str, label: str) -> None:
    root = build(tmp_path, image, label)
    for find in (lambda folder: find_cases(folder, 3), find_pictures):
        with pytest.raises(DatasetError, match="holds masks among the images"):
            find(root)
    single = root / image.replace("#", "000")
    assert find_pictures(single) == [single]


def test_folders_of_images_and_masks_are_not_predicted(tmp_path: Path) -> None:
    root = build(tmp_path, "images/#.png", "masks/#.png")
    with pytest.raises(DatasetError, match="holds masks among the images"):
        find_pictures(root)
    with pytest.raises(DatasetError, match="images"):
        find_cases(root, 3)
    assert len(find_pictures(root / "images")) == COUNT
    assert len(find_pictures(root / "masks", alone=False)) == COUNT


@pytest.mark.skipif(not SHARED.is_dir(), reason="no data")
def test_real_pictures(tmp_path: Path) -> None:
    nuclei = SHARED / "nuclei"
    names = sorted(path.name for path in (nuclei / "images").iterdir())[::8]
    for name in names:
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "outlines").mkdir(exist_ok=True)
        shutil.copy(nuclei / "images" / name, tmp_path / "pictures" / name)
        shutil.copy(nuclei / "masks" / name, tmp_path / "outlines" / name)
    with pytest.raises(DatasetError, match="looks like images and masks"):
        open_any(tmp_path)
    assert open_any(nuclei).format == "image-masks"
    assert recognise(SHARED / "cifar10-jpeg") == "image-folder"
    assert recognise(nuclei / "images") == recognise(nuclei / "masks") == "images"
