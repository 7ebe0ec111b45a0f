"""Dataset folders as they should be, and as they are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data import find_cases, inspect_dataset, open_any
from netwright.errors import DatasetError, SettingsError

Folder = Callable[..., Path]


def test_a_decathlon_folder(msd_folder: Folder) -> None:
    root = msd_folder(4)
    (root / "imagesTr" / "._case_00.nii.gz").write_bytes(b"left by another system")
    dataset = open_any(root)
    assert (dataset.name, dataset.format, dataset.channels) == ("Toy", "msd", ("MRI",))
    assert dataset.labels == {0: "background", 1: "Anterior", 2: "Posterior"}
    assert (dataset.classes, dataset.label_names) == (3, ("Anterior", "Posterior"))
    assert [case.name for case in dataset.cases] == [f"case_{number:02d}" for number in range(4)]
    assert all(file.is_file() for case in dataset.cases for file in (*case.images, case.label) if file)
    assert open_any(root / "dataset.json") == dataset


def test_an_nnunet_folder(nnunet_folder: Folder) -> None:
    dataset = open_any(nnunet_folder())
    assert (dataset.format, dataset.channels) == ("nnunet", ("T1", "T2"))
    assert dataset.labels == {0: "background", 1: "tumour"}
    assert [case.name for case in dataset.cases] == ["a", "b", "c"]
    assert [file.name for file in dataset.cases[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]


def test_images_beside_those_for_training_are_official_parts_or_to_be_predicted(
    nnunet_folder: Folder, save_volume: Callable[..., Path]
) -> None:
    root = nnunet_folder()
    image, labels = (
        np.random.default_rng(2).normal(0, 1, (5, 6, 7)),
        np.eye(5, 6)[..., None].repeat(7, axis=-1),
    )
    for name in ("Ts/x", "Ts/y", "Ts/a", "Va/v"):
        for channel in range(2):
            save_volume(root / f"images{name}_000{channel}.nii.gz", image.astype(np.float32))
    assert open_any(root).unlabelled == ("a", "v", "x", "y")
    assert set(open_any(root).parts) == {None}
    for name in ("Ts/x", "Ts/a", "Va/v"):
        save_volume(root / f"labels{name}.nii.gz", labels.astype(np.uint8))
    dataset = open_any(root)
    assert dataset.unlabelled == ("y",)
    assert dict(zip(dataset.names, dataset.parts, strict=True)) == {
        **dict.fromkeys("abc", "train"),
        "test_a": "test",
        "v": "val",
        "x": "test",
    }
    assert dataset.cases[-1].images == tuple(root / "imagesTs" / f"x_000{n}.nii.gz" for n in range(2))
    assert dataset.cases[-1].label == root / "labelsTs" / "x.nii.gz"
    assert {problem.kind for problem in inspect_dataset(dataset).errors} <= {"few-cases"}
    (root / "imagesTs" / "x_0001.nii.gz").unlink()
    assert "imagesTs/x_0001.nii.gz" in str(inspect_dataset(open_any(root)).errors[0])


def test_label_maps_for_testing_without_images_are_told(nnunet_folder: Folder) -> None:
    root = nnunet_folder()
    shutil.copytree(root / "labelsTr", root / "labelsTs")
    dataset = open_any(root)
    assert (dataset.names, set(dataset.parts)) == (("a", "b", "c"), {None})
    assert "labelsTs has label maps without images" in str(dataset.problems[0])


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("tails", [("",), ("_0000", "_0001")], ids=["plain", "numbered"])
def test_test_images_of_the_decathlon_may_have_label_maps(
    msd_folder: Folder, listed: bool, tails: tuple[str, ...]
) -> None:
    """Numbered as in nnU-Net's first version, whose lists have no numbers, and often no test cases."""
    names = ["./imagesTs/x.nii.gz", "./imagesTs/y.nii.gz"] if listed else []
    root = msd_folder(4, modality={str(number): "MR" for number in range(len(tails))}, test=names)
    (root / "imagesTs").mkdir()
    for file in sorted((root / "imagesTr").iterdir()):
        new = {"case_00": "x", "case_01": "y"}.get(bare := file.name.removesuffix(".nii.gz"))
        for tail in tails:
            shutil.copy(file, root / "imagesTs" / f"{new}{tail}.nii.gz") if new else None
            shutil.copy(file, file.with_name(f"{bare}{tail}.nii.gz")) if tail else None
        file.unlink() if tails[0] else None
    assert open_any(root).unlabelled == ("x", "y")
    (root / "labelsTs").mkdir()
    shutil.copy(root / "labelsTr" / "case_00.nii.gz", root / "labelsTs" / "x.nii.gz")
    dataset = open_any(root)
    assert dataset.unlabelled == ("y",)
    assert [(case.name, case.part) for case in dataset.cases] == [
        *((f"case_{number:02d}", "train") for number in range(4)),
        ("x", "test"),
    ]
    assert dataset.cases[-1].images == tuple(root / "imagesTs" / f"x{tail}.nii.gz" for tail in tails)


