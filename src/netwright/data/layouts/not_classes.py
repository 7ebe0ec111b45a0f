"""Refuses folders of pictures whose names say that they are no classes, so that they are not trained as such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netwright.data.issues import enumerate_words
from netwright.data.layouts.class_folders import (
    beside_parts,
    first_picture,
    folders_in,
    list_pictures,
    parts_of,
)
from netwright.data.layouts.class_table import refuse_contradiction
from netwright.data.layouts.part_names import is_contents, is_piece
from netwright.errors import DatasetError

_IF_NOT = (
    "If these are classes that only have such names, say --format image-folder; if the pictures are to be restored "
    "(inpainting) and need no classes, --format images."
)
_TABLE = (
    "If a table tells the class of each picture, put it there as .csv, with a column of their names and a column "
    "`label`."
)


def refuse_no_classes(root: Path) -> None:
    """Refuse a folder that would be read as one of classes, where its folders are something else by their names.

    Raises:
        DatasetError: they are pieces of one set (``images_001``), or one is called after what lies in it (``images``),
            or a table has several classes in one of them.
    """
    parts = parts_of(root)
    home = parts.get("train", root)
    folders = [folder for folder in folders_in(home) if first_picture(folder)]
    elsewhere = {one.name for part in parts.values() if part != home for one in folders_in(part)}
    # Folders of one name in several parts are classes, and no pieces of an archive.
    alike = elsewhere & {folder.name for folder in folders}
    if folders and not alike and all(is_piece(folder.name) for folder in folders):
        raise DatasetError(
            f"{home} has the folders {_named(folders)}, which are pieces of one set by their names: expected a folder "
            f"for each class. {_TABLE} {_IF_NOT}"
        )
    contents = [folder for folder in folders_in(home) if is_contents(folder.name)]
    if contents and len(folders_in(home)) > 1:
        raise DatasetError(
            f"{home} has the folders {_named(folders_in(home))}: expected a folder for each class, but "
            f"{contents[0].name} is called after what lies in it. {_inner(contents)}If it does not belong to the "
            f"classes, move it elsewhere. {_TABLE} {_IF_NOT}"
        )
    refuse_contradiction(root)


def refuse_unclear_part(root: Path) -> None:
    """Refuse a folder whose ``train`` may be the training part, or one class among others.

    Raises:
        DatasetError: it has pictures in no folders, there is no other part, and there are other folders of pictures.
    """
    parts = parts_of(root)
    if parts.keys() != {"train"} or not list_pictures(training := parts["train"]):
        return
    others = beside_parts(root, parts)
    if others and not any(map(first_picture, folders_in(training))):
        raise DatasetError(
            f"{root} has pictures in {training.name} and in {_named(others)}: expected a folder for each class, or "
            f"parts such as train and test. If {training.name} is a class, give its folder a name that is no part; if "
            "it is the training part of pictures without classes, say --format images, which leaves out the others."
        )


def _inner(contents: Sequence[Path]) -> str:
    """Which folder may have been meant: one that has folders of classes."""
    for folder in contents:
        if sum(first_picture(inner) is not None for inner in folders_in(folder)) > 1:
            return f"Did you mean {folder}? "
    return ""


def _named(folders: Sequence[Path]) -> str:
    names = [folder.name for folder in folders]
    return enumerate_words([*names[:5], f"{len(names) - 5} more"] if len(names) > 6 else names)
