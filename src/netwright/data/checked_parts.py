"""Checks a file of parts against the dataset that it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from netwright.data.base import AnyDataset
from netwright.data.given_parts import GivenParts
from netwright.data.issues import enumerate_words
from netwright.data.split_file import SplitFile
from netwright.data.splits import Part
from netwright.errors import DatasetError

_LISTED = 5
_ENDING = re.compile(r"(\.[a-z][a-z0-9]{0,4}){1,2}$")


def given_parts(file: SplitFile, dataset: AnyDataset) -> tuple[GivenParts, tuple[str, ...]]:
    """The parts that a file gives the cases of a dataset, and what a user should know about them.

    A case that the file leaves open lies in the part of its group, if the file names that. A fold may leave out cases:
    they lie in no part, except official test cases where the fold has no test cases of its own.

    Raises:
        DatasetError: a case is unknown or, unless the file is of folds, not named; a group lies in two parts; or there
            are no training or no validation cases, and nothing is left open to be drawn.
    """
    _require_known(file, dataset)
    parts = dict(file.parts)
    named = {*parts, *file.left_out}
    unnamed = [name for name in dataset.names if name not in named]
    if file.fold is not None and "test" not in parts.values():
        official = dict(zip(dataset.names, dataset.parts, strict=True))
        parts |= {name: "test" for name in unnamed if official[name] == "test"}
    groups = _groups(file, dataset)
    _require_undivided(file, {name: part for name, part in parts.items() if part is not None}, groups)
    of_groups = {
        groups[name]: part for name, part in file.parts.items() if part is not None and name in groups
    }
    parts = {name: part or of_groups.get(groups.get(name, "")) for name, part in parts.items()}
    left_out = [name for name in unnamed if name not in parts]
    if left_out and file.fold is None:
        raise DatasetError(
            f"{file.path} does not name {_cases(left_out)} of {dataset.root}: expected all of its "
            f"{len(dataset.names)} cases. Add {_them(left_out)}; in CSV, an empty part leaves it open."
        )
    for part, words in (("train", "training"), ("val", "validation")):
        if part not in parts.values() and None not in parts.values():
            raise DatasetError(
                f"{file.path} has no {words} cases: expected at least one in {part}, found none. Add some"
                + (
                    "."
                    if file.fold is not None
                    else ", or in CSV leave the part of some cases empty, to be drawn."
                )
            )
    groups = {name: group for name, group in groups.items() if name in parts}
    given = GivenParts(parts, groups, file.origin, (*file.left_out, *left_out))
    return given, tuple(_notes(file, given, left_out))


def _require_known(file: SplitFile, dataset: AnyDataset) -> None:
    known = set(dataset.names)
    unknown = [name for name in (*file.parts, *file.left_out) if name not in known]
    if not unknown:
        return
    meant = _meant(unknown[0], dataset.names)
    proposed = f" Did you mean {meant}?" if meant is not None else ""
    raise DatasetError(
        f"{file.path} names {_cases(unknown)}, which {dataset.root} does not have: expected names such as "
        f"{enumerate_words(dataset.names[:2])}. Correct or remove {_them(unknown)}.{proposed}"
    )


def _meant(unknown: str, names: Sequence[str]) -> str | None:
    """The case that was probably meant: the only one of that name without folders and endings, else a similar one."""
    same = [name for name in names if _bare(name) == _bare(unknown)]
    return same[0] if len(same) == 1 else next(iter(get_close_matches(unknown, names, n=1, cutoff=0.8)), None)


def _bare(name: str) -> str:
    """``scans/A0.nii.gz`` -> a0."""
    return _ENDING.sub("", name.lower().rpartition("/")[2])


def _groups(file: SplitFile, dataset: AnyDataset) -> dict[str, str]:
    """The group of each case that has one: of the file, for all cases of the same patient in the dataset.

    Raises:
        DatasetError: the file has several groups for one patient of the dataset.
    """
    members: dict[str, list[str]] = {}
    for name, group in dataset.groups.items():
        members.setdefault(group, []).append(name)
    groups: dict[str, str] = {}
    for patient, names in members.items():
        own = list(dict.fromkeys(file.groups[name] for name in names if name in file.groups))
        if len(own) > 1:
            raise DatasetError(
                f"{file.path} has the groups {enumerate_words(own)} for the cases of {patient}: expected one, as "
                f"{_cases(names)} are of one patient in {dataset.root}. Correct the column group."
            )
        groups |= dict.fromkeys(names, own[0] if own else patient)
    return groups | {name: group for name, group in file.groups.items() if name not in groups}


def _require_undivided(file: SplitFile, parts: Mapping[str, Part], groups: Mapping[str, str]) -> None:
    """Refuses a group in two parts."""
    members: dict[str, dict[Part, list[str]]] = {}
    for name, part in parts.items():
        members.setdefault(groups.get(name, name), {}).setdefault(part, []).append(name)
    divided = {group: of for group, of in members.items() if len(of) > 1}
    if not divided:
        return
    group, of = next(iter(divided.items()))
    found = enumerate_words([f"{part} ({', '.join(names[:_LISTED])})" for part, names in of.items()])
    more = f" {len(divided) - 1} more are divided." if len(divided) > 1 else ""
    raise DatasetError(
        f"{file.path} divides the patient (group) {group}: expected all of a patient's cases in one part, found them "
        f"in {found}.{more} A network that has seen a patient looks too good on the patient's other cases: put them "
        "into one part."
    )


def _notes(file: SplitFile, given: GivenParts, left_out: Sequence[str]) -> Iterable[str]:
    if left_out:
        yield f"{file.path.name} does not name {_cases(left_out)} in fold {file.fold}: left out, as nnU-Net does."
    if given.draws_test:
        yield (
            f"{file.path.name} names no test cases: they are drawn from its training cases, in the proportions of the "
            "setting split."
        )


def _cases(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _LISTED
    shown = [*names[:_LISTED], f"{more} more"] if more > 0 else list(names)
    return f"the case{'s' * (len(names) > 1)} {enumerate_words(shown)}"


def _them(names: Sequence[str]) -> str:
    return "them" if len(names) > 1 else "it"
