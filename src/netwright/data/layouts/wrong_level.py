"""Published pictures one level below the folder that is given, or around it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from netwright.data.issues import enumerate_words
from netwright.data.layouts.class_folders import folders_in, list_pictures
from netwright.data.layouts.image_formats import IMAGE_FOLDER, IMAGE_FORMATS, PUBLISHED
from netwright.data.layouts.images import IMAGES
from netwright.errors import DatasetError

_FOLDERS = 20
_LEVELS = 4
"""From ``ILSVRC/Data/CLS-LOC/train`` to the folder of ImageNet."""


def published_below(root: Path) -> Iterator[tuple[Path, str]]:
    """The folders in a folder that are published datasets, and the name of the format of each."""
    for folder in folders_in(root)[:_FOLDERS] if root.is_dir() else []:
        if not list_pictures(folder) and (name := _published(folder)) is not None:
            yield folder, name


def published_around(root: Path) -> tuple[Path, str] | None:
    """The published dataset that a folder or file belongs to, and the name of its format; None: it belongs to none."""
    root = root.absolute()
    if root.is_file():
        root = root.parent
        if (name := _published(root)) is not None:
            return root, name
    within = root
    for around in islice(root.parents, _LEVELS):
        for name in PUBLISHED:
            known = IMAGE_FORMATS[name]
            if within.name in known.folders and known.means(around):
                return around, name
        within = around
    return None


def refuse_wrong_level(root: Path, format: str) -> None:
    """Refuse a folder that would be read by its pictures alone, but holds published datasets or belongs to one.

    Args:
        root: the folder.
        format: that it would be read as.

    Raises:
        DatasetError: it does. It names the folder that is meant.
    """
    if format != IMAGES and (below := list(published_below(root))):
        found = enumerate_words([f"{folder.name} ({IMAGE_FORMATS[name].title})" for folder, name in below])
        meant = enumerate_words([folder for folder, _ in below], "or")
        raise DatasetError(
            f"{root} holds {found}: expected the folder of a dataset, found the one around it. Did you mean {meant}?"
        )
    if (found_around := published_around(root)) is not None:
        around, name = found_around
        alone = format if format == IMAGES else IMAGE_FOLDER
        raise DatasetError(
            f"{root} is a part of {IMAGE_FORMATS[name].title}: expected the folder of the dataset, with its tables and "
            f"official parts. Did you mean {around}? To read this part alone, say --format {alone}."
        )


def _published(folder: Path) -> str | None:
    try:
        return next((name for name in PUBLISHED if IMAGE_FORMATS[name].means(folder)), None)
    except (DatasetError, OSError):
        return None
