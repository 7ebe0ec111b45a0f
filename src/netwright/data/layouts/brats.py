"""The layouts of the Brain Tumour Segmentation challenges: a folder a patient, with four scans and a segmentation.

Until 2021 the files of a patient are ``NAME_flair``, ``NAME_t1``, ``NAME_t1ce``, ``NAME_t2`` and ``NAME_seg``, with
folders ``HGG`` and ``LGG`` around the patients in 2018 and 2019, and the labels are 0, 1, 2 and 4 (Bakas et al.,
arXiv 1811.02629; Baid et al., arXiv 2107.02314). Since 2023 they are ``NAME-t2f``, ``NAME-t1n``, ``NAME-t1c``,
``NAME-t2w`` and ``NAME-seg``; ``NAME`` is such as ``BraTS-GLI-00000-000``, of which the last number counts the time
points of a patient, and the labels are 0 to 3. The sets of validation and testing have no segmentations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright.data.issues import Problem, enumerate_words
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
    with_parts,
)
from netwright.data.volumes.dataset import BRATS, Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = (
    "a folder a patient with NAME_flair, _t1, _t1ce, _t2 and _seg, or NAME-t2f, -t1n, -t1c, -t2w and -seg"
)

CHANNELS = ("FLAIR", "T1", "T1 with contrast", "T2")
"""In the order of the files' names below, which is that of the Decathlon's brain tumours."""

_SEGMENTATION = "seg"

_MISNAMED = "_Segm"
"""The segmentation of BraTS20_Training_355 is published as W39_1998.09.19_Segm.nii."""

_BACKGROUND = {0: "background"}
_UNTIL_2021 = {**_BACKGROUND, 1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
_GLIOMA = {**_BACKGROUND, 1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}
_TREATED = {
    **_BACKGROUND,
    1: "non-enhancing tumour core",
    2: "surrounding FLAIR hyperintensity",
    3: "enhancing tumour",
    4: "resection cavity",
}
_OTHERS = {value: name for value, name in _TREATED.items() if value != 4}

_KIND = re.compile(r"BraTS-([A-Z]+)-\d+-(\d{3})")
_LABELS_OF_KIND = {"GLI": _GLIOMA, "SSA": _GLIOMA, "MEN": _OTHERS, "MET": _OTHERS}
"""Not in it: PED, whose labels were numbered anew in 2024."""

_FIRST_TREATED = 100
"""Time points of treated gliomas (2024) are numbered from here."""


@dataclass(frozen=True)
class _Scheme:
    """How the files of a patient are named: ``separator`` and a name for each of `CHANNELS`."""

    separator: str
    channels: tuple[str, str, str, str]

    def read(self, name: str) -> tuple[str, str] | None:
        """The patient and the kind of a file, by its stem."""
        patient, separator, kind = name.rpartition(self.separator)
        known = kind in self.channels or kind == _SEGMENTATION
        return (patient, kind) if patient and separator and known else None


_SCHEMES = (_Scheme("_", ("flair", "t1", "t1ce", "t2")), _Scheme("-", ("t2f", "t1n", "t1c", "t2w")))


@dataclass
class _Patient:
    """The files of a patient at a time point, by kind; and a file whose kind another one has, too."""

    name: str
    folder: Path
    scheme: _Scheme
    files: dict[str, Path] = field(default_factory=dict)
    second: Path | None = None

    @property
    def missing(self) -> list[str]:
        return [kind for kind in self.scheme.channels if kind not in self.files]

    @property
    def label(self) -> Path | None:
        return self.files.get(_SEGMENTATION)

    @property
    def images(self) -> tuple[Path, ...]:
        """A file for each channel, whether it is there or not."""
        ending = ending_of(list(self.files.values()))
        named = (f"{self.name}{self.scheme.separator}{kind}{ending}" for kind in self.scheme.channels)
        return tuple(
            self.files.get(kind, self.folder / name)
            for kind, name in zip(self.scheme.channels, named, strict=True)
        )

    @property
    def group(self) -> str:
        """The patient, without the time point."""
        return self.name[:-4] if re.fullmatch(r".+-\d{3}", self.name) else self.name


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: near its top there is a patient with all four scans."""
    if not root.is_dir():
        return False
    return any(
        not patient.missing
        for folder in folders_near_top(root)
        for patient in _patients_in(folder, files_and_series_in(folder))
    )


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Patients without a segmentation are left for prediction.

    Args:
        root: the folder.
        description: its ``dataset.json``, which may name the labels; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: two folders are of one patient, or nothing says what the labels are.
    """
    folders, described = tree_below(root)
    volumes = {folder: files_and_series_in(folder) for folder in folders}
    patients = list(_patients(volumes))
    require_one_folder_each([(patient.name, patient.folder) for patient in patients], "patient")
    named = named_labels(root, description)
    known = {file for patient in patients for file in patient.files.values()}
    others = [file for files in volumes.values() for file in files if file not in known]
    cases, unlabelled = [], []
    for patient in patients:
        if patient.label is None and not patient.missing:
            unlabelled.append(patient.name)
        else:
            cases.append(_case(patient))
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format="brats",
        channels=CHANNELS,
        labels=named or _labels(root, patients),
        cases=in_order_of_name(with_parts(root, cases)),
        map_label=map_label,
        file_ending=ending_of([file for patient in patients for file in patient.files.values()]),
        naming=DESCRIPTION if named else BRATS,
        unlabelled=tuple(sorted(unlabelled)),
        elsewhere={} if named else _TREATED,
        problems=strays(root, others, described),
    )


def unlabelled(path: Path) -> tuple[Case, ...]:
    """The patients to predict in a folder of this layout, or in the folder of one patient; empty for other folders.

    A file that is missing is one of the case's images all the same: whoever reads it says so.
    """
    if not matches(path, {}):
        return ()
    volumes = {folder: files_and_series_in(folder) for folder in folders_below(path)}
    cases = [Case(patient.name, patient.images, None) for patient in _patients(volumes)]
    return in_order_of_name(cases)


def _patients(volumes: Mapping[Path, Sequence[Path]]) -> Iterator[_Patient]:
    """The patients of folders, each given with its volumes."""
    for folder, files in volumes.items():
        for patient in _patients_in(folder, files):
            if patient.second is not None:
                raise DatasetError(
                    f"{folder} holds {patient.second.name} and another file of that scan: expected one file for each. "
                    "Remove one."
                )
            yield patient


def _patients_in(folder: Path, files: Sequence[Path]) -> list[_Patient]:
    """The patients whose files lie in a folder: one, but for validation sets that are handed out in one folder."""
    patients: dict[tuple[str, _Scheme], _Patient] = {}
    stems = {file: stem(file) for file in files}
    for file, bare in stems.items():
        for scheme in _SCHEMES:
            if read := scheme.read(bare):
                name, kind = read
                patient = patients.setdefault((name, scheme), _Patient(name, folder, scheme))
                if patient.files.setdefault(kind, file) is not file:
                    patient.second = file
    misnamed = [file for file, bare in stems.items() if bare.endswith(_MISNAMED)]
    if len(patients) == len(misnamed) == 1:
        next(iter(patients.values())).files.setdefault(_SEGMENTATION, misnamed[0])
    return list(patients.values())


def _case(patient: _Patient) -> Case:
    problem = _half_made(patient) if patient.missing else None
    return Case(patient.name, patient.images, patient.label, group=patient.group, problem=problem)


def _half_made(patient: _Patient) -> Problem:
    scans = [patient.files[kind].name for kind in patient.scheme.channels if kind in patient.files]
    names = dict(zip(patient.scheme.channels, CHANNELS, strict=True))
    lacking = enumerate_words([names[kind] for kind in patient.missing])
    missing = [
        file.name
        for kind, file in zip(patient.scheme.channels, patient.images, strict=True)
        if kind in patient.missing
    ]
    return Problem(
        "error",
        str(patient.folder),
        f"lacks {lacking}" if scans else "has a segmentation without its images",
        expected=enumerate_words(missing),
        found=enumerate_words(scans) or (patient.label.name if patient.label else "nothing"),
        advice=f"Restore what is missing, or move {patient.name} to another folder.",
        kind="missing-channel" if scans else "missing-image",
    )


def _labels(root: Path, patients: Sequence[_Patient]) -> dict[int, str]:
    """The labels as the challenge of these patients numbers them.

    Raises:
        DatasetError: their name does not tell, or they are of several challenges.
    """
    tables: dict[tuple[tuple[int, str], ...], _Patient] = {}
    for patient in patients:
        if patient.label is not None:
            tables.setdefault(tuple(_labels_of(root, patient).items()), patient)
    if set(tables) == {tuple(_GLIOMA.items()), tuple(_TREATED.items())}:
        return _TREATED  # the same numbers, of gliomas before and after treatment
    if len(tables) > 1:
        first, second = list(tables.values())[:2]
        raise DatasetError(
            f"{root} holds {first.name} and {second.name}, whose labels have other meanings: expected the patients of "
            f"one challenge. Give the folder of one, or name the labels in {root / DESCRIPTION}."
        )
    return dict(next(iter(tables))) if tables else _labels_of(root, patients[0])


def _labels_of(root: Path, patient: _Patient) -> dict[int, str]:
    if patient.scheme is _SCHEMES[0]:
        return _UNTIL_2021
    match = _KIND.fullmatch(patient.name)
    if match is None or match[1] not in _LABELS_OF_KIND:
        of = f"those of BraTS-{match[1]} differ from year to year" if match else "its name is none of BraTS's"
        raise DatasetError(
            f"{root} holds {patient.name}, and nothing says what its labels are: {of}. Name them in "
            f'{root / DESCRIPTION}, for example {{"labels": {{"background": 0, "enhancing tumour": 1}}}}.'
        )
    treated = match[1] == "GLI" and int(match[2]) >= _FIRST_TREATED
    return _TREATED if treated else _LABELS_OF_KIND[match[1]]
