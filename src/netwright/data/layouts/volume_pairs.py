"""Volumes and their label maps, matched by name: ``images/a`` and ``labels/a``, ``img/img1`` and ``label/label1``,
``a`` beside ``a_seg``, ``volume-0`` beside ``segmentation-0``, or a folder a case with ``image`` and ``label``.

Words such as ``img`` or ``labels`` say what a file is, and are left out of the names of files and folders; what remains
must be the same for an image and its label map. The labels are those of a ``dataset.json``, else those of a table of
FreeSurfer or ITK-SNAP in the folder, else the segments of DICOM segmentations, else the values in the label maps.

The scans "Beyond the Cranial Vault" (synapse.org, syn3193805) are of this layout: ``Training/img/img0001.nii.gz``,
``Training/label/label0001.nii.gz``, and ``Testing/img`` without label maps.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from netwright.data.io.pieces import label_pieces
from netwright.data.io.time_axis import time_points
from netwright.data.io.whole_labels import whole_labels
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.description import DESCRIPTION, stem
from netwright.data.layouts.image_masks import labels_of_values
from netwright.data.layouts.label_names import names_of_segments, read_table, table_in
from netwright.data.layouts.volume_files import (
    LOOKED_AT,
    ending_of,
    folders_below,
    in_order_of_name,
    named_labels,
    series_in,
    strays,
    volume_files_in,
    with_parts,
)
from netwright.data.parallel import in_order
from netwright.data.volumes.counting import ValueCount
from netwright.data.volumes.dataset import BTCV, Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = (
    "volumes and label maps whose names are alike without words such as image, img, label, seg and mask: images/a and "
    "labels/a, img/img1 and label/label1, or a beside a_seg (.nii.gz and others)"
)
BTCV_LOOKED_FOR = (
    "folders `img` and `label` (also below Training) with img0001 and label0001 (.nii.gz and others)"
)

BTCV_LABELS = {
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

_IMAGE = "images?|imgs?|volumes?|vols?|scans?"
_LABEL = "labels?|lbls?|segs?|segm|segmentations?|masks?|gts?|groundtruths?|annotations?"
_EDGES = r"(?<![A-Za-z])(?i:{})(?![a-z])"
_IMAGE_WORD = re.compile(_EDGES.format(_IMAGE))
_LABEL_WORD = re.compile(_EDGES.format(_LABEL))
_WORD = re.compile(_EDGES.format(f"{_IMAGE}|{_LABEL}"))
_SEPARATORS = re.compile(r"[\s_.-]+")
_NUMBERED = re.compile(r"(.+)_(\d{4})")
_READERS = 4

_Key = tuple[str, str]
"""What remains of the folders below the dataset's, and of the stem."""


@dataclass
class _Found:
    """The files of a key."""

    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: near its top there is an image with its label map, of one time point."""
    if description and "labels" not in description:
        return False  # it describes something else
    found = _found(root, islice(_folders(root), LOOKED_AT))
    pair = next((one for one in found.values() if one.images and one.labels), None)
    return time_points(pair.labels[0]) < 2 if pair else _numbered(found) is not None


def matches_btcv(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder has pairs that are named as those of "Beyond the Cranial Vault"."""
    found = _found(root, islice(_folders(root), LOOKED_AT))
    return any(
        _is_btcv(image) and _is_btcv(label)
        for one in found.values()
        for image in one.images
        for label in one.labels
    )


