"""nnU-Net v2 raw folders: ``imagesTr/{case}_{channel:04d}{ending}`` and ``labelsTr/{case}{ending}``.

The layout is that of nnU-Net's documentation (``dataset_format.md``): ``dataset.json`` gives
``channel_names``, ``labels`` (name to value) and ``file_ending``, and may list the files of every case under
``dataset``. Images in ``imagesVa`` and ``imagesTs`` are official parts where ``labelsVa`` and ``labelsTs`` have label
maps of them; the others are to be predicted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.data.files import is_folder
from netwright.data.io.formats import VOLUME_ENDINGS, first_is_stack, is_volume
from netwright.data.io.tiff import PAGED_ENDINGS
from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts.description import (
    DESCRIPTION,
    file_of,
    read_channels,
    read_labels,
    require_unique,
    stem,
    value_first,
)
from netwright.data.layouts.volume_files import files_and_series_in, page_problem
from netwright.data.splits import Part
from netwright.data.volumes.dataset import Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = "dataset.json with `channel_names`, `labels` and `file_ending` beside imagesTr and labelsTr"

_FURTHER: dict[str, Part] = {"Va": "val", "Ts": "test"}
"""How the folders beside ``imagesTr`` and ``labelsTr`` end, and which parts they are."""


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
    cases = (
        _listed(root, listed) if isinstance(listed, dict) else _unlisted(root, "Tr", ending, len(channels))
    )
    further, unlabelled, problems = _further(root, ending, len(channels), cases)
    if further:
        cases = [*(replace(case, part="train") for case in cases), *further]
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format="nnunet",
        channels=channels,
        labels=read_labels(root, labels, value_first(labels)),
        cases=require_unique(root, cases),
        map_label=map_label,
        file_ending=ending,
        problems=tuple(problems),
        unlabelled=tuple(sorted(unlabelled)),
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


def _require_one_ending(root: Path, folders: Sequence[Path], ending: str) -> None:
    """Raise where volumes of another ending lie among the files: they would be passed over without a word."""
    others = (*VOLUME_ENDINGS, *PAGED_ENDINGS) if ending in PAGED_ENDINGS else VOLUME_ENDINGS
    for folder in folders:
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


def _unlisted(root: Path, tail: str, ending: str, channels: int) -> list[Case]:
    """The cases of ``imagesTr`` and ``labelsTr``, or of the folders with another tail."""
    of_images, of_labels = root / f"images{tail}", root / f"labels{tail}"
    _require_one_ending(root, (of_images, of_labels), ending)
    series = [file for file in list_files(of_images, "") if is_folder(file) and is_volume(file)]
    images = group_channels(sorted([*list_files(of_images, ending), *series]))
    labelled = _labelled_in(of_labels, ending)
    for numbered in images.values():
        if max(numbered) >= channels:
            raise DatasetError(
                f"{numbered[max(numbered)]} is channel {max(numbered)}, but {root / DESCRIPTION} names {channels} "
                "(numbered from 0). Add the channel to `channel_names`, or remove the file."
            )
    cases = []
    for name in images.keys() | labelled:
        files = tuple(
            images.get(name, {}).get(number, of_images / f"{name}_{number:04d}{ending}")
            for number in range(channels)
        )
        label = of_labels / f"{name}{ending}"
        problem = next(filter(None, map(page_problem, (*files, label))), None)
        cases.append(Case(name, files, label, problem=problem))
    return cases


def _labelled_in(folder: Path, ending: str) -> set[str]:
    return {file.name.removesuffix(ending) for file in list_files(folder, ending)}


def _further(
    root: Path, ending: str, channels: int, training: Collection[Case]
) -> tuple[list[Case], list[str], list[Problem]]:
    """The cases of official parts, the names of those to be predicted, and label maps whose images are not there.

    Images that are for training, too, stay there. A case with the name of one for training gets that of its part, too.

    Args:
        root: the dataset's folder.
        ending: of every file.
        channels: how many files a case has.
        training: the cases for training.
    """
    for_training = {file for case in training for file in case.images}
    taken = {case.name for case in training}
    cases: list[Case] = []
    unlabelled: list[str] = []
    problems: list[Problem] = []
    for tail, part in _FURTHER.items():
        files = [file for file in files_and_series_in(root / f"images{tail}") if file not in for_training]
        names = {re.sub(r"_\d{4}$", "", stem(file)) for file in files}
        _require_one_ending(root, [root / f"labels{tail}"], ending)
        labelled = _labelled_in(root / f"labels{tail}", ending)
        unlabelled += names - labelled
        if labelled and not names:
            problems.append(_fetched_apart(root, tail, len(labelled)).relative_to(root))
        elif labelled:
            found = (case for case in _unlisted(root, tail, ending, channels) if case.name in labelled)
            named = (replace(one, name=f"{part}_{one.name}") if one.name in taken else one for one in found)
            cases += [replace(case, part=part) for case in named]
            taken |= {case.name for case in cases}
    return cases, unlabelled, problems


def _fetched_apart(root: Path, tail: str, count: int) -> Problem:
    return Problem(
        "warning",
        str(root / f"labels{tail}"),
        "has label maps without images",
        expected=f"their images in images{tail}",
        found=f"{count} label map{'s' * (count != 1)} and no image",
        advice=f"They are left out: add images{tail} for an official part.",
        kind="missing-image",
    )


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
