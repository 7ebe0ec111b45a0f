"""Labelled pictures in arrays: IDX files as the MNIST family has them, and .npz files as MedMNIST ships them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import Depth, ImageSet, Label, Record
from netwright.data.images.issues import labels_of_all, labels_out_of_range
from netwright.data.io.arrays import ArrayFile, idx_file, npz_files
from netwright.data.io.bounds import require_contents
from netwright.data.io.images import channel_names
from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts.class_names import described_names
from netwright.data.layouts.label_matrices import names_of_labels, unfit_array
from netwright.data.splits import Part
from netwright.errors import DatasetError

IDX_LOOKED_FOR = "`train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, plain or .gz (and `t10k-...`)"
NPZ_LOOKED_FOR = "an .npz file with the arrays `train_images`, `train_labels` (and `val_...`, `test_...`)"

MOST_CLASSES = 1000
"""More classes than this are taken for something else, unless a JSON file names them."""

_IDX = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test|val|valid|validation)[-_.](?P<what>images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?"
)
_IDX_PARTS: dict[str, Part] = {"train": "train", "t10k": "test", "test": "test"}
_DEPTHS: dict[str, Depth] = {"uint8": "uint8", "uint16": "uint16"}

Pair = tuple[ArrayFile, ArrayFile]


def matches_idx(root: Path) -> bool:
    """Whether a folder holds IDX files of images for training."""
    return root.is_dir() and any(match["what"] == "images" for _, match in _idx_names(root))


def read_idx(root: Path) -> ImageSet:
    """The pictures in a folder's IDX files; headers and labels are read.

    Raises:
        DatasetError: files are missing, of several datasets, damaged, or do not fit each other.
    """
    sets = sorted({match["set"] for _, match in _idx_names(root)})
    if len(sets) > 1:
        raise DatasetError(
            f"{root} holds the IDX files of {enumerate_words([name or '(no prefix)' for name in sets])}: expected "
            "those of one dataset. Move each into a folder of its own."
        )
    path_of: dict[tuple[Part, str], Path] = {}
    for path, match in _idx_names(root):
        key = _IDX_PARTS.get(match["part"], "val"), match["what"]
        if key in path_of and path.suffix == ".gz":
            continue  # the same file, unpacked, lies beside it
        path_of[key] = path
    pairs: dict[Part, Pair] = {}
    for part in sorted({part for part, _ in path_of}):
        missing = [what for what in ("images", "labels") if (part, what) not in path_of]
        if missing:
            raise DatasetError(
                f"{root} has no IDX file of the {missing[0]} of the part {part}: expected one beside "
                f"{next(iter(path for (one, _), path in path_of.items() if one == part)).name}. Add it."
            )
        pairs[part] = idx_file(path_of[part, "images"]), idx_file(path_of[part, "labels"])
    return _image_set(root, root.resolve().name, "idx", pairs)


def npz_in(root: Path) -> Path | None:
    """The .npz file that is meant: the path itself, or the only one in a folder; None where there is none.

    Raises:
        DatasetError: a folder holds several.
    """
    if root.is_file():
        return root if root.name.lower().endswith(".npz") else None
    files = sorted(root.glob("*.npz")) if root.is_dir() else []
    if len(files) > 1:
        raise DatasetError(
            f"{root} holds {len(files)} .npz files: expected one dataset. Name the file itself, for example {files[0]}."
        )
    return files[0] if files else None


def read_npz(path: Path) -> ImageSet:
    """The pictures in an .npz file; headers and labels are read.

    Raises:
        DatasetError: arrays are missing, pickled, damaged, or do not fit each other.
    """
    files = npz_files(path)
    pairs: dict[Part, Pair] = {}
    parts: tuple[Part, ...] = ("test", "train", "val")
    for part in parts:
        images, labels = files.get(f"{part}_images"), files.get(f"{part}_labels")
        if images is not None and labels is not None:
            pairs[part] = images, labels
        elif images is not None or labels is not None or part == "train":
            missing = f"{part}_images" if images is None else f"{part}_labels"
            raise DatasetError(
                f"{path} has the arrays {', '.join(sorted(files)) or 'none'}: expected {missing} among them. Save it "
                "with numpy.savez(path, train_images=..., train_labels=..., test_images=..., test_labels=...)."
            )
    return _image_set(path, path.stem, "npz", pairs)


def _idx_names(root: Path) -> list[tuple[Path, re.Match[str]]]:
    names = ((path, _IDX.fullmatch(path.name)) for path in sorted(root.iterdir()))
    return [(path, match) for path, match in names if match]


def _image_set(root: Path, stem: str, format: str, pairs: Mapping[Part, Pair]) -> ImageSet:
    """Pairs of images and labels, checked against each other, as one set; its rows in order of part and row."""
    if "train" not in pairs:
        raise DatasetError(f"{root} has no images for training: expected a part `train`. Add it.")
    kinds = {part: _kind(images) for part, (images, _) in pairs.items()}
    if len(set(kinds.values())) > 1:
        texts = [
            f"{part} {size[0]} x {size[1]} x {channels} {depth}"
            for part, (size, channels, depth) in kinds.items()
        ]
        raise DatasetError(
            f"{root} has parts of different kinds ({', '.join(texts)}): expected one size and type."
        )
    size, channels, depth = kinds["train"]
    title, names = described_names(root if root.is_dir() else root.parent, stem)
    values = {part: _labels(*pair) for part, pair in pairs.items()}
    several = any(labels.ndim == 2 for labels in values.values())
    if several:
        classes, labels_of, problems = _of_matrices(pairs, values, names)
    else:
        classes, labels_of, problems = _of_classes(root, pairs, values, names)
    records: list[Record] = []
    for part in sorted(pairs):
        digits = len(str(max(len(values[part]) - 1, 0)))
        records += [
            Record(f"{part}/{row:0{digits}d}", label, part, pairs[part][0].path, row, size)
            for row, label in enumerate(labels_of[part])
            if label is not None
        ]
    return ImageSet(
        name=title or stem,
        root=root,
        format=format,
        channels=channel_names(channels),
        classes=classes,
        records=tuple(records),
        depth=depth,
        arrays={part: pairs[part][0] for part in sorted(pairs)},
        problems=tuple(problems),
        labels_for="multilabel" if several else "",
    )


def _of_classes(
    root: Path,
    pairs: Mapping[Part, Pair],
    values: Mapping[Part, NDArray[np.int64]],
    names: tuple[str, ...] | None,
) -> tuple[tuple[str, ...], dict[Part, list[Label | None]], list[Problem]]:
    """The classes, the class of each picture (None where it is none of these), and the problems of the latter."""
    first, classes = _classes(root, values, names)
    labels_of: dict[Part, list[Label | None]] = {}
    problems: list[Problem] = []
    for part in sorted(pairs):
        labels = values[part] - first
        outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if outside.size:
            location = pairs[part][1].location
            problems.append(labels_out_of_range(location, outside, values[part], first, len(classes)))
        labels_of[part] = [label if 0 <= label < len(classes) else None for label in labels.tolist()]
    return classes, labels_of, problems


def _of_matrices(
    pairs: Mapping[Part, Pair], values: Mapping[Part, NDArray[np.int64]], names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], dict[Part, list[Label | None]], list[Problem]]:
    """The labels, those of each picture, and the problems of labels that do not differ."""
    labels = names_of_labels({part: pair[1] for part, pair in pairs.items()}, values, names)
    labels_of: dict[Part, list[Label | None]] = {
        part: [tuple(row) for row in matrix.tolist()] for part, matrix in values.items()
    }
    return labels, labels_of, labels_of_all(pairs["train"][1].location, labels, values["train"].tolist())


def _kind(file: ArrayFile) -> tuple[tuple[int, int], int, Depth]:
    """Size, channels and type of the pictures in an array (N, H, W) or (N, H, W, 1 or 3)."""
    shape, dtype = file.shape, np.dtype(file.dtype)
    advice = "Save it as (pictures, height, width), or with 1 or 3 channels as a fourth axis."
    if len(shape) == 4 and shape[-1] not in (1, 3):
        advice = (
            "Channels go last."
            if shape[1] in (1, 3)
            else "Volumes are not classified. Of MedMNIST, take one of the 2D datasets."
        )
    if not (len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3))) or min(shape[1:]) < 1:
        raise unfit_array(
            file, "is no array of pictures", "(N, H, W) or (N, H, W, 3)", f"the shape {shape}", advice
        )
    if dtype.kind != "f" and dtype.newbyteorder("=").name not in _DEPTHS:
        raise unfit_array(
            file,
            f"holds numbers of type {dtype.name}",
            "uint8, uint16 or real numbers",
            dtype.name,
            "Save it again with one of these, for example array.astype(numpy.uint8) where the values are 0 to 255.",
        )
    channels = shape[3] if len(shape) == 4 else 1
    return (shape[1], shape[2]), channels, _DEPTHS.get(dtype.newbyteorder("=").name, "float32")


def _labels(images: ArrayFile, labels: ArrayFile) -> NDArray[np.int64]:
    """The labels (N,) of as many pictures, or (N, labels) where each may have several."""
    shape = labels.shape
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        raise unfit_array(
            labels, "holds no labels", "(N,) or (N, 1)", f"the shape {shape}", "Save one number a picture."
        )
    if shape[0] != images.shape[0]:
        raise unfit_array(
            labels,
            "does not fit its images",
            f"{images.shape[0]} labels, as many as the pictures in {images.location}",
            str(shape[0]),
            "One of the two was cut off, or is of another dataset: fetch both again.",
        )
    require_contents(images.path, images.location, shape[0])
    values = labels.read()
    values = values if len(shape) == 2 and shape[1] > 1 else values.reshape(-1)
    if values.dtype.kind not in "biu" and not (
        values.dtype.kind == "f" and (values == np.round(values)).all()
    ):
        raise unfit_array(
            labels,
            "holds labels that are no whole numbers",
            "the number of a class for each picture",
            f"values of type {values.dtype.name}",
            "Save the number of the class.",
        )
    return values.astype(np.int64)


def _classes(
    root: Path, values: Mapping[Part, NDArray[Any]], names: tuple[str, ...] | None
) -> tuple[int, tuple[str, ...]]:
    """The value of the first class (0, or 1 where no label is 0), and the classes' names."""
    training = values["train"]
    if not training.size:
        raise DatasetError(
            f"{root} has no pictures for training: expected some. Look whether it was saved whole."
        )
    low, high = int(training.min()), int(training.max())
    first = 1 if low == 1 and (names is None or high == len(names)) else 0
    count = len(names) if names is not None else max(high - first + 1, 2)
    if names is None and count > MOST_CLASSES:
        raise DatasetError(
            f"{root} has labels up to {high}: expected classes numbered from 0, at most {MOST_CLASSES} without names. "
            "Look whether these are the labels; if they are, name the classes in a dataset.json."
        )
    return first, names or tuple(str(value) for value in range(first, first + count))
