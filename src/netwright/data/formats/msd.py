"""Medical Segmentation Decathlon folders: ``dataset.json`` lists image and label of every training case.

The layout is that of medicaldecathlon.com: ``labels`` maps values to names, ``modality`` (or
``channel_names``) numbers the channels, and images of several channels are 4D files with the channels last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.data.dataset import Case, Dataset
from netwright.data.formats.description import DESCRIPTION, read_channels, read_labels, require_unique, stem
from netwright.errors import DatasetError

LOOKED_FOR = "dataset.json with a list `training` of {image, label}"


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder's ``dataset.json`` is of this format."""
    return isinstance(description.get("training"), list)


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``; whether its files exist and hold what they should is not looked at.

    Raises:
        DatasetError: the description lacks something or contradicts itself.
    """
    labels = description.get("labels")
    if not isinstance(labels, dict):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a name for each value, "
            'for example {"0": "background", "1": "tumour"}.'
        )
    cases = [_case(root, number, entry) for number, entry in enumerate(description["training"])]
    endings = {case.images[0].name[len(stem(case.images[0])) :] for case in cases}
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format="msd",
        channels=read_channels(root, description),
        labels=read_labels(root, labels, value_first(labels)),
        cases=require_unique(root, cases),
        map_label=map_label,
        file_ending=sorted(endings)[0] if endings else ".nii.gz",
    )


def _case(root: Path, number: int, entry: object) -> Case:
    image = entry.get("image") if isinstance(entry, dict) else entry
    label = entry.get("label") if isinstance(entry, dict) else None
    files: list[Any] = image if isinstance(image, list) else [image]
    if not files or not all(isinstance(file, str) for file in files) or not isinstance(label, str | None):
        raise DatasetError(
            f"{root / DESCRIPTION} gives training case {number} as {entry!r}: expected the paths of its "
            "files, "
            'for example {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}.'
        )
    images = tuple(root / file for file in files)
    return Case(stem(images[0]), images, root / label if label else None)


def value_first(labels: Mapping[str, Any]) -> list[tuple[object, object]]:
    """Some folders write names first, as nnU-Net does; whole numbers tell which side the values are on."""
    if all(key.lstrip("-").isdigit() for key in labels):
        return list(labels.items())
    return [(value, name) for name, value in labels.items()]
