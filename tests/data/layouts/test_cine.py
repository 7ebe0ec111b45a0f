"""Cines: 4D volumes of which some time points are labelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data import (
    PreprocessingSettings,
    Splits,
    UnusableFile,
    inspect_dataset,
    open_any,
    prepare,
    read_image,
    split_any,
)
from netwright.data.recognition import recognise
from netwright.data.volumes.cache import image_digest
from netwright.errors import DatasetError

SHAPE = (6, 5, 3)
POINTS = 8

Folder = Callable[..., Path]
Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, save_volume: Save) -> Folder:
    """Cines heart_0, heart_1, ... of 8 frames, the second and the sixth labelled with 1 and 2."""

    def build(cines: int = 10, folders: tuple[str, str] = ("images", "labels")) -> Path:
        root = tmp_path / "Cines"
        rng = np.random.default_rng(0)
        for number in range(cines):
            save_volume(
                root / folders[0] / f"heart_{number}.nii.gz",
                rng.normal(100, 20, (*SHAPE, POINTS)).astype(np.float32),
            )
            labels = np.zeros((*SHAPE, POINTS), np.uint8)
            labels[..., [1, 5]] = rng.integers(0, 3, (*SHAPE, 2))
            save_volume(root / folders[1] / f"heart_{number}.nii.gz", labels)
        return root

    return build


def array(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.parametrize("folders", [("images", "labels"), ("imagesTr", "labelsTr")])
def test_labelled_time_points_are_cases(folder: Folder, folders: tuple[str, str], tmp_path: Path) -> None:
    root = folder(folders=folders)
    dataset = open_any(root, format="cine")
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2"}
    assert [case.name for case in dataset.cases][:3] == [
        "heart_0_frame02",
        "heart_0_frame06",
        "heart_1_frame02",
    ]
    assert dataset.cases[1].group == "heart_0"
    assert inspect_dataset(dataset).problems == ()
    settings = PreprocessingSettings(spacing="native", normalise="none", pad=False, size=SHAPE)
    prepared = prepare(dataset, settings, tmp_path / "cache")
    for index, (number, time) in enumerate((number, time) for number in range(10) for time in (1, 5)):
        file = f"heart_{number}.nii.gz"
        np.testing.assert_array_equal(prepared.image(index)[0], array(root / folders[0] / file)[..., time])
        np.testing.assert_array_equal(prepared.label(index), array(root / folders[1] / file)[..., time])
    splits = split_any(prepared, 0)
    assert isinstance(splits, Splits)
    assert {name[:7] for name in splits.test}.isdisjoint(name[:7] for name in splits.training)
    assert len(splits.test) == 6


def test_frames_of_one_file_have_contents_of_their_own(folder: Folder) -> None:
    """By which `evaluate` knows the cases that a network was made with."""
    cases = open_any(folder(2), format="cine").cases
    assert len({image_digest(case) for case in cases}) == len(cases) == 4


def test_single_label_maps_say_the_same(folder: Folder, save_volume: Save, tmp_path: Path) -> None:
    root = folder(4)
    whole = prepare(open_any(root, format="cine"), PreprocessingSettings(), tmp_path / "cache")
    for label in sorted((root / "labels").iterdir()):
        name = label.name.partition(".")[0]
        for time in (1, 5):
            save_volume(root / "labels" / f"{name}_frame{time + 1:02d}.nii.gz", array(label)[..., time])
        label.unlink()
    single = prepare(open_any(root, format="cine"), PreprocessingSettings(), tmp_path / "cache")
    assert single.names == whole.names
    for index in range(len(whole)):
        np.testing.assert_array_equal(single.image(index), whole.image(index))
        np.testing.assert_array_equal(single.label(index), whole.label(index))


def test_a_cine_is_never_taken_for_one_unasked(folder: Folder) -> None:
    root = folder(3)
    assert recognise(root) is None
    with pytest.raises(DatasetError, match="--format cine is never assumed"):
        open_any(root)


def test_a_description_names_the_labels(folder: Folder) -> None:
    root = folder(3)
    (root / "dataset.json").write_text(
        json.dumps({"name": "Hearts", "labels": {"background": 0, "RV": 1, "LV": 2}})
    )
    dataset = open_any(root, format="cine")
    assert (dataset.name, dataset.label_names) == ("Hearts", ("RV", "LV"))


def test_mapped_labels_decide_what_is_labelled(folder: Folder, save_volume: Save) -> None:
    root = folder(3)
    labels = array(root / "labels" / "heart_0.nii.gz").copy()
    labels[..., 7] = 9  # the rest of the chest, drawn in one more frame
    save_volume(root / "labels" / "heart_0.nii.gz", labels)
    assert len(open_any(root, format="cine").cases) == 7
    assert len(open_any(root, format="cine", map_label={9: 0}).cases) == 6


def test_what_inspection_says(folder: Folder, save_volume: Save) -> None:
    root = folder(12)
    images, labels = root / "images", root / "labels"
    (labels / "heart_0.nii.gz").unlink()
    (images / "heart_1.nii.gz").unlink()
    save_volume(labels / "heart_2.nii.gz", np.ones((*SHAPE, 3), np.uint8))
    save_volume(labels / "heart_3.nii.gz", np.zeros((*SHAPE, POINTS), np.uint8))
    (labels / "heart_4.nii.gz").rename(labels / "heart_4_frame09.nii.gz")
    (labels / "heart_5.nii.gz").write_bytes(b"")
    (images / "heart_6.nii.gz").write_bytes(b"")
    texts = [str(problem) for problem in inspect_dataset(open_any(root, format="cine")).errors]
    for words in (
        "images/heart_0.nii.gz has no label map: expected heart_0.nii.gz (4D), or heart_0_frame01.nii.gz",
        "labels/heart_1.nii.gz has no image",
        "labels/heart_2.nii.gz has another number of time points than heart_2.nii.gz: expected 8",
        "labels/heart_3.nii.gz has no labelled time point",
        "labels/heart_4_frame09.nii.gz is of a frame that heart_4.nii.gz does not have: expected a frame from 1 to 8",
        "labels/heart_5.nii.gz cannot be read",
        "images/heart_6.nii.gz cannot be read",
    ):
        assert any(words in text for text in texts), words
    assert len(texts) == 8, "the unreadable image is that of two cases"


def test_two_label_maps_of_one_frame(folder: Folder, save_volume: Save) -> None:
    root = folder(3)
    save_volume(root / "labels" / "heart_0_frame02.nii.gz", np.ones(SHAPE, np.uint8))
    with pytest.raises(
        DatasetError, match=r"heart_0_frame02 has a label map in heart_0\.nii\.gz and heart_0_frame02"
    ):
        open_any(root, format="cine")


def test_channels_that_may_be_time_points(msd_folder: Folder) -> None:
    """A cine in a decathlon folder is taken for channels; its header helps to say what it may be."""
    root = msd_folder(10)
    image = nibabel.Nifti1Image(
        np.random.default_rng(0).normal(0, 1, (6, 7, 8, 5)).astype(np.float32), np.eye(4)
    )
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 40
    nibabel.save(image, root / "imagesTr" / "case_00.nii.gz")
    labels = nibabel.Nifti1Image(np.ones((6, 7, 8, 5), np.uint8), np.eye(4))
    nibabel.save(labels, root / "labelsTr" / "case_01.nii.gz")
    channels, label = (str(problem) for problem in inspect_dataset(open_any(root)).errors)
    assert "expected 1 (MRI), as dataset.json names them, found 5" in channels
    assert "If the 5 volumes are time points, as its header says (one every 40 msec)" in channels
    assert "--format cine" in channels
    assert "If the 5 volumes are time points, put" in label


def test_a_time_point_is_read_alone_and_must_be_there(folder: Folder) -> None:
    file = folder(1) / "images" / "heart_0.nii.gz"
    np.testing.assert_array_equal(read_image([file], time=7).array[0], array(file)[..., 7])
    assert read_image([file]).array.shape == (POINTS, *SHAPE)
    with pytest.raises(UnusableFile, match=r"has no frame 9: expected at least 9 volumes .* found 8"):
        read_image([file], time=8)
