"""A trained network of two dimensions on files: volumes slice by slice, each label map on its file's grid."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from dicom_files import write_series
from netwright.data.io.volumes import read_grid, read_label, write_label_map
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import DatasetError, DatasetWarning, MemoryShortage, SettingsError
from netwright.tasks.segmentation.data import LabelledCase
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter


class Threshold(nn.Module):
    """Class 1 where a pixel is over 5; refuses what is no picture."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (1, 12, 9)
        return torch.cat([5 - images, images - 5], 1)


def of_slices(axis: int, value: int) -> Segmenter:
    """Of slices normal to an axis, in which bright voxels get a value."""
    return Segmenter(
        network=Threshold(),
        task=SegmentationTask(1, ("bright",), (12, 9)),
        label_values=(0, value),
        preprocessing=PreprocessingSettings(spacing="native", normalise="none", pad=False, size=(8, 8, 8)),
        device="cpu",
        slice_axis=axis,
    )


@pytest.mark.parametrize(("axis", "shape"), [(0, (7, 12, 9)), (1, (11, 5, 9)), (2, (20, 9, 6))])
def test_segments_and_scores_volumes_slice_by_slice(
    tmp_path: Path, axis: int, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(axis)
    image = rng.uniform(0, 10, shape).astype(np.float32)
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])  # the file's first axis runs to the left
    for name, array in (("image", image), ("label", (image > 5).astype(np.uint8) * 3)):
        nibabel.save(nibabel.Nifti1Image(array, flipped), tmp_path / f"{name}.nii.gz")
    segmenter = of_slices(axis=axis, value=3)
    (predicted,) = segmenter.predict(tmp_path / "image.nii.gz", tmp_path / "predicted")
    np.testing.assert_array_equal(np.asarray(nibabel.load(predicted).dataobj), (image > 5) * 3)
    case = LabelledCase("case", (tmp_path / "image.nii.gz",), tmp_path / "label.nii.gz", {})
    assert segmenter.test([case], tmp_path / "predictions").dice == {"case": {"bright": 1.0}}
    written = nibabel.load(tmp_path / "predictions" / "case.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), (image > 5) * 3)


def test_predicts_dicom_segmentations_with_the_names_of_the_labels(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    stored = np.random.default_rng(0).integers(0, 10, (7, 9, 12)).astype(np.int16)
    write_series(tmp_path / "scans" / "a", stored, tags={"FrameOfReferenceUID": "1.2.3"})
    segmenter = of_slices(axis=2, value=1)
    (path,) = segmenter.predict(tmp_path / "scans", tmp_path / "out", format="dicom-seg")
    assert path.name == "a.dcm"
    grid = read_grid(tmp_path / "scans" / "a")
    np.testing.assert_array_equal(grid.from_canonical(read_label(path, grid)).T, stored > 5)
    read = highdicom.seg.segread(path)
    np.testing.assert_array_equal(read.get_volume(combine_segments=True).array.sum(), (stored > 5).sum())
    assert read.get_segment_description(1).segment_label == "bright"
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 12, 9), np.float32), np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(SettingsError, match=r"b\.nii is no DICOM series"):
        segmenter.predict(tmp_path / "b.nii", tmp_path / "out", format="dicom-seg")


