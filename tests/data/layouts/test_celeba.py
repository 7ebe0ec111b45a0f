"""CelebA's tables and pictures, as their publisher distributes them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import read_record
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.celeba import read
from netwright.data.open import open_any
from netwright.data.recognition import recognise, task_of_format
from netwright.data.samples.published_pictures import ATTRIBUTES, FACES, face, write_celeba
from netwright.errors import DatasetError

PARTS = {"0": "train", "1": "val", "2": "test"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_celeba(tmp_path / "celeba", format="PNG")


def spoil(root: Path, table: str, old: str, new: str) -> None:
    text = (root / table).read_text()
    assert old in text
    (root / table).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("homes", [("", "", ""), ("Img", "Anno", "Eval")])
def test_attributes_and_official_parts(tmp_path: Path, homes: tuple[str, str, str]) -> None:
    root = write_celeba(tmp_path, homes=homes, format="PNG")
    assert recognise(root) == "celeba"
    assert task_of_format("celeba") == ("multilabel", 2)
    dataset = open_any(root)
    assert dataset == read(root)
    assert (dataset.task, dataset.classes, dataset.class_word) == ("multilabel", ATTRIBUTES, "label")
    assert dataset.problems == ()
    assert len(dataset.records) == FACES
    for record in dataset.records:
        values, part, _ = face(int(record.path.stem) - 1)
        assert record.label == tuple(int(value == 1) for value in values)
        assert record.part == PARTS[part]
        assert record.path.parent.name == "img_align_celeba"
        assert (record.size, record.box) == ((22, 18), None)
    assert inspect_images(dataset).errors == ()
    splits = image_splits(dataset, 0)
    assert [len(part) for part in (splits.training, splits.validation, splits.test)] == [12, 4, 4]


def as_csv(root: Path) -> Path:
    """The copy on Kaggle: tables of CSV that name their columns, and the aligned pictures a folder further down."""
    columns = {
        "list_attr_celeba": ("image_id", *ATTRIBUTES),
        "list_bbox_celeba": ("image_id", "x_1", "y_1", "width", "height"),
        "list_eval_partition": ("image_id", "partition"),
    }
    for name, head in columns.items():
        text = root / f"{name}.txt"
        lines = [line.split() for line in text.read_text().splitlines()]
        rows = [line for line in lines if line[0].endswith(".jpg")]
        with (root / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
        text.unlink()
    (root / "img_align_celeba").rename(root / "moved")
    (root / "img_align_celeba").mkdir()
    (root / "moved").rename(root / "img_align_celeba" / "img_align_celeba")
    return root


def test_the_copy_on_kaggle_is_the_same(tmp_path: Path) -> None:
    original = open_any(write_celeba(tmp_path / "original", format="PNG"))
    root = as_csv(write_celeba(tmp_path / "kaggle", format="PNG"))
    assert recognise(root) == "celeba"
    copy = open_any(root)
    assert (copy.classes, copy.labels, copy.parts) == (original.classes, original.labels, original.parts)
    assert copy.problems == ()
    boxes = [record.box for record in open_any(tmp_path / "original", format="images").records]
    assert [record.box for record in open_any(root, format="images").records] == boxes
    assert None not in boxes


@pytest.mark.parametrize(
    ("table", "old", "new", "words"),
    [
        ("list_attr_celeba.csv", "image_id,", "file,", "does not begin with the column image_id"),
        ("list_attr_celeba.csv", ",", ";", "does not begin with the column image_id"),
        ("list_attr_celeba.csv", ",-1", "", "line 2 has not 4 values"),
        ("list_eval_partition.csv", ",2", ",3", "line 18 has no picture with 0, 1 or 2"),
    ],
)
def test_tables_of_kaggle_that_are_not_right(root: Path, table: str, old: str, new: str, words: str) -> None:
    text = (as_csv(root) / table).read_text()
    (root / table).write_text(text.replace(old, new) if old == "," else text.replace(old, new, 1))
    with pytest.raises(UnusableFile, match=f"{table} cannot be read.*{words}"):
        open_any(root)


def test_faces_to_restore_are_those_in_the_wild_cropped_to_their_boxes(root: Path) -> None:
    dataset = open_any(root, format="images")
    assert (dataset.task, dataset.problems) == ("inpainting", ())
    assert [dataset.parts.count(part) for part in ("train", "val", "test")] == [12, 4, 4]
    for record in dataset.records:
        assert record.path.parent.name == "img_celeba"
        pixels = read_record(record).pixels
        assert pixels.shape == (12, 10, 3)
        assert pixels.min() >= 120, "the box and nothing around it"


def test_the_boxes_are_not_those_of_the_aligned_pictures(tmp_path: Path) -> None:
    dataset = open_any(write_celeba(tmp_path, wild=False, format="PNG"), format="images")
    assert {record.box for record in dataset.records} == {None}
    assert {record.path.parent.name for record in dataset.records} == {"img_align_celeba"}
    assert [(problem.severity, problem.kind) for problem in dataset.problems] == [("warning", "box")]
    assert "has the boxes of img_celeba, not of img_align_celeba" in str(dataset.problems[0])
    (tmp_path / "list_bbox_celeba.txt").unlink()
    assert open_any(tmp_path, format="images").problems == ()


def test_boxes_without_pixels_and_beyond_the_picture(root: Path) -> None:
    spoil(root, "list_bbox_celeba.txt", "000001.jpg      2   4  10  12", "000001.jpg      0   0   0   0")
    spoil(root, "list_bbox_celeba.txt", "000002.jpg      3   4  10  12", "000002.jpg     -3   4  10  99")
    dataset = open_any(root, format="images")
    assert [record.box for record in dataset.records[:2]] == [None, (0, 4, 7, 24)]
    assert [problem.severity for problem in dataset.problems] == ["warning", "warning"]


def test_faces_in_the_wild_alone(root: Path) -> None:
    shutil.rmtree(root / "img_align_celeba")
    dataset = open_any(root)
    assert {record.path.parent.name for record in dataset.records} == {"img_celeba"}
    assert dataset.labels == tuple(
        tuple(int(value == 1) for value in face(number)[0]) for number in range(FACES)
    )


def test_a_table_of_the_user_s_takes_the_place_of_the_boxes(root: Path) -> None:
    (root / "boxes.csv").write_text("file,left,top,right,bottom\nimg_celeba/000001.jpg,1,2,8,9\n")
    boxes = {record.box for record in open_any(root, format="images").records}
    assert boxes == {None, (1, 2, 8, 9)}


def test_some_of_the_pictures(root: Path) -> None:
    for number in (1, 2):
        (root / "img_align_celeba" / f"{number:06d}.jpg").unlink()
    dataset = open_any(root)
    assert len(dataset.records) == FACES - 2
    assert "2 of 20 pictures of list_attr_celeba.txt missing, such as 000001.jpg" in str(dataset.problems[0])


def test_without_tables(root: Path) -> None:
    (root / "list_eval_partition.txt").unlink()
    dataset = open_any(root)
    assert set(dataset.parts) == {None}
    assert "no official parts" in str(dataset.problems[0])
    (root / "list_attr_celeba.txt").unlink()
    with pytest.raises(DatasetError, match=r"lacks list_attr_celeba\.txt"):
        open_any(root)
    assert len(open_any(root, format="images").records) == FACES


@pytest.mark.parametrize(
    ("table", "old", "new", "words"),
    [
        ("list_attr_celeba.txt", "20\n", "21\n", "20 rows where the first line announces 21"),
        ("list_attr_celeba.txt", "20\n", "", "the number of pictures and the names"),
        ("list_attr_celeba.txt", "Bald", "Young", "the columns are not all different"),
        ("list_attr_celeba.txt", "000002.jpg", "000001.jpg", "1 pictures are there twice"),
        ("list_attr_celeba.txt", " -1", " 0", "neither 1 nor -1"),
        ("list_attr_celeba.txt", " -1", "", "line 3 has not 4 values"),
        ("list_eval_partition.txt", " 2", " 3", "line 17 has no picture with 0, 1 or 2"),
    ],
)
def test_tables_that_are_not_right(root: Path, table: str, old: str, new: str, words: str) -> None:
    spoil(root, table, old, new)
    with pytest.raises(UnusableFile, match=f"{table} cannot be read.*{words}"):
        open_any(root)


@pytest.mark.parametrize(("old", "new"), [("width height", "right bottom"), ("  4  10  12", "  4  10.5 12")])
def test_tables_of_boxes_that_are_not_right(root: Path, old: str, new: str) -> None:
    spoil(root, "list_bbox_celeba.txt", old, new)
    with pytest.raises(UnusableFile, match=r"list_bbox_celeba\.txt cannot be read"):
        open_any(root, format="images")


def test_a_picture_that_the_table_of_parts_does_not_name(root: Path) -> None:
    spoil(root, "list_eval_partition.txt", "000001.jpg 0\n", "")
    with pytest.raises(DatasetError, match=r"1 without, such as 000001\.jpg"):
        inspect_images(open_any(root)).require_usable()
