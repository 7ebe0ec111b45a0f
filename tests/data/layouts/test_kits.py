"""Kidney tumours as the KiTS challenges publish them in 2019, 2021 and 2023."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.data import find_cases, inspect_dataset, open_any
from netwright.data.recognition import recognise

Write = Callable[..., Path]
Make = Callable[..., Any]

TWO = {0: "background", 1: "kidney", 2: "tumour"}
THREE = {**TWO, 3: "cyst"}


@pytest.fixture
def kits(write_volume: Write, noise: Make, label_map: Make, tmp_path: Path) -> Callable[..., Path]:
    """Three cases as a challenge of a year lays them out, and what it puts beside them."""

    def build(year: int, ending: str = ".nii.gz") -> Path:
        root = tmp_path / f"kits{year % 100}"
        data = root / ("dataset" if year == 2023 else "data")
        for number in range(3):
            folder = data / f"case_{number:05d}"
            write_volume(folder / f"imaging{ending}", noise(100))
            labels = label_map(1, 2) if year == 2019 else label_map(1, 2, 3)
            for name in ("OR", "AND", "MAJ") if year == 2021 else ():
                write_volume(
                    folder / f"aggregated_{name}_seg{ending}", labels if name == "MAJ" else label_map(1)
                )
            if year != 2021:
                write_volume(folder / f"segmentation{ending}", labels)
            inner = {2021: "segmentations", 2023: "instances"}.get(year)
            if inner:
                write_volume(folder / inner / f"kidney_instance-1_annotation-1{ending}", label_map(1))
        (data / ("kits23.json" if year == 2023 else "kits.json")).write_text("[]")
        return root

    return build


@pytest.mark.parametrize(("year", "labels"), [(2019, TWO), (2021, THREE), (2023, THREE)])
def test_each_year_has_its_label_maps_and_labels(
    kits: Callable[..., Path], year: int, labels: dict[int, str]
) -> None:
    root = kits(year)
    dataset = open_any(root)
    assert recognise(root) == dataset.format == "kits"
    assert dataset.labels == labels
    assert dataset.names == ("case_00000", "case_00001", "case_00002")
    name = "aggregated_MAJ_seg.nii.gz" if year == 2021 else "segmentation.nii.gz"
    assert all(case.label is not None and case.label.name == name for case in dataset.cases)
    assert inspect_dataset(dataset).errors == ()
    assert open_any(next(root.iterdir())).names == dataset.names


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha", ".mhd"])
def test_other_file_formats(kits: Callable[..., Path], ending: str) -> None:
    dataset = open_any(kits(2023, ending))
    assert (dataset.labels, dataset.file_ending) == (THREE, ending)
    assert inspect_dataset(dataset).errors == ()


def test_cases_without_label_maps_are_left_for_prediction(
    kits: Callable[..., Path], write_volume: Write, noise: Make
) -> None:
    root = kits(2019)
    write_volume(root / "data" / "case_00210" / "imaging.nii.gz", noise(100))
    assert open_any(root).unlabelled == ("case_00210",)
    assert open_any(root).labels == TWO
    names = [(case.name, case.images[0].name) for case in find_cases(root, 1)]
    assert names == [(f"case_{number:05d}", "imaging.nii.gz") for number in (0, 1, 2, 210)]
    (case,) = find_cases(root / "data" / "case_00210", 1)
    assert case.name == "case_00210"


def test_volumes_beside_the_cases_are_told(kits: Callable[..., Path], write_volume: Write) -> None:
    root = kits(2023)
    assert {problem.kind for problem in inspect_dataset(open_any(root)).problems} == {"few-cases"}
    write_volume(root / "mine" / "a.nii.gz", 1)
    assert next(one.file for one in inspect_dataset(open_any(root)).warnings) == "mine/a.nii.gz"


def test_a_label_map_without_an_image_is_named(kits: Callable[..., Path]) -> None:
    root = kits(2019)
    (root / "data" / "case_00001" / "imaging.nii.gz").unlink()
    texts = [str(problem) for problem in inspect_dataset(open_any(root)).errors]
    assert len(texts) == 1
    assert texts[0].startswith(
        "data/case_00001/segmentation.nii.gz has no image: expected imaging.nii.gz beside it"
    )


def test_label_maps_whose_images_were_not_downloaded(kits: Callable[..., Path]) -> None:
    root = kits(2023)
    for file in root.glob("dataset/*/imaging.nii.gz"):
        file.unlink()
    (root / "dataset" / "case_00000" / "segmentation.nii.gz").unlink()
    texts = [str(problem) for problem in inspect_dataset(open_any(root)).errors]
    assert recognise(root) == "kits"
    assert texts[0].startswith("dataset/case_00000 has no image: expected imaging.nii.gz in it")
    assert "downloaded apart from the label maps" in texts[1]


def test_cysts_that_nothing_announces_are_refused_with_what_to_write(
    kits: Callable[..., Path], write_volume: Write, label_map: Make
) -> None:
    root = kits(2019)
    write_volume(root / "data" / "case_00002" / "segmentation.nii.gz", label_map(1, 2, 3))
    (problem,) = inspect_dataset(open_any(root)).errors
    assert "has labels that KiTS does not name: expected 0, 1 and 2, found 0, 1, 2 and 3" in str(problem)
    table = problem.advice[problem.advice.index("{") : problem.advice.rindex("}") + 1]
    (root / "dataset.json").write_text(table)
    assert inspect_dataset(open_any(root)).errors == ()
    assert open_any(root).labels == THREE


def test_cases_that_only_later_years_label_have_cysts(
    kits: Callable[..., Path], write_volume: Write, noise: Make, label_map: Make
) -> None:
    root = kits(2019)
    write_volume(root / "data" / "case_00400" / "imaging.nii.gz", noise(100))
    write_volume(root / "data" / "case_00400" / "segmentation.nii.gz", label_map(1, 2, 3))
    assert open_any(root).labels == THREE
