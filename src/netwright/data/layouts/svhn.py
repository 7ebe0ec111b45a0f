"""SVHN's cropped digits: MATLAB files of 32 x 32 pictures, ``X`` (32, 32, 3, N), with a digit each, ``y``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import ImageSet, Record, set_of_arrays
from netwright.data.images.issues import labels_out_of_range, not_whole
from netwright.data.io.arrays import CHUNK_BYTES
from netwright.data.io.bounds import most_pictures, require_contents, require_pictures
from netwright.data.io.matlab import read_matlab, unfit
from netwright.data.issues import Problem
from netwright.data.splits import Part
from netwright.errors import DatasetError

SVHN = "svhn"
SVHN_EXTRA = "svhn-extra"
"""The names of the formats: without and with the extra pictures in the training part."""

LOOKED_FOR = "`train_32x32.mat` and `test_32x32.mat` of SVHN's cropped digits"
EXTRA_LOOKED_FOR = f"{LOOKED_FOR}, and `extra_32x32.mat`; always named with --format {SVHN_EXTRA}"

SIDE = 32
"""Of every picture, in pixels."""

_TRAIN, _TEST, _EXTRA = "train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"
_ORIGINAL = {_TRAIN: 73257, _TEST: 26032, _EXTRA: 531131}
"""Pictures in each file (ufldl.stanford.edu/housenumbers)."""

_ROW = 3 * SIDE * SIDE
_OVERHEAD = 1 << 16
DIGITS = tuple("0123456789")
"""The classes."""

ZERO = 10
"""The label of the digit 0."""


@dataclass(frozen=True)
class Digits:
    """The pictures of a part, in one file or two; ``counts`` has the number of pictures in each."""

    files: tuple[Path, ...]
    counts: tuple[int, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return self.files

    @property
    def shape(self) -> tuple[int, ...]:
        """(pictures, height, width, 3)."""
        return (sum(self.counts), SIDE, SIDE, 3)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """The pictures (N, height, width, 3) in order, some at a time. A whole file is in memory meanwhile.

        Raises:
            UnusableFile: a file is damaged, or its pictures are no such array.
        """
        step = CHUNK_BYTES // _ROW
        for path, count in zip(self.files, self.counts, strict=True):
            values = _read(path, "X")
            if values.shape != (SIDE, SIDE, 3, count) or values.dtype != np.uint8:
                expected = f"{SIDE} x {SIDE} x 3 x {count} numbers of 8 bits, as there are {count} labels"
                found = f"{' x '.join(map(str, values.shape))} of type {values.dtype.name}"
                raise unfit(path, "has pictures in X that are not those of SVHN", expected, found)
            for first in range(0, count, step):
                yield np.ascontiguousarray(np.moveaxis(values[..., first : first + step], -1, 0))


def matches(root: Path) -> bool:
    """Whether a folder holds SVHN's cropped digits."""
    return root.is_dir() and any((root / name).is_file() for name in _ORIGINAL)


def read(root: Path) -> ImageSet:
    """The pictures of the training and the test file, their labels read.

    Raises:
        DatasetError: there is no training file.
        UnusableFile: a file is damaged or no such file.
    """
    return _read_set(root, SVHN, (_TRAIN,))


def read_with_extra(root: Path) -> ImageSet:
    """The same, with the pictures of ``extra_32x32.mat`` in the training part, behind the others.

    Raises:
        DatasetError: there is no training file, or no extra file.
        UnusableFile: as `read`.
    """
    if not (root / _EXTRA).is_file():
        raise DatasetError(
            f"{root} lacks {_EXTRA}: expected it for --format {SVHN_EXTRA}. Say --format {SVHN}."
        )
    return _read_set(root, SVHN_EXTRA, (_TRAIN, _EXTRA))


def _read_set(root: Path, format: str, training: tuple[str, ...]) -> ImageSet:
    if not (root / _TRAIN).is_file():
        raise DatasetError(f"{root} has no pictures for training: expected {_TRAIN}. Add it.")
    parts: dict[Part, tuple[str, ...]] = {"train": training}
    if (root / _TEST).is_file():
        parts = {"test": (_TEST,), **parts}
    arrays: dict[Part, Digits] = {}
    records: list[Record] = []
    problems: list[Problem] = []
    counts: dict[str, int] = {}
    for part, names in parts.items():
        first = 0
        for name in names:
            labels = _labels(root / name)
            counts[name] = len(labels)
            records += _records(root / name, part, first, labels, problems)
            first += len(labels)
        arrays[part] = Digits(tuple(root / name for name in names), tuple(counts[name] for name in names))
    problems += _not_as_original(root, counts)
    if format == SVHN and (root / _EXTRA).is_file():
        problems.append(_left_out(root))
    return set_of_arrays(root, format, DIGITS, records, arrays, problems)


def _read(path: Path, name: str) -> NDArray[Any]:
    most = most_pictures(path) * (_ROW + ZERO) + _OVERHEAD
    values = read_matlab(path, (name,), most)[name]
    if not isinstance(values, np.ndarray):
        raise unfit(path, f"has no numbers in {name}", "an array of numbers", type(values).__name__)
    return values


def _labels(path: Path) -> NDArray[np.int64]:
    """The label (N,) of each picture in a file, 1 to 10."""
    values = _read(path, "y")
    if values.ndim != 2 or 1 not in values.shape or values.dtype.kind not in "uif":
        found = f"{' x '.join(map(str, values.shape))} of type {values.dtype.name}"
        raise unfit(path, "has labels in y that are not those of SVHN", "a number for each picture", found)
    labels = values.reshape(-1)
    if (labels != np.round(labels)).any():
        raise unfit(path, "has labels in y that are not those of SVHN", "whole numbers", "others")
    location = f"{path} (y)"
    require_contents(path, location, len(labels))
    require_pictures(path, location, (len(labels), SIDE, SIDE, 3), 1)
    return labels.astype(np.int64)


def _records(
    path: Path, part: Part, first: int, labels: NDArray[np.int64], problems: list[Problem]
) -> Iterator[Record]:
    """The pictures of a file with a digit; of the others there is one problem. ``first``: the row of the first."""
    outside = np.flatnonzero((labels < 1) | (labels > ZERO))
    if outside.size:
        problems.append(labels_out_of_range(f"{path} (y)", outside, labels, 1, len(DIGITS)))
    digits = len(str(max(len(labels) - 1, 0)))
    home = f"{part}/extra" if path.name == _EXTRA else part
    for row, label in enumerate(labels.tolist()):
        if 1 <= label <= ZERO:
            name = f"{home}/{row:0{digits}d}"
            yield Record(name, label % ZERO, part, path, first + row, (SIDE, SIDE))


def _not_as_original(root: Path, counts: dict[str, int]) -> list[Problem]:
    differences = [] if _TEST in counts else [f"no {_TEST}"]
    differences += [
        f"{count} pictures in place of {_ORIGINAL[name]} in {name}"
        for name, count in counts.items()
        if count != _ORIGINAL[name]
    ]
    return not_whole(root, "SVHN", differences)


def _left_out(root: Path) -> Problem:
    return Problem(
        "warning",
        str(root / _EXTRA),
        "is left out",
        expected="the training and the test file alone",
        found="the extra pictures, which are easier than the others",
        advice=f"To train on them, too, say --format {SVHN_EXTRA}.",
        kind="extra",
    )
