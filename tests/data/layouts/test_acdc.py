"""Cardiac scans in the layout of ACDC: patients, their frames, and what is said where something is missing."""

from __future__ import annotations

import shutil
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
    open_prepared,
    prepare,
    read_image,
    split_any,
)
from netwright.data.layouts.acdc import PatientInfo, read_info
from netwright.data.recognition import recognise
from netwright.errors import DatasetError

SHAPE = (7, 6, 4)
THICK = np.diag([1.8, 1.8, 9.0, 1.0])

Folder = Callable[..., Path]
Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, save_volume: Save) -> Folder:
    """Patients with frames 1 and 4, label maps of the values 0 to 3, and Info.cfg; to be spoilt by the test."""

    def build(patients: int = 10, root: Path = tmp_path / "ACDC", ending: str = ".nii.gz") -> Path:
        rng = np.random.default_rng(0)
        for number in range(1, patients + 1):
            name = f"patient{number:03d}"
            for frame in (1, 4):
                file = root / name / f"{name}_frame{frame:02d}{ending}"
                save_volume(file, rng.normal(100, 20, SHAPE).astype(np.float32), THICK)
                labels = rng.integers(0, 4, SHAPE).astype(np.uint8)
                save_volume(file.with_name(f"{name}_frame{frame:02d}_gt{ending}"), labels, THICK)
            (root / name / "Info.cfg").write_text(
                "ED: 1\nES: 4\nGroup: DCM\nHeight: 180.5\nNbFrame: 6\nWeight: 80\n"
            )
        return root

    return build


def dataset(root: Path, **options: Any) -> Any:
    return open_any(root, **options)


