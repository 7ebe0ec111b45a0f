"""Folders with pictures and volumes: what is recognised is what most of the folder is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.data.open import open_any
from netwright.data.recognition import recognise

Write = Callable[..., Path]
Make = Callable[..., Any]


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes a picture of noise, or a mask with a square."""
    random = np.random.default_rng(0)

    def build(path: Path, mask: bool = False) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16, 16), np.uint8)
        if mask:
            pixels = np.zeros((16, 16), np.uint8)
            pixels[4:9, 4:9] = 1
        Image.fromarray(pixels).save(path)
        return path

    return build


@pytest.fixture
def pairs(write_volume: Write, noise: Make, label_map: Make) -> Callable[..., None]:
    """Writes four volumes and label maps under names with a number in them."""

    def build(root: Path, image: str = "nii/a{}.nii.gz", label: str = "nii/a{}_seg.nii.gz") -> None:
        for number in range(4):
            write_volume(root / image.format(number), noise(100))
            write_volume(root / label.format(number), label_map(1, 2))

    return build


def classes(root: Path, picture: Callable[..., Path]) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(4):
                picture(root / part / name / f"{number}.png")


def masks(root: Path, picture: Callable[..., Path]) -> None:
    for number in range(5):
        picture(root / "images" / f"{number}.png")
        picture(root / "masks" / f"{number}.png", mask=True)


def array(root: Path, picture: Callable[..., Path]) -> None:
    pixels = np.zeros((12, 8, 8), np.uint8)
    np.savez(root / "d.npz", train_images=pixels, train_labels=np.arange(12, dtype=np.uint8) % 2)


def loose(root: Path, picture: Callable[..., Path]) -> None:
    for number in range(12):
        picture(root / f"{number}.png")


def table(root: Path, picture: Callable[..., Path]) -> None:
    loose(root, picture)
    rows = [f"{number}.png,{number % 2},{number % 3 // 2}" for number in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,rain,sun", *rows]))


@pytest.mark.parametrize(
    ("write", "format"),
    [
        (classes, "image-folder"),
        (masks, "image-masks"),
        (array, "npz"),
        (loose, "images"),
        (table, "label-table"),
    ],
)
@pytest.mark.parametrize(
    ("image", "label", "volumes"),
    [
        ("nii/a{}.nii.gz", "nii/a{}_seg.nii.gz", "volume-pairs"),
        ("x/case_0000{}/imaging.nii.gz", "x/case_0000{}/segmentation.nii.gz", "kits"),
    ],
)
def test_volumes_beside_pictures_change_nothing(
    picture: Callable[..., Path],
    pairs: Callable[..., None],
    tmp_path: Path,
    write: Callable[[Path, Callable[..., Path]], None],
    format: str,
    image: str,
    label: str,
    volumes: str,
) -> None:
    write(tmp_path, picture)
    assert recognise(tmp_path) == format
    names = open_any(tmp_path).names
    pairs(tmp_path, image, label)
    assert recognise(tmp_path) == format
    assert open_any(tmp_path).names == names
    assert open_any(tmp_path, format=volumes).format == volumes


@pytest.mark.parametrize("labels", ["labels", "masks"])
def test_a_picture_among_images_does_not_hide_volumes(
    picture: Callable[..., Path], pairs: Callable[..., None], tmp_path: Path, labels: str
) -> None:
    pairs(tmp_path, "images/a{}.nii.gz", labels + "/a{}.nii.gz")
    picture(tmp_path / "images" / "preview.png")
    assert open_any(tmp_path).names == ("a0", "a1", "a2", "a3")


@pytest.mark.parametrize("picture_of", ["overview.png", "docs/{}.png", "case{}/preview.png"])
def test_pictures_that_show_volumes_change_nothing(
    picture: Callable[..., Path], pairs: Callable[..., None], tmp_path: Path, picture_of: str
) -> None:
    pairs(tmp_path, "case{}/image.nii.gz", "case{}/label.nii.gz")
    for number in range(4):
        picture(tmp_path / picture_of.format(number))
    assert recognise(tmp_path) == "volume-pairs"
