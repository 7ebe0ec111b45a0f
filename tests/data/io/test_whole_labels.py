"""Label maps with rounding errors, scales, NaN and unusual values: read rightly, or refused for the right reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import UnusableFile, inspect_dataset, open_any, read_label, write_label_map
from netwright.data.io.volumes import read_grid
from netwright.data.io.whole_labels import whole_labels
from netwright.errors import DatasetError
from netwright.tasks.segmentation.data import LabelledCase

Folder = Callable[..., Path]
Save = Callable[..., Path]

SHAPE = (6, 7, 8)
LABELS = np.random.default_rng(0).integers(0, 3, SHAPE)


@given(
    st.lists(st.tuples(st.integers(-300, 70000), st.floats(-9.9e-4, 9.9e-4)), min_size=1),
    st.sampled_from([np.float64, np.int64, np.int32, np.uint64]),
)
def test_what_lies_within_a_thousandth_of_a_whole_number_is_that_number(
    values: list[tuple[int, float]], kind: Any
) -> None:
    whole = np.array([number for number, _ in values])
    if kind is np.float64:
        stored = whole + np.array([error for _, error in values])
    else:
        whole = whole if kind is not np.uint64 else np.abs(whole)
        stored = whole.astype(kind)
    labels = whole_labels(Path("a"), stored)
    assert labels.dtype.kind in "iu"
    assert labels.tolist() == whole.tolist()


@given(st.integers(-5, 5), st.floats(1.2e-3, 0.5), st.booleans())
def test_what_lies_farther_is_refused(number: int, error: float, above: bool) -> None:
    with pytest.raises(UnusableFile, match=r"whole numbers: .*\n.*resample with nearest"):
        whole_labels(Path("a.png"), np.array([0, number + (error if above else -error)]))


def test_labels_that_nibabel_stored_with_a_scale(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image((LABELS * 2).astype(np.float32), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "scaled.nii.gz")
    values = nibabel.load(tmp_path / "scaled.nii.gz").get_fdata()
    assert not np.array_equal(values, LABELS * 2)  # 2 is read as 2.00003
    np.testing.assert_array_equal(read_label(tmp_path / "scaled.nii.gz"), LABELS * 2)


def scaled(path: Path, slope: float) -> Path:
    image = nibabel.Nifti1Image(LABELS.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(slope, 0)
    nibabel.save(image, path)
    return path


def test_a_scale_in_the_header_is_named_as_the_cause(msd_folder: Folder) -> None:
    root = msd_folder(10)
    scaled(root / "labelsTr" / "case_02.nii.gz", 0.4)
    scaled(root / "labelsTr" / "case_03.nii.gz", 7)
    blended, unnamed = inspect_dataset(open_any(root)).problems
    assert "case_02.nii.gz has labels that are not whole numbers" in str(blended)
    assert (
        "found 0.4 and 0.8.\nThe file stores whole numbers, which its header multiplies by scl_slope 0.4"
        in str(blended)
    )
    assert "case_03.nii.gz has labels that dataset.json does not name" in str(unnamed)
    assert "multiplies by scl_slope 7 " in str(unnamed)
    # what is advised mends it
    file = root / "labelsTr" / "case_02.nii.gz"
    image = nibabel.load(file)
    mended = nibabel.Nifti1Image(image.dataobj.get_unscaled(), image.affine)
    nibabel.save(mended, root / "mended.nii.gz")
    np.testing.assert_array_equal(read_label(root / "mended.nii.gz"), LABELS)


def test_the_rounding_of_a_scale_is_told_from_a_scale_and_from_blending(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(LABELS.astype(np.float32), np.eye(4))
    image.set_data_dtype(np.uint8)
    path = tmp_path / "scaled.nii"
    nibabel.save(image, path)  # 0, 1 and 2 become 0, 127 (or 128) and 255 with a slope
    with pytest.raises(UnusableFile, match=r"not whole numbers.*\nThe scale of its header .* is the cause"):
        read_label(path)
    image = nibabel.load(path)  # as it advises
    nibabel.save(nibabel.Nifti1Image(np.rint(image.get_fdata()).astype(np.int16), image.affine), path)
    np.testing.assert_array_equal(read_label(path), LABELS)
    blended = nibabel.Nifti1Image(LABELS.astype(np.float32) * 0.45, np.eye(4))
    blended.set_data_dtype(np.uint8)
    nibabel.save(blended, path)
    with pytest.raises(UnusableFile, match=r"stores whole numbers.*Otherwise interpolation blends labels"):
        read_label(path)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_nan_has_a_reason_of_its_own(broken: float, tmp_path: Path, save_volume: Save) -> None:
    values = np.where(LABELS == 1, broken, LABELS).astype(np.float32)
    path = save_volume(tmp_path / "a.nii", values)
    with pytest.raises(UnusableFile) as error:
        read_label(path)
    assert error.value.problem.kind == "label-not-finite"
    assert f"{broken} in {np.sum(LABELS == 1)} of {LABELS.size} voxels" in str(error.value)
    assert "nterpolation" not in str(error.value)


@pytest.mark.parametrize("value", [2.0**31, 1e20, np.uint64(2**63 + 5)])
def test_labels_that_no_label_map_holds(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, value), np.eye(4), dtype=np.asarray(value).dtype), path)
    with pytest.raises(UnusableFile, match="has labels out of range"):
        read_label(path)


def describe(root: Path, labels: dict[str, str]) -> Path:
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**description, "labels": labels}))
    return root


def test_labels_below_0_are_refused_by_name_and_read_with_a_mapping(
    msd_folder: Folder, save_volume: Save
) -> None:
    root = describe(msd_folder(10), {"-1": "left", "0": "background", "1": "right", "2": "both"})
    with pytest.raises(DatasetError, match=r"the label -1 \(left\): .*Name it 3 there, .*--map-label -1=3"):
        open_any(root)
    describe(root, {"0": "background", "1": "right", "2": "both", "3": "left"})
    path = save_volume(
        root / "labelsTr" / "case_00.nii.gz", np.where(LABELS == 2, -1, LABELS).astype(np.int16)
    )
    assert inspect_dataset(open_any(root)).problems[0].kind == "unknown-label"
    assert inspect_dataset(open_any(root, map_label={-1: 3})).errors == ()
    case = LabelledCase("case_00", (path,), path, {-1: 3})
    np.testing.assert_array_equal(
        case.classes(read_grid(path), (0, 1, 2, 3)), np.where(LABELS == 2, 3, LABELS)
    )


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.int32])
def test_a_label_of_70000_is_read_scored_and_written(kind: Any, msd_folder: Folder) -> None:
    root = describe(msd_folder(10), {"0": "background", "1": "small", "2": "both", "70000": "large"})
    truth = np.where(LABELS == 2, 70000, LABELS)
    path = root / "labelsTr" / "case_00.nii.gz"
    nibabel.save(nibabel.Nifti1Image(truth.astype(kind), np.eye(4), dtype=kind), path)
    dataset = open_any(root)
    inspection = inspect_dataset(dataset)
    assert inspection.errors == ()
    voxels = {label.value: label.voxels for label in inspection.fingerprint.labels}  # type: ignore[union-attr]
    assert voxels[70000] == np.sum(LABELS == 2)
    case = LabelledCase("case_00", (path,), path, {})
    classes = case.classes(read_grid(path), dataset.label_values)
    np.testing.assert_array_equal(classes, np.where(LABELS == 2, 3, LABELS))
    written = root / "out.nii.gz"
    write_label_map(written, classes, path, dataset.label_values)
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(written).dataobj), truth)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ((0, 255), "uint8"),
        ((0, 256), "uint16"),
        ((0, 65536), "int32"),
        ((-1, 255), "int16"),
        ((-1, 40000), "int32"),
    ],
)
def test_a_label_map_is_written_in_a_type_that_holds_it_whatever_the_scan_s_header(
    values: tuple[int, int], stored: str, tmp_path: Path
) -> None:
    scan = nibabel.Nifti1Image(np.arange(336, dtype=np.int16).reshape(SHAPE), np.diag([1, 1, 2.0, 1]))
    scan.header.set_slope_inter(0.25, -17)
    nibabel.save(scan, tmp_path / "scan.nii")
    classes = (LABELS > 0).astype(np.uint8)
    write_label_map(tmp_path / "out.nii", classes, tmp_path / "scan.nii", values)
    written = nibabel.load(tmp_path / "out.nii")
    assert written.get_data_dtype() == stored
    np.testing.assert_array_equal(written.get_fdata(), np.array(values)[classes])
    np.testing.assert_array_equal(np.asanyarray(written.dataobj.get_unscaled()), np.array(values)[classes])


def test_a_picture_s_mask_names_no_label_that_a_png_cannot_hold(cells: Path, tmp_path: Path) -> None:
    import shutil

    root = shutil.copytree(cells, tmp_path / "cells")
    (root / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "70000": "large"}}))
    with pytest.raises(DatasetError, match=r"70000 \(large\): expected values from 0 to 65535"):
        open_any(root)
