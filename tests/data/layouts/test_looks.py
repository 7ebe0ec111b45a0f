"""Pictures whose names could be those of images and masks: looks decide, and what is unclear is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from netwright.data import open_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError
from netwright_tests import save_photograph, save_picture

COUNT = 6


def drawing(path: Path) -> None:
    pixels = np.zeros((24, 32), np.uint8)
    pixels[5:15, 8 : 12 + crc32(str(path).encode()) % 16] = 1
    save_picture(path, pixels)


def classes_some_with_masks(root: Path) -> None:
    """Two classes of photographs, and masks of one of them in training."""
    for home in ("train/cat", "train/dog", "test/cat", "test/dog"):
        for number in range(COUNT):
            save_photograph(root / home / f"{number}.jpg")
            if home == "train/cat":
                drawing(root / home / f"{number}_mask.png")


def classes_with_a_stray_name(root: Path) -> None:
    for home in ("train/cat", "train/dog"):
        for number in range(2 * COUNT):
            save_photograph(root / home / f"{number}.jpg")
    drawing(root / "train" / "cat" / "0_label.png")


def drawn(root: Path, *classes: str) -> None:
    for number in range(COUNT):
        for name in classes:
            drawing(root / name / f"{number}.png")


def classes_of_drawings(root: Path) -> None:
    drawn(root, "photo", "mask", "sketch")


def classes_of_drawings_in_parts(root: Path) -> None:
    for part in ("train", "test"):
        drawn(root / part, "image", "gt")


def a_third_class(root: Path) -> None:
    drawn(root, "mask", "sketch")
    for number in range(COUNT):
        save_photograph(root / "photo" / f"{number}.png")


def classes_of_two_sizes(root: Path) -> None:
    for number in range(COUNT):
        save_photograph(root / "photo" / f"{number}.png")
        save_picture(root / "mask" / f"{number}.png", np.tri(30, dtype=np.uint8))


@pytest.mark.parametrize(
    "write",
    [
        classes_some_with_masks,
        classes_with_a_stray_name,
        classes_of_drawings,
        classes_of_drawings_in_parts,
        a_third_class,
        classes_of_two_sizes,
    ],
)
def test_what_may_be_classes_is_not_trained_as_masks(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """It is refused, and the message names both formats."""
    write(tmp_path)
    with pytest.raises(DatasetError, match=r"--format image-masks.*--format image-folder"):
        open_any(tmp_path)
    assert len(open_any(tmp_path, format="image-folder").classes) >= 2
    dataset = open_any(tmp_path, format="image-masks")
    assert (dataset.format, bool(dataset.names)) == ("image-masks", True)


def test_scans_on_black_are_images(tmp_path: Path) -> None:
    """Most of such a slice is as flat as a mask, but it has many values. One blank slice does not matter."""
    y, x = np.mgrid[:64, :64]
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 120
    for number in range(4):
        noise = np.random.default_rng(number).integers(1, 256, disc.shape)
        scan = np.where(disc, noise, 0) if number else np.zeros(disc.shape)
        save_picture(tmp_path / "img" / f"{number}.png", scan.astype(np.uint8))
        save_picture(tmp_path / "gt" / f"{number}.png", disc.astype(np.uint8))
    assert recognise(tmp_path) == "image-masks"


def test_a_table_of_labels_goes_before_masks_side_by_side(tmp_path: Path) -> None:
    for number in range(COUNT):
        save_photograph(tmp_path / f"{number}.jpg")
        drawing(tmp_path / f"{number}_seg.png")
    rows = [f"{number}.jpg,{number % 2},{number // 2 % 2}" for number in range(COUNT)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,cat,dog", *rows, ""]))
    dataset = open_any(tmp_path)
    assert dataset.format == "label-table"
    assert dataset.names == tuple(f"{number}.jpg" for number in range(COUNT))
    assert [one.file for one in dataset.problems if one.kind == "ignored-file"] == ["0_seg.png"]
    (tmp_path / "labels.csv").write_text("name,r,g,b\nroad,128,64,128\n")  # of colours, and not of pictures
    assert open_any(tmp_path).format == "image-masks"


def test_a_table_of_labels_beside_folders_of_images_and_masks_is_told(tmp_path: Path) -> None:
    for number in range(COUNT):
        save_photograph(tmp_path / "images" / f"{number}.png")
        drawing(tmp_path / "masks" / f"{number}.png")
    assert open_any(tmp_path).problems == ()
    rows = [f"images/{number}.png,{number % 2},{number // 2 % 2}" for number in range(COUNT)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,cat,dog", *rows, ""]))
    dataset = open_any(tmp_path)
    assert dataset.format == "image-masks"
    (warning,) = dataset.problems
    assert (warning.severity, warning.file) == ("warning", "labels.csv")
    assert "--format label-table" in warning.advice
    assert open_any(tmp_path, format="label-table").classes == ("cat", "dog")
