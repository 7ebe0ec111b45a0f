"""Which volumes are images and which are label maps, and what their names have in common.

Words such as ``img`` or ``labels`` say what a file is, and are left out of the names of files and folders; what remains
must be the same for an image and its label map.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from netwright.data.layouts.description import stem
from netwright.data.layouts.part_names import part_in
from netwright.data.layouts.volume_files import part_of, series_in, volume_files_in

_IMAGE = "images?|imgs?|volumes?|vols?|scans?"
_LABEL = "labels?|lbls?|segs?|segm|segmentations?|masks?|gts?|groundtruths?|annotations?"
_EDGES = r"(?<![A-Za-z])(?i:{})(?![a-z])"
IMAGE_WORD = re.compile(_EDGES.format(_IMAGE))
LABEL_WORD = re.compile(_EDGES.format(_LABEL))
_WORD = re.compile(_EDGES.format(f"{_IMAGE}|{_LABEL}"))
_SEPARATORS = re.compile(r"[\s_.-]+")
_OME = re.compile(r"\.ome$", re.IGNORECASE)
"""OME-TIFF ends in ``.ome.tif``; its label map may not."""


Key = tuple[str, str]
"""What remains of the folders below the dataset's, and of the stem."""


@dataclass
class Found:
    """The files of a key."""

    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


def found_in(root: Path, folders: Iterable[Path]) -> dict[Key, Found]:
    """The volumes in folders below ``root``, by what remains of their names."""
    return sorted_in(root, (file for folder in folders for file in volumes_in(folder)))


def volumes_in(folder: Path) -> list[Path]:
    """The volumes in a folder; those that are series in DICOM, where its name says that it has images."""
    return [
        *volume_files_in(folder),
        *(series_in(folder) if IMAGE_WORD.search(folder.absolute().name) else []),
    ]


def sorted_in(root: Path, files: Iterable[Path]) -> dict[Key, Found]:
    """Files below ``root``, by what remains of their names."""
    found: dict[Key, Found] = {}
    for file in files:
        one = found.setdefault((home_of(root, file), without_words(stem(file))), Found())
        (one.labels if is_label(root, file) else one.images).append(file)
    return found


def home_of(root: Path, file: Path) -> str:
    """What remains of the folders around a file: ``Training/img`` -> training."""
    within = (without_words(part) for part in file.relative_to(root).parent.parts)
    return "/".join(part for part in within if part)


def without_words(name: str) -> str:
    """``img0001`` -> 0001, ``DET0000101_avg_seg`` -> det0000101_avg, ``imagesTr`` -> tr."""
    return _SEPARATORS.sub("_", _WORD.sub("_", _OME.sub("", name))).strip("_").lower()


def is_label(root: Path, file: Path) -> bool:
    """Whether a file is a label map: its name says so, or else the nearest folder whose name says what is in it."""
    name = stem(file)
    if LABEL_WORD.search(name) and not IMAGE_WORD.search(name):
        return True
    for part in reversed(file.relative_to(root).parent.parts):
        if bool(LABEL_WORD.search(part)) != bool(IMAGE_WORD.search(part)):
            return bool(LABEL_WORD.search(part))
    return bool(LABEL_WORD.search(name))


def are_counterparts(folder: Path, other: Path) -> bool:
    """Whether one of two folders is of images and the other one of label maps, by names that are alike otherwise."""
    names = folder.name, other.name
    kinds = {(bool(IMAGE_WORD.search(name)), bool(LABEL_WORD.search(name))) for name in names}
    return kinds == {(True, False), (False, True)} and len(set(map(without_words, names))) == 1


def says_image(root: Path, file: Path) -> bool:
    """Whether the name of a file, or a folder around it, says that it is an image or of which part it is."""
    within = file.relative_to(root)
    names = (*within.parent.parts, stem(file))
    return any(map(IMAGE_WORD.search, names)) or part_of(root, file) is not None


def set_of(root: Path, image: Path, label: Path) -> tuple[str, ...] | None:
    """The folder below ``root`` with a folder of images and one of label maps, without parts; None: there are no such.

    ``kidney/images/a`` and ``kidney/labels/a`` -> kidney.

    Args:
        root: the dataset's folder.
        image: a file below it.
        label: its label map.
    """
    around = _around(root, image, IMAGE_WORD)
    return around if around is not None and around == _around(root, label, LABEL_WORD) else None


def _around(root: Path, file: Path, word: re.Pattern[str]) -> tuple[str, ...] | None:
    """The folders around the nearest folder whose name has a word."""
    parts = file.relative_to(root).parent.parts
    at = next((number for number in reversed(range(len(parts))) if word.search(parts[number])), None)
    return None if at is None else tuple(part for part in parts[:at] if part_in(part) is None)