def test_an_nnunet_folder_that_lists_its_files(nnunet_folder: Folder) -> None:
    listed = {
        "b": {"images": ["imagesTr/b_0000.nii.gz", "imagesTr/b_0001.nii.gz"], "label": "labelsTr/b.nii.gz"}
    }
    dataset = open_any(nnunet_folder(dataset=listed))
    assert [case.name for case in dataset.cases] == ["b"]
    assert dataset.cases[0].label == dataset.root / "labelsTr" / "b.nii.gz"


@pytest.mark.parametrize("name", ["../../b", "/tmp/b", "..", "sub/b", ""])
def test_a_case_s_name_leads_to_no_other_folder(nnunet_folder: Folder, name: str) -> None:
    listed = {name: {"images": ["imagesTr/b_0000.nii.gz"], "label": "labelsTr/b.nii.gz"}}
    with pytest.raises(DatasetError, match="without folders"):
        open_any(nnunet_folder(dataset=listed))


def test_cases_with_missing_files_are_kept_for_the_inspection(nnunet_folder: Folder) -> None:
    root = nnunet_folder()
    for name in ("imagesTr/a_0000", "imagesTr/b_0000", "imagesTr/b_0001", "labelsTr/c"):
        (root / f"{name}.nii.gz").unlink()
    assert [case.name for case in open_any(root).cases] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"labels": {"background": 0, "whole": [1, 2]}}, r"`regions_class_order` as None"),
        ({"labels": {"background": 0, "a": 2, "ignore": 1}}, r"`ignore` as 1: expected one value above all"),
        ({"labels": {"background": 0, "a": "x"}}, "expected a whole number"),
        ({"labels": {"a": 1, "b": 2}}, "expected 0 for background"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "names the label value 1 twice"),
        ({"labels": [1, 2]}, "expected a value for each name"),
        (
            {"file_ending": ".png"},
            r"'\.png': expected \.nii\.gz, \.nii, \.nrrd, \.nhdr, \.mha, \.mhd or \.dcm",
        ),
        ({"channel_names": {"0": "T1"}}, r"_0001\.nii\.gz is channel 1, but .*names 1"),
        ({"channel_names": {"1": "T1"}}, "name for each number from 0"),
        ({"dataset": {"a": {"images": []}}}, "gives the case 'a'"),
    ],
)
def test_nnunet_descriptions_that_cannot_be_used(
    description: dict[str, Any], message: str, nnunet_folder: Folder
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_any(nnunet_folder(**description))


def test_an_image_without_channel_number(nnunet_folder: Folder) -> None:
    root = nnunet_folder()
    (root / "imagesTr" / "d.nii.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"d\.nii\.gz has no channel number: expected .* d_0000"):
        open_any(root)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"labels": None}, "expected a name for each value"),
        ({"modality": None}, "expected `channel_names`"),
        ({"training": [{"label": "a"}]}, "training case 0"),
        (
            {"training": [{"image": "a.nii", "label": "b"}, {"image": "x/a.nii", "label": "c"}]},
            "a more than once",
        ),
    ],
)
def test_decathlon_descriptions_that_cannot_be_used(
    description: dict[str, Any], message: str, msd_folder: Folder
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_any(msd_folder(3, **description))


def test_folders_of_no_known_format_are_told_what_was_looked_for(tmp_path: Path, msd_folder: Folder) -> None:
    with pytest.raises(DatasetError, match=r"nowhere does not exist"):
        open_any(tmp_path / "nowhere")
    root = msd_folder(3)
    with pytest.raises(
        DatasetError,
        match=r"no dataset that is known\. Expected images with label maps .*found MSD\. Did you mean .*MSD",
    ):
        open_any(root.parent)
    (root / "dataset.json").write_text(json.dumps({"images": []}))
    with pytest.raises(DatasetError, match=r"Looked for .*Decathlon: .*`training`.*has the keys images\."):
        open_any(root)
    (root / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be read"):
        open_any(root)
    with pytest.raises(SettingsError, match="expected one of nnunet, msd"):
        open_any(root, format="bids")


def test_map_label_must_lead_to_a_name(msd_folder: Folder) -> None:
    root = msd_folder(3)
    assert open_any(root, map_label={255: 1}).map_label == {255: 1}
    with pytest.raises(DatasetError, match=r"--map-label leads to 7, but .* names only 0, 1 and 2"):
        open_any(root, map_label={255: 7})


def test_cases_to_predict(nnunet_folder: Folder, tmp_path: Path, save_volume: Callable[..., Path]) -> None:
    images = nnunet_folder() / "imagesTr"
    assert [case.name for case in find_cases(images, channels=2)] == ["a", "b", "c"]
    assert [len(case.images) for case in find_cases(images, channels=2)] == [2, 2, 2]
    single = save_volume(tmp_path / "scans" / "scan_007.nii", np.zeros((3, 3, 3), np.float32))
    assert [case.name for case in find_cases(single, channels=1)] == ["scan_007"]
    assert find_cases(single.parent, channels=1) == find_cases(single, channels=1)
    (images / "b_0001.nii.gz").unlink()
    with pytest.raises(DatasetError, match="lacks channel 1 of case b"):
        find_cases(images, channels=2)
    with pytest.raises(DatasetError, match="contains no images"):
        find_cases(tmp_path, channels=1)
    with pytest.raises(DatasetError, match="does not exist"):
        find_cases(tmp_path / "nowhere", channels=1)
