"""The layout of the Automated Cardiac Diagnosis Challenge: a folder a patient, with two labelled frames of a cine.

``patientNNN`` holds ``patientNNN_frameFF.nii.gz`` and ``patientNNN_frameFF_gt.nii.gz`` at end diastole and end systole,
``patientNNN_4d.nii.gz`` with the whole cine, and ``Info.cfg`` (Bernard et al., "Deep Learning Techniques for Automatic
MRI Cardiac Multi-Structures Segmentation and Diagnosis: Is the Problem Solved?", IEEE TMI 2018). Frames count from 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright.data.files import read_text
from netwright.data.io.time_axis import time_points
from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts.description import stem
from netwright.data.layouts.part_names import PARTS
from netwright.data.layouts.volume_files import (
    ending_of,
    files_and_series_in,
    folders_below,
    folders_near_top,
    in_order_of_name,
    part_of,
    require_one_folder_each,
    strays,
    tree_below,
    volumes_by_stem,
    with_parts,
)
from netwright.data.volumes.dataset import ACDC, Case, Dataset
from netwright.errors import DatasetError

LOOKED_FOR = (
    "folders patientNNN (also below others, such as training and testing) with patientNNN_frameFF.nii.gz and "
    "..._gt.nii.gz"
)

LABELS = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}

CHANNEL = "cine MRI"
INFO = "Info.cfg"

_PATIENT = re.compile(r"patient\d+")
_FRAME = re.compile(r"(patient\d+)_frame(\d+)(_gt)?")
_CINE = re.compile(r"(patient\d+)_4d")


@dataclass(frozen=True)
class PatientInfo:
    """What ``Info.cfg`` says of a patient, None where it does not.

    ``ED`` and ``ES``: the frames at end diastole and end systole, from 1. ``Group``: the diagnosis, such as ``DCM``.
    ``Height`` in cm, ``Weight`` in kg. ``NbFrame``: frames of the cine. The names are those of the file.
    """

    ED: int | None = None
    ES: int | None = None
    Group: str | None = None
    Height: float | None = None
    Weight: float | None = None
    NbFrame: int | None = None


@dataclass
class _Patient:
    """The files of a patient: frame number -> file, and the whole cine."""

    folder: Path
    info: PatientInfo
    images: dict[int, Path] = field(default_factory=dict)
    labels: dict[int, Path] = field(default_factory=dict)
    cine: Path | None = None

    @property
    def name(self) -> str:
        return self.folder.absolute().name


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: near its top, some patient's folder has a frame or a cine in it."""
    return any(map(_is_patient, folders_near_top(root)))


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``: each labelled frame is a case, grouped by patient.

    A frame that has a label map but no file of its own is read from the patient's cine. Patients below ``testing`` are
    the official test part beside those below ``training``; those without any label map are left for prediction. So are
    those of other names for these parts, such as ``Test``.

    Args:
        root: the folder.
        description: its ``dataset.json``; empty if there is none.
        map_label: value -> value to take instead.

    Raises:
        DatasetError: an ``Info.cfg`` cannot be read, or two folders are of one patient.
    """
    cases: list[Case] = []
    unlabelled: list[str] = []
    tree, described = tree_below(root)
    patients = [_patient(folder) for folder in filter(_is_patient, tree)]
    require_one_folder_each([(patient.name, patient.folder) for patient in patients], "patient")
    for patient in patients:
        if patient.labels or not _is_for_test(root, patient):
            cases += _cases(patient)
        else:
            unlabelled.append(patient.name)
    others = (file for one in tree if not _inside_patient(root, one) for file in files_and_series_in(one))
    return Dataset(
        name=str(description.get("name") or root.resolve().name),
        root=root,
        format="acdc",
        channels=(CHANNEL,),
        labels=LABELS,
        cases=in_order_of_name(with_parts(root, cases)),
        map_label=map_label,
        file_ending=ending_of([case.label for case in cases if case.label is not None]),
        naming=ACDC,
        problems=strays(root, list(others), described),
        unlabelled=tuple(sorted(unlabelled)),
    )


def unlabelled(path: Path) -> tuple[Case, ...]:
    """The images to predict in a folder of this layout, or in the folder of one patient; empty for other folders.

    For each patient these are the frames, or the cine if there are no files of frames.
    """
    folders = filter(_is_patient, folders_below(path)) if matches(path, {}) else ()
    files: list[Path] = []
    for folder in sorted(folders, key=lambda folder: folder.absolute().name):
        images, _, cine = _files(folder)
        files += [images[number] for number in sorted(images)] or ([] if cine is None else [cine])
    return tuple(Case(stem(file), (file,), None) for file in files)


def read_info(path: Path) -> PatientInfo:
    """``Info.cfg`` of a patient; a missing file or key gives None, and keys that are not known are passed over.

    Raises:
        DatasetError: a line is no ``key: value``, or its value no number where one is expected.
    """
    if not path.is_file():
        return PatientInfo()
    lines = read_text(path, "lines such as ED: 1").splitlines()
    values: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        key, colon, value = (text.strip() for text in line.partition(":"))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number}"
        if not colon:
            raise DatasetError(
                f"{where} is {line!r}: expected a key and a value, such as ED: 1. Correct the line."
            )
        if key in ("ED", "ES", "NbFrame"):
            values[key] = _whole(where, key, value)
        elif key in ("Height", "Weight"):
            values[key] = _real(where, key, value)
        elif key == "Group":
            values[key] = value or None
    return PatientInfo(**values)


def _whole(where: str, key: str, value: str) -> int | None:
    if not value:
        return None
    if not (value.isdecimal() and len(value) < 10 and int(value) > 0):
        raise DatasetError(
            f"{where} gives {key} as {value!r}: expected a whole number from 1. Correct the line."
        )
    return int(value)


def _real(where: str, key: str, value: str) -> float | None:
    """A number; None for what is not finite, as nothing depends on it and some write nan for "not known"."""
    try:
        number = float(value or "nan")
    except ValueError:
        raise DatasetError(
            f"{where} gives {key} as {value!r}: expected a number, or nothing where it is not known. Correct the line."
        ) from None
    return number if math.isfinite(number) else None


def _is_patient(folder: Path) -> bool:
    return bool(_PATIENT.fullmatch(folder.absolute().name)) and any(
        _FRAME.fullmatch(stem(file)) or _CINE.fullmatch(stem(file)) for file in files_and_series_in(folder)
    )


def _inside_patient(root: Path, folder: Path) -> bool:
    """Whether a folder is that of a patient, or lies in one."""
    return any(_PATIENT.fullmatch(part) for part in (root.absolute().name, *folder.relative_to(root).parts))


def _is_for_test(root: Path, patient: _Patient) -> bool:
    """Whether a patient is of the official test part, by a folder below ``root`` or by its own name."""
    part = part_of(root, patient.folder) or PARTS.get(root.absolute().name.lower())
    return part == "test"


def _files(folder: Path) -> tuple[dict[int, Path], dict[int, Path], Path | None]:
    """Images and label maps by frame, and the cine."""
    images: dict[int, Path] = {}
    labels: dict[int, Path] = {}
    cine = None
    for name, file in volumes_by_stem(folder).items():
        if match := _FRAME.fullmatch(name):
            (labels if match[3] else images)[int(match[2])] = file
        elif _CINE.fullmatch(name):
            cine = file
    return images, labels, cine


def _patient(folder: Path) -> _Patient:
    images, labels, cine = _files(folder)
    return _Patient(folder, read_info(folder / INFO), images, labels, cine)


def _cases(patient: _Patient) -> list[Case]:
    """A case for each frame that has a label map, or that ``Info.cfg`` names: what it lacks is its problem."""
    named = {number for number in (patient.info.ED, patient.info.ES) if number is not None}
    # without word from Info.cfg every frame that was exported is meant to be labelled
    wanted = patient.labels.keys() | (named or patient.images.keys())
    if not wanted:
        return [Case(patient.name, (patient.folder,), None, problem=_no_frames(patient))]
    return [_case(patient, number) for number in sorted(wanted)]


def _case(patient: _Patient, number: int) -> Case:
    image, label = patient.images.get(number), patient.labels.get(number)
    time = None
    if image is None and patient.cine is not None and not 0 < time_points(patient.cine) < number:
        image, time = patient.cine, number - 1
    problem = None
    if image is None:
        problem = _no_frame(patient, number)
    elif label is None:
        problem = _no_label(patient, number, image)
    name = f"{patient.name}_frame{number:02d}"
    return Case(name, (image or patient.folder,), label, time, group=patient.name, problem=problem)


def _no_frames(patient: _Patient) -> Problem:
    return Problem(
        "error",
        str(patient.folder),
        "has no labelled frame",
        expected=f"label maps such as {patient.name}_frame01_gt.nii.gz",
        found="a cine alone",
        advice="Add the label maps, or move the patient to a folder `testing`, where unlabelled patients lie.",
        kind="missing-label",
    )


def _no_frame(patient: _Patient, number: int) -> Problem:
    role = next((key for key in ("ED", "ES") if getattr(patient.info, key) == number), None)
    cine = f", and a cine of {time_points(patient.cine)} frames" if patient.cine is not None else ""
    return Problem(
        "error",
        str(patient.folder / INFO if role else patient.labels[number]),
        f"names frame {number} as {role}, which is not there" if role else "has no image",
        expected=f"{patient.name}_frame{number:02d}.nii.gz beside it, or a {patient.name}_4d.nii.gz of at least "
        f"{number} frames",
        found=f"images of {_frames(patient.images)}{cine}",
        advice=f"Correct {role}, or restore the file."
        if role
        else "Restore the image, or remove the label map.",
        kind="missing-frame",
    )


def _no_label(patient: _Patient, number: int, image: Path) -> Problem:
    return Problem(
        "error",
        str(image),
        "has no label map" if image != patient.cine else f"has no label map of frame {number}",
        expected=f"{patient.name}_frame{number:02d}_gt.nii.gz beside it",
        found=f"label maps of {_frames(patient.labels)}",
        advice="Add the label map, or move a patient who is to be predicted alone to a folder `testing`.",
        kind="missing-label",
    )


def _frames(files: Mapping[int, Path]) -> str:
    if not files:
        return "no frame"
    return f"frame{'s' * (len(files) > 1)} {enumerate_words(sorted(files))}"
