"""Medical Segmentation Decathlon folders: ``dataset.json`` lists image and label of every training case.

The layout is that of medicaldecathlon.com: ``labels`` maps values to names, ``modality`` (or
``channel_names``) numbers the channels, and images of several channels are 4D files with the channels last. The first
version of nnU-Net took the same description, and numbered the files of the channels as the second does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.data.files import is_file, is_folder
from netwright.data.layouts.description import (
    DESCRIPTION,
    file_of,
    read_channels,
    read_labels,
    require_unique,
    stem,
    value_first,
)
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
        _case(root, number, entry, len(channels)) for number, entry in enumerate(description["training"])
    ]
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
    )


def _case(root: Path, number: int, entry: object, channels: int) -> Case:
    image = entry.get("image") if isinstance(entry, dict) else entry
    label = entry.get("label") if isinstance(entry, dict) else None
    files: list[Any] = image if isinstance(image, list) else [image]
    if not files or not all(isinstance(file, str) for file in files) or not isinstance(label, str | None):
        raise DatasetError(
            f"{root / DESCRIPTION} gives training case {number} as {entry!r}: expected the paths of its "
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
