"""Splits: their proportions, and that nothing but seed and names decides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import Splits, split
from netwright.errors import DatasetError, SettingsError

names = st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=60, unique=True)
fractions = st.tuples(*[st.floats(0.01, 1)] * 3).map(lambda parts: tuple(part / sum(parts) for part in parts))


@given(names, st.integers(0, 2**31), fractions, st.randoms(use_true_random=False))
def test_every_case_is_in_one_part_whatever_the_order(
    cases: list[str], seed: int, shares: tuple[float, float, float], random: object
) -> None:
    splits = split(cases, seed, shares)
    parts = (splits.training, splits.validation, splits.test)
    assert sorted(name for part in parts for name in part) == sorted(cases)
    assert all(parts)
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split(shuffled, seed, shares) == splits
    assert Splits.from_dict(json.loads(json.dumps(splits.to_dict()))) == splits
    for part, share in zip(parts, shares, strict=True):
        assert len(part) == 1 or abs(len(part) - share * len(cases)) <= 2


@pytest.mark.parametrize(
    ("cases", "sizes"),
    [
        (200, (100, 40, 60)),
        (43, (21, 9, 13)),
        (30, (15, 6, 9)),
        (10, (5, 2, 3)),
        (4, (2, 1, 1)),
        (3, (1, 1, 1)),
    ],
)
def test_fifty_twenty_thirty(cases: int, sizes: tuple[int, int, int]) -> None:
    splits = split([f"case_{number}" for number in range(cases)], seed=0)
    found = (len(splits.training), len(splits.validation), len(splits.test))
    assert sum(found) == cases
    assert all(abs(a - b) <= 1 for a, b in zip(found, sizes, strict=True))


def test_the_seed_decides() -> None:
    cases = [f"case_{number}" for number in range(40)]
    assert split(cases, 0) == split(cases, 0)
    assert len({split(cases, seed).test for seed in range(20)}) == 20
    first = [name in split(cases, seed).test for seed in range(400) for name in cases[:1]]
    assert 0.2 < sum(first) / len(first) < 0.4


def test_what_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="2 cases cannot be split"):
        split(["a", "b"], 0)
    with pytest.raises(DatasetError, match="The cases b occur twice"):
        split(["a", "b", "b", "c"], 0)
    with pytest.raises(SettingsError, match="sum to 1"):
        split(["a", "b", "c"], 0, (0.5, 0.5, 0.5))
