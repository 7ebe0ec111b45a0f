"""From a published layout of volumes to label maps with the publisher's values, by a network that reads its input."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from netwright.data import PreprocessingSettings, inspect_dataset, open_any, prepare, split_any
from netwright.errors import DatasetWarning
from netwright.tasks.segmentation.data import labelled
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter

SHAPE = (8, 8, 8)
SETTINGS = PreprocessingSettings(spacing="native", normalise="none", pad=False, size=SHAPE)


class Reads(nn.Module):
    """The class that the intensity of a channel gives, in tens."""

    def __init__(self, channel: int, classes: int) -> None:
        super().__init__()
        self.channel, self.classes = channel, classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        index = (images[:, self.channel] / 10).round().long().clamp(0, self.classes - 1)
        return nn.functional.one_hot(index, self.classes).movedim(-1, 1).float() * 20


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


def brats(folder: Path, values: np.ndarray, labelled: bool) -> None:
    """The FLAIR alone shows the classes."""
    for kind in ("t1", "t1ce", "t2"):
        write(folder / f"{folder.name}_{kind}.nii.gz", values[::-1] * 10 + np.float32(len(kind)))
    shown = np.searchsorted([0, 1, 2, 4], values) * 10
    write(folder / f"{folder.name}_flair.nii.gz", shown.astype(np.float32))
    if labelled:
        write(folder / f"{folder.name}_seg.nii.gz", values)


def kits(folder: Path, values: np.ndarray, labelled: bool) -> None:
    write(folder / "imaging.nii.gz", (values * 10).astype(np.float32))
    if labelled:
        (folder / "instances").mkdir(parents=True)
        write(folder / "segmentation.nii.gz", values)


@pytest.mark.parametrize(
    ("make", "name", "values", "channels"),
    [(brats, "BraTS20_Training_{:03d}", (0, 1, 2, 4), 4), (kits, "dataset/case_{:05d}", (0, 1, 2, 3), 1)],
)
def test_from_inspection_to_prediction(
    make: Callable[[Path, np.ndarray, bool], None],
    name: str,
    values: tuple[int, ...],
    channels: int,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    truth = [rng.choice(np.array(values, np.uint8), SHAPE) for _ in range(11)]
    for number, labels in enumerate(truth):
        make(tmp_path / "data" / name.format(number), labels, number < 10)
    dataset = open_any(tmp_path / "data")
    inspection = inspect_dataset(dataset)
    assert inspection.problems == ()
    assert [label.voxels for label in inspection.fingerprint.labels] == [
        sum(int((labels == value).sum()) for labels in truth[:10]) for value in values
    ]
    prepared = prepare(dataset, SETTINGS, tmp_path / "cache")
    assert len(split_any(prepared, 0).test) == 3
    segmenter = Segmenter(
        network=Reads(0, len(values)),
        task=SegmentationTask(channels, prepared.label_names, SHAPE),
        label_values=prepared.label_values,
        preprocessing=SETTINGS,
        device="cpu",
        channel_names=prepared.channel_names,
    )
    written = segmenter.predict(tmp_path / "data", tmp_path / "out")
    assert [path.name for path in written] == [f"{Path(name.format(n)).name}.nii.gz" for n in range(11)]
    for path, labels in zip(written, truth, strict=True):
        np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj), labels)


@pytest.mark.parametrize(
    ("names", "moved", "told"),
    [
        (
            {"0": "background", "1": "posterior", "2": "Anterior"},
            {1: 2, 2: 1},
            "1 is Posterior, which .* has as 2",
        ),
        ({"0": "background", "1": "Anterior", "2": "Posterior"}, {}, None),
        (
            {"0": "background", "1": "Anterior", "2": "Cyst"},
            {},
            "2 is Cyst here and Posterior in the network",
        ),
        ({"0": "background", "5": "Posterior", "1": "Anterior"}, {2: 5}, "5 is Posterior, which .* has as 2"),
        (None, {}, None),
    ],
)
def test_labels_of_a_test_set_go_by_their_names(
    names: dict[str, str] | None, moved: dict[int, int], told: str | None, tmp_path: Path
) -> None:
    """A network that is right stays so whatever numbers the test set gives to the labels."""
    truth = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    stored = np.vectorize(lambda value: moved.get(value, value))(truth).astype(np.uint8)
    for number in range(3):
        write(tmp_path / "images" / f"{number}.nii.gz", (truth * 10).astype(np.float32))
        write(tmp_path / "labels" / f"{number}.nii.gz", stored)
    if names is not None:
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    dataset = open_any(tmp_path)
    task = SegmentationTask(1, ("Anterior", "Posterior"), SHAPE)
    segmenter = Segmenter(
        network=Reads(0, 3), task=task, label_values=(0, 1, 2), preprocessing=SETTINGS, device="cpu"
    )
    cases = [labelled(case, dataset) for case in dataset.cases]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dice = segmenter.test(cases).dice
    assert set(dice["0"].values()) == {1.0}
    messages = [str(one.message) for one in caught if issubclass(one.category, DatasetWarning)]
    assert len(messages) == (told is not None)
    assert all(re.search(told or "", message) for message in messages)
