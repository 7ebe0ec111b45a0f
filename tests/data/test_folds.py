"""Folds of a cross-validation: every case is held out once, patients are whole, classes are spread evenly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from netwright.data.folds import folds_of
from netwright.data.given_parts import GivenParts
from netwright.data.open import folds_any, open_any
from netwright.data.splits import FRACTIONS, Part
from netwright.errors import DatasetError


@dataclass(frozen=True)
class Cases:
    names: tuple[str, ...]
    groups: dict[str, str] = field(default_factory=dict)
    official: tuple[Part | None, ...] = ()

    @property
    def parts(self) -> tuple[Part | None, ...]:
        return self.official or (None,) * len(self.names)


@settings(max_examples=60)
@given(st.integers(3, 40), st.integers(2, 6), st.integers(1, 4), st.integers(0, 99))
def test_each_case_is_held_out_once_and_no_patient_is_divided(
    patients: int, count: int, most: int, seed: int
) -> None:
    groups = {f"{p}-{scan}": f"patient {p}" for p in range(patients) for scan in range(1 + p % most)}
    cases = Cases(tuple(groups), groups)
    if patients < (4 if count == 2 else count):
        with pytest.raises(DatasetError, match="expected at least"):
            folds_of(cases, count, seed, FRACTIONS)
        return
    folds = folds_of(cases, count, seed, FRACTIONS)
    assert Counter(name for fold in folds for name in fold.test) == Counter(cases.names)
    sizes = [len({groups[name] for name in fold.test}) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert sorted((*fold.training, *fold.validation, *fold.test)) == sorted(cases.names)
        assert all((fold.training, fold.validation))
        of = [{groups[name] for name in part} for part in (fold.training, fold.validation, fold.test)]
        assert sum(map(len, of)) == patients
    assert folds == folds_of(Cases(cases.names[::-1], groups), count, seed, FRACTIONS)


@settings(max_examples=40)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.integers(2, 6), st.integers(0, 99))
def test_classes_are_spread_as_evenly_as_by_scikit_learn(sizes: list[int], count: int, seed: int) -> None:
    classes = {f"{c}/{n}": c for c, size in enumerate(sizes) for n in range(size)}
    if len(classes) < max(3, count) or min(sizes) < count:
        return  # of a class with fewer, scikit-learn warns
    folds = folds_of(Cases(tuple(classes)), count, seed, FRACTIONS, strata=classes)
    found = [Counter(classes[name] for name in fold.test) for fold in folds]
    truth, names = list(classes.values()), list(classes)
    for c in range(len(sizes)):
        mine = sorted(one[c] for one in found)
        theirs = sorted(
            sum(truth[i] == c for i in test)
            for _, test in StratifiedKFold(count, shuffle=True, random_state=seed).split(names, truth)
        )
        assert mine == theirs


def test_test_cases_stay_and_the_held_out_ones_validate() -> None:
    names = tuple(f"case {n}" for n in range(12))
    official: tuple[Part | None, ...] = ("train",) * 7 + ("val",) * 2 + ("test",) * 3
    folds = folds_of(Cases(names, official=official), 3, 0, FRACTIONS)
    assert all(fold.test == tuple(sorted(names[9:])) for fold in folds)
    assert Counter(name for fold in folds for name in fold.validation) == Counter(names[:9])
    assert all(len(fold.training) == 6 for fold in folds)

    parts = dict.fromkeys(names[:10], None) | {names[10]: "test"}
    given_ = GivenParts(parts, dict.fromkeys(names[:4], "one"), left_out=names[11:])
    folds = folds_of(Cases(names, official=official), 3, 0, FRACTIONS, given_)
    assert all((fold.test, fold.left_out) == (names[10:11], names[11:]) for fold in folds)
    assert [len(set(names[:4]) & set(fold.validation)) for fold in folds].count(4) == 1


def test_official_parts_that_divide_a_patient_are_refused() -> None:
    """A search of one division takes them as they are, and says so; a file of parts, which each fold has, may not."""
    names = tuple(f"case {n}" for n in range(12))
    official: tuple[Part | None, ...] = ("train",) * 9 + ("test",) * 3
    whole = dict.fromkeys(names[9:11], "one")
    assert len(folds_of(Cases(names, whole, official), 3, 0, FRACTIONS)) == 3
    with pytest.raises(DatasetError, match=r"patient \(group\) one has official test cases and others"):
        folds_of(Cases(names, dict.fromkeys(names[8:10], "one"), official), 3, 0, FRACTIONS)


def test_data_on_disk_has_folds_and_a_class_that_cannot_be_learned_is_told(
    shapes: Path, dataset: Path, tmp_path: Path
) -> None:
    assert len(folds_any(open_any(dataset), 4, 0)) == 4
    pictures = open_any(shapes)
    folds = folds_any(pictures, 4, 0)
    test = {name for name, part in zip(pictures.names, pictures.parts, strict=True) if part == "test"}
    assert all(set(fold.test) == test for fold in folds)
    folder = tmp_path / "few"
    for name in ("a/1", "a/2", "a/3", "a/4", "b/1"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(next(shapes.rglob("*.png")).read_bytes())
    with pytest.raises(DatasetError, match="no picture of b"):
        folds_any(open_any(folder), 2, 0)
