"""Dataset folders on disk, one module a format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.dataset import Case, Dataset
from netwright.data.formats import acdc, cine, image_masks, msd, nnunet
from netwright.data.formats.description import stem
from netwright.data.pictures import PICTURE_ENDINGS, is_picture
from netwright.data.problems import enumerate_words
from netwright.data.volumes import ENDINGS
from netwright.errors import DatasetError


@dataclass(frozen=True)
class Format:
    """How a kind of folder is recognised by itself and its ``dataset.json``, in code and in words, and read.

    ``recognised``: False where such a folder may mean another thing, so that the user has to name the format.
    """

    title: str
    looked_for: str
    matches: Callable[[Path, Mapping[str, Any]], bool]
    read: Callable[[Path, Mapping[str, Any], Mapping[int, int]], Dataset]
    recognised: bool = True


FORMATS: dict[str, Format] = {
    "nnunet": Format("nnU-Net v2 raw", nnunet.LOOKED_FOR, nnunet.matches, nnunet.read),
    "msd": Format("Medical Segmentation Decathlon", msd.LOOKED_FOR, msd.matches, msd.read),
    "acdc": Format("ACDC", acdc.LOOKED_FOR, acdc.matches, acdc.read),
    "cine": Format("cines", cine.LOOKED_FOR, cine.matches, cine.read, recognised=False),
    "image-masks": Format(
        "pictures with masks", image_masks.LOOKED_FOR, image_masks.matches, image_masks.read
    ),
}
"""The formats that are read, the more particular first."""


def find_cases(path: Path, channels: int) -> tuple[Case, ...]:
    """The unlabelled cases of a file or folder, to predict.

    Of a folder in the layout of ACDC these are the frames, labelled or not, or else the whole cines of its patients.
    Files that are all named as nnU-Net does (``{case}_{channel:04d}``) are grouped by case; else each file is
    one. A folder of pictures has a case for each.

    Raises:
        DatasetError: nothing is there to read, a case lacks a channel, or two pictures have one stem.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected a NIfTI volume, a picture or a folder of them.")
    if frames := acdc.unlabelled(path):
        return frames
    if pictures := find_pictures(path):
        return tuple(Case(stem(file), (file,), None) for file in pictures)
    files = nnunet.list_files(path, ENDINGS) if path.is_dir() else [path]
    if not files or not files[0].name.endswith(ENDINGS):
        raise DatasetError(
            f"{path} holds nothing to read: expected volumes that end in {' or '.join(ENDINGS)}, or "
            f"pictures that end in {enumerate_words(PICTURE_ENDINGS, 'or')}."
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


def find_pictures(path: Path) -> tuple[Path, ...]:
    """A picture, or the pictures of a folder in which no volumes lie; none where there are none.

    Raises:
        DatasetError: two have one stem, so that what is written for them would have one name.
    """
    if not path.is_dir():
        return (path,) if is_picture(path) else ()
    if nnunet.list_files(path, ENDINGS):
        return ()
    return tuple(image_masks.by_stem(path, "Predict them one by one, or rename one.").values())
