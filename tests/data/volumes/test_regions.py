"""Regions and ignored voxels in data: what is read, refused, counted, drawn, and written back as labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.cli.reading import read_label_map, read_regions
from netwright.data import Prepared, PreprocessingSettings, inspect_dataset, open_any, prepare
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.intensities import measured_intensities
from netwright.data.volumes.labels import class_indices
from netwright.data.volumes.regions import IGNORE, IGNORED, Region, in_order
from netwright.data.volumes.slabs import Slabs, labels_of
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.errors import DatasetError, SettingsError
from netwright.settings import DatasetSettings

SHAPE = (8, 7, 6)
BRATS: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
    "regions_class_order": [1, 2, 3],
    "file_ending": ".nii",
}
PLAIN = PreprocessingSettings(spacing="native", normalise="none", pad=False, size=SHAPE)

Make = Callable[..., Path]


@pytest.fixture
def nnunet(tmp_path: Path) -> Make:
    """A folder as nnU-Net has it: eleven cases, whose images are ten times the label; its last plane is ignored."""

    def build(**description: Any) -> Path:
        rng = np.random.default_rng(0)
        for number in range(11):
            labels = rng.choice(np.array([0, 0, 1, 2, 3], np.uint8), SHAPE)
            image = labels * 10 + rng.normal(0, 1, SHAPE)
            labels[..., -1] = 4
            for name, array in ((f"imagesTr/{number:02d}_0000", image), (f"labelsTr/{number:02d}", labels)):
                (tmp_path / name).parent.mkdir(exist_ok=True)
                stored = array.astype(np.float32) if "images" in name else array
                nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / f"{name}.nii")
        (tmp_path / "dataset.json").write_text(json.dumps({**BRATS, **description}))
        return tmp_path

    return build


def opened(root: Path, **options: Any) -> Dataset:
    dataset = open_any(root, **options)
    assert isinstance(dataset, Dataset)
    return dataset


def label_map(root: Path, number: int) -> NDArray[np.uint8]:
    return np.asarray(nibabel.load(root / f"labelsTr/{number:02d}.nii").dataobj)


def test_nnu_net_s_regions_and_its_ignore_label_are_read(nnunet: Make) -> None:
    dataset = opened(nnunet())
    assert dataset.regions == (
        Region("whole", (1, 2, 3), 1),
        Region("core", (2, 3), 2),
        Region("enhancing", (3,), 3),
    )
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2", 3: "enhancing"}
    assert dataset.map_label == {4: IGNORE}


def test_lists_of_one_value_are_labels(nnunet: Make) -> None:
    dataset = opened(nnunet(labels={"background": 0, "a": [1], "b": [2], "c": 3, "ignore": 4}))
    assert dataset.regions == ()
    assert dataset.labels == {0: "background", 1: "a", 2: "b", 3: "c"}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"regions_class_order": None}, r"`regions_class_order` as None: expected the 3 labels.*whole, core and enh"),
        ({"regions_class_order": [1, 2]}, r"as \[1, 2\]: expected the 3 labels"),
        ({"regions_class_order": [1, 1, 3]}, r"'core' as the label 1: expected one of its own, 2 or 3"),
        ({"labels": {"background": 0, "core": [2, 3], "whole": [1, 2, 3]}, "regions_class_order": [2, 1]},
         r"writes the region 'whole' over 'core', of which it has all labels: expected larger regions first"),
        ({"labels": {**BRATS["labels"], "core": [0, 2, 3]}}, r"'core' the labels \[0, 2, 3\].*background is in no"),
        ({"labels": {**BRATS["labels"], "ignore": 3}}, r"`ignore` as 3: expected one value above all others"),
        ({"labels": {**BRATS["labels"], "ignore": [4, 5]}}, r"`ignore` as \[4, 5\]: expected one value"),
        ({"labels": {"background": 0, "whole": [1, "x"]}}, "expected a whole number"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_learned_or_written_are_refused(
    description: dict[str, Any], message: str, nnunet: Make
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_any(nnunet(**description))


def test_regions_of_the_command_line_replace_those_of_the_file(nnunet: Make) -> None:
    root = nnunet()
    regions = read_regions(["tumour=1,3", "rest = 2"])
    assert opened(root, regions=regions).regions == (Region("tumour", (1, 3), 1), Region("rest", (2,), 2))
    with pytest.raises(
        DatasetError, match=r"--region .*'tumour' the labels \[1, 9\]: expected some of 1, 2 and 3"
    ):
        open_any(root, regions={"tumour": (1, 9)})
    with pytest.raises(DatasetError, match=r"--region writes the region 'tumour' over 'core'"):
        open_any(root, regions={"core": (3,), "tumour": (1, 3)})
    for texts, message in (
        (["tumour"], "expects NAME=LABELS"),
        (["=1"], "expects NAME=LABELS"),
        (["a=1,x"], "expects NAME=LABELS"),
        (["a=1", "a=2"], "'a' twice"),
    ):
        with pytest.raises(SettingsError, match=message):
            read_regions(texts)
    with pytest.raises(SettingsError, match="reads 4 as ignore and as 1"):
        read_label_map(["4=ignore", "4=1"])


def test_brats_s_regions_are_written_as_the_labels_of_the_challenge() -> None:
    until_2021 = in_order({"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)})
    assert [region.written for region in until_2021] == [2, 1, 4]
    since_2023 = in_order({"whole": (1, 2, 3), "core": (1, 3), "enhancing": (3,)})
    assert [region.written for region in since_2023] == [2, 1, 3]
    assert [region.written for region in in_order({"all": (1, 2), "one": (1,), "other": (2,)})] == [1, 1, 2]


def test_any_value_may_be_ignored(nnunet: Make) -> None:
    labels = {"background": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    dataset = opened(nnunet(labels=labels), map_label=read_label_map(["2=ignore", "4=3"]))
    assert dataset.labels == {0: "background", 1: "a", 3: "c", 4: "d"}
    for ignored in (["0=ignore"], ["1=ignore,2=ignore,3=ignore,4=ignore"]):
        with pytest.raises(DatasetError, match="expected 0 for background and at least one other to be left"):
            open_any(dataset.root, map_label=read_label_map(ignored))
    found = class_indices(np.array([0, 1, 2, 3, 4]), dataset.label_values, dataset.map_label)
    assert found.tolist() == [0, 1, IGNORED, 2, 2]


def test_what_is_ignored_may_be_a_setting() -> None:
    for written in ({3: 1, 255: "ignore"}, {3: 1, 255: -1}):
        given = DatasetSettings(path=Path("data"), map_label=written)
        assert given.map_label == read_label_map(["3=1,255=ignore"])
        assert DatasetSettings(**given.model_dump(mode="json")) == given


def test_the_inspection_counts_regions_and_leaves_out_what_is_ignored(nnunet: Make) -> None:
    root = nnunet()
    inspection = inspect_dataset(opened(root))
    assert inspection.problems == ()
    fingerprint: Any = inspection.fingerprint
    known = np.stack([label_map(root, number) for number in range(11)])[..., :-1]
    assert [region.voxels for region in fingerprint.regions] == [
        int(np.isin(known, labels).sum()) for labels in ((1, 2, 3), (2, 3), (3,))
    ]
    assert [label.voxels for label in fingerprint.labels] == [int((known == v).sum()) for v in range(4)]
    assert sum(label.percent for label in fingerprint.labels) == pytest.approx(100)
    assert fingerprint.ignored == pytest.approx(100 / 6)


@pytest.fixture
def prepared(nnunet: Make, tmp_path: Path) -> Prepared:
    return prepare(opened(nnunet()), PLAIN, tmp_path / "cache")


def test_prepared_data_keeps_regions_and_ignores(prepared: Prepared, tmp_path: Path) -> None:
    assert prepared.regions == (
        Region("whole", (1, 2, 3), 1),
        Region("core", (2, 3), 2),
        Region("enhancing", (3,), 3),
    )
    assert prepared.ignores
    for index in range(3):
        expected = label_map(tmp_path, index)
        np.testing.assert_array_equal(prepared.label(index), np.where(expected == 4, IGNORED, expected))
        for number, voxels in enumerate(prepared.foreground(index), start=1):
            np.testing.assert_array_equal(voxels, np.argwhere(expected == number))
        assert len(prepared.foreground(index)) == 3
        np.testing.assert_array_equal(prepared.labelled(index), np.argwhere(expected != 4))
    counts = [sum(int((label_map(tmp_path, n) == v).sum()) for n in (0, 2)) for v in range(4)]
    assert prepared.class_counts_of([0, 2]).tolist() == counts


def test_labels_and_their_regions_are_prepared_apart(nnunet: Make, tmp_path: Path) -> None:
    dataset = opened(nnunet())
    folders = {
        prepare(one, PLAIN, tmp_path / "cache").folder for one in (dataset, replace(dataset, regions=()))
    }
    assert len(folders) == 2


def test_slices_of_which_all_is_ignored_are_not_trained_on(prepared: Prepared) -> None:
    along_z, along_x = (Slices(prepared, SliceSettings(axis=axis)) for axis in (2, 0))
    assert along_z.of([0, 1]) == [(case, position) for case in (0, 1) for position in range(5)]
    assert along_x.of([0]) == along_x.all_of([0])
    assert len(along_z.all_of([0])) == 6
    for slices in (along_z, along_x):
        assert slices.class_counts_of([0, 4]).tolist() == prepared.class_counts_of([0, 4]).tolist()


def test_ct_is_measured_without_what_is_ignored(nnunet: Make) -> None:
    """Ignored voxels have the intensities of labels, so they would count as foreground."""
    root = nnunet()
    dataset = opened(root)
    (found,) = measured_intensities(dataset, set(dataset.names), workers=1)
    images = np.stack([np.asarray(nibabel.load(case.images[0]).dataobj) for case in dataset.cases])
    labels = np.stack([label_map(root, number) for number in range(11)])
    assert found is not None
    assert found[2] == pytest.approx(images[(labels > 0) & (labels < 4)].mean(), rel=1e-5)


def as_nnu_net_does(probabilities: NDArray[Any], order: tuple[int, ...]) -> NDArray[np.uint8]:
    """`convert_probabilities_to_segmentation` of nnU-Net's label handling, for regions."""
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    for number, label in enumerate(order):
        labels[probabilities[number] > 0.5] = label
    return labels


