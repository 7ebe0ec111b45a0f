"""Whether structures lie on the side that their names say: left and right, anterior and posterior, above and below.

A header that is flipped, or names that are exchanged, are seen by nothing else: image and label map fit each other.
What has no counterpart by name, such as the heart, says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.issues import Problem, enumerate_words
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.fingerprint import CaseFacts, Point
from netwright.data.volumes.labels import mapped

_OPPOSITES = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""For each of the axes of RAS: what lies where its numbers are small, and where they are large."""

_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Opposites:
    """The values of two labels that differ in one word, of which ``high`` lies further along an axis of RAS."""

    axis: int
    low: int
    high: int


def opposites_of(labels: Mapping[int, str]) -> tuple[Opposites, ...]:
    """The labels whose names are alike but for one of `_OPPOSITES`, in whatever capitals.

    >>> opposites_of({0: "background", 1: "Left kidney", 2: "kidney", 3: "right Kidney"})
    (Opposites(axis=0, low=1, high=3),)
    """
    found = []
    for axis, words in enumerate(_OPPOSITES):
        sides: list[dict[str, int]] = [{}, {}]
        for value, name in labels.items():
            bare, side = _without_side(name, words)
            if side is not None:
                sides[side][bare] = value
        found += [Opposites(axis, sides[0][bare], sides[1][bare]) for bare in sides[0] if bare in sides[1]]
    return tuple(found)


def _without_side(name: str, words: Sequence[str]) -> tuple[str, int | None]:
    """A name with # for the word of a side, and which of both it is; None: it has neither, or several."""
    said = [word.lower() for word in _WORD.findall(name.replace("_", " ")) if word.lower() in words]
    if len(said) != 1:
        return name, None
    bare = re.sub(rf"(?<![a-z]){said[0]}(?![a-z])", "#", name.lower())
    return bare, words.index(said[0])


@dataclass
class CentreSum:
    """Where labels of some values lie in a file, piece by piece.

    Args:
        values: of the labels.
        map_label: value in the file -> value to take instead.
    """

    values: Collection[int]
    map_label: Mapping[int, int]
    _sums: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stored = {*self.map_label, *self.values}
        self._stored = np.array(
            sorted(one for one in stored if mapped(one, self.map_label) in self.values), int
        )

    def add(self, values: NDArray[Any], box: Sequence[slice]) -> None:
        """Add a piece (X, Y, Z), which lies in a ``box`` of the file's axes."""
        if values.dtype.kind == "f":
            values = np.nan_to_num(np.rint(values)).astype(np.int64)
        places = np.nonzero(np.isin(values, self._stored))
        codes = np.searchsorted(self._stored, values[places])
        count = np.bincount(codes, minlength=len(self._stored))
        first = [part.start or 0 for part in box]
        sums = [np.bincount(codes, of + start, len(count)) for of, start in zip(places, first, strict=True)]
        for value, *total in zip(self._stored.tolist(), count, *sums, strict=True):
            meant = mapped(value, self.map_label)
            self._sums[meant] = self._sums.get(meant, np.zeros(4)) + np.array(total)

    def centres(self, grid: Grid) -> dict[int, Point]:
        """The mean position of each label that occurs, in millimetres of RAS. ``grid``: that of the file."""
        centres: dict[int, Point] = {}
        for value, (count, *total) in self._sums.items():
            if count:
                x, y, z, _ = (grid.matrix @ [*(one / count for one in total), 1.0]).tolist()
                centres[value] = (x, y, z)
        return centres


def side_problems(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    """Warnings of the cases in which most labels lie on the other side than their names say, by the header.

    Where most cases are so, there is one warning of the dataset. Labels that are less than a voxel apart do not count.
    """
    problems: list[Problem] = []
    for axis, words in enumerate(_OPPOSITES):
        pairs = [pair for pair in opposites_of(dataset.labels) if pair.axis == axis]
        judged = [(case, gaps) for case in facts if (gaps := _gaps(case, pairs))]
        wrong = [
            (case, gaps) for case, gaps in judged if sum(gap < 0 for gap in gaps.values()) > len(gaps) / 2
        ]
        if 2 * len(wrong) > len(judged):
            problems.append(_all_exchanged(dataset, words, len(wrong), len(judged)))
        else:
            problems += [_exchanged(dataset, words, *one, len(judged) - len(wrong)) for one in wrong]
    return problems


def _gaps(case: CaseFacts, pairs: Sequence[Opposites]) -> dict[Opposites, float]:
    """How far apart the two labels of each pair are along its axis, in mm; below 0 on the wrong sides."""
    gaps = {}
    for pair in pairs:
        if case.grid is not None and pair.low in case.centres and pair.high in case.centres:
            gap = case.centres[pair.high][pair.axis] - case.centres[pair.low][pair.axis]
            if abs(gap) > case.grid.spacing[pair.axis]:
                gaps[pair] = gap
    return gaps


_ADVICE = (
    "A header is flipped, or labels are exchanged. Look at a scan in a viewer that shows directions, and correct the "
    "header, or the names of the labels."
)


def _exchanged(
    dataset: Dataset, words: tuple[str, str], case: CaseFacts, gaps: Mapping[Opposites, float], others: int
) -> Problem:
    pair, gap = min(gaps.items(), key=lambda item: item[1])
    low, high = (dataset.labels[value] for value in (pair.low, pair.high))
    return Problem(
        "warning",
        str(case.case.label),
        f"has {words[0]} and {words[1]} exchanged, by its header",
        expected=f"{high} further {words[1]} than {low}"
        + f", as {others} other cases have it" * (others > 0),
        found=f"{high} {-gap:.0f} mm further {words[0]}",
        advice=_ADVICE,
        kind="sides",
    ).relative_to(dataset.root)


def _all_exchanged(dataset: Dataset, words: tuple[str, str], wrong: int, judged: int) -> Problem:
    return Problem(
        "warning",
        str(dataset.root),
        f"has {words[0]} and {words[1]} exchanged, by its headers",
        expected=f"labels on the side that their names say ({enumerate_words(words)})",
        found=f"{wrong} of {judged} cases in which most lie on the other side",
        advice=_ADVICE,
        kind="sides",
    )
