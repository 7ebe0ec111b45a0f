"""A trained network of two dimensions on files: volumes slice by slice, each label map on its file's grid."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.preprocessing import PreprocessingSettings
from netwright.errors import DatasetError
from netwright.study.segmenter import LabelledCase, Segmenter
from netwright.tasks.segmentation import SegmentationTask


class Threshold(nn.Module):
    """Class 1 where a pixel is over 5; refuses what is no picture."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (1, 12, 9)
        return torch.cat([5 - images, images - 5], 1)


@pytest.mark.parametrize(("axis", "shape"), [(0, (7, 12, 9)), (1, (11, 5, 9)), (2, (20, 9, 6))])
def test_segments_and_scores_volumes_slice_by_slice(
    tmp_path: Path, axis: int, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(axis)
    image = rng.uniform(0, 10, shape).astype(np.float32)
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])  # the file's first axis runs to the left
    for name, array in (("image", image), ("label", (image > 5).astype(np.uint8) * 3)):
        nibabel.save(nibabel.Nifti1Image(array, flipped), tmp_path / f"{name}.nii.gz")
    segmenter = Segmenter(
        network=Threshold(),
        task=SegmentationTask(1, ("bright",), (12, 9)),
        label_values=(0, 3),
        preprocessing=PreprocessingSettings(spacing="native", normalise="none", pad=False, size=(8, 8, 8)),
        device="cpu",
        slice_axis=axis,
    )
    found, _ = segmenter.segment([tmp_path / "image.nii.gz"])
    np.testing.assert_array_equal(found, image > 5)
    case = LabelledCase("case", (tmp_path / "image.nii.gz",), tmp_path / "label.nii.gz", {})
    assert segmenter.score([case], tmp_path / "predictions") == {"case": {"bright": 1.0}}
    written = nibabel.load(tmp_path / "predictions" / "case.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), (image > 5) * 3)


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
    assert thresholds().score([case], tmp_path / "out") == {"heart_frame04": {"bright": 1.0}}
    written = nibabel.load(tmp_path / "out" / "heart_frame04.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels[..., 3])
