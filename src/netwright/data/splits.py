"""Divides cases into training, validation and test. The division depends on the seed, not on the order of the cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from netwright.data.issues import enumerate_words
from netwright.errors import DatasetError, SettingsError

FRACTIONS = (0.5, 0.2, 0.3)
"""Training, validation and test (Wong and Moradi 2019, section 3.1)."""

MINIMUM_CASES = 3
"""One case for each part."""


@dataclass(frozen=True)
class Splits:
    """The names of the cases of each part, sorted. Only the winner is tested on the test part.

    ``groups`` gives the group (such as the patient) of every case that shares its group with others. The cases of a
    group lie in the same part.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; without ``groups`` where no case shares its group."""
        values = asdict(self)
        parts = {part: list(values[part]) for part in ("training", "validation", "test")}
        return {**parts, "groups": dict(self.groups)} if self.groups else parts

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Splits:
        """The inverse of `to_dict`."""
        groups = dict(values.get("groups", {}))
        return cls(tuple(values["training"]), tuple(values["validation"]), tuple(values["test"]), groups)


def split(
    names: Sequence[str],
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    groups: Mapping[str, str] | None = None,
) -> Splits:
    """Divides cases at random into three parts, as close to ``fractions`` as whole cases allow. No part is empty.

    A group is never divided, and the fractions count groups: patients, not their scans. The order is that of a hash of
    seed and name. So the result depends neither on the order of ``names`` nor on the version of a random number
    generator.

    Args:
        names: the cases.
        seed: another seed gives another division.
        fractions: the shares of training, validation and test.
        groups: the group of a case. A case without an entry is a group by itself.

    Raises:
        DatasetError: there are fewer than three cases or groups, or a name occurs twice.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    require_fractions(fractions)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"The cases {enumerate_words(twice)} occur twice: every case needs its own name.")
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault((groups or {}).get(name, name), []).append(name)
    if len(members) < MINIMUM_CASES:
        of = f" of {len(members)} patients (groups)" if len(members) < len(names) else ""
        raise DatasetError(
            f"{len(names)} cases{of} cannot be split into training, validation and test: expected at least "
            f"{MINIMUM_CASES}{' patients' if of else ''}. Label more cases."
        )
    dealt = in_order_of_seed(members, seed)
    training, validation, _ = whole_sizes(len(dealt), fractions)
    parts = dealt[:training], dealt[training : training + validation], dealt[training + validation :]
    first, second, third = (
        tuple(sorted(name for group in part for name in members[group])) for part in parts
    )
    shared = {
        name: group for group, cases in sorted(members.items()) if len(cases) > 1 for name in sorted(cases)
    }
    return Splits(first, second, third, shared)


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
