"""Brain tumours as the BraTS challenges publish them: names of files, labels, time points, and what may be missing."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from netwright.data import (
    PreprocessingSettings,
    find_cases,
    inspect_dataset,
    open_any,
    prepare,
    read_image,
    split_any,
)
from netwright.data.recognition import recognise
from netwright.errors import DatasetError, DatasetWarning

Write = Callable[..., Path]
Make = Callable[..., Any]

UNTIL_2021 = ("flair", "t1", "t1ce", "t2")
SINCE_2023 = ("t2f", "t1n", "t1c", "t2w")


@pytest.fixture
def patient(write_volume: Write, noise: Make, label_map: Make) -> Callable[..., Path]:
    """Writes the files of a patient; its channels have intensities around 100, 200, 300 and 400."""

    def build(
        folder: Path,
        values: tuple[int, ...] | None = (1, 2, 4),
        ending: str = ".nii.gz",
        separator: str = "_",
    ) -> Path:
        kinds = UNTIL_2021 if separator == "_" else SINCE_2023
        for number, kind in enumerate(kinds, 1):
            write_volume(folder / f"{folder.name}{separator}{kind}{ending}", noise(100 * number))
        if values is not None:
            write_volume(folder / f"{folder.name}{separator}seg{ending}", label_map(*values))
        return folder

    return build


@pytest.fixture
def of_2018(patient: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """The training set of 2018: gliomas of high and of low grade, and a table."""

    def build(ending: str = ".nii.gz") -> Path:
        root = tmp_path / "MICCAI_BraTS_2018_Data_Training"
        for grade, name in (
            ("HGG", "Brats18_TCIA01_131_1"),
            ("HGG", "Brats18_2013_2_1"),
            ("LGG", "Brats18_2013_0_1"),
        ):
            patient(root / grade / name, ending=ending)
        (root / "survival_data.csv").write_text("Brats18ID,Age,Survival\nBrats18_2013_2_1,57,150\n")
        (root / "HGG" / ".DS_Store").write_bytes(b"\0")
        return root

    return build


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in inspect_dataset(open_any(root)).errors]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
def test_the_training_set_of_2018_in_any_file_format(of_2018: Callable[..., Path], ending: str) -> None:
    root = of_2018(ending)
    dataset = open_any(root)
    assert recognise(root) == dataset.format == "brats"
    assert dataset.labels == {0: "background", 1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
    assert dataset.channels == ("FLAIR", "T1", "T1 with contrast", "T2")
    assert dataset.names == ("Brats18_2013_0_1", "Brats18_2013_2_1", "Brats18_TCIA01_131_1")
    assert problems(root) == []
    means = read_image(dataset.cases[0].images).array.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, [100, 200, 300, 400], atol=1)


def test_the_label_4_is_a_class_and_keeps_its_value(of_2018: Callable[..., Path], tmp_path: Path) -> None:
    dataset = open_any(of_2018())
    settings = PreprocessingSettings(spacing="native", pad=False)
    prepared = prepare(dataset, settings, tmp_path / "cache")
    assert prepared.label_values == (0, 1, 2, 4)
    assert dataset.cases[0].label is not None
    stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(dataset.cases[0].label))
    classes = np.bincount(prepared.label(0).ravel(), minlength=4)
    np.testing.assert_array_equal(classes, [np.count_nonzero(stored == value) for value in (0, 1, 2, 4)])


def test_patients_without_a_segmentation_are_left_for_prediction(
    of_2018: Callable[..., Path], patient: Callable[..., Path], tmp_path: Path
) -> None:
    root = of_2018()
    validation = tmp_path / "MICCAI_BraTS_2018_Data_Validation"
    patient(validation / "Brats18_CBICA_AAM_1", None)
    (case,) = find_cases(validation, 4)
    assert case.name == "Brats18_CBICA_AAM_1"
    assert [file.name.split("_")[-1] for file in case.images] == [f"{kind}.nii.gz" for kind in UNTIL_2021]
    assert find_cases(validation / "Brats18_CBICA_AAM_1", 4) == (case,)
    shutil.copytree(validation, root / "validation")
    inspection = inspect_dataset(open_any(root))
    assert inspection.fingerprint.cases == 3
    assert inspection.to_dict()["fingerprint"]["unlabelled"] == ("Brats18_CBICA_AAM_1",)
    assert [len(case.images) for case in find_cases(root, 4)] == [4] * 4


def test_a_validation_set_in_one_folder(patient: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("BraTS20_Validation_001", "BraTS20_Validation_002"):
        for file in patient(tmp_path / name, None).iterdir():
            (tmp_path / "all").mkdir(exist_ok=True)
            file.rename(tmp_path / "all" / file.name)
    cases = find_cases(tmp_path / "all", 4)
    assert [case.name for case in cases] == ["BraTS20_Validation_001", "BraTS20_Validation_002"]


def test_the_segmentation_that_was_published_under_another_name(
    patient: Callable[..., Path], tmp_path: Path
) -> None:
    folder = patient(tmp_path / "BraTS20_Training_355", ending=".nii")
    (folder / "BraTS20_Training_355_seg.nii").rename(folder / "W39_1998.09.19_Segm.nii")
    (case,) = open_any(tmp_path).cases
    assert case.label == folder / "W39_1998.09.19_Segm.nii"


@pytest.fixture
def of_2023(patient: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Gliomas of 2023 or later, by (patient, time point)."""

    def build(*names: str, values: tuple[int, ...] = (1, 2, 3)) -> Path:
        root = tmp_path / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
        for name in names:
            patient(root / name, values, separator="-")
        return root

    return build


