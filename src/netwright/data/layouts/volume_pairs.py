"""Volumes and their label maps, matched by name: ``images/a`` and ``labels/a``, ``img/img1`` and ``label/label1``,
``a`` beside ``a_seg``, ``volume-0`` beside ``segmentation-0``, or a folder a case with ``image`` and ``label``.

Words such as ``img`` or ``labels`` say what a file is, and are left out of the names of files and folders; what remains
must be the same for an image and its label map. The labels are those of a ``dataset.json``, else those of a table of
FreeSurfer or ITK-SNAP in the folder or below, else the segments of DICOM segmentations, else the values in the label
maps.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.data.files import is_folder
from netwright.data.io.pieces import label_pieces
from netwright.data.io.time_axis import time_points
from netwright.data.io.whole_labels import whole_labels
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.description import DESCRIPTION, read_channels, stem
from netwright.data.layouts.image_masks import labels_of_values
from netwright.data.layouts.label_names import names_of_segments, nearest_table, read_table, table_in
from netwright.data.layouts.object_numbers import numbered_objects
from netwright.data.layouts.volume_files import (
    ending_of,
    folders_below,
    folders_near_top,
    in_order_of_name,
    named_labels,
    page_problem,
    strays,
    tree_below,
    volume_files_in,
    with_parts,
)
from netwright.data.layouts.volume_names import (
    LABEL_WORD,
    Found,
    Key,
    found_in,
    is_label,
    says_image,
    set_of,
    sorted_in,
    volumes_in,
    without_words,
)
from netwright.data.parallel import in_order
from netwright.data.volumes.counting import ValueCount
from netwright.data.volumes.dataset import Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = (
    "volumes and label maps whose names are alike without words such as image, img, label, seg and mask: images/a and "
    "labels/a, img/img1 and label/label1, or a beside a_seg (.nii.gz and others)"
)

_NUMBERED = re.compile(r"(.+)_(\d{4})")
_READERS = 4
_WITH_LABELS = {"channel_names", "modality", "file_ending"}
"""A ``dataset.json`` with one of these is meant to name the labels, too."""

_EXAMPLE = '{"labels": {"background": 0, "tumour": 1}}'


@dataclass(frozen=True)
class Pairs:
    """The cases in a folder.

    Args:
        cases: images with label maps, and those of which one is missing.
        unlabelled: the names of images in folders without any label map.
        others: volumes that are of neither.
        described: folders that are datasets of their own.
        folders: those in which they were looked for, the nearer ones first.
    """

    cases: list[Case]
    unlabelled: list[str]
    others: list[Path]
    described: list[Path]
    folders: list[Path]


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: near its top there is an image with its label map, of one time point."""
    of_volumes = description.keys() & {"labels", *_WITH_LABELS}
    if not of_volumes and any(isinstance(value, list | dict) for value in description.values()):
        return False  # it describes something else
    found = found_in(root, folders_near_top(root))
    pair = next((one for one in found.values() if one.images and one.labels), None)
    return time_points(pair.labels[0]) < 2 if pair else _numbered(found) is not None


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Folders of images without any label map are left for prediction.

    All label maps are read, for the values that they hold, unless a ``dataset.json`` names the labels.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: an image has two label maps or the reverse, the folder holds several datasets, the label maps hold
            no labels, or the table of labels cannot be used.
    """
    _require_labels(root, description)
    pairs = pairs_in(root)
    _require_one_set(root, description, pairs)
    labels, naming, proposed, warnings = _meaning(root, description, pairs, map_label)
    dataset = dataset_of(root, description, map_label, "volume-pairs", pairs, labels, naming, proposed)
    return replace(dataset, problems=(*dataset.problems, *warnings))


def label_maps_among(folder: Path, files: Sequence[Path]) -> set[Path]:
    """Those of the volumes in a folder that are the label maps of others among them."""
    found = sorted_in(folder, files)
    return {label for one in found.values() if one.images for label in one.labels}


def is_named_label(file: Path) -> bool:
    """Whether the name of a file says that it is a label map."""
    return bool(LABEL_WORD.search(stem(file)))


def in_folders(path: Path) -> tuple[Case, ...]:
    """The images to predict in a folder that has a folder for each case, with one image; empty for other folders."""
    cases = []
    for folder in folders_below(path):
        files = volume_files_in(folder)
        images = [file for file in files if not is_label(path, file)]
        if files and (folder == path or len(images) != 1 or without_words(stem(images[0]))):
            return ()
        cases += [Case(folder.name, (image,), None) for image in images]
    return in_order_of_name(cases)


def pairs_in(root: Path, of_it: Callable[[Path], bool] = lambda file: True) -> Pairs:
    """The cases in a folder.

    Args:
        root: the folder.
        of_it: whether a file is of the dataset.

    Raises:
        DatasetError: there is no image with a label map, or one has two.
    """
    folders, described = tree_below(root)
    files = [file for folder in folders for file in volumes_in(folder)]
    found = sorted_in(root, filter(of_it, files))
    paired = {key for key, one in found.items() if one.images and one.labels}
    if not paired:
        raise DatasetError(
            _numbered(found) or f"{root} has no image with a label map of a name like its own."
        )
    homes = {home for (home, _), one in found.items() if one.labels}
    names = {name for _, name in paired}
    cases: dict[Key, Case] = {}
    unlabelled: list[Path] = []
    for (home, name), one in found.items():
        if home not in homes:
            unlabelled += [image for image in one.images if name in names or says_image(root, image)]
        elif len(one.images) > 1 or len(one.labels) > 1:
            raise DatasetError(_ambiguous(root, one))
        else:
            cases[home, name] = _case(one)
    known = {*unlabelled, *(file for case in cases.values() for file in (*case.images, case.label))}
    others = [file for file in files if file not in known and not is_folder(file)]
    return Pairs(_with_names(cases), sorted(map(_name, unlabelled)), others, described, folders)


def _require_labels(root: Path, description: Mapping[str, Any]) -> None:
    """Refuse a ``dataset.json`` that names channels and no labels."""
    if "labels" not in description and (given := sorted(_WITH_LABELS & description.keys())):
        raise DatasetError(
            f"{root / DESCRIPTION} has {enumerate_words(given)} but no `labels`: expected a value for each label. Add "
            f"them, for example {_EXAMPLE[1:-1]}."
        )


def _require_one_set(root: Path, description: Mapping[str, Any], found: Pairs) -> None:
    """Refuse several datasets below one folder, whose labels may mean different things."""
    pairs = [
        (case.images[0], case.label) for case in found.cases if case.label is not None and not case.problem
    ]
    count = Counter(set_of(root, *pair) for pair in pairs)
    sets = {root.joinpath(*home): number for home, number in count.items() if home is not None}
    described = found.described
    named = "labels" in description or table_in(root) is not None
    several = len(sets) > 1 and max(sets.values()) > 1 and not named  # with one case each they are cases
    own = root in sets or any(image.parent == root for image, _ in pairs)
    if not several and (own or not described):
        return
    others = [*sorted(sets or {image.parent for image, _ in pairs}), *described]
    inside = [folder.relative_to(root).as_posix() for folder in others]
    advice = "or move the others out of the folder"
    if not described:
        advice = f"or, if their labels mean the same, name them in {root / DESCRIPTION}: {_EXAMPLE}"
    raise DatasetError(
        f"{root} has images with label maps in each of {len(others)} folders ({enumerate_words(inside[:4])}): expected "
        f"one dataset. Give one of them, such as {others[-1]}; {advice}."
    )


def _case(one: Found) -> Case:
    problem = None
    if not one.images:
        problem = _half(one.labels[0], "has no image", "an image", "missing-image")
    elif not one.labels:
        problem = _half(one.images[0], "has no label map", "a label map", "missing-label")
    image = (one.images or one.labels)[0]
    problem = problem or next(filter(None, map(page_problem, (*one.images, *one.labels))), None)
    return Case(_name(image), (image,), one.labels[0] if one.labels else None, problem=problem)


def _name(image: Path) -> str:
    """The stem; or the folder's name, where the stem is a word such as ``image``."""
    return stem(image) if without_words(stem(image)) else image.absolute().parent.name


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


