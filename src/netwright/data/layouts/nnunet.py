"""nnU-Net v2 raw folders: ``imagesTr/{case}_{channel:04d}{ending}`` and ``labelsTr/{case}{ending}``.

The layout is that of nnU-Net's documentation (``dataset_format.md``): ``dataset.json`` gives
``channel_names``, ``labels`` (name to value) and ``file_ending``, and may list the files of every case under
``dataset``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.data.files import is_folder
from netwright.data.io.formats import VOLUME_ENDINGS, first_is_stack, is_volume
from netwright.data.io.tiff import PAGED_ENDINGS
from netwright.data.issues import enumerate_words
from netwright.data.layouts.description import (
    DESCRIPTION,
    file_of,
    read_channels,
    read_labels,
    require_unique,
    stem,
    value_first,
)
from netwright.data.layouts.volume_files import page_problem
from netwright.data.volumes.dataset import Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = "dataset.json with `channel_names`, `labels` and `file_ending` beside imagesTr and labelsTr"


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder's ``dataset.json`` is of this format."""
    return "file_ending" in description and "channel_names" in description


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``; whether its files exist and hold what they should is not looked at.

    Args:
        root: the folder.
        description: its ``dataset.json``.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: the description lacks something, contradicts itself or the file names, or needs what is
            not supported (other files than volumes).
    """
    ending = _file_ending(root, str(description["file_ending"]))
    labels = description.get("labels")
    if not isinstance(labels, dict):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a value for each name, "
            'for example {"background": 0, "tumour": 1}.'
        )
    channels = read_channels(root, description)
    listed = description.get("dataset")
    cases = _listed(root, listed) if isinstance(listed, dict) else _unlisted(root, ending, len(channels))
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format="nnunet",
        channels=channels,
        labels=read_labels(root, labels, value_first(labels)),
        cases=require_unique(root, cases),
        map_label=map_label,
        file_ending=ending,
    )


def _file_ending(root: Path, ending: str) -> str:
    """The ending of every file, with its dot.

    Raises:
        DatasetError: it is none of NIfTI, or volumes of another ending lie there.
    """
    paged = first_is_stack(list_files(root / "imagesTr", ""))
    endings = (*VOLUME_ENDINGS, *PAGED_ENDINGS) if paged else VOLUME_ENDINGS
    known = next((one for one in endings if one.strip(".") == ending.lower().strip(".")), None)
    if known is None:
        there = next((one for one in endings if list_files(root / "imagesTr", one)), None)
        todo = (
            f"Correct `file_ending` there: the files of imagesTr end in {there}."
            if there
            else "Convert the images to NIfTI."
        )
        raise DatasetError(
            f"{root / DESCRIPTION} gives the file ending {ending!r}: expected "
            f"{enumerate_words(endings, 'or')}. {todo}"
        )
    if known != ending:
        raise DatasetError(
            f"{root / DESCRIPTION} gives the file ending {ending!r}: expected {known!r}, with its dot and in small "
            "letters. Correct `file_ending` there."
        )
    return ending


def group_channels(files: Sequence[Path]) -> dict[str, dict[int, Path]]:
    """Case name -> channel number -> file, for files named ``{case}_{channel:04d}{ending}``.

    Raises:
        DatasetError: a file has no channel number, or two have the same.
    """
    cases: dict[str, dict[int, Path]] = {}
    for file in files:
        match = re.fullmatch(r"(.+)_(\d{4})", stem(file))
        if match is None:
            raise DatasetError(
                f"{file} has no channel number: expected a name such as {stem(file)}_0000, before the "
                "ending. Rename the file."
            )
        other = cases.setdefault(match[1], {}).setdefault(int(match[2]), file)
        if other is not file:
            raise DatasetError(
                f"{file.parent} holds {other.name} and {file.name}: expected one file for each channel. "
                "Remove or rename one."
            )
    return cases


def list_files(folder: Path, ending: str | tuple[str, ...]) -> list[Path]:
    """The files of a folder with an ending, sorted, without the hidden ones that some systems leave."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.name.endswith(ending) and file.name[0] != ".")


def _require_one_ending(root: Path, ending: str) -> None:
    """Raise where volumes of another ending lie among the files: they would be passed over without a word."""
    others = (*VOLUME_ENDINGS, *PAGED_ENDINGS) if ending in PAGED_ENDINGS else VOLUME_ENDINGS
    for folder in (root / "imagesTr", root / "labelsTr"):
        files = list_files(folder, "")
        stray = [
            file for file in files if file.name.lower().endswith(others) and not file.name.endswith(ending)
        ]
        if stray:
            more = f" and {len(stray) - 1} more of another ending" if len(stray) > 1 else ""
            raise DatasetError(
                f"{root / DESCRIPTION} gives the file ending {ending!r}, but {folder} holds {stray[0].name}{more}: "
                "expected one ending for all files. Correct `file_ending` there, or rename or convert the files."
            )


def _unlisted(root: Path, ending: str, channels: int) -> list[Case]:
    _require_one_ending(root, ending)
    series = [file for file in list_files(root / "imagesTr", "") if is_folder(file) and is_volume(file)]
    images = group_channels(sorted([*list_files(root / "imagesTr", ending), *series]))
    labelled = {file.name.removesuffix(ending) for file in list_files(root / "labelsTr", ending)}
    for numbered in images.values():
        if max(numbered) >= channels:
            raise DatasetError(
                f"{numbered[max(numbered)]} is channel {max(numbered)}, but {root / DESCRIPTION} names {channels} "
                "(numbered from 0). Add the channel to `channel_names`, or remove the file."
            )
    cases = []
    for name in images.keys() | labelled:
        files = tuple(
            images.get(name, {}).get(number, root / "imagesTr" / f"{name}_{number:04d}{ending}")
            for number in range(channels)
        )
        label = root / "labelsTr" / f"{name}{ending}"
        problem = next(filter(None, map(page_problem, (*files, label))), None)
        cases.append(Case(name, files, label, problem=problem))
    return cases


def _listed(root: Path, listed: Mapping[str, Any]) -> list[Case]:
    cases = []
    for name, files in listed.items():
        try:
            images = tuple(file_of(root, os.path.expandvars(image)) for image in files["images"])
            cases.append(Case(name, images, file_of(root, os.path.expandvars(files["label"]))))
        except (KeyError, TypeError):
            raise DatasetError(
                f"{root / DESCRIPTION} gives the case {name!r} as {files!r}: expected "
                '{"images": [one path a channel], "label": path}.'
            ) from None
    return cases
