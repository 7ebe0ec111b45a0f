"""Reads every file of a dataset once: the fingerprint, and everything that is wrong."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from netwright.data.base import OnCase
from netwright.data.images.fingerprint import ImageFingerprint
from netwright.data.issues import Problem, enumerate_words
from netwright.data.parallel import counted, in_order
from netwright.data.splits import Part, drawn_parts, part_words
from netwright.data.volumes.dataset import ACDC, Dataset
from netwright.data.volumes.fingerprint import CaseFacts, Fingerprint, summarise
from netwright.data.volumes.hounsfield import unnamed_ct
from netwright.data.volumes.likely_patients import likely_patients
from netwright.data.volumes.preprocessing import FOR_ANY_DATA, PreprocessingSettings
from netwright.data.volumes.sides import side_problems
from netwright.data.volumes.sizes import PreparedSizes, sizes_of
from netwright.data.volumes.survey import case_facts
from netwright.errors import DatasetError

FEW_CASES = 10
"""With fewer cases, fewer than three are left for the test."""

_SHOWN_KINDS = 3


@dataclass(frozen=True)
class Inspection:
    """What was found in all files of a dataset. Errors come before warnings.

    ``sizes``: those of volumes prepared as `auto` does; None for pictures, or where no case can be read.
    """

    root: Path
    fingerprint: Fingerprint | ImageFingerprint
    problems: tuple[Problem, ...]
    sizes: PreparedSizes | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make a search refuse the dataset."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not stop a search."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def grouped(self) -> tuple[tuple[Problem, int], ...]:
        """The first problem of each kind, and how many more files have the same problem."""
        first: dict[tuple[str, str], Problem] = {}
        count: dict[tuple[str, str], int] = {}
        for problem in self.problems:
            key = problem.severity, problem.kind
            first.setdefault(key, problem)
            count[key] = count.get(key, 0) + 1
        return tuple((problem, count[key] - 1) for key, problem in first.items())

    def require_usable(self, options: str = "") -> None:
        """Raises if there are errors.

        ``options`` are the command-line options with which the dataset is read. The message repeats them.

        Raises:
            DatasetError: there are errors. The first of each kind is given in full; the others are counted.
        """
        groups = [(problem, more) for problem, more in self.grouped() if problem.severity == "error"]
        if not groups:
            return
        texts = []
        for problem, more in groups[:_SHOWN_KINDS]:
            texts.append(str(problem))
            if more:
                files = f"{more} more files have" if more > 1 else "1 more file has"
                texts.append(f"{files} the same problem.")
        rest = sum(more + 1 for _, more in groups[_SHOWN_KINDS:])
        if rest:
            texts.append(f"{rest} further errors.")
        if rest or any(more for _, more in groups):
            texts.append(f"All of them: netwright inspect {shlex.quote(str(self.root))}{options} --all")
        raise DatasetError("\n".join(texts))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "fingerprint": self.fingerprint.to_dict(),
            "problems": [problem.to_dict() for problem in self.problems],
            "usable": not self.errors,
            "prepared": None if self.sizes is None else asdict(self.sizes),
        }


def inspect_dataset(dataset: Dataset, *, workers: int = 1, on_case: OnCase | None = None) -> Inspection:
    """Reads every file, measures the dataset and collects every problem. Never raises for a file's content.

    Args:
        dataset: to be read.
        workers: the number of threads.
        on_case: called with the number of cases done and of all cases.
    """
    results = in_order(partial(case_facts, dataset=dataset), dataset.cases, workers)
    facts = list(counted(results, len(dataset.cases), on_case))
    fingerprint = summarise(dataset, facts)
    problems = [*dataset.problems, *(problem for case in facts for problem in case.problems)]
    problems += _too_few(dataset) + _duplicates(dataset, facts) + _divided_patients(dataset)
    problems += _absent_labels(dataset, fingerprint, facts) + side_problems(dataset, facts)
    problems += unnamed_ct(dataset, facts) + likely_patients(dataset) + _slices_among_volumes(dataset, facts)
    return Inspection(
        dataset.root,
        fingerprint,
        tuple(sorted(problems, key=lambda problem: problem.severity != "error")),
        _sizes(dataset, facts),
    )


def _sizes(dataset: Dataset, facts: Sequence[CaseFacts]) -> PreparedSizes | None:
    grids = [case.grid for case in facts if case.grid is not None]
    if dataset.dimensions == 2 or not grids:
        return None
    return sizes_of(grids, PreprocessingSettings(**FOR_ANY_DATA), len(dataset.channels))


def _slices_among_volumes(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    """A warning where some cases are single slices and others are not, as CAMUS has frames beside sequences."""
    known = [(case.case.name, min(case.grid.canonical_shape)) for case in facts if case.grid is not None]
    single = [name for name, slices in known if slices == 1]
    if dataset.dimensions == 2 or len(single) in (0, len(known)):
        return []
    others = [name for name, slices in known if slices > 1]
    return [
        Problem(
            "warning",
            str(dataset.root),
            "has single slices among volumes",
            expected="cases of one sort",
            found=f"{len(single)} of one slice, such as {single[0]}, and {len(others)} of several, such as {others[0]}",
            advice="The slices of volumes are neighbours in space: if they are time points, such cases do not belong "
            "to the others. Move those of one sort to another folder.",
            kind="slices-among-volumes",
        )
    ]


def _too_few(dataset: Dataset) -> list[Problem]:
    learned = [case for case in dataset.cases if case.part not in ("val", "test")]
    cases, parts = len({case.group for case in learned}), drawn_parts(dataset.parts)
    patients = "patients" if cases < len(learned) else "cases"
    if cases >= FEW_CASES:
        return []
    outside = " outside its official parts" if len(learned) < len(dataset.cases) else ""
    usable = cases >= len(parts)
    expected = f"at least {FEW_CASES if usable else len(parts)}, for {part_words(parts)}"
    unlabelled = f"{len(dataset.unlabelled)} cases have no label map: `netwright predict` is for these. "
    advice = {
        0: f"{unlabelled if dataset.unlabelled else ''}Check that the files were copied to the right folder.",
        1: f"One {patients[:-1]} is not enough for training and testing: label more.",
    }.get(cases, f"A result on one or two test {patients} says little: label more.")
    return [
        Problem(
            "warning" if usable else "error",
            str(dataset.root),
            f"has too few labelled {patients}{outside}" if cases else f"has no labelled cases{outside}",
            expected=expected,
            found=str(cases),
            advice=advice,
            kind="few-cases",
        )
    ]


def _duplicates(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    first: dict[str, CaseFacts] = {}
    problems = []
    for case in facts:
        if not case.content:
            continue
        other = first.setdefault(case.content, case)
        if other is not case:
            parts = other.case.part or "train", case.case.part or "train"
            leaks = parts[0] != parts[1]
            problem = Problem(
                "warning",
                str(case.case.images[0]),
                f"is in two official parts, {parts[0]} and {parts[1]}" if leaks else "is a duplicate",
                expected="an image of its own for each case",
                found=f"the same voxels as in {other.case.images[0].name}",
                advice="It counts twice: remove one."
                if parts == ("test", "test")
                else "With one of them in training and the other in test, the result looks better than it "
                "is: remove one.",
                kind="duplicate-parts" if leaks else "duplicate",
            )
            problems.append(problem.relative_to(dataset.root))
    return problems


def _divided_patients(dataset: Dataset) -> list[Problem]:
    """Patients with cases in several official parts, which are kept as they are."""
    members: dict[str, dict[Part, list[str]]] = {}
    for case in dataset.cases:
        # Cases without a part are drawn like those of the training part.
        members.setdefault(case.group, {}).setdefault(case.part or "train", []).append(case.name)
    return [
        Problem(
            "warning",
            str(dataset.root),
            f"has the patient {patient} in several official parts",
            expected="all of a patient's cases in one part",
            found=enumerate_words([f"{part} ({', '.join(names)})" for part, names in parts.items()]),
            advice="A network that has seen a patient looks too good on the patient's other cases: remove them from "
            "one of the parts, or give parts of your own (--split-file).",
            kind="patient-parts",
        )
        for patient, parts in members.items()
        if len(parts) > 1
    ]


def _absent_labels(dataset: Dataset, fingerprint: Fingerprint, facts: Sequence[CaseFacts]) -> list[Problem]:
    if not any(label.voxels for label in fingerprint.labels):
        return []  # nothing could be read
    if not any(label.voxels for label in fingerprint.labels if label.value != 0):
        return [_nothing_labelled(dataset)] if all(case.voxels for case in facts) else []
    return [
        Problem(
            "warning",
            str(dataset.root if dataset.named_by_layout else dataset.root / dataset.naming),
            f"names the label {label.value} ({label.name}), which no case has",
            expected="voxels of every label in some case",
            found="none",
            advice=f"It cannot be learned, and its Dice is undefined: {_without(dataset)}, or look "
            "whether its value is right.",
            kind="absent-label",
        ).relative_to(dataset.root)
        for label in fingerprint.labels
        if label.voxels == 0 and label.value != 0
    ]


def _without(dataset: Dataset) -> str:
    """What to do about a label that no case has."""
    if dataset.named_by_layout and dataset.naming != ACDC:
        return "name the labels that there are in a dataset.json with `labels`"
    return "remove it from `labels`"


def _nothing_labelled(dataset: Dataset) -> Problem:
    return Problem(
        "error",
        str(dataset.root),
        "has no labelled voxel",
        expected=f"voxels of {enumerate_words([v for v in dataset.labels if v != 0], 'or')} in some label map",
        found=f"background (0) throughout, in all {len(dataset.cases)} cases",
        advice="A network cannot learn from it. Check that the label maps were exported correctly, and what "
        "their values mean: --map-label reads one value as another.",
        kind="no-labels",
    )
