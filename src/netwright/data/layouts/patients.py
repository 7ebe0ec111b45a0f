"""Patients with several cases, as DICOM headers tell them where the layout of a folder does not.

What a header calls a patient is compared, and kept nowhere: a group is called after its first case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from netwright.data.io.formats import patient_of
from netwright.data.issues import Problem, UnusableFile
from netwright.data.parallel import in_order
from netwright.data.volumes.dataset import Case, Dataset

_READERS = 4

_NOBODY = re.compile(r"(?i)[\s0?x*_.-]*|[^1-9]*(?:anon|de-?identif|unknown|removed)[^1-9]*|none|null|n/?a")
"""What programs write in place of a number that they take away. With another number behind it, it is one again."""


def with_patients(dataset: Dataset) -> Dataset:
    """The dataset with a group for the cases of each patient, if its layout knows no groups. One header of each image
    or label map in DICOM is read.

    Where all cases would be of one patient, the number stands for nobody: they stay apart, with a warning.

    Args:
        dataset: as its layout reads it.
    """
    if dataset.dimensions == 2 or any(case.group != case.name for case in dataset.cases):
        return dataset
    numbers = list(in_order(_patient, dataset.cases, _READERS))
    if len(set(numbers)) == 1 < len(numbers) and numbers[0]:
        return replace(dataset, problems=(*dataset.problems, _one_for_all(dataset)))
    return replace(dataset, cases=_grouped(dataset.cases, numbers))


def _grouped(cases: Sequence[Case], numbers: Sequence[str]) -> tuple[Case, ...]:
    first: dict[str, str] = {}
    return tuple(
        replace(case, group=first.setdefault(number, case.name)) if number else case
        for case, number in zip(cases, numbers, strict=True)
    )


def _patient(case: Case) -> str:
    """What the headers of a case call its patient; empty where they do not, or cannot be read."""
    if case.problem is not None:
        return ""
    try:
        named = (patient_of(path) for path in (case.images[0], case.label) if path is not None)
        return next((name for name in named if not _NOBODY.fullmatch(name)), "")
    except UnusableFile:  # its inspection says why
        return ""


def _one_for_all(dataset: Dataset) -> Problem:
    return Problem(
        "warning",
        str(dataset.root),
        "has one PatientID in the DICOM headers of all cases",
        expected="a PatientID for each patient, or none",
        found=f"the same in all {len(dataset.cases)} cases",
        advice="It is taken for a number that stands for nobody, so that each case counts as a patient. If some cases "
        "are of one patient, say so in a CSV file with the columns case, part and group: --split-file FILE.csv",
        kind="one-patient",
    )
