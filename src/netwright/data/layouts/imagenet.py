"""ImageNet as the localisation challenge on Kaggle distributes it: ``ILSVRC/Data/CLS-LOC`` and tables beside it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from netwright.data.files import read_text, reading, unreadable
from netwright.data.images.dataset import ImageSet
from netwright.data.images.issues import not_whole
from netwright.data.issues import Problem
from netwright.data.layouts.class_folders import folders_in, ignored_file, image_set, pictures_below
from netwright.data.layouts.images import IMAGES
from netwright.data.splits import Part
from netwright.errors import DatasetError

IMAGENET = "imagenet"
"""The name of the format."""

LOOKED_FOR = (
    "ImageNet: `ILSVRC/Data/CLS-LOC/train/<synset>`, `ILSVRC/Data/CLS-LOC/val`, `LOC_synset_mapping.txt` and "
    "`LOC_val_solution.csv`"
)

FOLDERS = ("ILSVRC",)
"""What the folders in it are called."""

_DATA = Path("ILSVRC", "Data", "CLS-LOC")
_LISTED = Path("ILSVRC", "ImageSets", "CLS-LOC", "train_cls.txt")
_NAMES = "LOC_synset_mapping.txt"
_SOLUTION = "LOC_val_solution.csv"
_COLUMNS = ("ImageId", "PredictionString")
_PARTS: tuple[Part, ...] = ("train", "val", "test")

Entry = tuple[str, int, Part | None, Path]
"""Name, class, part and path of a picture."""


def matches(root: Path) -> bool:
    """Whether a folder has the training pictures where ImageNet has them."""
    return (root / _DATA / "train").is_dir()


def read(root: Path) -> ImageSet:
    """The pictures of ``train`` and ``val`` with their classes; their headers are read.

    Classes are the synsets that have a folder in ``train``. Their names are those of ``LOC_synset_mapping.txt``; of
    two with the same name, each has its synset behind it. ``val`` is the official validation part. ``test`` has no
    labels and is left out.

    Raises:
        DatasetError: there are no training pictures.
        UnusableFile: a table cannot be read.
    """
    problems: list[Problem] = []
    training = root / _DATA / "train"
    synsets = [folder.name for folder in folders_in(training)]
    if not synsets:
        raise DatasetError(
            f"{training} has no folders: expected one for each synset. Unpack the training pictures."
        )
    labels = {synset: number for number, synset in enumerate(synsets)}
    classes = _names(root, synsets, problems)
    entries: list[Entry] = []
    lost: list[Path] = []
    for name, path in pictures_below(root, training, problems):
        label = labels.get(path.parent.name)
        if label is None or path.parent.parent != training:
            lost.append(path)
        else:
            entries.append((name, label, "train", path))
    if lost:
        problems.append(ignored_file(lost[0], len(lost), "is in no folder of a synset", "train/<synset>"))
    problems += _missing(root, entries)
    entries += _validation(root, labels, problems)
    if (root / _DATA / "test").is_dir():
        problems.append(_unlabelled(root / _DATA / "test"))
    return image_set(root, IMAGENET, classes, entries, problems)


def read_to_restore(root: Path) -> ImageSet:
    """The pictures of all three parts, without their classes.

    Raises:
        DatasetError: there are no training pictures.
    """
    problems: list[Problem] = []
    entries: list[Entry] = []
    for part in _PARTS:
        home = root / _DATA / part
        if home.is_dir():
            entries += [(name, 0, part, path) for name, path in pictures_below(root, home, problems)]
    if not any(part == "train" for _, _, part, _ in entries):
        raise DatasetError(
            f"{root / _DATA / 'train'} has no pictures: expected some. Unpack the training pictures."
        )
    return image_set(root, IMAGES, (), entries, problems)


def _names(root: Path, synsets: list[str], problems: list[Problem]) -> tuple[str, ...]:
    """The name of each synset: what the line of the table has behind it. Without a table it is the synset itself."""
    path = root / _NAMES
    if not path.is_file():
        problems += not_whole(root, "ImageNet", [f"no {_NAMES}, so no names of classes"])
        return tuple(synsets)
    text = read_text(path, "a synset and its name a line")
    words = dict(line.strip().partition(" ")[::2] for line in text.splitlines() if line.strip())
    if len(synsets) < len(words):
        problems += not_whole(root, "ImageNet", [f"{len(synsets)} of the {len(words)} synsets of {_NAMES}"])
    names = [words.get(synset, "").strip() or synset for synset in synsets]
    count = Counter(names)
    return tuple(
        name if count[name] == 1 else f"{name} ({synset})"
        for name, synset in zip(names, synsets, strict=True)
    )


def _missing(root: Path, entries: list[Entry]) -> list[Problem]:
    """The problem of training pictures that the publisher lists, in folders that are there, and that are not."""
    path = root / _LISTED
    if not path.is_file():
        return []
    there = {f"{file.parent.name}/{file.stem}" for *_, file in entries}
    synsets = {file.parent.name for *_, file in entries}
    listed = (line.partition(" ")[0] for line in read_text(path, "a picture a line").splitlines())
    missing = [name for name in listed if name.partition("/")[0] in synsets and name not in there]
    told = f"{len(missing)} pictures of {path.name} missing, such as {missing[0]}" if missing else ""
    return not_whole(root, "ImageNet", [told] if told else [])


def _validation(root: Path, labels: Mapping[str, int], problems: list[Problem]) -> list[Entry]:
    """The pictures of ``val``: loose ones have their classes in the table, others in the names of their folders."""
    home = root / _DATA / "val"
    pictures = list(pictures_below(root, home, problems)) if home.is_dir() else []
    loose = any(path.parent == home for _, path in pictures)
    solution = _solution(root / _SOLUTION) if loose and (root / _SOLUTION).is_file() else {}
    entries: list[Entry] = []
    unknown: list[Path] = []
    for name, path in pictures:
        synset = solution.get(path.stem) if path.parent == home else path.parent.name
        label = labels.get(synset or "")
        if label is None:
            unknown.append(path)
        else:
            entries.append((name, label, "val", path))
    if not pictures:
        problems += not_whole(root, "ImageNet", ["no pictures in val, so no official validation part"])
    elif unknown and not solution and loose:
        problems += not_whole(root, "ImageNet", [f"no {_SOLUTION}, so no official validation part"])
    elif unknown:
        problems.append(
            ignored_file(unknown[0], len(unknown), "has no class that training has", "one of these")
        )
    if len(entries) > 0 and (absent := len(solution) - len(pictures)) > 0:
        problems += not_whole(root, "ImageNet", [f"{absent} pictures of {_SOLUTION} missing"])
    return entries


def _solution(path: Path) -> dict[str, str]:
    """The synset of each validation picture: the first word of what should be predicted, in front of a box."""
    expected = f"the columns {' and '.join(_COLUMNS)}"
    with reading(path, expected), path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, restval=""))
    if rows and not set(_COLUMNS) <= set(rows[0]):
        raise unreadable(path, f"the columns {', '.join(str(name) for name in rows[0])}", expected)
    return {row[_COLUMNS[0]]: row[_COLUMNS[1]].strip().partition(" ")[0] for row in rows}


def _unlabelled(folder: Path) -> Problem:
    return Problem(
        "warning",
        str(folder),
        "is left out",
        expected="labels, which the publisher keeps to himself",
        found="pictures alone",
        advice="The test part is drawn from the training part. Predict the pictures with the trained network, if their "
        "labels can be scored elsewhere.",
        kind="unlabelled-part",
    )
