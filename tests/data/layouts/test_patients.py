"""Patients that only the headers of DICOM name: their cases stay together, and their numbers are kept nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dicom_files import affine_of, write_enhanced, write_series
from netwright.data import PreprocessingSettings, inspect_dataset, open_any, open_prepared, prepare, split_any

NUMBERS = ["Z-4711", "Z-4711 ", "Z-0815", "Z-0815", "Z-2222", "", "Z-3333", "Z-3333"]
"""Of eight cases, a to h."""


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    """Images of these patients in DICOM, in some layout."""

    def build(
        numbers: Sequence[str | None],
        image: str = "images/{}",
        label: str = "labels/{}.nii.gz",
        of_frames: bool = False,
    ) -> Path:
        for seed, number in enumerate(numbers):
            stored = np.random.default_rng(seed).integers(0, 900, (6, 5, 4)).astype(np.int16)
            write = write_enhanced if of_frames else write_series
            write(
                tmp_path / image.format("abcdefgh"[seed]),
                stored,
                tags={} if number is None else {"PatientID": number},
            )
            labels = nibabel.Nifti1Image(
                (stored.T > 500).astype(np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_of()
            )
            path = tmp_path / label.format("abcdefgh"[seed])
            path.parent.mkdir(exist_ok=True)
            nibabel.save(labels, path)
        return tmp_path

    return build


def groups(root: Path) -> dict[str, str]:
    return {name[:1]: group[:1] for name, group in open_any(root).groups.items()}


@pytest.mark.parametrize("of_frames", [False, True], ids=["slices", "frames"])
def test_cases_of_a_patient_are_a_group(series: Callable[..., Path], of_frames: bool) -> None:
    root = series(NUMBERS, "images/{}.dcm" if of_frames else "images/{}", of_frames=of_frames)
    assert groups(root) == dict(zip("abcdefgh", "aaccefgg", strict=True))


@pytest.mark.parametrize("nnunet", [False, True], ids=["msd", "nnunet"])
def test_descriptions_name_no_patients(series: Callable[..., Path], nnunet: bool) -> None:
    root = series(NUMBERS, "imagesTr/{}_0000" if nnunet else "imagesTr/{}", "labelsTr/{}.nii.gz")
    description = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "one": 1}}
    listed = [{"image": f"imagesTr/{name}", "label": f"labelsTr/{name}.nii.gz"} for name in "abcdefgh"]
    described = {**description, **({"file_ending": ".nii.gz"} if nnunet else {"training": listed})}
    (root / "dataset.json").write_text(json.dumps(described))
    assert groups(root)["b"] == "a"
    assert groups(root)["h"] == "g"


def test_no_patient_is_divided_or_kept(series: Callable[..., Path], tmp_path: Path) -> None:
    dataset = open_any(series(NUMBERS))
    prepared = prepare(dataset, PreprocessingSettings(spacing="native"), tmp_path / "cache")
    assert open_prepared(prepared.folder).groups["b"] == "a"
    for seed in range(5):
        splits = split_any(prepared, seed)
        part_of = {
            name: part for part in ("training", "validation", "test") for name in getattr(splits, part)
        }
        assert all(part_of[one] == part_of[other] for one, other in ("ab", "cd", "gh"))
        assert "Z-" not in json.dumps(splits.to_dict())
    kept = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert not any(number.strip().encode() in kept for number in NUMBERS if number)
    assert not any("Z-" in str(problem) for problem in inspect_dataset(dataset).problems)


def test_a_patient_in_two_official_parts_is_told(series: Callable[..., Path]) -> None:
    root = series(NUMBERS[:6])
    for old, part in zip("abcdef", ("train", "test", "train", "train", "test", "test"), strict=True):
        for kind, ending in (("images", ""), ("labels", ".nii.gz")):
            new = root / part / kind / f"{old}{ending}"
            new.parent.mkdir(parents=True, exist_ok=True)
            (root / kind / f"{old}{ending}").rename(new)
    problems = [one for one in inspect_dataset(open_any(root)).warnings if one.kind == "patient-parts"]
    assert [problem.found for problem in problems] == ["train (a) and test (b)"]


@pytest.mark.parametrize("number", ["", None, "ANONYMOUS", "Anonymized", "0000", "unknown", "xxx"])
def test_numbers_that_stand_for_nobody(series: Callable[..., Path], number: str | None) -> None:
    root = series([number, number, "7", "7", "Anon12", "Anon12"])
    assert groups(root) == dict(zip("abcdef", "abccee", strict=True))


def test_one_number_for_all_is_nobody_s_and_told(series: Callable[..., Path]) -> None:
    root = series(["7"] * 4)
    assert groups(root) == dict(zip("abcd", "abcd", strict=True))
    (problem,) = open_any(root).problems
    assert "has one PatientID in the DICOM headers of all cases" in str(problem)
    assert "--split-file" in problem.advice