def only_problem(root: Path) -> Any:
    (problem,) = inspect_dataset(dataset(root)).problems
    return problem


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_frames_are_cases_and_patients_their_groups(folder: Folder, ending: str) -> None:
    root = folder(3, ending=ending)
    read_back = dataset(root)
    assert recognise(root) == read_back.format == "acdc"
    assert read_back.labels == {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
    assert [case.name for case in read_back.cases][:3] == [
        "patient001_frame01",
        "patient001_frame04",
        "patient002_frame01",
    ]
    assert [case.group for case in read_back.cases][:3] == ["patient001", "patient001", "patient002"]
    assert all(case.images[0].is_file() and case.label.is_file() for case in read_back.cases)


def test_no_patient_is_divided(folder: Folder, tmp_path: Path) -> None:
    prepared = prepare(dataset(folder()), PreprocessingSettings(spacing="native"), tmp_path / "cache")
    assert open_prepared(prepared.folder).groups["patient007_frame04"] == "patient007"
    splits = split_any(prepared, 3)
    parts = [
        {name.split("_")[0] for name in part} for part in (splits.training, splits.validation, splits.test)
    ]
    assert [len(part) for part in parts] == [5, 2, 3]
    assert len(set.union(*parts)) == 10
    assert [len(part) for part in (splits.training, splits.validation, splits.test)] == [10, 4, 6]


def test_training_and_testing_folders(folder: Folder, tmp_path: Path) -> None:
    root = tmp_path / "database"
    folder(6, root / "training")
    (root / "testing").mkdir()
    for name in ("patient005", "patient006"):
        (root / "training" / name).rename(root / "testing" / name)
    for label in (root / "testing" / "patient006").glob("*_gt.nii.gz"):
        label.unlink()
    names = {case.group for case in dataset(root).cases}
    assert names == {f"patient{number:03d}" for number in range(1, 6)}, "of 005 the label maps are there"
    assert {case.group for case in dataset(tmp_path).cases} == names, "the archive's own folder is above"
    assert dataset(root).unlabelled == ("patient006",)
    assert {case.group for case in dataset(root).cases if case.part == "test"} == {"patient005"}
    assert {case.part for case in dataset(root).cases if case.group != "patient005"} == {"train"}
    assert set(dataset(root / "training").parts) == {None}, "one part alone is none"
    shutil.copytree(root / "training" / "patient001", root / "testing" / "patient001")
    with pytest.raises(DatasetError, match="are of one patient"):
        dataset(root)


@pytest.mark.parametrize(
    ("training", "testing"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("ACDC/training", "ACDC/testing"),
        ("ACDC/database/training", "ACDC/database/testing"),
        ("Resources/ACDC/train_data", "Resources/ACDC/test_data"),
    ],
)
@pytest.mark.parametrize("cines", [False, True], ids=["frames alone", "with cines"])
def test_patients_are_found_below_other_folders(
    folder: Folder, save_volume: Save, tmp_path: Path, training: str, testing: str, cines: bool
) -> None:
    root = tmp_path / "data"
    folder(4, root / training)
    for name in ("patient003", "patient004") if cines else ():
        (root / testing).mkdir(exist_ok=True)
        (root / training / name).rename(root / testing / name)
    for patient in root.rglob("patient???") if cines else ():
        save_volume(patient / f"{patient.name}_4d.nii.gz", np.ones((*SHAPE, 6), np.float32))
    for label in (root / testing / "patient004").glob("*_gt.nii.gz"):
        label.unlink()
    read_back = dataset(root)
    assert recognise(root) == read_back.format == "acdc"
    assert read_back.label_names == ("right ventricle", "myocardium", "left ventricle")
    assert {case.name[:10]: case.group for case in read_back.cases} == {
        f"patient{number:03d}": f"patient{number:03d}" for number in range(1, 4 if cines else 5)
    }
    tested = {case.group for case in read_back.cases if case.part == "test"}
    assert (tested, read_back.unlabelled) == (({"patient003"}, ("patient004",)) if cines else (set(), ()))
    assert len(find_cases(root, 1)) == 8


def test_volumes_beside_the_patients_are_told(folder: Folder, save_volume: Save) -> None:
    root = folder(3)
    save_volume(root / "patient001" / "mine.nii.gz", np.ones(SHAPE, np.float32))
    assert {problem.kind for problem in inspect_dataset(dataset(root)).problems} <= {"few-cases"}
    save_volume(root / "atlas" / "mean.nii.gz", np.ones(SHAPE, np.float32))
    assert "atlas/mean.nii.gz belongs to no case" in str(dataset(root).problems[0])


def test_copies_of_a_patient_are_refused(folder: Folder, tmp_path: Path) -> None:
    root = folder(3, tmp_path / "data" / "training")
    shutil.copytree(root / "patient001", tmp_path / "data" / "copies" / "patient001")
    with pytest.raises(DatasetError, match=r"are of one patient \(patient001\): expected each patient once"):
        dataset(tmp_path / "data")


def test_official_test_patients_are_tested_on(folder: Folder, tmp_path: Path) -> None:
    root = tmp_path / "database"
    folder(6, root / "training")
    folder(8, root / "testing")
    for number in range(1, 7):
        shutil.rmtree(root / "testing" / f"patient{number:03d}")
    prepared = prepare(dataset(root), PreprocessingSettings(spacing="native"), tmp_path / "cache")
    splits = split_any(prepared, 0)
    assert {name[:10] for name in splits.test} == {"patient007", "patient008"}
    assert len(splits.training) + len(splits.validation) == 12


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_other_file_formats(folder: Folder, ending: str, tmp_path: Path) -> None:
    root = folder(3)
    for file in root.glob("*/*.nii.gz"):
        name = file.name.removesuffix(".nii.gz")
        SimpleITK.WriteImage(SimpleITK.ReadImage(file), file.with_name(f"{name}{ending}"))
        file.unlink()
    read_back = dataset(root)
    assert (read_back.format, read_back.file_ending, len(read_back.cases)) == ("acdc", ending, 6)
    assert inspect_dataset(read_back).errors == ()
    assert len(find_cases(root, 1)) == 6


def test_frames_within_the_cine(folder: Folder, save_volume: Save, tmp_path: Path) -> None:
    root = folder()
    frames = [read_image([root / "patient002" / f"patient002_frame{n:02d}.nii.gz"]) for n in (1, 4)]
    cine = np.random.default_rng(1).normal(100, 20, (*SHAPE, 6)).astype(np.float32)
    for time, frame in zip((0, 3), frames, strict=True):
        cine[..., time] = frame.array[0]
    save_volume(root / "patient002" / "patient002_4d.nii.gz", cine, THICK)
    settings = PreprocessingSettings(spacing="native")
    before = prepare(dataset(root), settings, tmp_path / "cache")
    assert dataset(root).cases[3].time is None, "a file of its own comes first"
    (root / "patient002" / "patient002_frame04.nii.gz").unlink()
    case = dataset(root).cases[3]
    assert (case.name, case.images[0].name, case.time) == ("patient002_frame04", "patient002_4d.nii.gz", 3)
    after = prepare(dataset(root), settings, tmp_path / "cache")
    assert after.folder != before.folder
    for index in range(len(before)):
        np.testing.assert_array_equal(after.image(index), before.image(index))
        np.testing.assert_array_equal(after.label(index), before.label(index))
    assert inspect_dataset(dataset(root)).problems == ()


def test_info_is_read_as_it_comes(folder: Folder, tmp_path: Path) -> None:
    root = folder(3)
    info = read_info(root / "patient001" / "Info.cfg")
    assert info == PatientInfo(ED=1, ES=4, Group="DCM", Height=180.5, Weight=80, NbFrame=6)
    path = tmp_path / "Info.cfg"
    assert read_info(path) == PatientInfo()
    path.write_text("\ufeffES : 12\r\n\r\n# by hand\nAge: 50\nWeight:\nGroup: MINF\nHeight: nan\n")
    assert read_info(path) == PatientInfo(ES=12, Group="MINF")
    for name in ("patient001", "patient002"):
        (root / name / "Info.cfg").unlink()
    assert len(dataset(root).cases) == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ES 4", r"Info\.cfg, line 2 is 'ES 4': expected a key and a value, such as ED: 1"),
        ("ES: end", r"Info\.cfg, line 2 gives ES as 'end': expected a whole number from 1"),
        ("ES: 0", r"line 2 gives ES as '0'"),
        ("Height: 1,80", r"line 2 gives Height as '1,80': expected a number, or nothing"),
    ],
)
def test_lines_that_cannot_be_read_are_named(folder: Folder, line: str, message: str) -> None:
    root = folder(3)
    (root / "patient002" / "Info.cfg").write_text(f"ED: 1\n{line}\n")
    with pytest.raises(DatasetError, match=message):
        dataset(root)


