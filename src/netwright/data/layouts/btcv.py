"""Scans of the abdomen, "Beyond the Cranial Vault" (synapse.org, syn3193805): pairs of volumes that are named alike.

``Training/img/img0001.nii.gz``, ``Training/label/label0001.nii.gz``, and ``Testing/img`` without label maps. The labels
are 13 organs. A dataset of one's own may be named so, too, without those folders: then the values of the label maps
have to show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.data.layouts.description import DESCRIPTION, stem
from netwright.data.layouts.volume_files import folders_near_top, named_labels
from netwright.data.layouts.volume_names import found_in
from netwright.data.layouts.volume_pairs import dataset_of, label_values, pairs_in
from netwright.data.volumes.dataset import BTCV, Dataset

LOOKED_FOR = "folders `img` and `label` (also below Training) with img0001 and label0001 (.nii.gz and others)"

LABELS = {
    0: "background",
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "aorta",
    9: "inferior vena cava",
    10: "portal vein and splenic vein",
    11: "pancreas",
    12: "right adrenal gland",
    13: "left adrenal gland",
}

CHANNEL = "CT"

_HOMES = ("Training", "Testing")
_MOST_READ = 3


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder has pairs that are named as those of "Beyond the Cranial Vault"."""
    return next(_label_maps(root), None) is not None


def recognised(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether it has such pairs in the folders of the challenge, or with more labels than 1 and none above 13."""
    files = list(_label_maps(root))
    folders = {part for file in files for part in (root.absolute().name, *file.relative_to(root).parts)}
    if not folders.isdisjoint(_HOMES):
        return True
    values = set[int]().union(*map(label_values, files[:_MOST_READ]))
    return bool(values) and max(values) > 1 and values <= LABELS.keys()


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``; the labels are the 13 organs, unless a ``dataset.json`` names others.

    Scans that were registered to others (``RegData``) are left out: a patient would be in two parts.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: an image has two label maps or the reverse, or the names of the labels cannot be used.
    """
    named = named_labels(root, description)
    labels, naming = (named, DESCRIPTION) if named else (LABELS, BTCV)
    dataset = dataset_of(root, description, map_label, "btcv", pairs_in(root, _is_of_it), labels, naming)
    return replace(dataset, channels=(CHANNEL,)) if len(dataset.channels) == 1 else dataset


def _label_maps(root: Path) -> Iterator[Path]:
    """The label maps near the top of a folder that have such names, and an image."""
    for one in found_in(root, folders_near_top(root)).values():
        if any(map(_is_of_it, one.images)):
            yield from filter(_is_of_it, one.labels)


def _is_of_it(file: Path) -> bool:
    """Whether a file is ``img/img0001`` or ``label/label0001``, and not one that was registered to another."""
    home = file.absolute().parent.name
    return home in ("img", "label") and bool(re.fullmatch(rf"{home}\d{{4}}", stem(file)))
