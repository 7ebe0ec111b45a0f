"""Dataset folders on disk, one module a format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netwright.data.dataset import Case, Dataset
from netwright.data.formats import msd, nnunet
from netwright.data.formats.description import DESCRIPTION, read_description, stem
from netwright.data.volumes import ENDINGS
from netwright.errors import DatasetError, SettingsError


@dataclass(frozen=True)
class Format:
    """How a kind of folder is recognised by its ``dataset.json``, in code and in words, and read."""

    title: str
    looked_for: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Path, Mapping[str, Any]], Dataset]


FORMATS: dict[str, Format] = {
    "nnunet": Format("nnU-Net v2 raw", nnunet.LOOKED_FOR, nnunet.matches, nnunet.read),
    "msd": Format("Medical Segmentation Decathlon", msd.LOOKED_FOR, msd.matches, msd.read),
}
"""The formats that are read, the more particular first."""


def open_dataset(
    root: Path, *, format: str | None = None, map_label: Mapping[int, int] | None = None
) -> Dataset:
    """The labelled dataset in a folder. Only its description and file names are read: see `inspect_dataset`.

    ``format`` is one of `FORMATS`, None to recognise it. ``map_label``: value found in the files -> value to
    take.

    Raises:
        DatasetError: no such folder, no known format, or a description that cannot be used.
        SettingsError: an unknown name of a format.
    """
    root = Path(root).expanduser()
    root = root.parent if root.name == DESCRIPTION and root.is_file() else root
    if format is not None and format not in FORMATS:
        raise SettingsError(f"The format is {format!r}: expected one of {', '.join(FORMATS)}.")
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder: expected the folder of a dataset, with its {DESCRIPTION}.")
    if not (root / DESCRIPTION).is_file():
        raise DatasetError(f"{root} has no {DESCRIPTION}. {_looked_for()}{_nested(root)}")
    description = read_description(root)
    names = [format] if format else [name for name, known in FORMATS.items() if known.matches(description)]
    if not names or not FORMATS[names[0]].matches(description):
        raise DatasetError(
            f"{root / DESCRIPTION} has the keys {', '.join(description) or 'none'}. {_looked_for(format)}"
        )
    dataset = FORMATS[names[0]].read(root, description)
    return replace(dataset, map_label=dict(map_label or {}))


def find_cases(path: Path, channels: int) -> tuple[Case, ...]:
    """The unlabelled cases of a file or folder, to predict.

    Files that are all named as nnU-Net does (``{case}_{channel:04d}``) are grouped by case; else each file is
    one.

    Raises:
        DatasetError: nothing is there to read, or a case lacks a channel.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected a NIfTI volume or a folder of them.")
    files = nnunet.list_files(path, ENDINGS) if path.is_dir() else [path]
    if not files or not files[0].name.endswith(ENDINGS):
        raise DatasetError(
            f"{path} holds nothing to read: expected volumes that end in {' or '.join(ENDINGS)}."
        )
    numbers = [re.search(r"_(\d{4})$", stem(file)) for file in files]
    if not all(number and int(number[1]) < channels for number in numbers):
        return tuple(Case(stem(file), (file,), None) for file in files)
    cases = nnunet.group_channels(files)
    for name, found in cases.items():
        missing = [number for number in range(channels) if number not in found]
        if missing:
            raise DatasetError(
                f"{path} lacks channel {missing[0]} of case {name}: expected {channels} files a case, "
                f"numbered {name}_0000 to {name}_{channels - 1:04d}. Add the file."
            )
    return tuple(
        Case(name, tuple(found[number] for number in range(channels)), None) for name, found in cases.items()
    )


def _looked_for(format: str | None = None) -> str:
    formats = [FORMATS[format]] if format else list(FORMATS.values())
    return "Looked for " + "; or ".join(f"{known.title}: {known.looked_for}" for known in formats) + "."


def _nested(root: Path) -> str:
    inner = sorted(folder for folder in root.iterdir() if (folder / DESCRIPTION).is_file())
    return f" Did you mean {inner[0]}?" if inner else ""
