"""Made-up small copies of public datasets of labelled pictures, as their publishers distribute them.

Every writer takes the folder, how many pictures there are for training, and a seed: the same ones give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.data.files import write_whole

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def save(path: Path, pixels: Pixels, format: str) -> None:
    """Write a picture; the folders are made. It appears whole or not at all.

    Args:
        path: of the file.
        pixels: (height, width) or (height, width, 3).
        format: as Pillow calls it.
    """
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format)
    write_whole(path, content.getvalue())


def _save_matlab(path: Path, variables: Mapping[str, Any], packed: bool = False) -> None:
    from scipy.io import savemat  # takes long to import

    content = io.BytesIO()
    savemat(content, variables, do_compression=packed)
    head = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(116)  # SciPy's has the time
    write_whole(path, head + content.getvalue()[len(head) :])


def counts(pictures: int) -> dict[str, int]:
    """How many pictures each part has."""
    return {"train": pictures, "test": pictures // 2}


SVHN_PARTS = ("train", "test", "extra")


def digit_pictures(part: str, pictures: int = 40, seed: int = 0) -> tuple[Pixels, Pixels]:
    """``X`` (32, 32, 3, N) and ``y`` (N, 1) of a file of SVHN: digit d has a stripe at d, and 0 has the label 10.

    Args:
        part: the test part has half of the pictures, the extra one a quarter.
        pictures: for training.
        seed: others give other noise.
    """
    rng = np.random.default_rng([seed, SVHN_PARTS.index(part)])
    count = pictures // {"train": 1, "test": 2, "extra": 4}[part]
    labels = np.arange(count) % 10 + 1
    pixels = rng.integers(0, 60, (32, 32, 3, count), dtype=np.uint8)
    for number, label in enumerate(labels):
        pixels[3 * (label % 10) : 3 * (label % 10) + 3, :, :, number] = 220
    return pixels, labels[:, None].astype(np.uint8)


def write_svhn(
    root: Path, parts: Sequence[str] = SVHN_PARTS[:2], *, pictures: int = 40, seed: int = 0, **replaced: Any
) -> Path:
    """``train_32x32.mat`` and others; ``replaced`` takes the place of a variable in every file.

    The arguments: see above.
    """
    for part in parts:
        pixels, labels = digit_pictures(part, pictures, seed)
        _save_matlab(root / f"{part}_32x32.mat", {"X": pixels, "y": labels, **replaced}, packed=True)
    return root


CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012")
CARS_COUNTS = counts(24)


def car(part: str, number: int, seed: int = 0) -> tuple[Pixels, int, Box]:
    """Picture, class from 1, and box in MATLAB's way (x1, y1, x2, y2; from 1, the last pixel inside) of a car.

    All pixels of the box are brighter than those outside. Class and box are as in the files of Stanford Cars.

    Args:
        part: train or test.
        number: of the picture, from 0.
        seed: others give other noise.
    """
    rng = np.random.default_rng([seed, number, len(part)])
    height, width = 20 + number % 3, 26 + number % 4
    label = number % len(CARS) + 1
    left, top = 1 + number % 5, 2 + number % 4
    box = (left, top, left + 15, top + 11)
    pixels = rng.integers(0, 100, (height, width, 3), dtype=np.uint8)
    pixels[top - 1 : box[3], left - 1 : box[2]] = rng.integers(101, 180, (12, 16, 3))
    pixels[top - 1 : box[3], left - 1 : box[2], label - 1] += 75
    return pixels, label, box


def cars_table(part: str, labelled: bool = True, count: int | None = None) -> NDArray[Any]:
    """A struct array (1, N) as ``cars_train_annos.mat`` has it.

    Args:
        part: train or test.
        labelled: whether the classes are in it.
        count: how many cars; None: as in `CARS_COUNTS`.
    """
    count = CARS_COUNTS[part] if count is None else count
    names = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(("class",) * labelled), "fname")
    rows = np.empty((1, count), dtype=[(name, object) for name in names])
    for number in range(count):
        _, label, box = car(part, number)
        rows[0, number] = (*map(float, box), *((float(label),) * labelled), f"{number + 1:05d}.jpg")
    return rows


def write_cars(root: Path, *, pictures: int = 24, seed: int = 0, format: str = "JPEG") -> Path:
    """``cars_train``, ``cars_test``, ``devkit`` and ``cars_test_annos_withlabels.mat``.

    Args:
        root: the folder.
        pictures: for training.
        seed: others give other noise.
        format: of the pictures, whose names end in ``.jpg``.
    """
    parts = counts(pictures)
    for part, count in parts.items():
        for number in range(count):
            save(root / f"cars_{part}" / f"{number + 1:05d}.jpg", car(part, number, seed)[0], format)
    names = np.empty((1, len(CARS)), dtype=object)
    names[0] = CARS
    tables = {
        "devkit/cars_train_annos.mat": cars_table("train", count=parts["train"]),
        "devkit/cars_test_annos.mat": cars_table("test", labelled=False, count=parts["test"]),
        "cars_test_annos_withlabels.mat": cars_table("test", count=parts["test"]),
    }
    _save_matlab(root / "devkit" / "cars_meta.mat", {"class_names": names})
    for name, table in tables.items():
        _save_matlab(root / name, {"annotations": table})
    return root


SYNSETS = {"n01440764": "tench, Tinca tinca", "n02012849": "crane", "n03126707": "crane"}
"""Of the 1000, two share the name crane."""


def synset_picture(number: int, label: int, seed: int = 0) -> Pixels:
    """A picture of a synset, in which one channel is bright.

    Args:
        number: of the picture.
        label: the index of the synset, and of the channel.
        seed: others give other noise.
    """
    rng = np.random.default_rng([seed, number, label])
    pixels = rng.integers(0, 100, (14, 12 + number % 3, 3), dtype=np.uint8)
    pixels[4:9, 3:9, label] += 150
    return pixels


def write_imagenet(root: Path, *, pictures: int = 6, seed: int = 0) -> Path:
    """The folders and tables of ImageNet on Kaggle, with ``pictures`` of each synset, and as many for validation.

    Of each synset one picture is in CMYK, and one is a PNG with the ending of a JPEG.

    The arguments: see above.
    """
    data, lists = root / "ILSVRC" / "Data" / "CLS-LOC", root / "ILSVRC" / "ImageSets" / "CLS-LOC"
    listed: list[str] = []
    solution = ["ImageId,PredictionString"]
    for label, synset in enumerate(SYNSETS):
        for number in range(pictures):
            name = f"{synset}_{10026 + number}"
            path = data / "train" / synset / f"{name}.JPEG"
            content = io.BytesIO()
            picture = Image.fromarray(synset_picture(number, label, seed))
            (picture.convert("CMYK") if number == 4 else picture).save(
                content, "PNG" if number == 5 else "JPEG"
            )
            write_whole(path, content.getvalue())
            listed.append(f"{synset}/{name} {len(listed) + 1}")
    for number in range(pictures):
        name = f"ILSVRC2012_val_{number + 1:08d}"
        save(data / "val" / f"{name}.JPEG", synset_picture(pictures + 4 + number, number % 3, seed), "JPEG")
        synset = list(SYNSETS)[number % 3]
        solution.append(f"{name},{synset} 85 1 499 272 {synset} 1 2 3 4 ")
    for number in range(2):
        name = f"ILSVRC2012_test_{number + 1:08d}.JPEG"
        save(data / "test" / name, synset_picture(2 * pictures + 8 + number, 0, seed), "JPEG")
    texts = {
        lists / "train_cls.txt": listed,
        root / "LOC_synset_mapping.txt": [f"{synset} {name}" for synset, name in SYNSETS.items()],
        root / "LOC_val_solution.csv": [solution[0], *solution[:0:-1]],  # in no order
    }
    for path, lines in texts.items():
        write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return root


DIAGNOSES = ("bkl", "mel", "nv")
"""Three of the seven of HAM10000."""


def write_ham10000(root: Path, *, pictures: int = 24, seed: int = 0) -> Path:
    """Two folders of pictures, and ``HAM10000_metadata.csv`` with their diagnoses; two pictures are of one lesion.

    The arguments: see above.
    """
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number in range(pictures):
        lesion = number // 2
        label = lesion % len(DIAGNOSES)
        name = f"ISIC_{24306 + number:07d}"
        home = root / f"HAM10000_images_part_{1 + 2 * number // pictures}"
        save(home / f"{name}.jpg", synset_picture(number, label, seed), "JPEG")
        sex = ("male", "female")[lesion % 2]
        rows.append(f"HAM_{lesion:07d},{name},{DIAGNOSES[label]},histo,{40 + lesion % 30}.0,{sex},back")
    write_whole(root / "HAM10000_metadata.csv", "".join(f"{row}\n" for row in rows).encode())
    return root


ATTRIBUTES = ("5_o_Clock_Shadow", "Bald", "Smiling", "Young")
FACES = 20


def face(number: int, pictures: int = FACES) -> tuple[tuple[int, ...], str, Box]:
    """Attributes (1 or -1), part (0, 1 or 2) and box (x_1, y_1, width, height) of one of the pictures of CelebA."""
    values = tuple(1 if (11 * number >> bit) % 2 else -1 for bit in range(len(ATTRIBUTES)))
    part = "0" if 5 * number < 3 * pictures else "1" if 5 * number < 4 * pictures else "2"
    return values, part, (2 + number % 3, 4, 10, 12)


def write_celeba(
    root: Path,
    *,
    pictures: int = FACES,
    seed: int = 0,
    wild: bool = True,
    homes: tuple[str, str, str] = ("", "", ""),
    format: str = "JPEG",
) -> Path:
    """The tables of CelebA, the aligned pictures, and those in the wild, whose boxes are brighter than the rest.

    Args:
        root: the folder.
        pictures: how many there are, three fifths of them for training.
        seed: others give other noise.
        wild: whether there are pictures in the wild.
        homes: the folders of pictures, annotations and parts.
        format: of the pictures, whose names end in ``.jpg``.
    """
    attributes, parts, boxes = [], [], []
    for number in range(pictures):
        name = f"{number + 1:06d}.jpg"
        values, part, (left, top, width, height) = face(number, pictures)
        attributes.append(f"{name} " + " ".join(f"{value:2d}" for value in values))
        parts.append(f"{name} {part}")
        boxes.append(f"{name}    {left:3d} {top:3d} {width:3d} {height:3d}")
        rng = np.random.default_rng([seed, number])
        aligned = rng.integers(0, 256, (22, 18, 3), dtype=np.uint8)
        save(root / homes[0] / "img_align_celeba" / name, aligned, format)
        if wild:
            pixels = rng.integers(0, 100, (24, 20 + number % 4, 3), dtype=np.uint8)
            pixels[top : top + height, left : left + width] += 120
            save(root / homes[0] / "img_celeba" / name, pixels, format)
    for home, name, head, rows in (
        (homes[1], "list_attr_celeba.txt", f"{pictures}\n{' '.join(ATTRIBUTES)} \n", attributes),
        (homes[1], "list_bbox_celeba.txt", f"{pictures}\nimage_id x_1 y_1 width height\n", boxes),
        (homes[2], "list_eval_partition.txt", "", parts),
    ):
        write_whole(root / home / name, (head + "\n".join(rows) + "\n").encode())
    return root
