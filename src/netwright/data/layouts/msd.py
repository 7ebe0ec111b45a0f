"""Medical Segmentation Decathlon folders: ``dataset.json`` lists image and label of every training case.

The layout is that of medicaldecathlon.com: ``labels`` maps values to names, ``modality`` (or
``channel_names``) numbers the channels, and images of several channels are 4D files with the channels last. The first
version of nnU-Net took the same description, and numbered the files of the channels as the second does.

The lists ``validation`` and ``test`` are official parts where their images have label maps, as those of ``validation``
have in AMOS 2022 (amos22.grand-challenge.org): ``imagesVa`` and ``labelsVa``. Other images in them are to be predicted.
Without such a list the images of ``imagesVa`` and ``imagesTs`` are taken, which nnU-Net's first version may leave out.
Its scans with numbers below 500 are CT, the others MR, which its ``readme.md`` says and its ``dataset.json`` does not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.data.files import is_file, is_folder
from netwright.data.issues import Problem
from netwright.data.layouts.description import (
    DESCRIPTION,
    file_of,
    read_channels,
    read_labels,
    require_unique,
    stem,
    value_first,
)
from netwright.data.layouts.volume_files import files_and_series_in
from netwright.data.splits import Part
from netwright.data.volumes.dataset import Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = "dataset.json with a list `training` of {image, label}"


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder's ``dataset.json`` is of this format."""
    return isinstance(description.get("training"), list)


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``; whether its files exist and hold what they should is not looked at.

    Args:
        root: the folder.
        description: its ``dataset.json``.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: the description lacks something or contradicts itself.
    """
    labels = description.get("labels")
    if not isinstance(labels, dict):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a name for each value, "
            'for example {"0": "background", "1": "tumour"}.'
        )
    channels = read_channels(root, description)
    cases = [
        _case(root, "training", number, entry, len(channels))
        for number, entry in enumerate(description["training"])
    ]
    further, unlabelled = _further(root, description, cases, len(channels))
    if further:
        cases = [*(replace(case, part="train") for case in cases), *further]
    channels, problems = _modality(root, channels, cases)
    endings = {case.images[0].name[len(stem(case.images[0])) :] for case in cases} - {""}
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format="msd",
        channels=channels,
        labels=read_labels(root, labels, value_first(labels)),
        cases=require_unique(root, cases),
        map_label=map_label,
        file_ending=min(endings) if endings else ".nii.gz",
        unlabelled=tuple(sorted(unlabelled)),
        problems=problems,
    )


_AMOS = re.compile(r"amos_(\d{4})")
_FIRST_MR = 500
"""The number of the first MR scan of AMOS."""


def _modality(
    root: Path, channels: tuple[str, ...], cases: Sequence[Case]
) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The channels; that of AMOS is called after the scans that there are, so that it is normalised as CT only where
    all are. A warning says where both are."""
    numbers = [_AMOS.fullmatch(case.name) for case in cases]
    if len(channels) != 1 or not all(numbers):
        return channels, ()
    mr = [
        case.name
        for case, number in zip(cases, numbers, strict=True)
        if number and int(number[1]) >= _FIRST_MR
    ]
    if len(mr) in (0, len(cases)):
        return ("MR" if mr else "CT",) if cases else channels, ()
    problem = Problem(
        "warning",
        str(root),
        "holds CT and MR",
        expected="one of both, for which intensities can be normalised alike",
        found=f"{len(cases) - len(mr)} CT (numbers below {_FIRST_MR}) and {len(mr)} MR, such as {mr[0]}",
        advice="Each scan is normalised by itself (z-score), as nnU-Net does it for this dataset. To normalise CT by "
        "Hounsfield units, list the scans of one kind alone in dataset.json.",
        kind="modalities",
    )
    return ("CT or MR",), (problem,)


_FURTHER: dict[str, tuple[Part, str]] = {"validation": ("val", "Va"), "test": ("test", "Ts")}
"""The lists beside ``training``, which parts they are, and how the folders of these end."""


def _further(
    root: Path, description: Mapping[str, Any], training: Collection[Case], channels: int
) -> tuple[list[Case], list[str]]:
    """The cases of official parts, and the names of the images that are to be predicted.

    Images that are for training, too, stay there; those that are not on disk are passed over, as test sets are often
    fetched apart.
    """
    cases, unlabelled = [], []
    for_training = {case.images for case in training}
    for name, (part, tail) in _FURTHER.items():
        listed = description.get(name)
        entries = listed if isinstance(listed, list) and listed else _unlisted(root, tail, training)
        for number, entry in enumerate(entries):
            case = _case(root, name, number, entry, channels)
            label = _label_beside(case)
            if case.images in for_training:
                continue
            if label is not None:
                cases.append(replace(case, label=label, part=part))
            elif all(map(is_file, case.images)):
                unlabelled.append(case.name)
    return cases, unlabelled


def _unlisted(root: Path, tail: str, training: Collection[Case]) -> list[object]:
    """The images in the folder of a part, as a list would have them: without the numbers of channels that those for
    training have."""
    numbered = any(stem(case.images[0]) != case.name for case in training)
    names = [file.name for file in files_and_series_in(root / f"images{tail}")]
    bare = [re.sub(r"_\d{4}(?=\.|$)", "", name) if numbered else name for name in names]
    return [f"images{tail}/{name}" for name in sorted({*bare})]


def _label_beside(case: Case) -> Path | None:
    """The label map of a case: the one in its entry, or ``labelsVa/a`` for ``imagesVa/a``; None where there is none."""
    image = case.images[0]
    home = image.parent.name
    folder = image.parent.with_name(f"labels{home.removeprefix('images')}")
    ending = image.name[len(stem(image)) :] or ".nii.gz"  # of a series in DICOM, which has none
    beside = [folder / f"{case.name}{ending}"] if home.startswith("images") else []
    return next(filter(is_file, [*([case.label] if case.label is not None else []), *beside]), None)


def _case(root: Path, part: str, number: int, entry: object, channels: int) -> Case:
    image = entry.get("image") if isinstance(entry, dict) else entry
    label = entry.get("label") if isinstance(entry, dict) else None
    files: list[Any] = image if isinstance(image, list) else [image]
    if not files or not all(isinstance(file, str) for file in files) or not isinstance(label, str | None):
        raise DatasetError(
            f"{root / DESCRIPTION} gives {part} case {number} as {entry!r}: expected the paths of its "
            "files, "
            'for example {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}.'
        )
    images = tuple(file_of(root, file) for file in files)
    name = stem(images[0])
    if len(images) == 1 and not is_file(images[0]) and not is_folder(images[0]):
        images = _numbered(images[0], channels)
    return Case(name, images, file_of(root, label) if label else None)


def _numbered(image: Path, channels: int) -> tuple[Path, ...]:
    """The files of a case as nnU-Net's first version has them: ``a.nii.gz`` in the list, a_0000.nii.gz on disk."""
    name, ending = stem(image), image.name[len(stem(image)) :]
    files = tuple(image.with_name(f"{name}_{number:04d}{ending}") for number in range(channels))
    return files if any(map(is_file, files)) else (image,)
