"""Published datasets whose folders look like something else: refused, or read with a word about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from dicom_files import write_series
from netwright.data.open import inspect_any, open_any
from netwright.errors import DatasetError
from netwright_tests import save_photograph, save_picture

Write = Callable[..., Path]
Make = Callable[..., Any]


def kinds(root: Path) -> list[str]:
    return [problem.kind for problem in inspect_any(open_any(root)).problems]


@pytest.mark.parametrize("given", ["", "Train_Sets", "Train_Sets/CT"])
def test_label_maps_of_slices_in_dicom_are_no_classes(tmp_path: Path, given: str) -> None:
    """As CHAOS has them: a series and a picture for each slice, of CT and of MR."""
    for home in ("CT/1", "CT/2", "MR/1/T1DUAL", "MR/2/T1DUAL"):
        patient = tmp_path / "Train_Sets" / home
        write_series(patient / "DICOM_anon", np.zeros((4, 5, 6), np.int16))
        for number in range(4):
            save_picture(patient / "Ground" / f"liver_GT_{number:03d}.png", np.eye(6, dtype=np.uint8) * 255)
    with pytest.raises(DatasetError, match=r"series in DICOM, such as .*DICOM_anon, and pictures"):
        open_any(tmp_path / given)
    assert open_any(tmp_path / given, format="image-folder").format == "image-folder"


def test_a_few_slices_beside_classes_change_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "raw" / "scan", np.zeros((4, 5, 6), np.int16))
    for name in ("cat", "dog"):
        for number in range(6):
            save_photograph(tmp_path / "train" / name / f"{number}.png")
    assert open_any(tmp_path).format == "image-folder"


@pytest.mark.parametrize("part", ["", "train/"])
def test_folders_of_patients_below_classes_are_told(tmp_path: Path, part: str) -> None:
    """As BreakHis has them, and MURA, whose classes are folders below."""
    for kind in ("benign", "malignant"):
        for patient in ("SOB_A_14-22549AB", "SOB_A_14-22549CD"):
            for number in range(3):
                save_photograph(tmp_path / part / kind / patient / "40X" / f"{patient}-{number}.png")
    data = open_any(tmp_path)
    assert data.class_names == ("benign", "malignant")
    (told,) = [problem for problem in inspect_any(data).problems if problem.kind == "folders-below"]
    assert told.severity == "warning"
    assert told.file == f"{part}benign/SOB_A_14-22549AB/40X"
    assert told.found == "4 such folders"
    assert "group (the patient)" in told.advice


def test_one_folder_below_each_class_is_not_told(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(3):
            save_photograph(tmp_path / kind / "images" / f"{number}.png")
    assert "folders-below" not in kinds(tmp_path)


def numbered(count: int) -> np.ndarray:
    mask = np.zeros((24, 32), np.uint8)
    for number in range(count):
        mask[3 * number : 3 * number + 2, 4:20] = number + 1
    return mask


def test_masks_that_number_objects_are_told(tmp_path: Path) -> None:
    """As GlaS has them: 1, 2, ... are glands, and no classes."""
    for number, count in enumerate((3, 5, 2, 4)):
        save_photograph(tmp_path / "images" / f"{number}.png")
        save_picture(tmp_path / "masks" / f"{number}.png", numbered(count))
    (told,) = [one for one in inspect_any(open_any(tmp_path)).problems if one.kind == "numbered-objects"]
    assert told.file == "masks"
    assert "--map-label 2=1,3=1,4=1,5=1" in told.advice
    joined = open_any(tmp_path, map_label=dict.fromkeys((2, 3, 4, 5), 1))
    assert dict(joined.labels) == {0: "background", 1: "foreground"}
    assert "numbered-objects" not in [one.kind for one in inspect_any(joined).problems]


def test_volumes_that_number_objects_are_told(tmp_path: Path) -> None:
    for number, count in enumerate((3, 5, 2, 4)):
        labels = np.repeat(numbered(count)[..., None], 4, axis=2)
        for home, array in (("images", labels.astype(np.float32)), ("labels", labels)):
            (tmp_path / home).mkdir(exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), tmp_path / home / f"{number}.nii.gz")
    assert "numbered-objects" in kinds(tmp_path)


@pytest.mark.parametrize("masks", [[[1], [1, 2], [1, 2, 3], [2, 3]], [[1, 2, 3, 5], [4, 5], [1, 3, 5], [2]]])
def test_labels_of_which_not_all_occur_are_not_told(tmp_path: Path, masks: list[list[int]]) -> None:
    for number, values in enumerate(masks):
        mask = np.zeros((24, 32), np.uint8)
        for value in values:
            mask[3 * value : 3 * value + 2, 4:20] = value
        save_photograph(tmp_path / "images" / f"{number}.png")
        save_picture(tmp_path / "masks" / f"{number}.png", mask)
    assert "numbered-objects" not in kinds(tmp_path)
