"""A trained network of two dimensions on files: volumes slice by slice, each label map on its file's grid."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.preprocessing import PreprocessingSettings
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
