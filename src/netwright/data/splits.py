"""Divides cases into training, validation and test. The division depends on the seed, not on the order of the cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from netwright.data.issues import enumerate_words
from netwright.errors import DatasetError, SettingsError

Part = Literal["train", "val", "test"]
"""A part that the makers of a dataset have fixed."""

PARTS: tuple[Part, ...] = ("train", "val", "test")
"""All parts, in the order of fractions."""

FRACTIONS = (0.5, 0.2, 0.3)
"""Training, validation and test (Wong and Moradi 2019, section 3.1)."""

_WORDS: dict[Part, str] = {"train": "training", "val": "validation", "test": "test"}

MINIMUM_CASES = 3
"""One case for each part."""


@dataclass(frozen=True)
class Splits:
    """The names of the cases of each part, sorted. Only the winner is tested on the test part.

    ``groups`` gives the group (such as the patient) of every case that shares its group with others. The cases of a
    group lie in the same part, unless official parts divide them. ``origin`` says which parts were not drawn; it is
    empty where all were. ``left_out`` are the cases that lie in no part, because the user's file of parts leaves them
    out.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: the three parts, and what else is not empty."""
        parts = {"training": self.training, "validation": self.validation, "test": self.test}
        others = {"groups": dict(self.groups), "origin": self.origin, "left_out": list(self.left_out)}
        return {part: list(names) for part, names in parts.items()} | {k: v for k, v in others.items() if v}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Splits:
        """The inverse of `to_dict`."""
        return cls(
            tuple(values["training"]),
            tuple(values["validation"]),
            tuple(values["test"]),
            dict(values.get("groups", {})),
            values.get("origin", ""),
            tuple(values.get("left_out", ())),
        )


def split(
    names: Sequence[str],
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    groups: Mapping[str, str] | None = None,
    parts: Sequence[Part | None] | None = None,
) -> Splits:
    """Divides cases at random into three parts, as close to ``fractions`` as whole cases allow. No part is empty.

    Official validation and test cases stay what they are. A missing part is drawn from all other cases, in proportion
    to the fractions of the parts that are drawn from them.

    A group is never divided, and the fractions count groups: patients, not their scans. The order is that of a hash of
    seed and name. So the result depends neither on the order of ``names`` nor on the version of a random number
    generator.

    Args:
        names: the cases.
        seed: another seed gives another division.
        fractions: the shares of training, validation and test.
        groups: the group of a case. A case without an entry is a group by itself.
        parts: the official part of each case, in the order of ``names``; None: there are no such parts.

    Raises:
        DatasetError: there are fewer cases or groups than parts to be drawn, or a name occurs twice.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    require_fractions(fractions)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"The cases {enumerate_words(twice)} occur twice: every case needs its own name.")
    groups, parts = groups or {}, parts or (None,) * len(names)
    filled: dict[Part, list[str]] = {part: [] for part in PARTS}
    learned: list[str] = []
    for name, part in zip(names, parts, strict=True):
        (filled[part] if part in ("val", "test") else learned).append(name)
    wanted = drawn_parts(parts)
    for part, drawn in draw_groups(learned, groups, seed, wanted, fractions).items():
        filled[part] += drawn
    training, validation, test = (tuple(sorted(filled[part])) for part in PARTS)
    return Splits(training, validation, test, shared_groups(names, groups), official_words(parts))


def draw_groups(
    names: Sequence[str],
    groups: Mapping[str, str],
    seed: int,
    wanted: Sequence[Part],
    fractions: Sequence[float],
    strata: Mapping[str, int] | None = None,
) -> dict[Part, list[str]]:
    """Divides cases at random into some parts, whole groups at a time, and each class alike.

    Args:
        names: the cases.
        groups: the group of a case. A case without an entry is a group by itself.
        seed: another seed gives another division.
        wanted: the parts, training first.
        fractions: the shares of training, validation and test; those of ``wanted`` count.
        strata: the class of each case, to be alike in all parts; a group counts as the class that most of its cases
            have. None: there are no classes.

    Raises:
        DatasetError: there are fewer groups than parts.
    """
    members = members_of(names, groups)
    if len(members) < len(wanted):
        of = f" of {len(members)} patients (groups)" if len(members) < len(names) else ""
        raise DatasetError(
            f"{len(names)} cases{of} cannot be split into {part_words(wanted)}: expected at least "
            f"{len(wanted)}{' patients' if of else ''}. Label more cases."
        )
    alike = groups_by_class(members, strata)
    drawn: dict[Part, list[str]] = {part: [] for part in wanted}
    for stratum in sorted(alike):
        parts = dealt(alike[stratum], seed, shares_of(wanted, fractions))
        for part, of_part in zip(wanted, parts, strict=True):
            drawn[part] += [name for group in of_part for name in members[group]]
    return drawn


