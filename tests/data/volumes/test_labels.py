"""Label values: any mapping read at once, the same in inspection, training and test, in volumes, cines and masks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from netwright.cli.reading import read_label_map
from netwright.data.io.volumes import read_grid
from netwright.data.open import open_any
from netwright.data.volumes.checks import check_case
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.labels import class_indices
from netwright.data.volumes.survey import case_facts
from netwright.errors import DatasetError, SettingsError
from netwright.tasks.segmentation.data import labelled
from netwright_tests import save_picture

NAMES = {0: "background", 1: "x", 2: "y", 3: "z"}
SHAPE = (8, 9, 4)
MAPPINGS = st.dictionaries(st.sampled_from([0, 1, 2, 3]), st.sampled_from([0, 1, 2, 3]))


def on_disk(values: NDArray[Any], mapping: Mapping[int, int]) -> NDArray[Any]:
    """Voxel by voxel, as someone who changes the file would."""
    return np.vectorize(lambda value: mapping.get(value, value), otypes=[values.dtype])(values)


def volumes(root: Path, labels: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    for folder, array in (("imagesTr", rng.normal(100, 9, SHAPE).astype(np.float32)), ("labelsTr", labels)):
        (root / folder).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 1.0, 2.0, 1.0])), root / folder / "c.nii.gz")
    entry = {"image": "imagesTr/c.nii.gz", "label": "labelsTr/c.nii.gz"}
    description = {"modality": {"0": "a"}, "labels": {str(k): n for k, n in NAMES.items()}}
    (root / "dataset.json").write_text(json.dumps({**description, "training": [entry]}))


def masks(root: Path, labels: NDArray[np.uint8]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE[:2]).astype(np.uint8)
    save_picture(root / "images" / "c.png", pixels)
    save_picture(root / "masks" / "c.png", labels[..., 0])
    (root / "dataset.json").write_text(json.dumps({"labels": {str(k): n for k, n in NAMES.items()}}))


def cine(root: Path, labels: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    frames = np.stack([labels, np.ones_like(labels)], -1)
    images = rng.normal(100, 9, (*SHAPE, 2)).astype(np.float32)
    for folder, array in (("images", images), ("labels", frames)):
        (root / folder).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / folder / "c.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": {str(k): n for k, n in NAMES.items()}}))


KINDS = {"msd": volumes, "image-masks": masks, "cine": cine}


def read(dataset: Dataset) -> dict[str, tuple[NDArray[Any], NDArray[Any], dict[int, int]]]:
    """Of each case what training reads, what the test reads, and what inspection counts."""
    by_case = {}
    for case in dataset.cases:
        _, training = check_case(case, dataset).require_usable()
        test = labelled(case, dataset).classes(read_grid(case.images[0]), dataset.label_values)
        by_case[case.name] = training, test, case_facts(case, dataset).voxels
    return by_case


def read_or_refusal(root: Path, kind: str, **options: Any) -> Any:
    """What `read` gives, or why nothing can be read: a cine needs a time point with some foreground, for example."""
    try:
        return read(open_any(root, format=kind, **options))
    except DatasetError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(mapping=MAPPINGS, seed=st.integers(0, 99))
@example(mapping=dict.fromkeys(NAMES, 0), seed=0)
def test_a_mapping_reads_files_as_if_they_had_been_changed_on_disk(
    kind: str, mapping: dict[int, int], seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)
    labels[0, :4, 0] = 0, 1, 2, 3
    with tempfile.TemporaryDirectory() as folder:
        given_root, changed_root = Path(folder) / "given", Path(folder) / "changed"
        KINDS[kind](given_root, labels)
        KINDS[kind](changed_root, labels)
        _change(changed_root, mapping)
        ours = read_or_refusal(given_root, kind, map_label=mapping)
        theirs = read_or_refusal(changed_root, kind)
    if isinstance(theirs, str):
        assert kind == "cine"
        assert set(mapping.values()) == {0}
        assert ours == theirs
        return
    assert ours.keys() == theirs.keys()
    for name, (training, test, voxels) in ours.items():
        expected, _, counted = theirs[name]
        np.testing.assert_array_equal(training, expected)
        np.testing.assert_array_equal(test, expected)
        assert voxels == counted


def _change(root: Path, mapping: Mapping[int, int]) -> None:
    """The label files of a dataset with other values."""
    for path in [*root.glob("labels*/*"), *root.glob("masks/*")]:
        if path.suffix == ".png":
            save_picture(path, on_disk(np.asarray(Image.open(path)), mapping))
            continue
        image = nibabel.load(path)
        changed = on_disk(np.asarray(image.dataobj), mapping)
        nibabel.save(nibabel.Nifti1Image(changed, image.affine), path)


@settings(max_examples=200)
@given(
    values=st.lists(st.sampled_from([0, 3, 70, 255, 4000]), min_size=1, max_size=40),
    mapping=st.dictionaries(st.sampled_from([0, 3, 70, 255, 4000]), st.sampled_from([0, 3, 70, 255])),
    dtype=st.sampled_from(["u2", "i4", "f4", "f8"]),
)
def test_class_indices_are_places_among_the_values(
    values: list[int], mapping: dict[int, int], dtype: str
) -> None:
    known = (0, 3, 70, 255, 4000)
    indices = class_indices(np.array(values, dtype).reshape(-1, 1), known, mapping)
    assert indices.ravel().tolist() == [known.index(mapping.get(value, value)) for value in values]


@pytest.mark.parametrize("value", [5, -1, 0.5, float("nan"), float("inf")])
def test_values_that_are_no_class_have_no_index(value: float) -> None:
    with pytest.raises(ValueError, match="is none of 0, 1"):
        class_indices(np.array([0, value]), (0, 1), {2: 1})


def test_two_meanings_of_one_value_are_refused() -> None:
    assert read_label_map(["1=2,2=1", "1=2"]) == {1: 2, 2: 1}
    with pytest.raises(SettingsError, match="reads 1 as 2 and as 3"):
        read_label_map(["1=2", "1=3"])
