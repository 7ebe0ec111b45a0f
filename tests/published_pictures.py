"""Made-up small copies of public datasets of pictures, written as their publishers distribute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from netwright_tests import save_picture

SVHN_COUNTS = {"train": 40, "test": 20, "extra": 10}


def digit_pictures(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``X`` (32, 32, 3, N) and ``y`` (N, 1) of a file of SVHN: digit d has a stripe at d, and 0 has the label 10."""
    rng = np.random.default_rng(sorted(SVHN_COUNTS).index(part))
    count = SVHN_COUNTS[part]
    labels = np.arange(count) % 10 + 1
    pictures = rng.integers(0, 60, (32, 32, 3, count), dtype=np.uint8)
    for number, label in enumerate(labels):
        pictures[3 * (label % 10) : 3 * (label % 10) + 3, :, :, number] = 220
    return pictures, labels[:, None].astype(np.uint8)


def write_svhn(root: Path, parts: Sequence[str] = ("train", "test"), **replaced: Any) -> Path:
    """``train_32x32.mat`` and others; ``replaced`` takes the place of a variable in every file."""
    root.mkdir(parents=True, exist_ok=True)
    for part in parts:
        pictures, labels = digit_pictures(part)
        variables: Mapping[str, Any] = {"X": pictures, "y": labels, **replaced}
        savemat(root / f"{part}_32x32.mat", variables, do_compression=True)
    return root


CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012")
CARS_COUNTS = {"train": 24, "test": 12}


def car(part: str, number: int) -> tuple[NDArray[np.uint8], int, tuple[int, int, int, int]]:
    """Picture, class from 1, and box in MATLAB's way (x1, y1, x2, y2; from 1, the last pixel inside) of a car.

    All pixels of the box are brighter than those outside. Class and box are as in the files of Stanford Cars.
    """
    rng = np.random.default_rng([number, len(part)])
    height, width = 20 + number % 3, 26 + number % 4
    label = number % len(CARS) + 1
    left, top = 1 + number % 5, 2 + number % 4
    box = (left, top, left + 15, top + 11)
    pixels = rng.integers(0, 100, (height, width, 3), dtype=np.uint8)
    pixels[top - 1 : box[3], left - 1 : box[2]] = rng.integers(101, 180, (12, 16, 3))
    pixels[top - 1 : box[3], left - 1 : box[2], label - 1] += 75
    return pixels, label, box


def annotations(part: str, labelled: bool = True) -> NDArray[Any]:
    """A struct array (1, N) as ``cars_train_annos.mat`` has it."""
    names = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(("class",) * labelled), "fname")
    rows = np.empty((1, CARS_COUNTS[part]), dtype=[(name, object) for name in names])
    for number in range(CARS_COUNTS[part]):
        _, label, box = car(part, number)
        rows[0, number] = (*map(float, box), *((float(label),) * labelled), f"{number + 1:05d}.jpg")
    return rows


def write_cars(root: Path) -> Path:
    """``cars_train``, ``cars_test``, ``devkit`` and ``cars_test_annos_withlabels.mat``. The pictures are lossless."""
    for part, count in CARS_COUNTS.items():
        for number in range(count):
            name = root / f"cars_{part}" / f"{number + 1:05d}.jpg"
            save_picture(name, car(part, number)[0], format="PNG")
    (root / "devkit").mkdir()
    names = np.empty((1, len(CARS)), dtype=object)
    names[0] = CARS
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": annotations("train")})
    savemat(root / "devkit" / "cars_test_annos.mat", {"annotations": annotations("test", labelled=False)})
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": annotations("test")})
    return root