def _ambiguous(root: Path, one: Found) -> str:
    kind, files = ("images", one.images) if len(one.images) > 1 else ("label maps", one.labels)
    names = enumerate_words([file.relative_to(root).as_posix() for file in files])
    return (
        f"{root} holds {names}, which may all be the {kind} of one case: expected one image and one label map for each "
        f"case. Move the others out of the folder, or list the files of each case in a {DESCRIPTION}: "
        '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1}, "training": [{"image": ..., '
        '"label": ...}]}.'
    )


def _with_names(cases: Mapping[Key, Case]) -> list[Case]:
    """The cases; where folders have files of one name, with what remains of the folders' names before it."""
    count = Counter(case.name for case in cases.values())
    return [
        case
        if count[case.name] == 1
        else replace(case, name=f"{home}/{case.name}".strip("/").replace("/", "_"), group="")
        for (home, _), case in cases.items()
    ]


def _numbered(found: Mapping[Key, Found]) -> str | None:
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
    root: Path, description: Mapping[str, Any], pairs: Pairs, map_label: Mapping[int, int]
) -> tuple[dict[int, str], str, dict[int, int], list[Problem]]:
    """The labels, what names them, those that are proposed for values without a meaning, and what is to be told."""
    if named := named_labels(root, description):
        return named, DESCRIPTION, {}, []
    table = nearest_table(pairs.folders)
    files = [case.label for case in pairs.cases if case.label is not None]
    if table is None and (segments := names_of_segments(root, files)):
        meant = {map_label.get(value, value) for value in segments} & segments.keys()
        return {0: "background", **{value: segments[value] for value in sorted(meant)}}, "segments", {}, []
    values_of_each = list(in_order(label_values, files, _READERS))
    values = set[int]().union(*values_of_each)
    if table is None:
        labels, proposed = labels_of_values(root, values | {0}, map_label)
        return labels, "label maps", proposed, numbered_objects(root, values_of_each, map_label)
    names = read_table(table)
    meant = {map_label.get(value, value) for value in values} & names.keys()
    return (
        {0: "background", **{value: names[value] for value in sorted(meant)}},
        table.relative_to(root).as_posix(),
        {},
        [],
    )


