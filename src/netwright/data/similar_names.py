"""Finds the file that was probably meant by the name of a missing file."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDERS_SEARCHED = 50


def near(path: Path) -> Path | None:
    """The file that was probably meant by a missing one, or None.

    It has the same name except for its ending, for upper and lower case, or for a channel number. Or it has the same
    name, and its folder is one level lower or higher.
    """
    try:
        return _beside(path) or _one_level_off(path)
    except (OSError, ValueError):  # a name that no file can have
        return None


def _beside(path: Path) -> Path | None:
    if not path.parent.is_dir():
        return None
    wanted, channel = _parts(path.name)
    alike = []
    for file in sorted(path.parent.iterdir()):
        name, number = _parts(file.name)
        # another channel of the same case is never meant
        if name == wanted and (number == channel or "" in (number, channel)) and file.is_file():
            alike.append(file)
    same = [file for file in alike if file.name.lower() == path.name.lower()]
    return next(iter([*same, *alike]), None)


def _one_level_off(path: Path) -> Path | None:
    """``set/set/imagesTr/a.nii`` or ``imagesTr/a.nii`` for ``set/imagesTr/a.nii``."""
    folder = path.parent
    if folder.is_dir():
        return None
    inner = [one for one in _children(folder.parent) if one.is_dir()][:_FOLDERS_SEARCHED]
    parents = [*(one / folder.name for one in inner), folder.parent.parent / folder.name]
    return next((parent / path.name for parent in parents if (parent / path.name).is_file()), None)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _parts(name: str) -> tuple[str, str]:
    """A file's name in lower case without endings and channel number, and that number ("" where there is none)."""
    match = re.fullmatch(r"(.+?)(?:_(\d{4}))?", name.lower().split(".", 1)[0])
    return ("", "") if match is None else (match[1], match[2] or "")
