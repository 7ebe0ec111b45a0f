"""Folders of DICOM slices where the file of a volume may stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from dicom_files import affine_of, write_enhanced, write_series
from netwright.data import PreprocessingSettings, find_cases, inspect_any, open_any, prepare
from netwright.data.volumes.dataset import Dataset
from netwright.errors import DatasetError, DatasetWarning

CASES = ("a", "b.1", "c")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_of()


def numbers(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-900, 900, (6, 5, 4)).astype(np.int16)


def labels(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(0, 2, (4, 5, 6)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)


def nifti(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T.astype(np.float32), AFFINE), path)


def decathlon(root: Path, dicom: bool) -> Path:
    ending = "" if dicom else ".nii.gz"
    for seed, name in enumerate(CASES):
        image = root / "imagesTr" / f"{name}{ending}"
        if dicom:
            write_series(image, numbers(seed) - 100, tags={"RescaleIntercept": 100}, name="IM{:03d}")
        else:
            nifti(image, numbers(seed))
        labels(root / "labelsTr" / f"{name}.nii.gz", seed)
    entries = [
        {"image": f"./imagesTr/{name}{ending}", "label": f"./labelsTr/{name}.nii.gz"} for name in CASES
    ]
    values = {
        "name": "toy",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "one"},
        "training": entries,
    }
    (root / "dataset.json").write_text(json.dumps(values))
    return root


def nnunet(root: Path, dicom: bool) -> Path:
    for seed, name in enumerate(CASES):
        for channel in range(2):
            image = root / "imagesTr" / f"{name}_000{channel}"
            if dicom:
                write_series(image, numbers(10 * channel + seed))
            else:
                nifti(image.with_name(f"{image.name}.nii.gz"), numbers(10 * channel + seed))
        labels(root / "labelsTr" / f"{name}.nii.gz", seed)
    values = {
        "name": "toy",
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "one": 1},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(values))
    return root


def pairs(root: Path, dicom: bool) -> Path:
    for seed, name in enumerate(CASES):
        if dicom:
            write_series(root / "images" / name, numbers(seed), name="IM{}")
        else:
            nifti(root / "images" / f"{name}.nii.gz", numbers(seed))
        labels(root / "labels" / f"{name}.nii.gz", seed)
    return root


def published(image: str, label: str) -> Callable[[Path, bool], Path]:
    """A layout whose channels and cases are named so: # is the number of the case."""

    def write(root: Path, dicom: bool) -> Path:
        for number in range(len(CASES)):
            for seed, kind in enumerate(("flair", "t1", "t1ce", "t2") if "@" in image else ("",)):
                path = root / image.replace("#", f"{number + 1:03d}").replace("@", kind)
                if dicom:
                    write_series(path, numbers(10 * seed + number), name="IM{}")
                else:
                    nifti(path.with_name(f"{path.name}.nii.gz"), numbers(10 * seed + number))
            labels(root / f"{label.replace('#', f'{number + 1:03d}')}.nii.gz", number)
        return root

    return write


LAYOUTS = {
    "brats": published(
        "BraTS20_Training_#/BraTS20_Training_#_@", "BraTS20_Training_#/BraTS20_Training_#_seg"
    ),
    "kits": published("case_00#/imaging", "case_00#/segmentation"),
    "acdc": published("patient#/patient#_frame01", "patient#/patient#_frame01_gt"),
    "btcv": published("Training/img/img0#", "Training/label/label0#"),
}


@pytest.mark.parametrize("format", LAYOUTS)
def test_published_layouts_may_have_series(format: str, tmp_path: Path) -> None:
    sets = []
    for dicom in (True, False):
        dataset = open_any(LAYOUTS[format](tmp_path / str(dicom), dicom))
        assert isinstance(dataset, Dataset)
        assert (dataset.format, len(dataset.cases), dataset.file_ending) == (format, len(CASES), ".nii.gz")
        assert not inspect_any(dataset).errors
        assert {problem.kind for problem in dataset.problems} == set()
        sets.append(prepare(dataset, PreprocessingSettings(), tmp_path / "cache"))
    for number in range(len(CASES)):
        np.testing.assert_allclose(sets[0].image(number), sets[1].image(number), atol=1e-5)
        np.testing.assert_array_equal(sets[0].label(number), sets[1].label(number))
    channels = 4 if format == "brats" else 1
    home = tmp_path / "True" / ("Training/img" if format == "btcv" else "")
    assert len(find_cases(home, channels)) == len(CASES)


@pytest.mark.parametrize("layout", [decathlon, nnunet, pairs])
def test_a_dataset_of_series_is_that_of_the_same_numbers_in_nifti(layout: object, tmp_path: Path) -> None:
    assert callable(layout)
    sets = []
    for dicom in (True, False):
        dataset = open_any(layout(tmp_path / str(dicom), dicom))
        assert isinstance(dataset, Dataset)
        assert [case.name for case in dataset.cases] == list(CASES)
        assert not inspect_any(dataset).errors
        sets.append(prepare(dataset, PreprocessingSettings(), tmp_path / "cache"))
    for number in range(len(CASES)):
        for part in ("image", "label"):
            mine, plain = (getattr(one, part)(number) for one in sets)
            np.testing.assert_allclose(mine, plain, atol=1e-5)


