"""Stanford Cars, its tables written by scipy as MATLAB does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import read_record
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.stanford_cars import read
from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.data.samples.published_pictures import CARS, CARS_COUNTS, car, cars_table, write_cars
from netwright.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cars(tmp_path / "cars", format="PNG")


def test_classes_and_official_parts(root: Path) -> None:
    assert recognise(root) == "stanford-cars"
    dataset = open_any(root)
    assert dataset == read(root)
    assert (dataset.format, dataset.task, dataset.classes) == ("stanford-cars", "classification", CARS)
    assert dataset.names[:1] == ("cars_test/00001.jpg",)
    assert [dataset.parts.count(part) for part in ("train", "test")] == [24, 12]
    for record in dataset.records:
        pixels, label, _ = car(str(record.part), int(record.path.stem) - 1)
        assert record.label == label - 1
        assert record.box is None, "classes are told from whole pictures"
        np.testing.assert_array_equal(read_record(record).pixels, pixels)
    assert inspect_images(dataset).errors == ()
    splits = image_splits(dataset, 0)
    assert set(splits.test) == {name for name in dataset.names if name.startswith("cars_test/")}


def test_pictures_to_restore_are_cropped_to_their_boxes(root: Path) -> None:
    dataset = open_any(root, format="images")
    assert (dataset.task, dataset.classes, dataset.problems) == ("inpainting", (), ())
    assert [dataset.parts.count(part) for part in ("train", "test")] == [24, 12]
    for record in dataset.records:
        pixels = read_record(record).pixels
        assert pixels.shape == (12, 16, 3) == (*(record.size or ()), 3)
        assert pixels.min() > 100, "the box and nothing around it"
    (root / "cars_test_annos_withlabels.mat").unlink()
    assert open_any(root, format="images").records == dataset.records


def test_a_table_of_the_user_s_takes_the_place_of_the_boxes(root: Path) -> None:
    (root / "boxes.csv").write_text("file,left,top,right,bottom\ncars_train/00001.jpg,1,2,8,9\n")
    dataset = open_any(root, format="images")
    assert {record.box for record in dataset.records} == {None, (1, 2, 8, 9)}


def test_boxes_beyond_their_pictures_and_without_pixels(root: Path) -> None:
    rows = cars_table("train")
    rows[0, 0]["bbox_x2"], rows[0, 0]["bbox_y2"] = 900.0, 900.0
    rows[0, 1]["bbox_x1"] = rows[0, 1]["bbox_x2"] + 1
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": rows})
    dataset = open_any(root, format="images")
    by_name = {record.name: record for record in dataset.records}
    assert by_name["cars_train/00001.jpg"].box == (0, 1, 26, 20)
    assert by_name["cars_train/00002.jpg"].box is None
    assert [problem.kind for problem in dataset.problems] == ["box", "box"]
    assert all(problem.severity == "warning" for problem in dataset.problems)


def test_without_the_classes_of_the_test_part(root: Path) -> None:
    table = root / "cars_test_annos_withlabels.mat"
    table.rename(root / "devkit" / table.name)
    assert open_any(root).parts.count("test") == 12, "either place is known"
    (root / "devkit" / table.name).unlink()
    dataset = open_any(root)
    assert set(dataset.parts) == {"train"}
    assert [problem.kind for problem in dataset.problems] == ["unlabelled-part"]
    (root / "devkit" / "cars_test_annos.mat").unlink()
    assert "no official test part" in str(open_any(root).problems[0])


def test_pictures_without_their_tables_are_not_two_classes(root: Path) -> None:
    for path in root.rglob("*.mat"):
        path.unlink()
    assert recognise(root) == "stanford-cars"
    with pytest.raises(DatasetError, match=r"without their classes: expected devkit/cars_train_annos\.mat"):
        open_any(root)
    assert len(open_any(root, format="images").records) == 36


def test_a_copy_that_was_unpacked_twice(root: Path) -> None:
    whole = open_any(root)
    for part in CARS_COUNTS:
        (root / f"cars_{part}").rename(root / "moved")
        (root / f"cars_{part}").mkdir()
        (root / "moved").rename(root / f"cars_{part}" / f"cars_{part}")
    again = open_any(root)
    assert again.labels == whole.labels
    assert again.parts == whole.parts


def test_copies_with_a_folder_for_each_archive(root: Path) -> None:
    """As on Kaggle: ``car_devkit/devkit/``, ``cars_train/cars_train/``."""
    whole, boxed = open_any(root), open_any(root, format="images")
    for name in ("car_devkit", "cars_train", "cars_test"):
        (root / ("devkit" if name == "car_devkit" else name)).rename(root / "moved")
        (root / name).mkdir()
        (root / "moved").rename(root / name / ("devkit" if name == "car_devkit" else name))
    copy = open_any(root)
    assert (copy.classes, copy.labels, copy.parts) == (whole.classes, whole.labels, whole.parts)
    assert copy.problems == ()
    boxes = [record.box for record in boxed.records]
    assert [record.box for record in open_any(root, format="images").records] == boxes


def test_pictures_that_are_missing_or_not_listed(root: Path) -> None:
    (root / "cars_train" / "00003.jpg").unlink()
    Image.new("RGB", (4, 4)).save(root / "cars_train" / "extra.png")
    dataset = open_any(root)
    assert len(dataset.records) == 35
    assert [problem.kind for problem in dataset.problems] == ["not-whole", "ignored-file"]
    assert "1 of 24 pictures of cars_train_annos.mat missing, such as 00003.jpg" in str(dataset.problems[0])
    for path in (root / "cars_train").glob("0*"):
        path.unlink()
    with pytest.raises(DatasetError, match="none of the 24 pictures"):
        open_any(root)


def test_without_names_of_classes(root: Path) -> None:
    (root / "devkit" / "cars_meta.mat").unlink()
    dataset = open_any(root)
    assert dataset.classes == ("1", "2", "3")
    assert "no names of classes" in str(dataset.problems[0])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("fname", "../../etc/passwd.jpg", "names a picture in another folder"),
        ("fname", "00001.jpg", "names pictures twice"),
        ("class", 4.0, "classes out of range: expected 1 to 3, found 1 to 4"),
        ("class", 0.0, "classes out of range"),
        ("class", 1.5, "whole number"),
        ("bbox_x1", "left", "cannot be read"),
    ],
)
def test_tables_that_are_not_right(root: Path, field: str, value: object, words: str) -> None:
    rows = cars_table("train")
    rows[0, 1][field] = value
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": rows})
    with pytest.raises(UnusableFile, match=words):
        open_any(root)


def test_a_file_of_other_variables(root: Path) -> None:
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": np.zeros(3)})
    with pytest.raises(UnusableFile, match=r"lacks the field bbox_x1 of annotations.*no structs"):
        open_any(root)
