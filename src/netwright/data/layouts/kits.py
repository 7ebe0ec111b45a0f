"""The layout of the Kidney Tumour Segmentation challenges: ``case_00000/imaging.nii.gz`` and ``segmentation.nii.gz``.

The cases lie in ``data`` (2019 and 2021) or ``dataset`` (2023) of the challenge's repository. In 2021 a case has three
label maps, made of those of several people; that of the majority, ``aggregated_MAJ_seg.nii.gz``, is used. The labels
are 1 kidney and 2 tumour, and since 2021 3 cyst (github.com/neheller/kits19, kits21 and kits23). The 90 cases of the
test set of 2019 have no label maps. Whatever else lies in a case's folder, such as ``instances``, is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.issues import Problem
from netwright.data.layouts.description import DESCRIPTION, stem
from netwright.data.layouts.volume_files import (
    ending_of,
    files_and_series_in,
    folders_below,
    folders_near_top,
    in_order_of_name,
    named_labels,
    require_one_folder_each,
    strays,
    tree_below,
    volumes_by_stem,
    with_parts,
)
from netwright.data.volumes.dataset import KITS, Case, Dataset

LOOKED_FOR = "folders case_00000 (below data or dataset, too) with imaging.nii.gz and segmentation.nii.gz"

CHANNEL = "CT"

_DEPTH = 2
_CASE = re.compile(r"case_(\d{5})")
_IMAGE = "imaging"
_LABELS = ("segmentation", "aggregated_MAJ_seg")
_OF_2019 = {0: "background", 1: "kidney", 2: "tumour"}
_SINCE_2021 = {**_OF_2019, 3: "cyst"}

_LABELLED_IN_2019 = 210
"""From this number on, cases have label maps only since 2021."""

_BESIDE_SINCE_2021 = ("instances", "segmentations", "raw")


@dataclass(frozen=True)
class _Files:
    """The folder of a case, its image and its label map."""

    folder: Path
    image: Path | None
    label: Path | None

    @property
    def name(self) -> str:
        return self.folder.absolute().name


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: some folder of a case has an image or a label map in it."""
    return any(
        stem(file) in (_IMAGE, *_LABELS)
        for folder in filter(_is_case, folders_near_top(root, _DEPTH))
        for file in files_and_series_in(folder)
    )


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Cases without a label map are left for prediction.

    Args:
        root: the folder.
        description: its ``dataset.json``, which may name the labels; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: two folders are of one case, or a folder holds a volume twice.
    """
    tree, described = tree_below(root)
    folders = [folder for folder in tree if len(folder.relative_to(root).parts) <= _DEPTH]
    found = [_files(folder) for folder in filter(_is_case, folders)]
    require_one_folder_each([(files.name, files.folder) for files in found], "case")
    labelled = [files for files in found if files.label is not None]
    named = named_labels(root, description)
    others = (file for one in folders if not _inside_case(root, one) for file in files_and_series_in(one))
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format="kits",
        channels=(CHANNEL,),
        labels=named or (_SINCE_2021 if _has_cysts(root, labelled) else _OF_2019),
        cases=in_order_of_name(with_parts(root, [_case(one) for one in found if one.label or not one.image])),
        map_label=map_label,
        file_ending=ending_of([files.image for files in found if files.image]),
        naming=DESCRIPTION if named else KITS,
        elsewhere={} if named else _SINCE_2021,
        problems=strays(root, list(others), described),
        unlabelled=tuple(sorted(files.name for files in found if files.image and not files.label)),
    )


def unlabelled(path: Path) -> tuple[Case, ...]:
    """The cases to predict in a folder of this layout, or in the folder of one case; empty for other folders."""
    found = map(_files, filter(_is_case, folders_below(path, _DEPTH)))
    return in_order_of_name([Case(files.name, (files.image,), None) for files in found if files.image])


def _is_case(folder: Path) -> bool:
    return bool(_CASE.fullmatch(folder.absolute().name))


def _inside_case(root: Path, folder: Path) -> bool:
    """Whether a folder is that of a case, or lies in one."""
    return any(_CASE.fullmatch(part) for part in (root.absolute().name, *folder.relative_to(root).parts))


def _files(folder: Path) -> _Files:
    files = volumes_by_stem(folder)
    label = next((files[name] for name in _LABELS if name in files), None)
    return _Files(folder, files.get(_IMAGE), label)


def _case(files: _Files) -> Case:
    problem = _no_image(files) if files.image is None else None
    return Case(files.name, (files.image or files.folder,), files.label, problem=problem)


def _no_image(files: _Files) -> Problem:
    return Problem(
        "error",
        str(files.label or files.folder),
        "has no image",
        expected=f"{_IMAGE}.nii.gz {'beside' if files.label else 'in'} it",
        found="none",
        advice="Fetch the images, which are downloaded apart from the label maps, or remove the case.",
        kind="missing-image",
    )


def _has_cysts(root: Path, labelled: Sequence[_Files]) -> bool:
    """Whether these are cases of 2021 or 2023: of those alone there are more files, or more label maps."""
    if any((home / "kits23.json").is_file() for home in {root, *(files.folder.parent for files in labelled)}):
        return True
    return any(
        int(files.name[-5:]) >= _LABELLED_IN_2019
        or (files.label is not None and stem(files.label) != _LABELS[0])
        or any((files.folder / name).is_dir() for name in _BESIDE_SINCE_2021)
        for files in labelled
    )
