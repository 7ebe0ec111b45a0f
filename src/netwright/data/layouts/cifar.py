"""CIFAR-10 and CIFAR-100 in their binary version: a label of one or two bytes and the three planes of each picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import read_text
from netwright.data.images.dataset import ImageSet, Record, set_of_arrays
from netwright.data.images.issues import labels_out_of_range, not_whole
from netwright.data.io.arrays import ArrayFile
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.splits import Part
from netwright.errors import DatasetError

LOOKED_FOR = (
    "`data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and `batches.meta.txt` of CIFAR-10, or `train.bin`, "
    "`test.bin` and `fine_label_names.txt` of CIFAR-100, unpacked"
)

COARSE = "cifar-coarse"
"""The name of the format that gives CIFAR-100 its 20 coarse classes; the other one is ``cifar``."""

COARSE_LOOKED_FOR = (
    "`train.bin`, `test.bin` and `coarse_label_names.txt` of CIFAR-100, unpacked; always named with --format "
    f"{COARSE}"
)

SIDE = 32
"""Of every picture, in pixels."""

_PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class _Layout:
    """The files of one of the two.

    ``mark``: a pattern by which it is recognised; without such a file, by the lengths of the others. ``files``: of each
    part, with the pictures that the original has in each. ``names``: the file with a class a line. ``label_bytes``: in
    front of every picture; ``label`` says which of them is the class. ``pickled``: the files that tell the Python
    version.
    """

    title: str
    mark: str
    files: Mapping[Part, tuple[str, ...]]
    pictures: Mapping[Part, int]
    names: str
    label_bytes: int
    classes: int
    pickled: tuple[str, ...]
    label: int

    @property
    def record(self) -> int:
        """Bytes of a picture with its label."""
        return self.label_bytes + _PIXELS


_LAYOUTS = (
    _Layout(
        "CIFAR-10",
        "data_batch_*.bin",
        {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
        {"train": 10000, "test": 10000},
        "batches.meta.txt",
        1,
        10,
        ("data_batch_1",),
        0,
    ),
    _Layout(
        "CIFAR-100",
        "fine_label_names.txt",
        {"train": ("train.bin",), "test": ("test.bin",)},
        {"train": 50000, "test": 10000},
        "fine_label_names.txt",
        2,
        100,
        ("meta", "train", "test"),
        1,
    ),
)


@dataclass(frozen=True)
class Records:
    """The pictures of a part: files of rows of bytes, labels first, then red, green and blue, each row by row."""

    files: tuple[ArrayFile, ...]
    label_bytes: int
    label: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(file.path for file in self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        """(pictures, height, width, 3)."""
        return (sum(file.shape[0] for file in self.files), SIDE, SIDE, 3)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """The pictures (N, height, width, 3) in order, some at a time.

        Raises:
            UnusableFile: a file has changed since its length was looked at.
        """
        for file in self.files:
            for rows in file.chunks():
                planes = rows[:, self.label_bytes :].reshape(-1, 3, SIDE, SIDE)
                yield np.moveaxis(planes, 1, -1)

    def labels(self) -> NDArray[np.int64]:
        """The class of each picture.

        Raises:
            UnusableFile: as `chunks`.
        """
        labels = [rows[:, self.label].copy() for file in self.files for rows in file.chunks()]
        return np.concatenate(labels).astype(np.int64)


def matches(root: Path) -> bool:
    """Whether a folder holds CIFAR-10 or CIFAR-100. The Python version matches too; `read` refuses it.

    CIFAR-100 without its names is known by ``train.bin`` and ``test.bin`` of whole records, or one as long as the
    original's.
    """
    return root.is_dir() and any(_is_binary(root, layout) or _is_pickled(root, layout) for layout in _LAYOUTS)


def read(root: Path) -> ImageSet:
    """The pictures of a folder: what its test file holds is the test part. Lengths and labels are read.

    A folder that lacks files, or holds shorter ones, is read with a warning, as long as there are pictures to train on.
    Of CIFAR-100 the fine classes are used.

    Raises:
        DatasetError: no files for training, names that cannot be used, both datasets in one folder, or none.
        UnusableFile: a file is truncated or no such file, or it is the Python version, which is pickled.
    """
    return _read_set(root, "cifar", _layout_of(root))


def read_coarse(root: Path) -> ImageSet:
    """The pictures of CIFAR-100 with its coarse classes, otherwise as `read`.

    Raises:
        DatasetError: as `read`; or the folder holds CIFAR-10.
        UnusableFile: as `read`.
    """
    layout = _layout_of(root)
    if layout.label_bytes == 1:
        raise DatasetError(
            f"{root} holds {layout.title}: expected CIFAR-100, which has coarse classes. Say --format cifar."
        )
    return _read_set(root, COARSE, replace(layout, names="coarse_label_names.txt", classes=20, label=0))


def _layout_of(root: Path) -> _Layout:
    """Which of the two a folder holds."""
    layouts = [layout for layout in _LAYOUTS if _is_binary(root, layout)]
    if not layouts:
        pickled = next((layout for layout in _LAYOUTS if _is_pickled(root, layout)), None)
        if pickled is not None:
            raise _pickled(root, pickled)
        raise DatasetError(f"{root} holds no CIFAR: expected {LOOKED_FOR}. Name the folder that has them.")
    if len(layouts) > 1:
        raise DatasetError(
            f"{root} holds CIFAR-10 and CIFAR-100: expected one dataset. Move each into a folder of its own."
        )
    return layouts[0]


def _read_set(root: Path, format: str, layout: _Layout) -> ImageSet:
    parts: dict[Part, Records] = {}
    for part in sorted(layout.files):
        paths = [root / name for name in layout.files[part] if (root / name).is_file()]
        if paths:
            files = tuple(_file(path, layout, part) for path in paths)
            parts[part] = Records(files, layout.label_bytes, layout.label)
    if "train" not in parts:
        raise DatasetError(
            f"{root} has no pictures for training: expected {enumerate_words(layout.files['train'])}. Add them."
        )
    classes = _names(root / layout.names, layout)
    problems = _not_as_original(root, layout)
    records: list[Record] = []
    for part, source in parts.items():
        records += _records(part, source, classes, problems)
    return set_of_arrays(root, format, classes, records, parts, problems)


def _is_binary(root: Path, layout: _Layout) -> bool:
    if any(path.is_file() for path in root.glob(layout.mark)):
        return True
    lengths = {
        root / name: layout.pictures[part] * layout.record
        for part, names in layout.files.items()
        for name in names
    }
    sizes = {path: path.stat().st_size for path in lengths if path.is_file()}
    whole = all(size and size % layout.record == 0 for size in sizes.values())
    return (whole and len(sizes) == len(lengths)) or any(
        lengths[path] == size for path, size in sizes.items()
    )


def _is_pickled(root: Path, layout: _Layout) -> bool:
    return all((root / name).is_file() for name in layout.pickled)


def _file(path: Path, layout: _Layout, part: Part) -> ArrayFile:
    """A file as rows of bytes, its length checked."""
    size = path.stat().st_size
    pictures, rest = divmod(size, layout.record)
    if rest or not pictures:
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                f"is no whole file of {layout.title}'s binary version",
                expected=f"{layout.record} bytes a picture ({layout.pictures[part] * layout.record} in the original)",
                found=f"{size} bytes, which are {pictures} pictures and {rest} bytes more",
                advice="The copy or download was probably interrupted: copy it again.",
                kind="unreadable",
            )
        )
    return ArrayFile(path, "", (pictures, layout.record), "|u1", 0)


def _records(
    part: Part, source: Records, classes: tuple[str, ...], problems: list[Problem]
) -> Iterator[Record]:
    """The pictures of a part whose labels are those of classes; of the others there is a problem for each file."""
    labels = source.labels()
    digits = len(str(len(labels) - 1))
    first = 0
    for file in source.files:
        rows = range(first, first + file.shape[0])
        own = labels[rows.start : rows.stop]
        outside = np.flatnonzero(own >= len(classes))
        if outside.size:
            problems.append(labels_out_of_range(file.location, outside, own, 0, len(classes)))
        for row, label in zip(rows, own.tolist(), strict=True):
            if label < len(classes):
                yield Record(f"{part}/{row:0{digits}d}", label, part, file.path, row, (SIDE, SIDE))
        first = rows.stop


def _names(path: Path, layout: _Layout) -> tuple[str, ...]:
    """The classes, a name a line; numbers where there is no such file."""
    if not path.is_file():
        return tuple(str(number) for number in range(layout.classes))
    lines = read_text(path, "the name of a class a line").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise DatasetError(
            f"{path} names the classes {enumerate_words(names) or 'not at all'}: expected at least two, "
            "a line for each, all different."
        )
    return names


def _not_as_original(root: Path, layout: _Layout) -> list[Problem]:
    """A warning where the folder lacks a part of the original."""
    differences = [] if (root / layout.names).is_file() else [f"no {layout.names}"]
    lengths: dict[tuple[int, int], list[str]] = {}  # (bytes, bytes of the original) to files
    for part, names in layout.files.items():
        whole = layout.pictures[part] * layout.record
        for path in (root / name for name in names):
            if not path.is_file():
                differences.append(f"no {path.name}")
            elif (size := path.stat().st_size) != whole:
                lengths.setdefault((size, whole), []).append(path.name)
    for (size, whole), others in lengths.items():
        differences.append(f"{size} bytes in place of {whole} in {', '.join(others)}")
    return not_whole(root, layout.title, differences)


def _pickled(root: Path, layout: _Layout) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(root),
            f"holds the Python version of {layout.title}",
            expected=f"the binary version ({enumerate_words([*layout.files['train'], *layout.files['test']])})",
            found=f"pickled files ({enumerate_words(layout.pickled)})",
            advice="Unpickling runs code that a file brings along, so such files are never read: fetch the binary "
            f"version ({layout.title.lower()}-binary.tar.gz, from the same page) and unpack it.",
            kind="pickled",
        )
    )
