"""Folders and descriptions a little off: read where the meaning is plain, else refused with what is the matter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from netwright.data import inspect_dataset, open_any
from netwright.data.io.volumes import read_image
from netwright.data.issues import UnusableFile
from netwright.data.similar_names import near
from netwright.errors import DatasetError

Folder = Callable[..., Path]
Save = Callable[..., Path]


def changed(root: Path, **values: Any) -> Path:
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**description, **values}))
    return root


def entries(root: Path) -> Any:
    return json.loads((root / "dataset.json").read_text())["training"]


@pytest.mark.parametrize("channels", [1, 3])
def test_nnunet_s_first_version_numbers_the_files_and_not_the_list(
    channels: int, msd_folder: Folder, save_volume: Save
) -> None:
    root = changed(msd_folder(4), modality={str(number): f"T{number}" for number in range(channels)})
    for file in list((root / "imagesTr").iterdir()):
        name = file.name.removesuffix(".nii.gz")
        file.rename(file.with_name(f"{name}_0000.nii.gz"))
        for number in range(1, channels):
            values = np.random.default_rng(number).normal(size=(6, 7, 8)).astype(np.float32)
            save_volume(file.with_name(f"{name}_{number:04d}.nii.gz"), values)
    dataset = open_any(root)
    assert [case.name for case in dataset.cases] == [f"case_{number:02d}" for number in range(4)]
    assert all(len(case.images) == channels for case in dataset.cases)
    assert inspect_dataset(dataset).errors == ()
    if channels > 1:
        (root / "imagesTr" / "case_01_0001.nii.gz").unlink()
        (error,) = inspect_dataset(open_any(root)).errors
        assert "imagesTr/case_01_0001.nii.gz is missing" in str(error)
        assert "is there" not in str(error)  # another channel is not what was meant


def test_back_slashes_are_folders(msd_folder: Folder, nnunet_folder: Folder) -> None:
    root = msd_folder(4)
    listed = [{key: value.replace("/", "\\") for key, value in entry.items()} for entry in entries(root)]
    assert "\\" in listed[0]["image"]
    assert inspect_dataset(open_any(changed(root, training=listed))).errors == ()
    case = {"images": ["imagesTr\\b_0000.nii.gz", "imagesTr\\b_0001.nii.gz"], "label": "labelsTr\\b.nii.gz"}
    (only,) = open_any(nnunet_folder(dataset={"b": case})).cases  # type: ignore[union-attr]
    assert all(path.is_file() for path in (*only.images, only.label))


def test_a_file_of_another_ending_is_named(msd_folder: Folder) -> None:
    root = msd_folder(4)
    listed = [
        {key: value.replace(".nii.gz", ".nii") for key, value in entry.items()} for entry in entries(root)
    ]
    error, *_ = inspect_dataset(open_any(changed(root, training=listed))).errors
    assert (
        "found no file, but case_00.nii.gz is there.\nIf that is the file, use its name, or rename it."
        in str(error)
    )


@pytest.mark.parametrize("below", [True, False])
def test_files_one_level_off_are_found(below: bool, msd_folder: Folder) -> None:
    root = msd_folder(4)
    if below:
        moved = root / "unpacked"
        moved.mkdir()
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).rename(moved / folder)
    else:
        moved = root
        inner = root / "inner"
        inner.mkdir()
        (root / "dataset.json").rename(inner / "dataset.json")
        root = inner
    error, *_ = inspect_dataset(open_any(root)).errors
    assert f"no file, but {moved / 'imagesTr' / 'case_00.nii.gz'} is there" in str(error)


@pytest.mark.parametrize("kind", ["msd", "nnunet"])
def test_a_folder_one_level_off_is_pointed_to(
    kind: str, msd_folder: Folder, nnunet_folder: Folder, tmp_path: Path
) -> None:
    made = msd_folder(3) if kind == "msd" else nnunet_folder()
    around = tmp_path / "around"
    around.mkdir()
    root = made.rename(around / "set")
    with pytest.raises(DatasetError, match=rf"Did you mean {root}\?"):
        open_any(around)
    for folder in ("imagesTr", "labelsTr"):
        with pytest.raises(DatasetError, match=rf"Did you mean {root}\?"):
            open_any(root / folder)


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "tumour"},
        {"background": 0, "tumour": 1},
        {"background": 0.0, "tumour": 1.0},
    ],
)
def test_labels_are_read_whichever_side_the_values_are_on(
    labels: dict[str, Any], nnunet_folder: Folder, msd_folder: Folder
) -> None:
    assert open_any(nnunet_folder(labels=labels)).labels == {0: "background", 1: "tumour"}  # type: ignore[union-attr]
    assert open_any(msd_folder(3, labels=labels)).labels == {0: "background", 1: "tumour"}  # type: ignore[union-attr]


def test_labels_that_are_named_by_numbers(nnunet_folder: Folder) -> None:
    dataset = open_any(nnunet_folder(labels={"0": 0, "17": 1}))
    assert dataset.labels == {0: "0", 1: "17"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("nii.gz", r"'nii\.gz': expected '\.nii\.gz', with its dot"),
        (".NII.GZ", r"'\.NII\.GZ': expected '\.nii\.gz', .*small letters"),
        (".gz", r"'\.gz': expected .*the files of imagesTr end in \.nii\.gz"),
        (".mha.gz", r"'\.mha\.gz': expected .*the files of imagesTr end in \.nii\.gz"),
        (".nii", r"'\.nii', but .*imagesTr holds a_0000\.nii\.gz and 5 more of another ending"),
    ],
)
def test_a_file_ending_that_is_not_that_of_the_files(
    ending: str, message: str, nnunet_folder: Folder
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_any(nnunet_folder(file_ending=ending))


def test_no_file_is_passed_over_for_its_ending(nnunet_folder: Folder, save_volume: Save) -> None:
    root = nnunet_folder()
    (root / "labelsTr" / "a.nii.gz").rename(root / "labelsTr" / "a.NII.GZ")
    with pytest.raises(DatasetError, match=r"labelsTr holds a\.NII\.GZ: expected one ending"):
        open_any(root)


@pytest.mark.parametrize("kind", ["msd", "nnunet", "image-masks"])
def test_a_dataset_without_any_labelled_voxel_is_refused(
    kind: str, msd_folder: Folder, nnunet_folder: Folder, cells: Path, tmp_path: Path, save_volume: Save
) -> None:
    copies = {"msd": lambda: msd_folder(4), "nnunet": nnunet_folder}
    if kind in copies:
        root, shape = copies[kind](), (6, 7, 8) if kind == "msd" else (5, 6, 7)
        for file in (root / "labelsTr").iterdir():
            save_volume(file, np.zeros(shape, np.uint8))
    else:
        from PIL import Image

        root = Path(shutil.copytree(cells, tmp_path / "cells"))
        (root / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "cell"}}))
        for file in (root / "masks").iterdir():
            Image.fromarray(np.zeros((24, 24), np.uint8)).save(file)
    inspection = inspect_dataset(open_any(root))
    assert [problem.kind for problem in inspection.errors] == ["no-labels"]
    with pytest.raises(DatasetError, match=r"(?s)has no labelled voxel: expected voxels of 1.*--map-label"):
        inspection.require_usable()


def test_what_is_near(tmp_path: Path) -> None:
    folder = tmp_path / "imagesTr"
    folder.mkdir()
    for name in ("a.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz", "C.NII", "d.png"):
        (folder / name).touch()
    assert near(folder / "a_0000.nii") == folder / "a.nii.gz"
    assert near(folder / "b.nii.gz") == folder / "b_0000.nii.gz"
    assert near(folder / "b_0002.nii.gz") is None
    assert near(folder / "c.nii") == folder / "C.NII"
    assert near(folder / "d.jpg") == folder / "d.png"
    assert near(folder / "e.nii") is None
    assert near(tmp_path / "other" / "a.nii.gz") is None
    assert near(tmp_path / "set" / "imagesTr" / "a.nii.gz") == folder / "a.nii.gz"


def test_a_slice_of_two_axes_is_told_to_get_a_third(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(4)
    for folder in ("imagesTr", "labelsTr"):
        for file in (root / folder).iterdir():
            array = np.asarray(nibabel.load(file).dataobj)[:, :, 4]
            save_volume(file, array)
    problem, *_ = inspect_dataset(open_any(root)).errors
    assert (problem.kind, "interrupted" in str(problem)) == ("two-axes", False)
    assert "imagesTr/case_00.nii.gz has two axes: expected a volume with three" in str(problem)
    for folder in ("imagesTr", "labelsTr"):
        for file in (root / folder).iterdir():  # as it advises
            image = nibabel.load(file)
            nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[:, :, None], image.affine), file)
    assert inspect_dataset(open_any(root)).errors == ()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            np.complex64,
            "type that is not read: expected integers or real numbers, found numbers of type complex64",
        ),
        ([("R", "u1"), ("G", "u1"), ("B", "u1")], "type that is not read: .*, found colours"),
    ],
)
def test_numbers_that_are_not_read_are_no_broken_copy(kind: Any, message: str, tmp_path: Path) -> None:
    values = np.zeros((4, 5, 6), kind)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")  # type: ignore[no-untyped-call]
    with pytest.raises(UnusableFile, match=message) as caught:
        read_image([tmp_path / "a.nii"])
    assert "interrupted" not in str(caught.value)