def test_a_dicom_segmentation_is_the_truth_of_its_own_scan_alone(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    stored = np.random.default_rng(0).integers(0, 10, (7, 9, 12)).astype(np.int16)
    scan, other = (
        write_series(tmp_path / name, stored, tags={"FrameOfReferenceUID": f"1.2.{name}"}) for name in "34"
    )
    segmenter = of_slices(axis=2, value=1)
    truth = tmp_path / "truth.dcm"
    write_label_map(truth, (stored.T > 5).astype(np.uint8), scan, names={1: "bright"})
    assert segmenter.test([LabelledCase("a", (scan,), truth, {})]).dice == {"a": {"bright": 1.0}}
    with pytest.raises(DatasetError, match="another frame of reference"):
        segmenter.test([LabelledCase("b", (other,), truth, {})])


def test_a_label_beside_its_image_is_told_where_it_is_scored(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 2, (6, 7, 5)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(label.astype(np.float32), np.eye(4)), tmp_path / "image.nii")
    case = LabelledCase("case", (tmp_path / "image.nii",), tmp_path / "label.nii", {})
    for shift, told in ((0.05, False), (0.5, True)):
        affine = np.eye(4)
        affine[1, 3] = shift
        turned = nibabel.Nifti1Image(label, affine).as_reoriented(np.array([[0, -1], [2, 1], [1, -1]]))
        nibabel.save(turned, tmp_path / "label.nii")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = case.classes(read_grid(tmp_path / "image.nii"), (0, 1))
        np.testing.assert_array_equal(found, label)
        assert [one.category for one in caught] == [DatasetWarning] * told
        assert all("up to 0.5 voxels away" in str(one.message) for one in caught)


def thresholds(**changes: Any) -> Segmenter:
    values: dict[str, Any] = {
        "network": Bright(),
        "task": SegmentationTask(1, ("bright",), (8, 8)),
        "label_values": (0, 3),
        "preprocessing": PreprocessingSettings(spacing="native", normalise="none", pad=False, size=(8, 8, 8)),
        "device": "cpu",
        "slice_axis": 2,
    }
    return Segmenter(**{**values, **changes})


SMOOTHING = DenseCRF(4.0, 4.0, 1.0, 4.0, 5.0)


class Bright(nn.Module):
    """Class 1 where a pixel of the first channel is over 5."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([5 - images[:, :1], images[:, :1] - 5], 1)


def test_a_cine_is_segmented_frame_by_frame(tmp_path: Path) -> None:
    cine = np.random.default_rng(0).uniform(0, 10, (9, 8, 4, 5)).astype(np.float32)
    image = nibabel.Nifti1Image(cine, np.diag([-1.8, 1.8, 9.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 0.04
    nibabel.save(image, tmp_path / "heart.nii.gz")
    segmenter = thresholds()
    (written,) = segmenter.predict(tmp_path / "heart.nii.gz", tmp_path / "out")
    found = nibabel.load(written)
    np.testing.assert_array_equal(np.asarray(found.dataobj), (cine > 5) * 3)
    assert found.header.get_zooms()[3] == pytest.approx(0.04)
    assert found.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(found.affine, image.affine, rtol=1e-6)
    frame = nibabel.Nifti1Image(cine[..., 2], image.affine)
    nibabel.save(frame, tmp_path / "frame.nii.gz")
    (single,) = segmenter.predict(tmp_path / "frame.nii.gz", tmp_path / "out")
    assert nibabel.load(single).shape == (9, 8, 4)
    np.testing.assert_array_equal(np.asarray(nibabel.load(single).dataobj), (cine[..., 2] > 5) * 3)


def test_each_time_point_of_a_cine_is_refined_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    cine = np.random.default_rng(0).uniform(0, 10, (9, 8, 4, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(cine, np.diag([1.8, 1.8, 9.0, 1.0])), tmp_path / "heart.nii.gz")
    refined, plain = thresholds(crf=SMOOTHING), thresholds()
    (written,) = refined.predict(tmp_path / "heart.nii.gz", tmp_path / "out")
    found = np.asarray(nibabel.load(written).dataobj)
    assert found.shape == cine.shape
    for time in range(3):
        nibabel.save(
            nibabel.Nifti1Image(cine[..., time], np.diag([1.8, 1.8, 9.0, 1.0])), tmp_path / "frame.nii.gz"
        )
        frame, without = (
            np.asarray(nibabel.load(one.predict(tmp_path / "frame.nii.gz", tmp_path / name)[0]).dataobj)
            for one, name in ((refined, f"refined {time}"), (plain, f"plain {time}"))
        )
        np.testing.assert_array_equal(found[..., time], frame)
        assert (frame != without).any()


def saved_case(folder: Path) -> LabelledCase:
    image = np.random.default_rng(0).uniform(0, 10, (9, 8, 4)).astype(np.float32)
    for name, array in (("image", image), ("label", (image > 5).astype(np.uint8) * 3)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{name}.nii.gz")
    return LabelledCase("case", (folder / "image.nii.gz",), folder / "label.nii.gz", {})


def test_a_crf_that_is_not_used_is_told_beside(tmp_path: Path) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    case = saved_case(tmp_path)
    used, beside = thresholds(crf=SMOOTHING).test([case]), thresholds().test([case], unkept=SMOOTHING)
    assert beside.dice == used.dice_without_crf == {"case": {"bright": 1.0}}
    assert beside.dice_with_unkept_crf == used.dice != beside.dice
    assert beside.distances == {"case": {"bright": 0.0}}
    assert beside.dice_without_crf == used.dice_with_unkept_crf == {}


def test_too_little_memory_for_the_crf_is_no_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    case = saved_case(tmp_path)
    # As of a volume of a petabyte: numpy itself then refuses the memory that the library would need.
    monkeypatch.setattr("netwright.tasks.segmentation.dense_crf._library_mb", lambda *_: 1e12)
    segmenter = thresholds(crf=SMOOTHING)
    words = r"image\.nii\.gz: the CRF needs about 1,000,000,000,000 MB for its 9 x 8 x 4 voxels.*--no-crf"
    with pytest.raises(MemoryShortage, match=words):
        segmenter.test([case])
    with pytest.raises(MemoryShortage, match=words):
        segmenter.predict(tmp_path / "image.nii.gz", tmp_path / "out")
    with pytest.raises(MemoryShortage):
        thresholds().test([case], unkept=SMOOTHING)
    assert thresholds().test([case]).dice == {"case": {"bright": 1.0}}


class Untouched(nn.Module):
    """Is not used."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise AssertionError


def test_too_little_memory_for_the_crf_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = saved_case(tmp_path)
    monkeypatch.setattr("netwright.tasks.segmentation.segmenting.memory_mb", lambda *_: 1e12)
    segmenter = replace(thresholds(crf=SMOOTHING), network=Untouched())
    for use in (
        lambda: segmenter.predict(tmp_path / "image.nii.gz", tmp_path / "out"),
        lambda: segmenter.test([case]),
    ):
        with pytest.raises(MemoryShortage, match=r"needs about 1,000,000,000,000 MB .*--no-crf"):
            use()


def test_to_a_network_of_several_channels_a_4d_image_holds_channels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 10, (9, 8, 4, 2)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "image.nii.gz")
    segmenter = thresholds(task=SegmentationTask(2, ("bright",), (8, 8)))
    (written,) = segmenter.predict(tmp_path / "image.nii.gz", tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(nibabel.load(written).dataobj), (values[..., 0] > 5) * 3)
    three = np.repeat(values, 2, axis=3)[..., :3]
    nibabel.save(nibabel.Nifti1Image(three, np.eye(4)), tmp_path / "three.nii.gz")
    with pytest.raises(DatasetError, match=r"has 3 channels; this network was trained on 2"):
        segmenter.predict(tmp_path / "three.nii.gz", tmp_path / "out")


def test_a_time_point_is_scored_against_its_label_map(tmp_path: Path) -> None:
    cine = np.random.default_rng(0).uniform(0, 10, (9, 8, 4, 5)).astype(np.float32)
    labels = np.zeros(cine.shape, np.uint8)
    labels[..., 3] = (cine[..., 3] > 5) * 3
    nibabel.save(nibabel.Nifti1Image(cine, np.eye(4)), tmp_path / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "label.nii.gz")
    case = LabelledCase("heart_frame04", (tmp_path / "image.nii.gz",), tmp_path / "label.nii.gz", {}, time=3)
    assert thresholds().test([case], tmp_path / "out").dice == {"heart_frame04": {"bright": 1.0}}
    written = nibabel.load(tmp_path / "out" / "heart_frame04.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels[..., 3])
