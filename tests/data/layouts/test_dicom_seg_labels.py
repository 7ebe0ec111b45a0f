"""DICOM segmentations where the file of a label map may stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dicom_files import write_series
from netwright.data import PreprocessingSettings, inspect_any, open_any, prepare, write_label_map
from netwright.data.io.volumes import read_grid
from netwright.data.volumes.dataset import Dataset
from netwright.errors import DatasetError
from netwright.tasks.segmentation.data import labelled

pytest.importorskip("highdicom")

CASES = ("a", "b", "c")
NAMES = {1: "left lung", 2: "right lung"}
SHAPE = (6, 5, 4)
"""Slices, rows and columns."""


def case(root: Path, image: Path, label: Path, seed: int, names: dict[int, str] = NAMES) -> None:
    """A series with labels in its slices 1 to 3 alone."""
    rng = np.random.default_rng(seed)
    reference = {"FrameOfReferenceUID": f"1.2.3.{seed}"}
    write_series(root / image, rng.integers(-900, 900, SHAPE).astype(np.int16), tags=reference, name="IM{}")
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4] = rng.integers(0, 3, (3, *SHAPE[1:]))
    (root / label).parent.mkdir(exist_ok=True)
    write_label_map(root / label, labels.T, root / image, names=names)


def pairs(root: Path, ending: str) -> Path:
    for seed, name in enumerate(CASES):
        case(root, Path("images", name), Path("labels", f"{name}{ending}"), seed)
    return root


def decathlon(root: Path, ending: str) -> Path:
    for seed, name in enumerate(CASES):
        case(root, Path("imagesTr", name), Path("labelsTr", f"{name}{ending}"), seed)
    values = {
        "name": "toy",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "one", "2": "two"},
        "training": [
            {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}{ending}"} for name in CASES
        ],
    }
    (root / "dataset.json").write_text(json.dumps(values))
    return root


def nnunet(root: Path, ending: str) -> Path:
    for seed, name in enumerate(CASES):
        case(root, Path("imagesTr", f"{name}_0000"), Path("labelsTr", f"{name}{ending}"), seed)
    values = {
        "name": "toy",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "one": 1, "two": 2},
        "file_ending": ending,
    }
    (root / "dataset.json").write_text(json.dumps(values))
    return root


@pytest.mark.parametrize("layout", [pairs, decathlon, nnunet])
def test_a_dataset_with_segmentations_is_that_with_the_same_labels_in_nifti(
    layout: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    sets = []
    for ending in (".dcm", ".nii.gz"):
        dataset = open_any(layout(tmp_path / ending, ending))
        assert isinstance(dataset, Dataset)
        assert [case.name for case in dataset.cases] == list(CASES)
        inspected = inspect_any(dataset)
        assert not inspected.errors
        sets.append((prepare(dataset, PreprocessingSettings(), tmp_path / "cache"), inspected))
    (mine, inspected), (plain, other) = sets
    assert [one.kind for one in inspected.problems] == [one.kind for one in other.problems] == ["few-cases"]
    for number in range(len(CASES)):
        assert np.unique(mine.label(number)).tolist() == [0, 1, 2]
        np.testing.assert_array_equal(mine.label(number), plain.label(number))


def test_segments_name_the_labels_where_nothing_else_does(tmp_path: Path) -> None:
    dataset = open_any(pairs(tmp_path, ".dcm"))
    assert isinstance(dataset, Dataset)
    assert dataset.labels == {0: "background", **NAMES}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "one": 1, "two": 2}}))
    named = open_any(tmp_path)
    assert isinstance(named, Dataset)
    assert named.labels == {0: "background", 1: "one", 2: "two"}


def test_a_number_with_two_names_is_refused(tmp_path: Path) -> None:
    pairs(tmp_path, ".dcm")
    case(tmp_path, Path("images", "d"), Path("labels", "d.dcm"), 4, {1: "right lung", 2: "left lung"})
    with pytest.raises(
        DatasetError, match=r"segment 1 is 'left lung' in labels/a\.dcm and 'right lung' in labels/d\.dcm"
    ):
        open_any(tmp_path)


def test_the_segmentation_of_another_scan_is_an_error_of_the_dataset(tmp_path: Path) -> None:
    root = pairs(tmp_path, ".dcm")
    (root / "labels" / "b.dcm").write_bytes((root / "labels" / "a.dcm").read_bytes())
    (error,) = inspect_any(open_any(root)).errors
    assert (error.file, error.kind) == ("labels/b.dcm", "dicom-seg-reference")
    dataset = open_any(root)
    assert isinstance(dataset, Dataset)
    seen = read_grid(dataset.cases[1].images[0])
    with pytest.raises(DatasetError, match="another frame of reference"):
        labelled(dataset.cases[1], dataset).classes(seen, (0, 1, 2))
    with pytest.raises(DatasetError, match="another frame of reference"):
        prepare(open_any(root), PreprocessingSettings(), tmp_path / "cache")
