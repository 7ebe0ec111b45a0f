"""Folders of pictures that a publisher's table lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from netwright.data.images.issues import not_whole
from netwright.data.issues import Problem
from netwright.data.layouts.class_folders import ignored_file, pictures_below
from netwright.errors import DatasetError


def home_of(folder: Path) -> Path:
    """The folder with the pictures: a copy that was unpacked twice has it in a folder of the same name."""
    inner = folder / folder.name
    return inner if inner.is_dir() else folder


def listed_pictures(
    root: Path,
    home: Path,
    listed: Collection[str],
    table: Path,
    problems: list[Problem],
    known: Sequence[str] = (),
) -> dict[str, tuple[str, Path]]:
    """Name within ``root`` and path of every listed picture, by its name in the table.

    Pictures of the table that are not there are one warning, and so are pictures that the table does not list, which
    are left out.

    Args:
        root: of the dataset.
        home: the folder of the pictures.
        listed: their names in the table, within ``home``.
        table: that lists them.
        problems: gets the problems that are found.
        known: names within ``root`` of files that are no pictures and may be there.

    Raises:
        DatasetError: none of the listed pictures is there.
    """
    there = {
        path.relative_to(home).as_posix(): (name, path)
        for name, path in pictures_below(root, home, problems, known)
    }
    found = {name: there[name] for name in listed if name in there}
    if not found:
        example = f", such as {next(iter(listed))}" if listed else ""
        raise DatasetError(
            f"{home} has none of the {len(listed)} pictures that {table.name} lists{example}: expected them there. "
            "Unpack the archive of the pictures into this folder."
        )
    if len(found) < len(listed):
        missing = next(name for name in listed if name not in there)
        told = (
            f"{len(listed) - len(found)} of {len(listed)} pictures of {table.name} missing, such as {missing}"
        )
        problems += not_whole(home, table.name, [told])
    if len(found) < len(there):
        left = [path for name, (_, path) in there.items() if name not in found]
        problems.append(ignored_file(left[0], len(left), f"is not in {table.name}", "a row of it there"))
    return found