@given(seed=st.integers(0, 10**6), axis=st.integers(0, 2), order=st.permutations([1, 2, 3]))
@settings(max_examples=20)
def test_labels_are_written_as_nnu_net_writes_them(seed: int, axis: int, order: list[int]) -> None:
    probabilities = np.random.default_rng(seed).random((3, *SHAPE), np.float32)
    probabilities[0, 0, 0] = 0.5
    expected = as_nnu_net_does(probabilities, tuple(order))
    np.testing.assert_array_equal(labels_of(probabilities, order), expected)
    cuts = np.split(probabilities, [2, 3], axis + 1)
    np.testing.assert_array_equal(Slabs(SHAPE, axis, iter(cuts), tuple(order)).labels(), expected)


def test_pictures_with_masks_may_have_ignored_pixels(cells: Path, tmp_path: Path) -> None:
    """As in PASCAL VOC: the masks' values are 0, 1, 2 and 255, of which 255 is no label."""
    from PIL import Image

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for image in sorted((cells / "images").iterdir()):
        (tmp_path / "images" / image.name).write_bytes(image.read_bytes())
        mask = np.array(Image.open(cells / "masks" / f"{image.stem}.png"))
        mask[:3] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{image.stem}.png")
    with pytest.raises(DatasetError, match="255"):
        inspect_dataset(opened(tmp_path)).require_usable()
    dataset = opened(tmp_path, map_label={255: IGNORE}, regions={"all": (1, 2), "nucleus": (2,)})
    inspection = inspect_dataset(dataset)
    assert not inspection.errors
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2"}
    assert inspection.fingerprint.ignored == pytest.approx(100 * 3 / 24)  # type: ignore[union-attr]


def test_a_picture_without_masks_has_no_regions(shapes: Path) -> None:
    with pytest.raises(SettingsError, match="--region is for the values of label maps"):
        open_any(shapes, regions={"a": (1,)})