def _is_btcv(file: Path) -> bool:
    """Whether a file is ``img/img0001`` or ``label/label0001``, and not one that was registered to another."""
    return bool(re.fullmatch(rf"{file.parent.name}\d{{4}}", stem(file))) and file.parent.name in (
        "img",
        "label",
    )


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Folders of images without any label map are left for prediction.

    All label maps are read, for the values that they hold, unless a ``dataset.json`` names the labels.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: an image has two label maps or the reverse, the label maps hold no labels, or the table of labels
            cannot be used.
    """
    cases, unlabelled = _cases(root)
    labels, naming, proposed = _meaning(root, description, cases, map_label)
    return _dataset(root, description, map_label, "volume-pairs", cases, unlabelled, labels, naming, proposed)


def read_btcv(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """As `read`, with the same arguments; the labels are the 13 organs, unless a ``dataset.json`` names others.

    Scans that were registered to others (``RegData``) are left out: a patient would be in two parts.
    """
    cases, unlabelled = _cases(root, _is_btcv)
    named = named_labels(root, description)
    labels, naming = (named, DESCRIPTION) if named else (BTCV_LABELS, BTCV)
    dataset = _dataset(root, description, map_label, "btcv", cases, unlabelled, labels, naming, {})
    files = [file for folder in _folders(root) for file in volume_files_in(folder)]
    return replace(dataset, problems=strays(root, _folders(root), [file for file in files if _is_btcv(file)]))


def label_maps_among(folder: Path, files: Sequence[Path]) -> set[Path]:
    """Those of the volumes in a folder that are the label maps of others among them."""
    found = _sorted_in(folder, files)
    return {label for one in found.values() if one.images for label in one.labels}


def is_named_label(file: Path) -> bool:
    """Whether the name of a file says that it is a label map."""
    return bool(_LABEL_WORD.search(stem(file)))


def in_folders(path: Path) -> tuple[Case, ...]:
    """The images to predict in a folder that has a folder for each case, with one image; empty for other folders."""
    cases = []
    for folder in _folders(path):
        files = volume_files_in(folder)
        images = [file for file in files if not _is_label(path, file)]
        if files and (folder == path or len(images) != 1 or _without_words(stem(images[0]))):
            return ()
        cases += [Case(folder.name, (image,), None) for image in images]
    return in_order_of_name(cases)


def _folders(root: Path) -> Iterator[Path]:
    return folders_below(root) if root.is_dir() else iter(())


def _found(root: Path, folders: Iterable[Path]) -> dict[_Key, _Found]:
    return _sorted_in(root, (file for folder in folders for file in _volumes_in(folder)))


def _volumes_in(folder: Path) -> list[Path]:
    """The volumes in a folder; those that are series in DICOM, where its name says that it has images."""
    return [
        *volume_files_in(folder),
        *(series_in(folder) if _IMAGE_WORD.search(folder.absolute().name) else []),
    ]


def _sorted_in(root: Path, files: Iterable[Path]) -> dict[_Key, _Found]:
    found: dict[_Key, _Found] = {}
    for file in files:
        one = found.setdefault((_home(root, file), _without_words(stem(file))), _Found())
        (one.labels if _is_label(root, file) else one.images).append(file)
    return found


def _home(root: Path, file: Path) -> str:
    """What remains of the folders around a file: ``Training/img`` -> training."""
    within = (_without_words(part) for part in file.relative_to(root).parent.parts)
    return "/".join(part for part in within if part)


def _without_words(name: str) -> str:
    """``img0001`` -> 0001, ``DET0000101_avg_seg`` -> det0000101_avg, ``imagesTr`` -> tr."""
    return _SEPARATORS.sub("_", _WORD.sub("_", name)).strip("_").lower()


def _is_label(root: Path, file: Path) -> bool:
    """Whether a file is a label map: its name says so, or else the nearest folder whose name says what is in it."""
    name = stem(file)
    if _LABEL_WORD.search(name) and not _IMAGE_WORD.search(name):
        return True
    for part in reversed(file.relative_to(root).parent.parts):
        if bool(_LABEL_WORD.search(part)) != bool(_IMAGE_WORD.search(part)):
            return bool(_LABEL_WORD.search(part))
    return bool(_LABEL_WORD.search(name))


def _cases(root: Path, of_it: Callable[[Path], bool] = lambda file: True) -> tuple[list[Case], list[str]]:
    """The cases, and the names of those in folders without label maps. ``of_it``: whether a file is of the dataset."""
    files = (file for folder in _folders(root) for file in _volumes_in(folder))
    found = _sorted_in(root, filter(of_it, files))
    if not any(one.images and one.labels for one in found.values()):
        raise DatasetError(
            _numbered(found) or f"{root} has no image with a label map of a name like its own."
        )
    homes = {home for (home, _), one in found.items() if one.labels}
    cases: dict[_Key, Case] = {}
    unlabelled = []
    for (home, name), one in found.items():
        if len(one.images) > 1 or len(one.labels) > 1:
            raise DatasetError(_ambiguous(root, one))
        if home in homes:
            cases[home, name] = _case(one)
        else:
            unlabelled += [_name(image) for image in one.images]
    return _with_names(cases), sorted(unlabelled)


def _case(one: _Found) -> Case:
    problem = None
    if not one.images:
        problem = _half(one.labels[0], "has no image", "an image", "missing-image")
    elif not one.labels:
        problem = _half(one.images[0], "has no label map", "a label map", "missing-label")
    image = (one.images or one.labels)[0]
    return Case(_name(image), (image,), one.labels[0] if one.labels else None, problem=problem)


def _name(image: Path) -> str:
    """The stem; or the folder's name, where the stem is a word such as ``image``."""
    return stem(image) if _without_words(stem(image)) else image.absolute().parent.name


