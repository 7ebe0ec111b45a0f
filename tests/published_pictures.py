"""Made-up small copies of public datasets of pictures, written as their publishers distribute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
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


SYNSETS = {"n01440764": "tench, Tinca tinca", "n02012849": "crane", "n03126707": "crane"}
"""Of the 1000, two share the name crane."""


def synset_picture(number: int, label: int) -> NDArray[np.uint8]:
    pixels = np.random.default_rng([number, label]).integers(0, 100, (14, 12 + number % 3, 3), dtype=np.uint8)
    pixels[4:9, 3:9, label] += 150
    return pixels


def write_imagenet(root: Path) -> Path:
    """The folders and tables of ImageNet on Kaggle: one picture is in CMYK, one is a PNG with the ending of a JPEG."""
    data, lists = root / "ILSVRC" / "Data" / "CLS-LOC", root / "ILSVRC" / "ImageSets" / "CLS-LOC"
    lists.mkdir(parents=True)
    listed, solution = [], ["ImageId,PredictionString"]
    for label, synset in enumerate(SYNSETS):
        for number in range(6):
            name = f"{synset}_{10026 + number}"
            path = data / "train" / synset / f"{name}.JPEG"
            picture = Image.fromarray(synset_picture(number, label))
            path.parent.mkdir(parents=True, exist_ok=True)
            (picture.convert("CMYK") if number == 4 else picture).save(path, "PNG" if number == 5 else "JPEG")
            listed.append(f"{synset}/{name} {len(listed) + 1}")
    for number in range(6):
        name = f"ILSVRC2012_val_{number + 1:08d}"
        save_picture(data / "val" / f"{name}.JPEG", synset_picture(10 + number, number % 3))
        synset = list(SYNSETS)[number % 3]
        solution.append(f"{name},{synset} 85 1 499 272 {synset} 1 2 3 4 ")
    for number in range(2):
        save_picture(data / "test" / f"ILSVRC2012_test_{number + 1:08d}.JPEG", synset_picture(20 + number, 0))
    (lists / "train_cls.txt").write_text("\n".join(listed) + "\n")
    (root / "LOC_synset_mapping.txt").write_text(
        "".join(f"{synset} {name}\n" for synset, name in SYNSETS.items())
    )
    (root / "LOC_val_solution.csv").write_text(
        "\n".join([solution[0], *solution[:0:-1]]) + "\n"
    )  # in no order
    return root


ATTRIBUTES = ("5_o_Clock_Shadow", "Bald", "Smiling", "Young")
FACES = 20


def face(number: int) -> tuple[tuple[int, ...], str, tuple[int, int, int, int]]:
    """Attributes (1 or -1), part (0, 1 or 2) and box (x_1, y_1, width, height) of a picture of CelebA."""
    values = tuple(1 if (number >> bit) % 2 else -1 for bit in range(len(ATTRIBUTES)))
    return values, "0" if number < 12 else "1" if number < 16 else "2", (2 + number % 3, 4, 10, 12)


def write_celeba(root: Path, wild: bool = True, homes: tuple[str, str, str] = ("", "", "")) -> Path:
    """The tables of CelebA, the aligned pictures, and those in the wild, whose boxes are brighter than the rest.

    ``homes`` are the folders of pictures, annotations and parts.
    """
    attributes, parts, boxes = [], [], []
    for number in range(FACES):
        name = f"{number + 1:06d}.jpg"
        values, part, (left, top, width, height) = face(number)
        attributes.append(f"{name} " + " ".join(f"{value:2d}" for value in values))
        parts.append(f"{name} {part}")
        boxes.append(f"{name}    {left:3d} {top:3d} {width:3d} {height:3d}")
        rng = np.random.default_rng(number)
        aligned = rng.integers(0, 256, (22, 18, 3), dtype=np.uint8)
        save_picture(root / homes[0] / "img_align_celeba" / name, aligned, format="PNG")
        if wild:
            pixels = rng.integers(0, 100, (24, 20 + number % 4, 3), dtype=np.uint8)
            pixels[top : top + height, left : left + width] += 120
            save_picture(root / homes[0] / "img_celeba" / name, pixels, format="PNG")
    for home, name, head, rows in (
        (homes[1], "list_attr_celeba.txt", f"{FACES}\n{' '.join(ATTRIBUTES)} \n", attributes),
        (homes[1], "list_bbox_celeba.txt", f"{FACES}\nimage_id x_1 y_1 width height\n", boxes),
        (homes[2], "list_eval_partition.txt", "", parts),
    ):
        (root / home).mkdir(parents=True, exist_ok=True)
        (root / home / name).write_text(head + "\n".join(rows) + "\n")
    return root


NUMBERS_COUNTS = {"train": 16, "test": 10}

Digit = tuple[int, tuple[int, int, int, int]]


def house_number(part: str, number: int) -> tuple[NDArray[np.uint8], list[Digit]]:
    """A picture with one to three digits, and the label and box (left, top, width, height) of each.

    Pixels of boxes count from 0. The picture is brighter within them. The label 10 is the digit 0.
    """
    rng = np.random.default_rng([number, len(part)])
    pixels = rng.integers(0, 60, (20, 34, 3), dtype=np.uint8)
    digits = []
    for place in range(1 + number % 3):
        label, left, top = (number + 4 * place) % 10 + 1, 2 + 10 * place, 3 + number % 3
        pixels[top : top + 14, left : left + 8] = rng.integers(100, 140, (14, 8, 3))
        pixels[top + label : top + label + 2, left : left + 8] = 230
        digits.append((label, (left, top, 8, 14)))
    return pixels, digits


def write_digit_struct(path: Path, rows: Sequence[tuple[str, Sequence[Digit]]]) -> Path:
    """``digitStruct.mat`` as MATLAB 7.3 writes a struct array: a single digit has numbers, several have references."""
    with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
        held = file.create_group("#refs#")
        columns = {name: np.empty((len(rows), 1), h5py.ref_dtype) for name in ("bbox", "name")}
        for row, (name, digits) in enumerate(rows):
            text = np.frombuffer(name.encode("utf-16-le"), np.uint16)[:, None]
            columns["name"][row, 0] = held.create_dataset(f"name{row}", data=text).ref
            group = held.create_group(f"bbox{row}")
            columns["bbox"][row, 0] = group.ref
            for position, field in enumerate(("left", "top", "width", "height", "label")):
                numbers = [np.array([[float([*box, label][position])]]) for label, box in digits]
                if len(numbers) == 1:
                    group.create_dataset(field, data=numbers[0])
                    continue
                several = np.empty((len(numbers), 1), h5py.ref_dtype)
                for place, value in enumerate(numbers):
                    several[place, 0] = held.create_dataset(f"{field}{row}_{place}", data=value).ref
                group.create_dataset(field, data=several)
        for name, column in columns.items():
            file.create_dataset(f"digitStruct/{name}", data=column, compression="gzip")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\0\x02IM")
    return path


def write_svhn_numbers(root: Path) -> Path:
    """``train`` and ``test``, each with its pictures, ``digitStruct.mat`` and ``see_bboxes.m``."""
    for part, count in NUMBERS_COUNTS.items():
        rows = []
        for number in range(count):
            pixels, digits = house_number(part, number)
            save_picture(root / part / f"{number + 1}.png", pixels)
            rows.append((f"{number + 1}.png", digits))
        write_digit_struct(root / part / "digitStruct.mat", rows)
        (root / part / "see_bboxes.m").write_text("load digitStruct.mat\n")
    return root
