"""SVHN's whole house numbers, whose tables h5py writes as MATLAB 7.3 does."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data.images.dataset import ImageSet
from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import read_record
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.svhn_numbers import read
from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.data.samples.published_arrays import house_number, write_digit_struct, write_svhn_numbers
from netwright.data.samples.published_pictures import counts, write_svhn
from netwright.errors import DatasetError

COUNTS = counts(20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_svhn_numbers(tmp_path / "svhn")


def test_every_digit_is_the_part_of_its_picture_in_its_box(root: Path) -> None:
    assert recognise(root) == "svhn-numbers"
    dataset = open_any(root)
    assert (dataset.format, dataset.task, dataset.class_names) == (
        "svhn-numbers",
        "classification",
        tuple("0123456789"),
    )
    records = {record.name: record for record in read(root).records}
    assert tuple(sorted(records)) == dataset.names
    for part, count in COUNTS.items():
        for number in range(count):
            pixels, digits = house_number(part, number)
            for place, (label, (left, top, width, height)) in enumerate(digits, 1):
                name = f"{part}/{number + 1:02d}_{place}"
                record = records.pop(name)
                assert (record.label, record.part) == (label % 10, part)
                crop = pixels[top : top + height, left : left + width]
                np.testing.assert_array_equal(read_record(record).pixels, crop)
                assert record.size == (height, width)
    assert not records


def test_it_is_inspected_and_its_test_part_is_kept(root: Path) -> None:
    dataset = read(root)
    inspection = inspect_images(dataset)
    assert {problem.kind for problem in inspection.problems} <= {"not-whole", "few-cases"}
    assert "20 pictures in place of 33402 in train" in str(inspection.problems)
    assert {name.partition("/")[0] for name in image_splits(dataset, 0).test} == {"test"}


def test_boxes_beyond_the_picture_are_cut_and_empty_ones_left_out(root: Path) -> None:
    rows = [(f"{number + 1}.png", house_number("test", number)[1]) for number in range(10)]
    rows[0] = ("1.png", [(1, (-1, -2, 9, 9)), (2, (40, 3, 5, 5)), (3, (30, 10, 20, 20))])
    write_digit_struct(root / "test" / "digitStruct.mat", rows)
    dataset = read(root)
    sizes = {record.name: record.size for record in dataset.records if record.name.startswith("test/01_")}
    assert sizes == {"test/01_1": (7, 8), "test/01_3": (10, 4)}
    boxes = [problem for problem in dataset.problems if problem.kind == "box"]
    assert [problem.found for problem in boxes] == [
        "2 boxes, such as that of test/01_1",
        "1 box, such as that of test/01_2",
    ]


def test_whole_pictures_to_restore_and_cropped_digits_beside(root: Path) -> None:
    dataset = open_any(root, format="images")
    assert [dataset.parts.count(part) for part in ("train", "test")] == [20, 10]
    write_svhn(root)
    assert recognise(root) == "svhn"


def test_extra_pictures_are_training_pictures_where_they_are_asked_for(root: Path) -> None:
    plain = read(root)
    with pytest.raises(DatasetError, match=r"lacks extra/digitStruct\.mat.*say --format svhn-numbers\."):
        open_any(root, format="svhn-numbers-extra")
    shutil.copytree(root / "train", root / "extra")
    assert "say --format svhn-numbers-extra" in str(read(root).problems)
    assert read(root).names == plain.names
    more = open_any(root, format="svhn-numbers-extra")
    assert isinstance(more, ImageSet)
    extra = [record for record in more.records if record.name.startswith("extra/")]
    assert {record.part for record in extra} == {"train"}
    of_train = {r.name.partition("/")[2]: r.label for r in plain.records if r.part == "train"}
    assert {record.name.partition("/")[2]: record.label for record in extra} == of_train
    assert len(more.records) == len(plain.records) + len(extra)


def test_a_part_alone_is_not_taken_for_pictures_without_classes(root: Path) -> None:
    with pytest.raises(DatasetError, match=rf"expected train/digitStruct\.mat\. Give {root}\.$"):
        open_any(root / "train")
    assert len(open_any(root / "train", format="images").names) == COUNTS["train"]


def test_parts_that_lack(root: Path) -> None:
    (root / "test" / "digitStruct.mat").unlink()
    assert "no test/digitStruct.mat" in str(read(root).problems)
    assert set(read(root).parts) == {"train"}
    (root / "train" / "digitStruct.mat").rename(root / "test" / "digitStruct.mat")
    with pytest.raises(DatasetError, match=r"expected train/digitStruct\.mat"):
        open_any(root)


def test_without_h5py_it_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "h5py" else find(name))
    with pytest.raises(UnusableFile, match=r"pip install 'netwright\[matlab\]'"):
        open_any(root)


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ([(11, (0, 0, 5, 5))], "label of 1.png out of range: expected 1 to 10, found 11"),
        ([(0, (0, 0, 5, 5))], "out of range"),
        ([(1, (0.5, 0, 5, 5))], "whole numbers"),
        ([(1, (float("nan"), 0, 5, 5))], "whole numbers"),
    ],
)
def test_tables_that_hold_something_else(root: Path, digits: Any, words: str) -> None:
    write_digit_struct(root / "train" / "digitStruct.mat", [("1.png", digits)])
    with pytest.raises(UnusableFile, match=words):
        read(root)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"half"])
def test_damaged_tables(root: Path, content: bytes) -> None:
    path = root / "train" / "digitStruct.mat"
    path.write_bytes(path.read_bytes()[:3000] if content == b"half" else content)
    with pytest.raises(UnusableFile, match=r"digitStruct\.mat"):
        read(root)


@pytest.mark.parametrize("way", ["link", "external values", "virtual"])
def test_tables_that_lead_into_another_file_are_refused(root: Path, tmp_path: Path, way: str) -> None:
    import h5py

    path, other = root / "train" / "digitStruct.mat", tmp_path / "other.mat"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["#refs#/bbox0"]
        del group["left"]
        if way == "link":
            group["left"] = h5py.ExternalLink(str(other), "#refs#/bbox0/left")
        elif way == "external values":
            group.create_dataset("left", shape=(1, 1), dtype="f8", external=[(str(other), 0, 8)])
        else:
            layout = h5py.VirtualLayout((1, 1), "f8")
            layout[:] = h5py.VirtualSource(str(other), "#refs#/bbox1/left", (1, 1))
            group.create_virtual_dataset("left", layout)
    with pytest.raises(UnusableFile, match="is a link" if way == "link" else "in another file"):
        read(root)
