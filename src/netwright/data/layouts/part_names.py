"""What the names of folders say: a part of a dataset, a piece of an archive, or what lies in them."""

from __future__ import annotations

import re

from netwright.data.splits import Part

PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What the folders of parts are called, in lower case."""

_SUFFIXES: dict[str, Part] = {"Tr": "train", "Va": "val", "Ts": "test"}
_SUFFIXED = re.compile(r"(?i:images?|imgs?|labels?|masks?)(Tr|Va|Ts)")
_NEUTRAL = re.compile(
    "images?|imgs?|pictures?|photos?|inputs?|labels?|lbls?|masks?|segs?|segmentations?|volumes?|vols?|scans?|data|"
    "datasets?|sets?|cases?|patients?"
)
"""A part may be named beside one of these words."""

_OF_A_YEAR = re.compile(rf"(?:{'|'.join(PARTS)})[ _-]?(?:19|20)\d\d")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|(?<![A-Za-z\d])[a-z]+")

_NUMBERED = re.compile(r".*?(?:\d|[ _-][a-z])", re.IGNORECASE)
_PIECE = re.compile(
    "images?|imgs?|pictures?|photos?|inputs?|scans?|data|datasets?|sets?|subsets?|parts?|pieces?|batch(?:es)?|chunks?|"
    f"shards?|archives?|folds?|splits?|disks?|discs?|zips?|cases?|patients?|subjects?|{'|'.join(PARTS)}"
)

_CONTENTS = re.compile(
    "images|imgs|jpe?gimages|pictures|imagesets|annotations?|annots|annos?|attributes|metadata|meta|data|devkit|"
    "ground[ _-]?truths?"
)


def part_in(folder: str) -> Part | None:
    """The part in the name of a folder: ``Training``, ``train_data``, ``averaged-training-images``, ``train2017`` and
    ``imagesTr`` are training; ``BraTS20_Training_001`` and ``LiTS`` are none."""
    if suffixed := _SUFFIXED.fullmatch(folder):
        return _SUFFIXES[suffixed[1]]
    words = words_of(folder)
    alone = folder.lower() in PARTS or _OF_A_YEAR.fullmatch(folder.lower())
    if not alone and not any(map(_NEUTRAL.fullmatch, words)):
        return None
    return part_among(words)


def part_among(words: list[str]) -> Part | None:
    """The first part that words name, in lower case; None where none does."""
    return next((PARTS[word] for word in words if word in PARTS), None)


def words_of(name: str) -> list[str]:
    """The words in a name, in lower case: ``ISIC_2019_Training_Input`` -> isic, training, input."""
    return [word.lower() for word in _WORD.findall(name)]


def is_piece(folder: str) -> bool:
    """Whether a folder is called like one of several that hold one set: ``images_001``, ``part_2``, ``patient 7``."""
    return bool(_NUMBERED.fullmatch(folder)) and any(map(_PIECE.fullmatch, words_of(folder)))


def is_contents(folder: str) -> bool:
    """Whether a folder is called after what lies in it, as no class is: ``images``, ``annotations``."""
    return bool(_CONTENTS.fullmatch(folder.lower()))
