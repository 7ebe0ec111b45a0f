"""Every way in which a dataset can be wrong, and what a user is told about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data import Inspection, inspect_dataset, open_any
from netwright.data.splits import Part
from netwright.data.volumes.dataset import Dataset
from netwright.errors import DatasetError

Folder = Callable[..., Path]
Save = Callable[..., Path]

SHAPE = (6, 7, 8)


def inspect(root: Path, **options: Any) -> Inspection:
    return inspect_dataset(open_any(root, **options))


def only(inspection: Inspection) -> Any:
    assert len(inspection.problems) == 1, [str(problem) for problem in inspection.problems]
    return inspection.problems[0]


def test_a_good_dataset_has_no_problems_and_numpy_s_numbers(msd_folder: Folder) -> None:
    root = msd_folder(10)
    inspection = inspect(root)
    assert inspection.problems == ()
    inspection.require_usable()
    rng = np.random.default_rng(0)
    images, labels = zip(
        *((rng.normal(100, 20, SHAPE).astype(np.float32), rng.integers(0, 3, SHAPE)) for _ in range(10)),
        strict=True,
    )
    fingerprint = inspection.fingerprint
    channel = fingerprint.channels[0]
    assert channel.mean == pytest.approx(np.mean(images), rel=1e-6)
    assert channel.std == pytest.approx(np.std(images), rel=1e-5)
    assert (channel.minimum, channel.maximum) == (np.min(images), np.max(images))
    assert channel.percentile_99_5 == pytest.approx(np.percentile(images, 99.5), rel=1e-3)
    assert channel.median == pytest.approx(np.median(images), rel=1e-3)
    counts = np.bincount(np.ravel(labels))
    assert [label.voxels for label in fingerprint.labels] == counts.tolist()
    assert [label.percent for label in fingerprint.labels] == pytest.approx(100 * counts / counts.sum())
    assert fingerprint.shape is not None
    assert fingerprint.shape.median == SHAPE
    assert json.loads(json.dumps(inspection.to_dict()))["usable"] is True
    assert inspect_dataset(open_any(root), workers=3) == inspection


def test_geometry_is_reported_in_canonical_axes(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    affine = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    for number in range(10):
        values = np.random.default_rng(number).normal(size=SHAPE)
        save_volume(root / "imagesTr" / f"case_{number:02d}.nii.gz", values, affine)
        save_volume(root / "labelsTr" / f"case_{number:02d}.nii.gz", np.ones(SHAPE, np.uint8), affine)
    fingerprint = inspect(root).fingerprint
    assert fingerprint.orientations == {"PSR": 10}
    assert fingerprint.shape is not None
    assert fingerprint.shape.minimum == (8, 6, 7)
    assert fingerprint.spacing is not None
    assert fingerprint.spacing.maximum == (3, 1, 2)


def label(root: Path, number: int = 0) -> Path:
    return root / "labelsTr" / f"case_{number:02d}.nii.gz"


def image(root: Path, number: int = 0) -> Path:
    return root / "imagesTr" / f"case_{number:02d}.nii.gz"


def test_missing_files(msd_folder: Folder) -> None:
    root = msd_folder(10)
    label(root, 3).unlink()
    image(root, 5).unlink()
    first, second = inspect(root).problems
    assert (first.severity, first.file, first.kind) == ("error", "labelsTr/case_03.nii.gz", "missing-file")
    assert "case_03.nii.gz is missing: expected a NIfTI volume, found no file.\nAdd the label map" in str(
        first
    )
    assert str(second).startswith("imagesTr/case_05.nii.gz is missing")


def test_a_case_without_label(msd_folder: Folder) -> None:
    root = msd_folder(10)
    description = json.loads((root / "dataset.json").read_text())
    del description["training"][2]["label"]
    (root / "dataset.json").write_text(json.dumps(description))
    problem = only(inspect(root))
    assert str(problem).startswith("imagesTr/case_02.nii.gz has no label map: expected an image and a label")


def test_a_label_of_another_shape(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    save_volume(label(root, 4), np.zeros((6, 7, 9), np.uint8))
    problem = only(inspect(root))
    assert problem.severity == "error"
    assert "labelsTr/case_04.nii.gz does not fit its image case_04.nii.gz: " in str(problem)
    assert "expected the shape 6 x 7 x 8, found 6 x 7 x 9" in str(problem)


def test_a_label_elsewhere_is_refused_beyond_a_voxel(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    save_volume(label(root, 1), np.ones(SHAPE, np.uint8), np.diag([1, 1, 3.0, 1]))
    for number, distance in ((2, 40), (3, 0.25)):
        moved = np.eye(4)
        moved[:3, 3] = [0, distance, 0]
        save_volume(label(root, number), np.ones(SHAPE, np.uint8), moved)
    spacing, elsewhere, near = inspect(root).problems
    assert (spacing.severity, elsewhere.severity, near.severity) == ("error", "error", "warning")
    assert "expected voxels of 1 x 1 x 1 mm, found voxels of 1 x 1 x 3 mm" in str(spacing)
    assert "another position than its image case_02.nii.gz, up to 40 voxels away" in str(elsewhere)
    assert "found axes RAS from (0.0, 40.0, 0.0) mm" in str(elsewhere)
    assert (
        "labelsTr/case_03.nii.gz has another position than its image case_03.nii.gz, up to 0.25 voxels"
        in str(near)
    )


def test_truncated_files(msd_folder: Folder) -> None:
    root = msd_folder(10)
    for path in (image(root, 0), label(root, 1)):
        path.write_bytes(path.read_bytes()[:-30])
    problems = inspect(root).problems
    assert [problem.file for problem in problems] == ["imagesTr/case_00.nii.gz", "labelsTr/case_01.nii.gz"]
    assert all("cannot be read: expected a complete NIfTI volume" in str(problem) for problem in problems)


def test_masks_with_255_as_a_colleague_would_explain_them(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(12)
    for number in range(2, 12):
        mask = np.zeros(SHAPE, np.uint8)
        mask[2:4] = 255
        save_volume(label(root, number), mask)
    inspection = inspect(root)
    problem, more = inspection.grouped()[0]
    assert more == 9
    assert str(problem) == (
        "labelsTr/case_02.nii.gz has labels that dataset.json does not name: expected 0, 1 and 2, found 0 "
        "and 255.\nMasks saved as 8-bit images often use 255 for foreground. "
        "If 255 means 1 (Anterior), run again with --map-label 255=1."
    )
    with pytest.raises(DatasetError, match=r"9 more files have the same problem\.\n.*inspect .*MSD --all"):
        inspection.require_usable()
    mapped = inspect(root, map_label={255: 1})
    assert mapped.errors == ()
    assert mapped.fingerprint.labels[1].cases == 12


def test_other_unknown_labels(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    values = np.zeros(SHAPE, np.int16)
    values[0, 0, :2] = 7, -1
    save_volume(label(root, 0), values)
    save_volume(label(root, 1), np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16))
    few, many = inspect(root).problems
    assert "found -1, 0 and 7" in str(few)
    assert "--map-label -1=1 (Anterior)" in str(few)
    assert "328 more values" in str(many)
    assert "look like the intensities of an image" in str(many)


def test_labels_that_are_no_whole_numbers(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    values = np.zeros(SHAPE, np.float32)
    values[0, 0, 0] = 0.5
    save_volume(label(root, 0), values)
    values[0, 0, 0] = np.nan
    save_volume(label(root, 1), values)
    blended, broken = inspect(root).problems
    assert "labels that are not whole numbers: expected 0, 1 and 2" in str(blended)
    assert "found 0.5.\nInterpolation blends labels" in str(blended)
    assert "found nan" in str(broken)
    save_volume(label(root, 0), np.ones(SHAPE, np.float64))
    save_volume(label(root, 1), np.full(SHAPE, 2, np.float32))
    assert inspect(root).problems == ()


def test_voxels_that_are_no_numbers(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    save_volume(image(root, 6), values)
    problem = only(inspect(root))
    assert problem.severity == "error"
    assert "imagesTr/case_06.nii.gz has voxels that are not numbers (NaN or infinite)" in str(problem)
    assert "found 3 of 336 voxels in channel 0" in str(problem)


def test_a_constant_image_and_a_duplicate_are_warnings(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    save_volume(image(root, 1), np.full(SHAPE, 3, np.int16))
    image(root, 7).write_bytes(image(root, 2).read_bytes())
    inspection = inspect(root)
    constant, duplicate = inspection.problems
    assert "case_01.nii.gz is constant: expected an image, found the intensity 3 everywhere" in str(constant)
    assert "imagesTr/case_07.nii.gz is a duplicate" in str(duplicate)
    assert "found the same voxels as in case_02.nii.gz" in str(duplicate)
    inspection.require_usable()


def test_leaks_between_official_parts_are_warnings(msd_folder: Folder) -> None:
    root = msd_folder(20)
    for copy, original in ((7, 2), (3, 2), (9, 8)):
        image(root, copy).write_bytes(image(root, original).read_bytes())
    opened = open_any(root)
    assert isinstance(opened, Dataset)
    parts: list[Part | None] = [
        *["train", None] * 3,
        "train",
        *["test"] * 3,
        *["train"] * 3,
        "val",
        *["train"] * 6,
    ]
    patients = {0: "anna", 1: "anna", 8: "anna", 12: "ben", 13: "ben", 4: "cleo", 5: "cleo"}
    cases = [
        replace(case, part=part, group=patients.get(number, case.name))
        for number, (case, part) in enumerate(zip(opened.cases, parts, strict=True))
    ]
    found = inspect_dataset(replace(opened, cases=tuple(cases)))
    assert [(problem.kind, problem.severity) for problem in found.problems] == [
        ("duplicate", "warning"),
        ("duplicate-parts", "warning"),
        ("duplicate", "warning"),
        ("patient-parts", "warning"),
        ("patient-parts", "warning"),
    ]
    told = [str(problem) for problem in found.problems]
    assert "case_03.nii.gz is a duplicate" in told[0]
    assert "case_07.nii.gz is in two official parts, train and test" in told[1]
    assert "It counts twice" in told[2]
    assert "has the patient anna in several official parts" in told[3]
    assert "found train (case_00, case_01) and test (case_08)" in told[3]
    assert "found train (case_12) and val (case_13)" in told[4]
    assert "--split-file" in told[4]


def test_a_label_that_no_case_has(msd_folder: Folder) -> None:
    labels = {"0": "background", "1": "Anterior", "2": "Posterior", "3": "Cyst"}
    problem = only(inspect(msd_folder(10, labels=labels)))
    assert problem.severity == "warning"
    assert "dataset.json names the label 3 (Cyst), which no case has" in str(problem)


def test_another_number_of_channels(msd_folder: Folder) -> None:
    inspection = inspect(msd_folder(10, modality={"0": "T1", "1": "T2"}))
    problem, more = inspection.grouped()[0]
    assert more == 9
    assert "case_00.nii.gz has 1 channel: expected 2 (T1, T2), as dataset.json names them, found 1" in str(
        problem
    )


def test_a_channel_on_another_grid(nnunet_folder: Folder, save_volume: Save) -> None:
    root = nnunet_folder()
    save_volume(root / "imagesTr" / "b_0001.nii.gz", np.zeros((5, 6, 8), np.float32))
    save_volume(
        root / "imagesTr" / "c_0001.nii.gz", np.eye(42).reshape(7, 6, 42)[:5, :, :7], np.diag([2, 2, 2, 1])
    )
    error, elsewhere, few = inspect(root).problems
    assert "b_0001.nii.gz has another shape than the first channel: expected 5 x 6 x 7" in str(error)
    assert "c_0001.nii.gz has another position than the first channel c_0000.nii.gz" in str(elsewhere)
    assert (elsewhere.severity, few.kind) == ("error", "few-cases")


@pytest.mark.parametrize(
    ("cases", "severity", "message"),
    [
        (
            0,
            "error",
            "has no labelled cases: expected at least 3, for training, validation and test, found 0",
        ),
        (
            1,
            "error",
            "has too few labelled cases: expected at least 3, .* found 1.\nOne case is not enough for training",
        ),
        (2, "error", "found 2"),
        (3, "warning", "expected at least 10, .* found 3.\nA result on one or two test cases says little"),
    ],
)
def test_too_few_cases(cases: int, severity: str, message: str, msd_folder: Folder) -> None:
    inspection = inspect(msd_folder(cases))
    problem = only(inspection)
    assert problem.severity == severity
    if severity == "error":
        with pytest.raises(DatasetError, match=message):
            inspection.require_usable()


def test_many_kinds_of_errors_are_told_in_short(msd_folder: Folder, save_volume: Save) -> None:
    root = msd_folder(10)
    label(root, 0).unlink()
    label(root, 1).write_bytes(b"")
    save_volume(label(root, 2), np.full(SHAPE, 9, np.uint8))
    save_volume(label(root, 3), np.full(SHAPE, 0.5, np.float32))
    save_volume(label(root, 4), np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(DatasetError) as error:
        inspect(root).require_usable()
    text = str(error.value)
    assert "case_00.nii.gz is missing" in text
    assert "case_02.nii.gz has labels that dataset.json does not name" in text
    assert "2 further errors.\nAll of them: netwright inspect" in text
