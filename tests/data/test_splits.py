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
    counts = (len(splits.training), len(splits.validation), len(splits.test))
    assert sum(counts) == cases
    assert all(abs(a - b) <= 1 for a, b in zip(counts, sizes, strict=True))


def test_the_seed_decides() -> None:
    cases = [f"case_{number}" for number in range(40)]
    assert split(cases, 0) == split(cases, 0)
    assert len({split(cases, seed).test for seed in range(20)}) == 20
    first = [name in split(cases, seed).test for seed in range(400) for name in cases[:1]]
    assert 0.2 < sum(first) / len(first) < 0.4


def test_the_split_of_earlier_runs() -> None:
    """Written down from version 0.1.0: a run that is resumed, or repeated, must find its own cases."""
    splits = split([f"case_{number:02d}" for number in range(10)], 7)
    assert splits.test == ("case_00", "case_04", "case_06")
    assert splits.validation == ("case_01", "case_08")
    assert splits.to_dict().keys() == {"training", "validation", "test"}


sizes = st.lists(st.integers(1, 6), min_size=3, max_size=40)


@given(sizes, st.integers(0, 2**31), fractions, st.randoms(use_true_random=False))
def test_no_group_is_divided(
    members: list[int], seed: int, shares: tuple[float, float, float], random: object
) -> None:
    groups = {f"p{p}_frame{f}": f"p{p}" for p, count in enumerate(members) for f in range(count)}
    splits = split(list(groups), seed, shares, groups)
    parts = (splits.training, splits.validation, splits.test)
    assert sorted(name for part in parts for name in part) == sorted(groups)
    patients = [{groups[name] for name in part} for part in parts]
    assert sum(map(len, patients)) == len(members)
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split(shuffled, seed, shares, groups) == splits
    assert Splits.from_dict(json.loads(json.dumps(splits.to_dict()))) == splits
    assert splits.groups == {n: p for n, p in groups.items() if list(groups.values()).count(p) > 1}
    # as of patients that are cases themselves, whose sizes are the nearest whole numbers
    alone = split([f"p{p}" for p in range(len(members))], seed, shares)
    assert [sorted(part) for part in patients] == [
        sorted(part) for part in (alone.training, alone.validation, alone.test)
    ]


@given(names, st.integers(0, 2**31), fractions)
def test_groups_of_one_change_nothing(
    cases: list[str], seed: int, shares: tuple[float, float, float]
) -> None:
    assert split(cases, seed, shares, {name: name for name in cases}) == split(cases, seed, shares)


def test_what_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match=r"4 cases of 2 patients \(groups\) cannot be split.*3 patients"):
        split(["a1", "a2", "b1", "b2"], 0, groups={"a1": "a", "a2": "a", "b1": "b", "b2": "b"})
    with pytest.raises(DatasetError, match="2 cases cannot be split"):
        split(["a", "b"], 0)
    with pytest.raises(DatasetError, match="The cases b occur twice"):
        split(["a", "b", "b", "c"], 0)
    with pytest.raises(SettingsError, match="sum to 1"):
        split(["a", "b", "c"], 0, (0.5, 0.5, 0.5))
