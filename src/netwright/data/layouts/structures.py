"""Refuses volumes with a label map for each structure, as TotalSegmentator has them."""

from __future__ import annotations

from pathlib import Path

from netwright.data.layouts.volume_files import folders_near_top, volume_files_in
from netwright.data.layouts.volume_names import LABEL_WORD
from netwright.errors import DatasetError


def refuse_structures(root: Path) -> None:
    """Refuse folders that have more label maps in a folder below, such as ``segmentations``, than images.

    Args:
        root: a folder of no known layout.

    Raises:
        DatasetError: there is one. It says where to find what joins them.
    """
    for folder in folders_near_top(root):
        if folder == root or not LABEL_WORD.search(folder.name):
            continue
        maps, images = volume_files_in(folder), volume_files_in(folder.parent)
        if images and len(images) < len(maps):
            first, second, image = (file.relative_to(root).as_posix() for file in (*maps[:2], images[0]))
            raise DatasetError(
                f"{root} has a label map for each structure, such as {first} and {second}, beside {image}: expected "
                "one label map for each image, whose values are the structures. "
                "docs/layouts.md#a-label-map-for-each-structure has a script that joins them, and keeps the parts."
            )
