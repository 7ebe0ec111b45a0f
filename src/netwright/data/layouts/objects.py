"""Refuses pictures with lists of objects (COCO, YOLO, PASCAL VOC), which are for networks that detect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from netwright.data.issues import UnusableFile
from netwright.data.layouts.class_folders import folders_in
from netwright.data.layouts.picture_tables import head_of, tables_in
from netwright.data.layouts.table_choice import has_class_folders
from netwright.data.layouts.table_columns import has_boxes
from netwright.errors import DatasetError

_LOOKED_AT = 3
_FOLDERS = 20
_READ = 65536

_OF_COCO = re.compile(
    r"(instances|captions|person_keypoints|panoptic|stuff|image_info)_.*\.json|.*\.coco\.json"
)
_YOLO = re.compile(r"\s*\d+(\s+[\d.eE+-]+){4,}\s*")

_MASKS = (
    "Expected a class for each picture, or for segmentation a mask for each: images/a.jpg and masks/a.png. "
    "docs/layouts.md#objects says how to draw masks from such lists. To restore the pictures (inpainting), which needs "
    "no labels, say --format images."
)


class _Kind(NamedTuple):
    """A way to list objects: its name, and what its files have."""

    name: str
    holds: str


_COCO = _Kind("COCO", "lists objects with boxes and outlines")
_OF_YOLO = _Kind("YOLO", "has a box or an outline of an object a line")
_TABLE = _Kind("a table of boxes", "has a box of an object a row")
_VOC = _Kind("PASCAL VOC", "lists the boxes of the objects of a picture")


def refuse_objects(root: Path) -> None:
    """Refuse pictures beside which a list of objects lies, unless they are in folders of classes.

    Raises:
        DatasetError: it does. It says what can be made of them.
    """
    if has_class_folders(root):
        return
    for path, kind in _lists(root):
        raise DatasetError(
            f"{root} has pictures with objects, as {kind.name} has them: {path.relative_to(root).as_posix()} "
            f"{kind.holds}. netwright detects no objects. {_MASKS}"
        )


def _lists(root: Path) -> Iterator[tuple[Path, _Kind]]:
    """The lists of objects in a folder and in those below, as far as they are looked at."""
    inner = folders_in(root)[:_FOLDERS]
    for home in (root, *inner, *(folder for one in inner for folder in folders_in(one)[:_FOLDERS])):
        yield from ((path, _COCO) for path in _some(home, "*.json") if _is_coco(path))
        within = home.relative_to(root).as_posix().lower().split("/")
        if "labels" in within:
            yield from ((path, _OF_YOLO) for path in _some(home, "*.txt") if _is_yolo(path))
        yield from ((path, _VOC) for path in _some(home, "*.xml") if b"<object>" in _ends(path))
    yield from ((path, _TABLE) for path in tables_in(root) if _is_of_boxes(path))


def _some(home: Path, names: str) -> Iterator[Path]:
    return islice((path for path in home.glob(names) if path.is_file()), _LOOKED_AT)


def _is_coco(path: Path) -> bool:
    """Whether a file is called like one of COCO's, or has the tables of one at its beginning and end."""
    ends = _ends(path)
    tables = b'"images"' in ends and (b'"categories"' in ends or b'"annotations"' in ends)
    return b'"images"' in ends if _OF_COCO.fullmatch(path.name) else tables


def _is_of_boxes(path: Path) -> bool:
    try:
        return has_boxes(head_of(path))
    except UnusableFile:
        return False


def _is_yolo(path: Path) -> bool:
    lines = _ends(path).splitlines()
    return bool(lines) and _YOLO.fullmatch(lines[0].decode(errors="replace")) is not None


def _ends(path: Path) -> bytes:
    """The beginning and the end of a file; nothing of one that cannot be read."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_READ)
            file.seek(max(_READ, path.stat().st_size - _READ))
            return beginning + file.read(_READ)
    except OSError:
        return b""