def test_a_missing_slice_is_an_error_of_the_dataset(tmp_path: Path) -> None:
    root = decathlon(tmp_path, dicom=True)
    (root / "imagesTr" / "b.1" / "IM003").unlink()
    (error,) = inspect_any(open_any(root)).errors
    assert (error.file, error.kind) == ("imagesTr/b.1", "dicom-gap")


def test_to_predict_a_folder_for_each_patient(tmp_path: Path) -> None:
    for name in CASES:
        write_series(tmp_path / name, numbers(0), name="IM{}")
    nifti(tmp_path / "d.nii.gz", numbers(0))
    write_enhanced(tmp_path / "e.dcm", numbers(0))
    cases = find_cases(tmp_path, 1)
    assert [case.name for case in cases] == [*CASES, "d", "e"]
    assert cases[0].images == (tmp_path / "a",)


def test_to_predict_one_series_or_the_files_of_several_frames(tmp_path: Path) -> None:
    series = write_series(tmp_path / "1.2.840", numbers(0))
    assert [case.name for case in find_cases(series, 1)] == ["1.2.840"]
    frames = tmp_path / "frames"
    for name in ("a.dcm", "b"):
        write_enhanced(frames / name, numbers(0))
    assert [case.name for case in find_cases(frames, 1)] == ["a", "b"]
    assert [case.name for case in find_cases(frames / "b", 1)] == ["b"]


def test_series_of_several_channels(tmp_path: Path) -> None:
    for name in ("p_0000", "p_0001", "q_0000", "q_0001"):
        write_series(tmp_path / name, numbers(0))
    p, _ = find_cases(tmp_path, 2)
    assert (p.name, p.images) == ("p", (tmp_path / "p_0000", tmp_path / "p_0001"))


def test_series_deeper_than_that_are_named_once_each(tmp_path: Path) -> None:
    for name in ("p/ct", "q/ct"):
        write_series(tmp_path / name, numbers(0), name="IM{}")
    with pytest.raises(
        DatasetError, match=r"Its subfolders contain p/ct and q/ct: give one of them, such as .*/p\.$"
    ):
        find_cases(tmp_path, 1)
    nifti(tmp_path / "d.nii.gz", numbers(0))
    with pytest.warns(DatasetWarning, match=r"left out volumes in folders below .*: p/ct and q/ct\."):
        find_cases(tmp_path, 1)


@pytest.mark.parametrize("name", ["", "p"])
def test_series_alone_are_no_dataset_and_told_what_makes_them_one(name: str, tmp_path: Path) -> None:
    write_series(tmp_path / "x" / name, numbers(0), name="IM{}")
    with pytest.raises(
        DatasetError, match=rf"{tmp_path / 'x' / name} is a DICOM series: a dataset\.json can name"
    ):
        open_any(tmp_path / "x")


def test_stray_slices_among_files_to_predict_are_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a0", "a1"):
        nifti(tmp_path / f"{name}.nii.gz", numbers(0))
    write_series(tmp_path, numbers(0)[:2], name="IM{}")
    with pytest.warns(
        DatasetWarning, match=r"left out 2 files that are none of the volumes .*: IM1 and IM2\."
    ):
        assert [case.name for case in find_cases(tmp_path, 1)] == ["a0", "a1"]
    write_enhanced(tmp_path / "e.dcm", numbers(0))
    with pytest.warns(DatasetWarning, match=r"IM1 and IM2\."):
        assert [case.name for case in find_cases(tmp_path, 1)] == ["a0", "a1", "e"]


def test_a_stray_slice_among_pictures_to_predict_is_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}.png")
    write_series(tmp_path, numbers(0)[:1], name="IM{}.dcm")
    with pytest.warns(DatasetWarning, match=r"left out a file that is none of the pictures .*: IM1\.dcm\."):
        assert [case.name for case in find_cases(tmp_path, 1)] == ["a", "b"]


def test_slices_in_a_folder_below_do_not_hide_its_volumes(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz", numbers(0))
    nifti(tmp_path / "more" / "b.nii.gz", numbers(0))
    write_series(tmp_path / "more", numbers(0)[:1], name="IM{}.dcm")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(write_series(tmp_path / "c", numbers(0)) / "preview.png")
    with pytest.warns(DatasetWarning, match=r"left out volumes in folders below .*more/b\.nii\.gz"):
        assert [case.name for case in find_cases(tmp_path, 1)] == ["a", "c"]


def test_a_preview_in_the_folder_of_a_series_makes_it_no_masks(tmp_path: Path) -> None:
    root = pairs(tmp_path, dicom=True)
    for name in CASES:
        Image.new("L", (8, 8)).save(root / "images" / name / "preview.png")
    dataset = open_any(root)
    assert [case.name for case in dataset.cases] == list(CASES)  # type: ignore[union-attr]
    assert not inspect_any(dataset).errors