def members_of(names: Iterable[str], groups: Mapping[str, str]) -> dict[str, list[str]]:
    """The cases of each group. A case without a group is one by itself."""
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(groups.get(name, name), []).append(name)
    return members


def groups_by_class(
    members: Mapping[str, Sequence[str]], strata: Mapping[str, int] | None
) -> dict[int, list[str]]:
    """The groups of each class, which is that of most of their cases. None: all groups are of one class."""
    alike: dict[int, list[str]] = {}
    for group, own in members.items():
        classes = Counter(0 if strata is None else strata[name] for name in own)
        alike.setdefault(min(classes, key=lambda one: (-classes[one], one)), []).append(group)
    return alike


def shared_groups(names: Iterable[str], groups: Mapping[str, str]) -> dict[str, str]:
    """The group of every case that shares it with others, in order of group and name."""
    own = sorted((groups.get(name, name), name) for name in names)
    members = Counter(group for group, _ in own)
    return {name: group for group, name in own if members[group] > 1}


def drawn_parts(parts: Collection[Part | None]) -> tuple[Part, ...]:
    """The parts that are filled by chance from the training cases: training itself, and what has no official case.

    >>> drawn_parts(["train", "test"]), drawn_parts([None, None])
    (('train', 'val'), ('train', 'val', 'test'))
    """
    return ("train", *(part for part in PARTS[1:] if part not in parts))


def shares_of(wanted: Sequence[Part], fractions: Sequence[float]) -> list[float]:
    """The shares of the parts that are drawn from the same cases. They sum to 1."""
    shares = [fractions[PARTS.index(part)] for part in wanted]
    # Three shares are as the user gave them: dividing could change the last bit, and so the parts of earlier runs.
    return shares if len(shares) == len(PARTS) else [share / sum(shares) for share in shares]


def official_words(parts: Collection[Part | None]) -> str:
    """Which parts are official, and which are drawn; empty where all are drawn.

    >>> official_words(["train", "train", "test"]), official_words([None, None])
    ('test is the official part; validation is drawn from the training part', '')
    """
    kept = [part for part in PARTS[1:] if part in parts]
    if not kept:
        return ""
    verb = "are the official parts" if len(kept) > 1 else "is the official part"
    drawn = [part for part in PARTS[1:] if part not in parts]
    rest = f"; {part_words(drawn)} is drawn from the training part" if drawn else ""
    return f"{part_words(kept)} {verb}{rest}"


def part_words(parts: Sequence[Part]) -> str:
    """The names of parts in words.

    >>> part_words(["train", "val", "test"])
    'training, validation and test'
    """
    return enumerate_words([_WORDS[part] for part in parts])


def dealt(names: Iterable[str], seed: int, shares: Sequence[float]) -> list[list[str]]:
    """Divides names by shares, as closely as whole names allow. Training is filled first.

    Each part gets at least one where there are enough.

    Args:
        names: of cases or groups.
        seed: another seed gives another division.
        shares: of the parts, training first; their sum is 1.
    """
    order = in_order_of_seed(names, seed)
    sizes = whole_sizes(len(order), shares)
    if order and sizes[0] == 0:
        sizes[sizes.index(max(sizes))] -= 1
        sizes[0] += 1
    ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
    return [order[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def require_fractions(fractions: Sequence[float]) -> None:
    """Raises `SettingsError` unless the fractions are three positive numbers that sum to 1."""
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise SettingsError(f"The fractions are {fractions}: expected three positive numbers that sum to 1.")


def in_order_of_seed(names: Iterable[str], seed: int) -> list[str]:
    """Names in the order of a hash of seed and name. Parts are filled in this order."""

    def digest(name: str) -> bytes:
        return blake2b(f"{seed}/{name}".encode("utf-8", "surrogateescape"), digest_size=16).digest()

    return sorted(names, key=digest)


def whole_sizes(cases: int, fractions: Sequence[float]) -> list[int]:
    """The number of cases in each part, by the method of largest remainders.

    Where there are enough cases, each empty part then gets one from the largest part.
    """
    shares = np.array(fractions) * cases
    sizes = np.floor(shares + 1e-9).astype(int)
    for part in np.argsort(sizes - shares, kind="stable")[: cases - sizes.sum()]:
        sizes[part] += 1
    while sizes.min() == 0 and cases >= len(sizes):
        sizes[sizes.argmax()] -= 1
        sizes[sizes.argmin()] += 1
    return [int(size) for size in sizes]
