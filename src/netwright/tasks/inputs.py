"""What `predict` is given: a file or a folder, or several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netwright.errors import DatasetError

Images = Path | Sequence[Path]
"""A file or folder, or several of them."""


def given_paths(images: Images) -> tuple[Path, ...]:
    """The files and folders, each once, in the order in which they were given.

    Raises:
        DatasetError: there is none.
    """
    paths = (images,) if isinstance(images, Path) else images
    found = tuple(dict.fromkeys(path.expanduser() for path in paths))
    if not found:
        raise DatasetError("No images were given: expected a file or a folder. Give at least one.")
    return found


def together(paths: Sequence[Path]) -> list[list[Path]]:
    """The paths, with files of one folder together; each folder, and what is not there, is by itself."""
    groups: dict[tuple[Path, bool], list[Path]] = {}
    for path in paths:
        single = path.is_file()
        groups.setdefault((path.parent if single else path, single), []).append(path)
    return list(groups.values())


def folders_of(paths: Sequence[Path]) -> list[Path]:
    """Those that are folders."""
    return [path for path in paths if path.is_dir()]
