"""Cines: 4D volumes (x, y, z, time) of which some time points have label maps.

``images/NAME.nii.gz`` holds a cine. Its label maps are ``labels/NAME.nii.gz``, a 4D file of the same size in which the
time points that nobody has labelled are background throughout, or ``labels/NAME_frameFF.nii.gz`` for single frames,
counted from 1 as in ACDC. ``imagesTr`` and ``labelsTr`` do as well. A ``dataset.json`` may give ``name`` and
``labels``; without one the labels are the values in the label maps.

The format has to be named: a 4D file may as well hold channels, as those of the Medical Segmentation Decathlon do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from netwright.data.io.formats import VOLUME_ENDINGS
from netwright.data.io.time_axis import time_points
from netwright.data.io.volumes import read_label
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.description import DESCRIPTION, read_labels, stem, value_first
from netwright.data.layouts.image_masks import labels_of_values
from netwright.data.layouts.nnunet import list_files
from netwright.data.layouts.volume_files import volumes_by_stem
from netwright.data.parallel import in_order
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.labels import count_values, mapped
from netwright.data.volumes.regions import IGNORE
from netwright.errors import DatasetError

LOOKED_FOR = (
    "folders `images` and `labels` (or imagesTr and labelsTr) with 4D volumes of the same stems, "
    "if --format cine says so"
)

CHANNEL = "cine"

_FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"))
_FRAME = re.compile(r"(.+)_frame(\d+)")
_READERS = 4


@dataclass(frozen=True)
class _LabelFile:
    """A label file and what it holds: ``values`` in each labelled time point, by its number from 0."""

    path: Path
    values: Mapping[int, frozenset[int]]
    problem: Problem | None = None


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder can be read so: it has the two folders, and volumes in that of the images."""
    return _folders(root) is not None


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``: each time point with any foreground is a case, grouped by cine.

    All label maps are read, for the time points and values that they hold.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: the label maps hold no labels, or two files have one stem.
    """
    folders = _folders(root)
    assert folders is not None  # as `matches` has found them
    images, labels = (volumes_by_stem(folder) for folder in folders)
    files, cases = _pairs(images, labels, folders[1])
    label_files = list(in_order(partial(_label_file, map_label=map_label), files, _READERS))
    named = description.get("labels")
    proposed: dict[int, int] = {}
    if isinstance(named, dict):
        meaning = read_labels(root, named, value_first(named))
    else:
        values = {value for file in label_files for values in file.values.values() for value in values}
        meaning, proposed = labels_of_values(folders[1], values | {0}, map_label)
    for (image, _, _), file in zip(files, label_files, strict=True):
        cases += _cases(image, file)
    _require_once(cases)
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format="cine",
        channels=(CHANNEL,),
        labels=meaning,
        cases=tuple(sorted(cases, key=lambda case: case.name)),
        map_label=map_label,
        naming=DESCRIPTION if isinstance(named, dict) else folders[1].name,
        proposed=proposed,
    )


def _require_once(cases: Sequence[Case]) -> None:
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        both = [case.label.name for case in cases if case.name == twice[0] and case.label is not None]
        raise DatasetError(
            f"{twice[0]} has a label map in {enumerate_words(both)}: expected one for each frame. Remove one."
        )


def _folders(root: Path) -> tuple[Path, Path] | None:
    for images, labels in _FOLDERS:
        if (root / labels).is_dir() and list_files(root / images, VOLUME_ENDINGS):
            return root / images, root / labels
    return None


_Pair = tuple[Path, Path, int | None]
"""A cine, a file of its label maps, and the time point that is labelled, None of a whole cine's."""


def _pairs(
    images: Mapping[str, Path], labels: Mapping[str, Path], folder: Path
) -> tuple[list[_Pair], list[Case]]:
    """Cines and their label files; and cases that stand for what has no partner."""
    pairs: list[_Pair] = []
    problems: list[Case] = []
    for name, label in labels.items():
        match = _FRAME.fullmatch(name)
        if name in images:
            pairs.append((images[name], label, None))
        elif match and match[1] in images:
            pairs.append((images[match[1]], label, int(match[2]) - 1))
        else:
            problems.append(
                Case(name, (label,), label, problem=_no_image(label, match[1] if match else name))
            )
    labelled = {image for image, _, _ in pairs}
    problems += [
        Case(name, (image,), None, problem=_no_label(image, name, folder))
        for name, image in images.items()
        if image not in labelled
    ]
    return pairs, problems


def _label_file(pair: _Pair, map_label: Mapping[int, int]) -> _LabelFile:
    """Read a label file; what is wrong with it becomes its problem."""
    image, label, time = pair
    points, maps = time_points(image), time_points(label)
    if points and time is not None and not 0 <= time < points:
        return _LabelFile(label, {}, _no_frame(label, time, image, points))
    if points and maps and time is None and maps != points:
        return _LabelFile(label, {}, _other_length(label, maps, image, points))
    try:
        values = {
            point: _values(label, point) for point in ((time,) if time is not None else range(maps or 1))
        }
    except UnusableFile as error:
        return _LabelFile(label, {}, error.problem)
    if time is None:
        values = {
            point: present
            for point, present in values.items()
            if any(mapped(v, map_label) not in (0, IGNORE) for v in present)
        }
    return _LabelFile(label, values, None if values else _nothing(label))


def _values(label: Path, time: int) -> frozenset[int]:
    """The values in a label map."""
    return frozenset(count_values(read_label(label, time=time))[0].tolist())


def _cases(image: Path, file: _LabelFile) -> list[Case]:
    name = stem(image)
    if file.problem is not None:
        return [Case(stem(file.path), (image,), file.path, group=name, problem=file.problem)]
    return [
        Case(f"{name}_frame{time + 1:02d}", (image,), file.path, time, group=name)
        for time in sorted(file.values)
    ]


def _no_image(label: Path, name: str) -> Problem:
    return Problem(
        "error",
        str(label),
        "has no image",
        expected=f"a cine {name}.nii.gz among the images",
        found="none of that stem",
        advice="Add the image, or remove the label map.",
        kind="missing-image",
    )


def _no_label(image: Path, name: str, folder: Path) -> Problem:
    return Problem(
        "error",
        str(image),
        "has no label map",
        expected=f"{name}.nii.gz (4D), or {name}_frame01.nii.gz and the like, in {folder.name}",
        found="none of that name",
        advice="Add a label map for one of its frames at least, or move the image to another folder.",
        kind="missing-label",
    )


def _no_frame(label: Path, time: int, image: Path, points: int) -> Problem:
    return Problem(
        "error",
        str(label),
        f"is of a frame that {image.name} does not have",
        expected=f"a frame from 1 to {points}",
        found=str(time + 1),
        advice="Frames are counted from 1: rename the label map.",
        kind="missing-frame",
    )


def _other_length(label: Path, maps: int, image: Path, points: int) -> Problem:
    return Problem(
        "error",
        str(label),
        f"has another number of time points than {image.name}",
        expected=f"{points}, those without labels as background",
        found=str(maps),
        advice=f"Save it with all time points, or each labelled one as {stem(image)}_frameFF.nii.gz, counted from 1.",
        kind="label-frames",
    )


def _nothing(label: Path) -> Problem:
    return Problem(
        "error",
        str(label),
        "has no labelled time point",
        expected="a time point with some foreground",
        found="background throughout",
        advice="Label one of its frames at least, or remove image and label map.",
        kind="missing-label",
    )
