"""Splits: their proportions, and that nothing but seed and names decides."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netwright.data import Splits, split
from netwright.data.splits import Part
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


members_with_parts = st.lists(
    st.lists(st.sampled_from([None, "train", "val", "test"]), min_size=1, max_size=4), min_size=3, max_size=30
)


@given(members_with_parts, st.integers(0, 2**31), fractions, st.randoms(use_true_random=False))
def test_official_parts_are_kept_and_the_rest_is_drawn_by_groups(
    members: list[list[Part | None]], seed: int, shares: tuple[float, float, float], random: object
) -> None:
    parts = {f"p{p}_{f}": part for p, of in enumerate(members) for f, part in enumerate(of)}
    groups = {name: name.partition("_")[0] for name in parts}
    learned = [name for name, part in parts.items() if part in (None, "train")]
    drawn = {"train", "val", "test"} - ({*parts.values()} & {"val", "test"})
    assume(len({groups[name] for name in learned}) >= len(drawn))
    splits = split(list(parts), seed, shares, groups, list(parts.values()))
    of_case = {
        name: part
        for part, names in zip(
            ("train", "val", "test"), (splits.training, splits.validation, splits.test), strict=True
        )
        for name in names
    }
    assert sorted((*splits.training, *splits.validation, *splits.test)) == sorted(parts)
    assert all((splits.training, splits.validation, splits.test))
    for name, part in parts.items():
        assert of_case[name] == part if part in ("val", "test") else of_case[name] in drawn
    for group in {groups[name] for name in learned}:  # no drawn border divides a patient
        assert len({of_case[name] for name in learned if groups[name] == group}) == 1
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split(shuffled, seed, shares, groups, [parts[name] for name in shuffled]) == splits
    assert Splits.from_dict(json.loads(json.dumps(splits.to_dict()))) == splits
    assert bool(splits.origin) == ({"val", "test"} & {*parts.values()} != set())


def test_shares_of_the_parts_that_are_drawn() -> None:
    cases = [f"case_{number:02d}" for number in range(80)]
    parts: list[Part | None] = ["test"] * 10 + ["train"] * 70
    splits = split(cases, 0, (0.5, 0.2, 0.3), parts=parts)
    assert (len(splits.training), len(splits.validation), splits.test) == (50, 20, tuple(cases[:10]))
    assert splits.origin == "test is the official part; validation is drawn from the training part"
    with pytest.raises(DatasetError, match="1 cases cannot be split into training and validation"):
        split(cases[:11], 0, parts=parts[:11])


def test_what_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match=r"4 cases of 2 patients \(groups\) cannot be split.*3 patients"):
        split(["a1", "a2", "b1", "b2"], 0, groups={"a1": "a", "a2": "a", "b1": "b", "b2": "b"})
    with pytest.raises(DatasetError, match="2 cases cannot be split"):
        split(["a", "b"], 0)
    with pytest.raises(DatasetError, match="The cases b occur twice"):
        split(["a", "b", "b", "c"], 0)
    with pytest.raises(SettingsError, match="sum to 1"):
        split(["a", "b", "c"], 0, (0.5, 0.5, 0.5))