def test_time_points_of_a_patient_stay_together(of_2023: Callable[..., Path], tmp_path: Path) -> None:
    names = [f"BraTS-GLI-{number:05d}-{time:03d}" for number in range(6) for time in (0, 1)]
    root = of_2023(*names)
    dataset = open_any(root)
    assert dataset.format == "brats"
    assert dataset.labels == {0: "background", 1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}
    assert dataset.names == tuple(names)
    assert [file.name[20:] for file in dataset.cases[0].images] == [f"{kind}.nii.gz" for kind in SINCE_2023]
    prepared = prepare(dataset, PreprocessingSettings(spacing="native", pad=False), tmp_path / "cache")
    for seed in range(5):
        splits = split_any(prepared, seed)
        parts = [{name[:15] for name in part} for part in (splits.training, splits.validation, splits.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 6


def test_the_resection_cavity_of_treated_gliomas(of_2023: Callable[..., Path]) -> None:
    names = [f"BraTS-GLI-{number:05d}-100" for number in range(3)]
    dataset = open_any(of_2023(*names, values=(1, 2, 3, 4)))
    assert dataset.labels[4] == "resection cavity"
    assert problems(dataset.root) == []


def test_a_label_that_the_challenge_has_not_is_refused_with_what_to_write(
    of_2023: Callable[..., Path],
) -> None:
    root = of_2023(*(f"BraTS-GLI-{number:05d}-000" for number in range(3)), values=(1, 2, 3, 4))
    text = problems(root)[0]
    assert "has labels that BraTS does not name: expected 0, 1, 2 and 3, found 0, 1, 2, 3 and 4" in text
    table = text[text.index("{") : text.rindex("}") + 1]
    named = json.loads(table)
    assert named["labels"]["enhancing tumour"] == 3
    (root / "dataset.json").write_text(table)
    assert problems(root) == []


def test_labels_whose_meaning_differs_between_years_must_be_named(of_2023: Callable[..., Path]) -> None:
    root = of_2023(*(f"BraTS-PED-{number:05d}-000" for number in range(3)))
    with pytest.raises(
        DatasetError, match=r"holds BraTS-PED-00000-000, and nothing says .* differ from year to year"
    ):
        open_any(root)
    labels = {"background": 0, "enhancing": 1, "not enhancing": 2, "cyst": 3}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert open_any(root).labels == {value: name for name, value in labels.items()}
    assert problems(root) == []


def test_a_patient_to_predict_says_nothing_of_the_labels(
    of_2023: Callable[..., Path], patient: Callable[..., Path]
) -> None:
    root = of_2023(*(f"BraTS-GLI-{number:05d}-000" for number in range(3)))
    patient(root / "A-local-scan", None, separator="-")
    dataset = open_any(root)
    assert (dataset.labels[3], dataset.unlabelled) == ("enhancing tumour", ("A-local-scan",))


def test_challenges_whose_labels_mean_different_things_are_not_mixed(of_2023: Callable[..., Path]) -> None:
    root = of_2023("BraTS-GLI-00000-000", "BraTS-MEN-00004-000")
    with pytest.raises(
        DatasetError, match=r"BraTS-GLI-00000-000 and BraTS-MEN-00004-000, whose labels have other"
    ):
        open_any(root)


def test_half_made_patients_are_named(of_2018: Callable[..., Path]) -> None:
    root = of_2018()
    (root / "HGG" / "Brats18_2013_2_1" / "Brats18_2013_2_1_t1ce.nii.gz").unlink()
    for file in (root / "LGG" / "Brats18_2013_0_1").glob("*_[ft]*"):
        file.unlink()
    texts = "\n".join(problems(root))
    assert "HGG/Brats18_2013_2_1 lacks T1 with contrast: expected Brats18_2013_2_1_t1ce.nii.gz" in texts
    assert "LGG/Brats18_2013_0_1 has a segmentation without its images" in texts


def test_volumes_of_no_patient_are_told(of_2018: Callable[..., Path], write_volume: Write) -> None:
    root = of_2018()
    write_volume(root / "HGG" / "Brats18_2013_2_1" / "Brats18_2013_2_1_mask.nii.gz", 1)
    (problem,) = (one for one in inspect_dataset(open_any(root)).warnings if one.kind == "ignored-file")
    assert problem.file == "HGG/Brats18_2013_2_1/Brats18_2013_2_1_mask.nii.gz"


def test_a_network_of_other_channels_is_warned_of(patient: Callable[..., Path], tmp_path: Path) -> None:
    patient(tmp_path / "BraTS2021_00001", None)
    with pytest.warns(
        DatasetWarning, match="trained on the channels T1, T1ce, T2 and FLAIR, and gets FLAIR, T1, T1"
    ):
        find_cases(tmp_path, 4, ("T1", "T1ce", "T2", "FLAIR"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_cases(tmp_path, 4, ("FLAIR", "T1", "T1 with contrast", "T2"))


def test_prediction_goes_on_without_a_patient_that_lacks_a_scan(
    patient: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("BraTS2021_00001", "BraTS2021_00002"):
        patient(tmp_path / name, None)
    missing = tmp_path / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz"
    missing.unlink()
    assert [case.images[3] for case in find_cases(tmp_path, 4)][1] == missing


def test_two_folders_of_one_patient_are_refused(of_2018: Callable[..., Path]) -> None:
    root = of_2018()
    shutil.copytree(root / "LGG" / "Brats18_2013_0_1", root / "HGG" / "Brats18_2013_0_1")
    with pytest.raises(DatasetError, match=r"are of one patient \(Brats18_2013_0_1\)"):
        open_any(root)


def test_a_scan_in_two_files_is_refused(
    of_2018: Callable[..., Path], write_volume: Write, noise: Make
) -> None:
    root = of_2018()
    write_volume(root / "LGG" / "Brats18_2013_0_1" / "Brats18_2013_0_1_t2.nii", noise(1))
    with pytest.raises(DatasetError, match="expected one file for each"):
        open_any(root)


def test_scans_without_a_contrast_agent_are_not_taken_for_brats(
    write_volume: Write, noise: Make, label_map: Make, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        for kind in ("flair", "t1", "t2"):
            write_volume(tmp_path / name / f"{name}_{kind}.nii.gz", noise(1))
        write_volume(tmp_path / name / f"{name}_seg.nii.gz", label_map(1))
    assert recognise(tmp_path) is None


def test_files_beside_the_patients_are_told(
    patient: Callable[..., Path], write_volume: Write, tmp_path: Path
) -> None:
    patient(tmp_path / "BraTS2021_00001", None)
    write_volume(tmp_path / "other.nii.gz", 1)
    with pytest.warns(DatasetWarning, match=r"none of the patients' images in .*: other\.nii\.gz"):
        assert len(find_cases(tmp_path, 4)) == 1


@pytest.mark.parametrize("name", ["BraTS20_Training_{:03d}", "BraTS-GLI-{:05d}-000"])
def test_folders_of_parts_around_patients(patient: Callable[..., Path], tmp_path: Path, name: str) -> None:
    old = "_" in name
    for number, part in enumerate(("train", "train", "val", "test")):
        patient(
            tmp_path / part / name.format(number),
            values=(1, 2, 4) if old else (1, 2, 3),
            separator="_" if old else "-",
        )
    assert open_any(tmp_path).parts == ("train", "train", "val", "test")


def test_patients_of_two_years_are_no_parts(patient: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("Brats18_2013_2_1", "Brats18_2013_0_1", "BraTS19_2013_5_1"):
        patient(tmp_path / name)
    assert set(open_any(tmp_path).parts) == {None}
