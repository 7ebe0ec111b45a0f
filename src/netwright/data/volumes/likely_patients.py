"""Patients with several cases, as far as the names of cases tell, in layouts that know no patients."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from netwright.data.issues import Problem, enumerate_words
from netwright.data.splits import drawn_parts
from netwright.data.volumes.dataset import Case, Dataset

_COUNTED = (
    "frame|visit|ses|session|run|scan|time|timepoint|tp|phase|day|week|month|year|followup|fu|baseline|bl|pre|post"
    "|ed|es"
)
_SCAN = re.compile(rf"(?i)(?:{_COUNTED})[ ._-]?\d*|(?:19|20)\d{{6}}")
"""Ends of names that count scans of a patient: words, with numbers or without, and dates."""

_SPLIT = re.compile(
    rf"(?P<stem>.*\d.*?)(?:[ ._-]+(?P<end>(?i:(?:{_COUNTED})[ ._-])?[^ ._-]+)|(?<=\d)(?P<letter>[A-Za-z]))"
)
_LAST_WORD = re.compile(r"[ ._-]+[A-Za-z]+$")

_PLACE = re.compile(
    r"(?i)(?:.*[ ._-])?(?:site|center|centre|hospital|scanner|batch|fold|group|part|set|year)s?[ ._-]?\d+"
)
"""Beginnings of names that many patients share."""

_SHOWN = 3


def likely_patients(dataset: Dataset) -> list[Problem]:
    """A warning where the names of cases look like several of a patient, and some could lie in different parts.

    A patient's cases begin alike, with a number in it, and end in few different ways (``P00_a``, ``P00_b``), or in a
    word of time (``patient001_frame01``). There are more such patients than cases of one.

    Args:
        dataset: the cases. Those of layouts that know their patients are never warned of.
    """
    if dataset.dimensions == 2 or any(case.group != case.name for case in dataset.cases):
        return []
    drawn = len(drawn_parts(dataset.parts)) > 1
    patients = {
        stem: members
        for stem, members in _alike(dataset.cases).items()
        if len({case.part or "train" for case in members}) > 1
        or (drawn and members[0].part in (None, "train"))
    }
    if not patients:
        return []
    stem, members = next(iter(patients.items()))
    rows = "\n".join(f"{case.name},{case.part or ''},{stem}" for case in members[:_SHOWN])
    more = [f"{len(patients) - _SHOWN} more"] if len(patients) > _SHOWN else []
    named = enumerate_words([*list(patients)[:_SHOWN], *more])
    return [
        Problem(
            "warning",
            str(dataset.root),
            "has cases that may be of one patient, by their names",
            expected="the patient of each case, so that all of a patient's cases are in one part",
            found=f"no patients, but {named} with several cases each, such as "
            f"{enumerate_words([case.name for case in members[:_SHOWN]])}",
            advice="A network that has seen a patient looks too good on the patient's other cases. If these are "
            "patients, write a CSV file with a row for each case, as below (a part that is left empty is drawn), and "
            f"give it to plan and search: --split-file FILE.csv\ncase,part,group\n{rows}",
            kind="likely-patients",
        )
    ]


def _alike(cases: Sequence[Case]) -> Mapping[str, list[Case]]:
    """The cases of each likely patient who has several."""
    bare = _without_common_words({case.name: case for case in cases})
    ends: dict[str, dict[str, Case]] = {}
    for name, case in bare.items():
        match = _SPLIT.fullmatch(name)
        if match and not _PLACE.fullmatch(match["stem"]):
            ends.setdefault(match["stem"], {})[match["end"] or match["letter"]] = case
    several = {stem: own for stem, own in ends.items() if len(own) + (stem in bare) > 1}
    if not several or len(ends) == 1:  # what all cases begin with is no patient
        return {}
    counted = all(_SCAN.fullmatch(end) for own in several.values() for end in own)
    different = {end.casefold() for own in ends.values() for end in own}
    few_ends = 2 * len(different) <= sum(map(len, ends.values()))
    if not counted and not (few_ends and len(ends) >= max(map(len, several.values()))):
        return {}
    return {
        stem: [*([bare[stem]] if stem in bare else []), *(case for _, case in sorted(own.items()))]
        for stem, own in sorted(several.items())
    }


def _without_common_words(cases: dict[str, Case]) -> dict[str, Case]:
    """The cases by their names without the words at the end that all of them have, such as ``image``."""
    words = [_LAST_WORD.search(name) for name in cases]
    last = {word[0] if word else "" for word in words}
    if len(last) != 1 or last == {""}:
        return cases
    return _without_common_words({_LAST_WORD.sub("", name): case for name, case in cases.items()})