def test_a_frame_that_info_names_and_nobody_has(folder: Folder, save_volume: Save) -> None:
    root = folder()
    (root / "patient003" / "Info.cfg").write_text("ED: 1\nES: 9\n")
    text = str(only_problem(root))
    assert text == (
        "patient003/Info.cfg names frame 9 as ES, which is not there: expected patient003_frame09.nii.gz beside it, or "
        "a patient003_4d.nii.gz of at least 9 frames, found images of frames 1 and 4.\n"
        "Correct ES, or restore the file."
    )
    save_volume(root / "patient003" / "patient003_4d.nii.gz", np.ones((*SHAPE, 6), np.float32))
    assert "and a cine of 6 frames" in str(only_problem(root))
    with pytest.raises(DatasetError, match="names frame 9 as ES"):
        prepare(dataset(root), PreprocessingSettings(), root.parent / "cache")


def test_missing_files(folder: Folder, save_volume: Save) -> None:
    root = folder()
    (root / "patient001" / "patient001_frame04_gt.nii.gz").unlink()
    (root / "patient002" / "Info.cfg").unlink()
    (root / "patient002" / "patient002_frame04.nii.gz").unlink()
    for file in (root / "patient003").glob("*frame*"):
        file.unlink()
    (root / "patient003" / "Info.cfg").unlink()
    save_volume(root / "patient003" / "patient003_4d.nii.gz", np.ones((*SHAPE, 6), np.float32))
    texts = [str(problem) for problem in inspect_dataset(dataset(root)).errors]
    assert len(texts) == 3
    assert (
        "patient001_frame04.nii.gz has no label map: expected patient001_frame04_gt.nii.gz beside it"
        in texts[0]
    )
    assert "found label maps of frame 1." in texts[0]
    assert "patient002_frame04_gt.nii.gz has no image" in texts[1]
    assert "patient003 has no labelled frame" in texts[2]
    assert not any("dataset.json" in text for text in texts)


def test_a_frame_that_nobody_names_needs_no_label_map(folder: Folder, save_volume: Save) -> None:
    root = folder()
    save_volume(root / "patient001" / "patient001_frame02.nii.gz", np.ones(SHAPE, np.float32))
    assert len(dataset(root).cases) == 20
    (root / "patient001" / "Info.cfg").write_text("Group: NOR\n")
    assert "patient001_frame02.nii.gz has no label map" in str(only_problem(root))


def test_label_maps_that_do_not_fit(folder: Folder, save_volume: Save) -> None:
    root = folder()
    labels = sorted(root.glob("*/*_gt.nii.gz"))
    save_volume(labels[0], np.zeros((7, 6, 5), np.uint8), THICK)
    save_volume(labels[1], np.full(SHAPE, 7, np.uint8), THICK)
    texts = [str(problem) for problem in inspect_dataset(dataset(root)).errors]
    assert (
        "does not fit its image patient001_frame01.nii.gz: expected the shape 7 x 6 x 4, found 7 x 6 x 5"
        in texts[0]
    )
    assert "has labels that ACDC does not name: expected 0, 1, 2 and 3, found 7" in texts[1]
    assert "--map-label 7=1 (right ventricle)" in texts[1]
    assert "dataset.json" not in texts[1]
    labels[0].unlink()
    shutil.copy(labels[2], labels[0])
    assert inspect_dataset(dataset(root, map_label={7: 2})).errors == ()


def test_images_to_predict_are_never_label_maps(folder: Folder, save_volume: Save) -> None:
    root = folder(3)
    assert [case.name for case in find_cases(root, 1)][:2] == ["patient001_frame01", "patient001_frame04"]
    assert len(find_cases(root, 1)) == 6
    patient = root / "patient002"
    assert [case.name for case in find_cases(patient, 1)] == ["patient002_frame01", "patient002_frame04"]
    for file in patient.glob("*frame*"):
        file.unlink()
    save_volume(patient / "patient002_4d.nii.gz", np.ones((*SHAPE, 6), np.float32))
    assert [case.name for case in find_cases(patient, 1)] == ["patient002_4d"]