def _half(file: Path, what: str, other: str, kind: str) -> Problem:
    return Problem(
        "error",
        str(file),
        what,
        expected=f"{other} whose name is alike but for words such as image and label",
        found="none",
        advice=f"Add {other}, or move the file to another folder.",
        kind=kind,
    )


def _ambiguous(root: Path, one: _Found) -> str:
    kind, files = ("images", one.images) if len(one.images) > 1 else ("label maps", one.labels)
    names = enumerate_words([file.relative_to(root).as_posix() for file in files])
    return (
        f"{root} holds {names}, which may all be the {kind} of one case: expected one image and one label map for each "
        f"case. Move the others out of the folder, or list the files of each case in a {DESCRIPTION}: "
        '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1}, "training": [{"image": ..., '
        '"label": ...}]}.'
    )


def _with_names(cases: Mapping[_Key, Case]) -> list[Case]:
    """The cases; where folders have files of one name, with what remains of the folders' names before it."""
    count = Counter(case.name for case in cases.values())
    return [
        case
        if count[case.name] == 1
        else replace(case, name=f"{home}/{case.name}".strip("/").replace("/", "_"), group="")
        for (home, _), case in cases.items()
    ]


def _numbered(found: Mapping[_Key, _Found]) -> str | None:
    """What to say of files that are named as nnU-Net's, but are not described; None for other files."""
    labels = {key: one.labels[0] for key, one in found.items() if one.labels and not one.images}
    for (home, name), one in found.items():
        number = _NUMBERED.fullmatch(name)
        if number and one.images and (label := labels.get((home, number[1]))):
            same = [key for key in found if key[0] == home and key[1].startswith(f"{number[1]}_")]
            description = {
                "channel_names": {str(channel): f"channel {channel}" for channel in range(len(same))},
                "labels": {"background": 0, "name of 1": 1},
                "file_ending": label.name[len(stem(label)) :],
            }
            image = one.images[0]
            return (
                f"{image} and {label} are named as in nnU-Net, whose {DESCRIPTION} is not there: expected it beside "
                f"imagesTr and labelsTr. Write it, for example {json.dumps(description)}."
            )
    return None


def _meaning(
    root: Path, description: Mapping[str, Any], cases: Sequence[Case], map_label: Mapping[int, int]
) -> tuple[dict[int, str], str, dict[int, int]]:
    """The labels, what names them, and the labels that are proposed for values without a meaning."""
    if named := named_labels(root, description):
        return named, DESCRIPTION, {}
    table = table_in(root)
    files = [case.label for case in cases if case.label is not None]
    if table is None and (segments := names_of_segments(root, files)):
        meant = {map_label.get(value, value) for value in segments} & segments.keys()
        return {0: "background", **{value: segments[value] for value in sorted(meant)}}, "segments", {}
    values = set[int]().union(*in_order(_values, files, _READERS))
    if table is None:
        labels, proposed = labels_of_values(root, values | {0}, map_label)
        return labels, "label maps", proposed
    names = read_table(table)
    meant = {map_label.get(value, value) for value in values} & names.keys()
    return {0: "background", **{value: names[value] for value in sorted(meant)}}, table.name, {}


def _values(path: Path) -> frozenset[int]:
    """The values in a label map; none where it cannot be read, as its inspection says why."""
    count = ValueCount()
    try:
        for piece in label_pieces(path):
            count.add(piece.values)
        return frozenset(whole_labels(path, *count.arrays()).tolist())
    except UnusableFile:
        return frozenset()


def _dataset(
    root: Path,
    description: Mapping[str, Any],
    map_label: Mapping[int, int],
    format: str,
    cases: Sequence[Case],
    unlabelled: Sequence[str],
    labels: Mapping[int, str],
    naming: str,
    proposed: Mapping[int, int],
) -> Dataset:
    images = [case.images[0] for case in cases if case.problem is None]
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format=format,
        channels=_channels(images),
        labels=dict(labels),
        cases=in_order_of_name(with_parts(root, cases)),
        map_label=map_label,
        file_ending=ending_of([case.label for case in cases if case.label is not None]),
        naming=naming,
        proposed=proposed,
        unlabelled=tuple(unlabelled),
    )


def _channels(images: Sequence[Path]) -> tuple[str, ...]:
    """The channels of the first image that can be read."""
    count = next(filter(None, map(time_points, images)), 1)
    return ("image",) if count == 1 else tuple(f"channel {number}" for number in range(count))
