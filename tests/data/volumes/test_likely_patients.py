"""Patients with several cases, told by names alone: warned of where they are likely, and not where names just count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netwright.data import inspect_dataset, open_any, split_any
from netwright.data.checked_parts import given_parts
from netwright.data.split_file import read_split_file
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.likely_patients import likely_patients

Save = Callable[..., Path]


def named(names: Sequence[str], parts: Sequence[str | None] | None = None) -> Dataset:
    cases = tuple(
        Case(name, (Path(f"{name}.nii.gz"),), None, part=part)  # type: ignore[arg-type]
        for name, part in zip(names, parts or [None] * len(names), strict=True)
    )
    return Dataset("toy", Path("toy"), "volume-pairs", ("image",), {0: "background", 1: "one"}, cases)


def numbered(form: str, count: int = 12, ends: Sequence[str] = ("",)) -> list[str]:
    return [form.format(number, end) for number in range(1, count + 1) for end in ends]


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (numbered("P{:02d}_{}", ends="ab"), "P01"),
        (numbered("P{:02d}{}", ends="LR"), "P01"),
        (numbered("P{:02d}_{}_image", ends="12"), "P01"),
        (numbered("sub-{:02d}_ses-{}", ends=("01", "02")), "sub-01"),
        (numbered("sub-{:02d}_{}", 2, ends=[f"frame{n}" for n in range(9)]), "sub-01"),
        ([f"patient{n:03d}_frame{frame:02d}" for n in range(1, 9) for frame in (1, 8 + n)], "patient001"),
        (["P1", "P1_2", "P2", "P3", "P3_2", "P4"], "P1"),
        (["A0S9V9_ED", "A0S9V9_ES", "B1C2D3_ED", "B1C2D3_ES"], "A0S9V9"),
        ([f"ID{n}-20190{month}04" for n in range(6) for month in range(1, 4)], "ID0"),
        (
            ["BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000", "BraTS-GLI-00006-001"],
            "BraTS-GLI-00005",
        ),
    ],
)
def test_cases_of_a_patient_are_told(names: Sequence[str], first: str) -> None:
    (problem,) = likely_patients(named(names))
    assert (problem.severity, problem.kind) == ("warning", "likely-patients")
    assert f"no patients, but {first}" in problem.found
    assert problem.advice.split("\n")[1:3] == ["case,part,group", f"{names[0]},,{first}"]


@pytest.mark.parametrize(
    "names",
    [
        numbered("case_{:03d}"),
        numbered("hippocampus_{:03d}"),
        numbered("BraTS20_Training_{:03d}"),
        numbered("BraTS2021_{:05d}"),
        numbered("BraTS-GLI-{:05d}-000"),
        [
            f"BraTS19_{site}_1"
            for site in ("TCIA01_131", "TCIA01_147", "TCIA02_151", "TCIA02_168", "CBICA_AAB")
        ],
        ["BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAL_1", "BraTS19_2013_2_1", "BraTS19_2013_3_1"],
        numbered("FLARE22_Tr_{:04d}"),
        numbered("ATM_{:03d}_0000"),
        numbered("DET{:07d}_avg"),
        numbered("ct_train_{}_image"),
        numbered("site{}_{}", 3, [f"{n:03d}" for n in range(1, 20)]),
        numbered("site{}_{}", 12, ("01", "02", "03")),
        [f"TCGA-{site:02d}-{4 * site + n:04d}" for site in range(8) for n in range(3)],
        [f"{year}_{n:06d}" for year in (2007, 2008, 2009) for n in range(20 * year, 20 * year + 12)],
        ["a", "b", "c"],
        numbered("volume-{}"),
        numbered("{}"),
        [f"{n * 2654435761 % 2**32:08x}" for n in range(300)],
        ["only_1"],
        [f"CT1_2019010{n}" for n in range(1, 9)],
        [f"T1_week{n}" for n in range(8)],
        [f"study1_scan{n}" for n in range(8)],
    ],
)
def test_names_that_only_count_are_not(names: Sequence[str]) -> None:
    assert likely_patients(named(names)) == []


def test_layouts_and_parts_that_know_better_are_left_alone() -> None:
    names = numbered("P{:02d}_{}", 6, "ab")
    dataset = named(names)
    of_patients = replace(dataset, cases=tuple(replace(case, group=case.name[:3]) for case in dataset.cases))
    assert likely_patients(of_patients) == []
    parts = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert likely_patients(named(names, parts)) == [], "nothing is drawn, and no one is divided"
    drawn = likely_patients(named(names, ["train"] * 4 + ["test"] * 8))
    assert drawn[0].found.startswith("no patients, but P01 and P02 with"), "validation is drawn from training"
    divided = likely_patients(named(names, ["train"] * 5 + ["test"] * 7))
    assert "P01, P02 and P03 with" in divided[0].found
    assert "P01_a,train,P01" in divided[0].advice


def test_the_file_that_is_advised_keeps_patients_together(tmp_path: Path, save_volume: Save) -> None:
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for name in numbered("P{:02d}_{}", 6, "ab"):
        save_volume(root / "images" / f"{name}.nii.gz", rng.normal(100, 20, (6, 7, 8)).astype(np.float32))
        save_volume(root / "labels" / f"{name}.nii.gz", rng.integers(0, 2, (6, 7, 8)).astype(np.uint8))
    dataset = open_any(root)
    problem = next(one for one in inspect_dataset(dataset).warnings if one.kind == "likely-patients")
    rows = [line for line in problem.advice.split("\n") if line.startswith("P01")]
    table = [row.replace("P01", f"P{number:02d}") for row in rows for number in range(1, 7)]
    (tmp_path / "parts.csv").write_text("\n".join(["case,part,group", *table]))
    given, _ = given_parts(read_split_file(tmp_path / "parts.csv"), dataset)
    splits = split_any(dataset, 0, given=given)  # type: ignore[arg-type]
    parts = [{name[:3] for name in part} for part in (splits.training, splits.validation, splits.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 6
