"""Stacks of TIFF pages in the layouts of volumes, and beside the layouts of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from netwright.data import PreprocessingSettings, find_cases, inspect_dataset, open_any, prepare
from netwright.data.open import inspect_any
from netwright.data.recognition import recognise
from netwright.data.volumes.checks import check_case
from netwright.errors import DatasetError, DatasetWarning

SHAPE = (5, 8, 6)
IMAGEJ = {"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "mm", "spacing": 2}}


def stack(path: Path, seed: int | None = None, **options: Any) -> Path:
    """Noise; without a seed a label map with the labels 1 and 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 2:5, 1:4], array[3, 6, 2:5] = 1, 2
    if seed is not None:
        array = np.random.default_rng(seed).integers(0, 999, SHAPE).astype(np.uint16)
    tifffile.imwrite(path, array, **options)
    return path


def page(path: Path, seed: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 6)).astype(np.uint8)
    tifffile.imwrite(path, pixels if seed is not None else (pixels > 99).astype(np.uint8))
    return path


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a{}.tif", "labels/a{}.tif"),
        ("images/a{}.tif", "masks/a{}.tif"),
        ("images/a{}.ome.tif", "masks/a{}.tif"),
        ("a{}.tiff", "a{}_seg.tiff"),
        ("case{}/image.tif", "case{}/label.TIF"),
    ],
)
def test_pairs_of_stacks_are_volumes(tmp_path: Path, image: str, label: str) -> None:
    for number in range(3):
        stack(tmp_path / image.format(number), number, **IMAGEJ)
        stack(tmp_path / label.format(number))
    assert recognise(tmp_path) == "volume-pairs"
    dataset = open_any(tmp_path)
    assert list(dataset.labels) == [0, 1, 2]
    inspection = inspect_dataset(dataset)
    assert not inspection.errors
    assert inspection.fingerprint.spacing.median == (0.5, 0.5, 2)
    assert inspection.fingerprint.shape.median == (6, 8, 5)
    assert [label.voxels for label in inspection.fingerprint.labels] == [3 * (240 - 21), 54, 9]
    assert [problem.kind for problem in inspection.warnings] == ["few-cases"]
    prepared = prepare(dataset, PreprocessingSettings(), tmp_path / "cache")
    assert len(prepared) == 3


def test_stacks_of_unknown_size_are_told_once_a_case(tmp_path: Path) -> None:
    for number in range(3):
        stack(tmp_path / "images" / f"{number}.tif", number)
        stack(tmp_path / "labels" / f"{number}.tif")
    found = inspect_dataset(open_any(tmp_path)).warnings
    assert [problem.kind for problem in found].count("unknown-spacing") == 3
    (tmp_path / "images" / "1.json").write_text('{"spacing": [2, 1, 1]}')
    found = inspect_dataset(open_any(tmp_path)).warnings
    assert [problem.kind for problem in found].count("unknown-spacing") == 2


def nnunet(root: Path, **description: Any) -> Path:
    for number in range(3):
        for channel in (0, 1):
            stack(root / "imagesTr" / f"c{number}_{channel:04d}.tif", 2 * number + channel)
        stack(root / "labelsTr" / f"c{number}.tif")
        for folder in ("imagesTr", "labelsTr"):
            (root / folder / f"c{number}.json").write_text('{"spacing": [2, 0.5, 0.25]}')
    labels = {"background": 0, "a": 1, "b": 2}
    described = {
        "channel_names": {"0": "x", "1": "y"},
        "labels": labels,
        "file_ending": ".tif",
        **description,
    }
    (root / "dataset.json").write_text(json.dumps(described))
    return root


def test_nnunet_with_stacks_and_their_spacing_files(tmp_path: Path) -> None:
    dataset = open_any(nnunet(tmp_path))
    assert dataset.format == "nnunet"
    inspection = inspect_dataset(dataset)
    assert inspection.fingerprint.spacing.median == (0.25, 0.5, 2)
    assert [problem.kind for problem in inspection.problems] == ["few-cases"]


def test_nnunet_with_an_ending_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"'\.png': expected .* \.tif or \.tiff\. Correct .* end in \.tif\."
    ):
        open_any(nnunet(tmp_path, file_ending=".png"))
    with pytest.raises(DatasetError, match=r"imagesTr holds c0_0000\.tif and 5 more"):
        open_any(nnunet(tmp_path, file_ending=".tiff"))