def label_values(path: Path) -> frozenset[int]:
    """The values in a label map; none where it cannot be read, as its inspection says why."""
    count = ValueCount()
    try:
        for piece in label_pieces(path):
            count.add(piece.values)
        return frozenset(whole_labels(path, *count.arrays()).tolist())
    except UnusableFile:
        return frozenset()


def dataset_of(
    root: Path,
    description: Mapping[str, Any],
    map_label: Mapping[int, int],
    format: str,
    pairs: Pairs,
    labels: Mapping[int, str],
    naming: str,
    proposed: Mapping[int, int] = MappingProxyType({}),
) -> Dataset:
    """The dataset of these cases. Volumes that belong to none are told.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.
        format: the name of the layout.
        pairs: the cases.
        labels: value -> name.
        naming: what names them.
        proposed: the labels that are proposed for values without a meaning.
    """
    images = [case.images[0] for case in pairs.cases if case.problem is None]
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format=format,
        channels=_channels(root, description, images),
        labels=dict(labels),
        cases=in_order_of_name(with_parts(root, pairs.cases)),
        map_label=map_label,
        file_ending=ending_of([case.label for case in pairs.cases if case.label is not None]),
        naming=naming,
        proposed=proposed,
        problems=strays(root, pairs.others, pairs.described),
        unlabelled=tuple(pairs.unlabelled),
    )


def _channels(root: Path, description: Mapping[str, Any], images: Sequence[Path]) -> tuple[str, ...]:
    """The channels that the description names, such as CT; else those of the first image that can be read."""
    if "channel_names" in description or "modality" in description:
        return read_channels(root, description)
    count = next(filter(None, map(time_points, images)), 1)
    return ("image",) if count == 1 else tuple(f"channel {number}" for number in range(count))
