"""Made-up small copies of public datasets of labelled pictures in arrays, and of SVHN's whole house numbers.

Every writer takes the folder, how many pictures there are for training, and a seed: the same ones give the same bytes.
"""

from __future__ import annotations

import importlib.util
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netwright.data.files import write_whole
from netwright.data.samples.published_pictures import Box, Pixels, counts, save
from netwright.errors import SettingsError

_SIDE = 28


def striped(
    part: str, count: int, classes: int, shape: tuple[int, ...], seed: int, first: int = 0
) -> tuple[Pixels, Pixels]:
    """Pictures (N, *shape) of noise with a bright stripe where the class is, and the classes (N) in turn.

    Args:
        part: its name; each part has other pictures.
        count: how many there are.
        classes: how many there are.
        shape: of a picture, its rows first.
        seed: others give other noise.
        first: the number of the first picture.
    """
    rng = np.random.default_rng([seed, len(part), first])
    labels = (np.arange(first, first + count) % classes).astype(np.uint8)
    pixels = rng.integers(0, 120, (count, *shape), dtype=np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[2 * label + 2 : 2 * label + 5] += 120
    return pixels, labels


def write_mnist(root: Path, *, pictures: int = 60, seed: int = 0) -> Path:
    """The four files of MNIST, not packed. The arguments: see above."""
    for part, name in (("train", "train"), ("test", "t10k")):
        pixels, labels = striped(part, counts(pictures)[part], 10, (_SIDE, _SIDE), seed)
        head = struct.pack(">4I", 0x803, len(pixels), _SIDE, _SIDE)
        write_whole(root / f"{name}-images-idx3-ubyte", head + pixels.tobytes())
        write_whole(
            root / f"{name}-labels-idx1-ubyte", struct.pack(">2I", 0x801, len(labels)) + labels.tobytes()
        )
    return root


def write_medmnist(root: Path, *, pictures: int = 60, seed: int = 0) -> Path:
    """``pathmnist.npz``: pictures in colours of nine classes, in three parts. The arguments: see above."""
    arrays: dict[str, Pixels] = {}
    for part, count in (("train", pictures), ("val", pictures // 3), ("test", pictures // 2)):
        pixels, labels = striped(part, count, 9, (_SIDE, _SIDE, 3), seed)
        arrays |= {f"{part}_images": pixels, f"{part}_labels": labels[:, None]}
    return _write_npz(root / "pathmnist.npz", arrays)


def write_chestmnist(root: Path, *, pictures: int = 24, seed: int = 0) -> Path:
    """``chestmnist.npz``: grey pictures with none, one or several of three labels, in three parts.

    The arguments: see above.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, Pixels] = {}
    for part, count in (("train", pictures), ("val", pictures // 2), ("test", pictures // 2)):
        labels = (np.arange(count)[:, None] >> np.arange(3) & 1).astype(np.uint8)
        pixels = rng.integers(0, 150, (count, _SIDE, _SIDE), dtype=np.uint8)
        for number in range(3):
            pixels[:, 8 * number : 8 * number + 4] += 100 * labels[:, number, None, None]
        arrays |= {f"{part}_images": pixels, f"{part}_labels": labels}
    return _write_npz(root / "chestmnist.npz", arrays)


def _write_npz(path: Path, arrays: dict[str, Pixels]) -> Path:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())
    return path.parent


def write_cifar10(root: Path, *, pictures: int = 60, seed: int = 0) -> Path:
    """Five files for training, one for testing, each a label and three planes a picture, and the names.

    The arguments: see above.
    """
    batches = [f"data_batch_{number}" for number in range(1, 6)]
    for number, name in enumerate((*batches, "test_batch")):
        count = pictures // (2 if name == "test_batch" else 5)
        pixels, labels = striped(name, count, 10, (32, 32, 3), seed, number * count)
        planes = np.moveaxis(pixels, -1, 1).reshape(count, -1)
        write_whole(root / f"{name}.bin", np.hstack([labels[:, None], planes]).tobytes())
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    write_whole(root / "batches.meta.txt", ("\n".join(names) + "\n").encode())
    return root


def write_cifar100(root: Path, *, pictures: int = 24, seed: int = 0) -> Path:
    """Files of a coarse label, a fine label and three planes for each picture; four fine classes of two coarse ones.

    The arguments: see above.
    """
    for part, count in counts(pictures).items():
        pixels, fine = striped(part, count, 4, (32, 32, 3), seed)
        planes = np.moveaxis(pixels, -1, 1).reshape(count, -1)
        rows = np.hstack([fine[:, None] // 2, fine[:, None], planes])
        write_whole(root / f"{part}.bin", rows.tobytes())
    write_whole(root / "fine_label_names.txt", b"bear\nlion\nrose\ntulip\n")
    write_whole(root / "coarse_label_names.txt", b"large carnivores\nflowers\n")
    return root


Digit = tuple[int, Box]


def house_number(part: str, number: int, seed: int = 0) -> tuple[Pixels, list[Digit]]:
    """A picture with one to three digits, and the label and box (left, top, width, height) of each.

    Pixels of boxes count from 0. The picture is brighter within them. The label 10 is the digit 0.

    Args:
        part: train or test.
        number: of the picture, from 0.
        seed: others give other noise.
    """
    rng = np.random.default_rng([seed, number, len(part)])
    pixels = rng.integers(0, 60, (20, 34, 3), dtype=np.uint8)
    digits = []
    for place in range(1 + number % 3):
        label, left, top = (number + 4 * place) % 10 + 1, 2 + 10 * place, 3 + number % 3
        pixels[top : top + 14, left : left + 8] = rng.integers(100, 140, (14, 8, 3))
        pixels[top + label : top + label + 2, left : left + 8] = 230
        digits.append((label, (left, top, 8, 14)))
    return pixels, digits


def write_digit_struct(path: Path, rows: Sequence[tuple[str, Sequence[Digit]]]) -> Path:
    """``digitStruct.mat`` as MATLAB 7.3 writes a struct array: a single digit has numbers, several have references.

    Raises:
        SettingsError: h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise SettingsError(
            "SVHN's whole house numbers take h5py, which is not installed. Run pip install 'netwright[matlab]'."
        )
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w", userblock_size=512, libver="earliest") as file:
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
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\0\x02IM"
    write_whole(path, head + content.getvalue()[len(head) :])
    return path


def write_svhn_numbers(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """``train`` and ``test``, each with its pictures, ``digitStruct.mat`` and ``see_bboxes.m``.

    The arguments: see above.

    Raises:
        SettingsError: h5py is not installed.
    """
    for part, count in counts(pictures).items():
        made = [(f"{number + 1}.png", *house_number(part, number, seed)) for number in range(count)]
        write_digit_struct(root / part / "digitStruct.mat", [(name, digits) for name, _, digits in made])
        for name, pixels, _ in made:
            save(root / part / name, pixels, "PNG")
        write_whole(root / part / "see_bboxes.m", b"load digitStruct.mat\n")
    return root
