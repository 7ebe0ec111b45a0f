"""Pictures with a table of labels: what is read of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netwright.data.images.dataset import ImageSet
from netwright.data.images.settings import ImageSettings
from netwright.data.issues import UnusableFile
from netwright.data.open import inspect_any, open_any, prepare_any, split_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError
from netwright_tests import save_picture as save

Build = Callable[..., Path]


@pytest.fixture
def album(tmp_path: Path) -> Build:
    """Four pictures a.png to d.png, and a table."""

    def build(table: str | bytes, pictures: str = "abcd") -> Path:
        root = tmp_path / "Album"
        rng = np.random.default_rng(0)
        for name in pictures:
            save(root / f"{name}.png", rng.integers(0, 256, (8, 8), dtype=np.uint8))
        (root / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
        return root

    return build


def problems_of(root: Path) -> list[str]:
    return [
        f"{one.severity} {one}" for one in inspect_any(open_any(root)).problems if one.kind != "few-cases"
    ]


def test_the_table_says_labels_and_parts(album: Build) -> None:
    root = album(
        "\ufefffile, rain,sun ,split\nc.png,0,1,TEST\na.png,1,0.0,train\nb.png,1.0,1,val\nd.png,0,0,train\n\n"
    )
    assert recognise(root) == "label-table"
    data = open_any(root)
    assert isinstance(data, ImageSet)
    assert (data.task, data.format, data.classes) == ("multilabel", "label-table", ("rain", "sun"))
    assert data.names == ("a.png", "b.png", "c.png", "d.png")
    assert data.labels == ((1, 0), (1, 1), (0, 1), (0, 0))
    assert data.parts == ("train", "val", "test", "train")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("file,x,y\na.png,1,0\nb.png,0,1\nc.png,1,1\nd.png,0,\n", r"line 5, 'd.png'.*value of y .*found nothing"),
        ("file,x,y\na.png,1,0\nb.png,0,1\nc.png,2,1\nd.png,0,1\n", r"line 4, 'c.png'.*value of x .*found 2"),
        ("file,x\na.png,1\nb.png,0\nC.PNG,1\nd.png,0\n", r"'C.PNG'.*names no picture(.|\n)*Did you mean c.png"),
        ("file,x\na.png,1\nb.png,0\na.png,1\nd.png,0\n", r"line 4, 'a.png'.*again.*another in line 2"),
        ("file,x,y\na.png,1,1\nb.png,0,1\nc.png,1,1\nd.png,0,1\n", r"a label \(y\) that every picture has"),
        ("file,x,y\na.png,1,0\nb.png,0,0\nc.png,1,0\nd.png,0,0\n", r"\(y\) that has no image to learn from"),
        ("file,x,split\na.png,1,train\nb.png,0,train\nc.png,1,dev\nd.png,0,test\n", r"of no part.*found dev"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_or_label_is_an_error(album: Build, table: str, told: str) -> None:
    import re

    wrong = [problem for problem in problems_of(album(table)) if problem.startswith("error")]
    assert len(wrong) == 1, wrong
    assert re.search(told, wrong[0]), wrong[0]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("name,x\na.png,1\n", "lacks the column file"),
        ("file\na.png\n", "has no label"),
        ("file,x,x\na.png,1,1\n", "has the column x twice"),
        ("file,x,\na.png,1,1\n", "column without a name"),
        ("file,x\na.png,1,1\n", r"\(line 2\) has too few or too many values"),
        ("", "lacks the column file"),
        ("file,x\na.png,1\n".encode("utf-16"), "a table in UTF-8"),
        (b'file,x\n"a.png,1\n', "a table in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(album: Build, table: str | bytes, told: str) -> None:
    with pytest.raises(UnusableFile, match=told):
        open_any(album(table), format="label-table")


def test_parts_without_training_are_refused(album: Build) -> None:
    with pytest.raises(DatasetError, match="no picture for training"):
        open_any(album("file,x,split\na.png,1,test\nb.png,0,val\n"))


def test_a_picture_without_a_row_is_left_out_with_a_warning(album: Build) -> None:
    root = album("file,x\na.png,1\nb.png,0\nc.png,1\n")
    assert open_any(root).names == ("a.png", "b.png", "c.png")
    assert [p for p in problems_of(root) if p.startswith("warning") and "d.png is not in the table" in p]


@pytest.mark.parametrize("name", ["", "../E.png", "/e.png", "a.png/b", "x" * 300 + ".png"])
def test_a_name_that_no_picture_of_the_folder_has_is_an_error(
    album: Build, tmp_path: Path, name: str
) -> None:
    save(tmp_path / "e.png", np.zeros((8, 8), np.uint8))
    (told,) = [
        p for p in problems_of(album(f"file,x\n{name},1\nb.png,0\nc.png,1\nd.png,0\n")) if "line 2" in p
    ]
    assert "names no picture" in told
    assert "Did you mean" not in told


def test_a_table_of_something_else_leaves_a_folder_what_it_was(album: Build) -> None:
    assert recognise(album("id,place\n1,Graz\n")) == "images"
    assert recognise(album('file,x\n"a.png,1\n')) == "label-table", "unreadable: reading it says so"


@pytest.mark.parametrize(
    ("table", "format", "told"),
    [
        ("file,x,y\na.png,1,0\nb.png,0,1\nc.png,1,0\nd.png,0,1\n", "label-table", True),
        ("file,x,y\na.png,1,0\nb.png,0,1\nc.png,1,1\nd.png,0,1\n", "label-table", False),
        ("file,label\na.png,1\nb.png,0\nc.png,1\nd.png,0\n", "label-table", True),
        ("file,label\na.png,1\nb.png,0\nc.png,2\nd.png,2\n", "class-table", False),
    ],
)
def test_a_table_that_may_tell_classes_is_told_or_read_as_such(
    album: Build, table: str, format: str, told: bool
) -> None:
    root = album(table)
    data = open_any(root)
    assert data.format == format
    assert any("say --format class-table" in one for one in problems_of(root)) is told
    if told:
        assert open_any(root, format="class-table").task == "classification"


def test_folders_of_classes_beside_a_table_of_other_things_stay_classes(tmp_path: Path) -> None:
    for name in ("cats/a", "cats/b", "dogs/c", "dogs/d"):
        save(tmp_path / f"{name}.png", np.full((8, 8), len(name), np.uint8))
    (tmp_path / "labels.csv").write_text("file,animal\ncats/a.png,cat\n")
    assert recognise(tmp_path) == "image-folder"
    (tmp_path / "labels.csv").write_text('file,animal\n"cats')
    assert recognise(tmp_path) == "image-folder"


@pytest.mark.parametrize(
    ("table", "recognised_as"),
    [
        ("file,label\ncats/a.png,0\ncats/b.png,0\ndogs/c.png,1\ndogs/d.png,1\n", "image-folder"),
        ("file,label\na.png,0\nb.png,1\nc.png,2\n", "image-folder"),
        ("file,cat,dog\na.png,1,0\nc.png,0,1\n", "image-folder"),
        ("file,cat,dog\n" + "x" * 300 + ".png,1,0\n", "image-folder"),
        ("file,rain,sun\ncats/a.png,1,0\ndogs/c.png,1,1\n", "label-table"),
    ],
)
def test_folders_of_classes_stay_classes_unless_several_labels_are_told_of_their_pictures(
    tmp_path: Path, table: str, recognised_as: str
) -> None:
    for name in ("cats/a", "cats/b", "dogs/c", "dogs/d"):
        save(tmp_path / f"{name}.png", np.full((8, 8), len(name), np.uint8))
    (tmp_path / "labels.csv").write_text(table)
    assert recognise(tmp_path) == recognised_as


def test_the_sample_is_read_and_divided_label_by_label(several_shapes: Path, tmp_path: Path) -> None:
    data = open_any(several_shapes)
    assert isinstance(data, ImageSet)
    assert {problem.kind for problem in inspect_any(data).problems} == {"few-cases"}
    prepared = prepare_any(data, ImageSettings(), tmp_path)
    splits = split_any(prepared, 0)
    labels = dict(zip(data.names, np.array(data.labels), strict=True))
    for part in (splits.training, splits.validation, splits.test):
        assert np.all(np.sum([labels[name] for name in part], axis=0) > 0), "every label in every part"