def test_nnunet_with_single_pages_is_refused_as_before(tmp_path: Path) -> None:
    root = nnunet(tmp_path)
    for file in root.rglob("*.tif"):
        page(file, 1)
    with pytest.raises(DatasetError, match=r"'\.tif': expected \.nii\.gz.* or \.dcm\. Convert"):
        open_any(root)


def test_decathlon_with_stacks(tmp_path: Path) -> None:
    for number in range(3):
        stack(tmp_path / "imagesTr" / f"{number}.tif", number, **IMAGEJ)
        stack(tmp_path / "labelsTr" / f"{number}.tif", **IMAGEJ)
    files = [{"image": f"./imagesTr/{n}.tif", "label": f"./labelsTr/{n}.tif"} for n in range(3)]
    labels = {"0": "background", "1": "a", "2": "b"}
    described = {"training": files, "labels": labels, "modality": {"0": "confocal"}}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    inspection = inspect_dataset(open_any(tmp_path))
    assert inspection.fingerprint.format == "msd"
    assert not inspection.errors
    assert inspection.fingerprint.spacing.median == (0.5, 0.5, 2)


def test_a_single_page_among_stacks_is_an_error_of_its_case(tmp_path: Path) -> None:
    for number in range(3):
        stack(tmp_path / "images" / f"{number}.tif", number, **IMAGEJ)
        stack(tmp_path / "labels" / f"{number}.tif")
    page(tmp_path / "images" / "1.tif", 1)
    (tmp_path / "labels" / "2.tif").write_bytes(b"II*\0 and nothing")
    errors = inspect_dataset(open_any(tmp_path)).errors
    assert [(problem.file, problem.kind) for problem in errors] == [
        ("images/1.tif", "single-page"),
        ("labels/2.tif", "unreadable"),
    ]


def test_pictures_with_masks_stay_pictures(tmp_path: Path) -> None:
    for number in range(3):
        page(tmp_path / "images" / f"{number}.tif", number)
        page(tmp_path / "masks" / f"{number}.tif")
    assert recognise(tmp_path) == "image-masks"
    assert not inspect_dataset(open_any(tmp_path)).errors
    stack(tmp_path / "images" / "1.tif", 1)
    stack(tmp_path / "images" / "2.tif", 2)
    stack(tmp_path / "masks" / "2.tif")
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "a", "2": "b"}}')
    dataset = open_any(tmp_path)
    assert dataset.format == "image-masks"
    errors = [("images/1.tif", "pages"), ("images/2.tif", "pages")]
    assert [(problem.file, problem.kind) for problem in inspect_dataset(dataset).errors] == errors
    assert [problem.kind for case in dataset.cases for problem in check_case(case, dataset).problems] == [
        "pages"
    ] * 2


def test_stacks_of_classes_are_refused_with_a_reason(tmp_path: Path) -> None:
    for number in range(3):
        for kind in ("cats", "dogs"):
            stack(tmp_path / kind / f"{number}.tif", number)
    assert recognise(tmp_path) == "image-folder"
    problems = inspect_any(open_any(tmp_path)).errors
    assert {problem.kind for problem in problems} == {"pages"}
    assert "images/a.tif and labels/a.tif" in problems[0].advice


def test_stacks_to_predict_without_their_label_maps(tmp_path: Path) -> None:
    for number in range(2):
        stack(tmp_path / f"a{number}.tif", number)
        stack(tmp_path / f"a{number}_seg.tif")
        (tmp_path / f"a{number}.json").write_text('{"spacing": [2, 1, 1]}')
    with pytest.warns(DatasetWarning, match=r"left out 2 files that are none of the images .*a0_seg\.tif"):
        cases = find_cases(tmp_path, 1)
    assert [case.name for case in cases] == ["a0", "a1"]
    assert [case.name for case in find_cases(tmp_path / "a1.tif", 1)] == ["a1"]


def test_channels_of_stacks_to_predict_are_grouped_as_in_nnunet(tmp_path: Path) -> None:
    for channel in (0, 1):
        stack(tmp_path / f"p_{channel:04d}.tif", channel)
    (case,) = find_cases(tmp_path, 2)
    assert (case.name, [file.name for file in case.images]) == ("p", ["p_0000.tif", "p_0001.tif"])


def test_pictures_to_predict_stay_pictures(tmp_path: Path) -> None:
    for number in range(3):
        page(tmp_path / f"{number}.tif", number)
    stack(tmp_path / "3.tif", 3)
    with pytest.warns(DatasetWarning, match=r"left out: .*3\.tif holds more than one picture"):
        assert [case.name for case in find_cases(tmp_path, 1)] == ["0", "1", "2"]
