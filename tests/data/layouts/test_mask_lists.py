"""Parts of pictures with masks that text files list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from netwright.data import Dataset, inspect_dataset, open_any
from netwright_tests import save_photograph, save_picture

NUMBERS = range(1, 10)
PARTS = {"train": NUMBERS[:4], "val": NUMBERS[4:6], "test": NUMBERS[6:9]}


def pair(root: Path, image: str, mask: str, number: int, masked: bool = True) -> None:
    save_photograph(root / image.replace("#", f"{number:03d}"))
    rows, columns = np.mgrid[:24, :32]
    if masked:
        disc = (rows - 12) ** 2 + (columns - 8 - number) ** 2 < 30
        save_picture(root / mask.replace("#", f"{number:03d}"), disc.astype(np.uint8))


def parts(dataset: object) -> dict[str, str | None]:
    assert isinstance(dataset, Dataset)
    return {case.name[-3:]: case.part for case in dataset.cases}


def kinds(dataset: object) -> Counter[str]:
    assert isinstance(dataset, Dataset)
    return Counter(problem.kind for problem in inspect_dataset(dataset).problems)


EXPECTED = {f"{number:03d}": part for part, numbers in PARTS.items() for number in numbers}


@pytest.mark.parametrize(
    ("image", "mask", "home", "line"),
    [
        ("images/#.png", "masks/#.png", "", "#"),
        ("images/#.png", "masks/#.png", "", "images/#.png"),
        ("imgs/#.jpg", "labels/#.png", "", "./imgs/#.jpg ./labels/#.png"),
        ("a #.jpg", "a #_mask.png", "", "a #.jpg"),
        ("images/b_#.jpg", "annotations/trimaps/b_#.png", "annotations", "b_# 1 1 1"),
        ("data/images/#.png", "data/masks/#.png", "data", "/home/of/publisher/data/images/#.png"),
    ],
)
def test_lists_are_the_official_parts(tmp_path: Path, image: str, mask: str, home: str, line: str) -> None:
    for number in NUMBERS:
        pair(tmp_path, image, mask, number)
    for part, numbers in PARTS.items():
        lines = [line.replace("#", f"{number:03d}") for number in numbers]
        (tmp_path / home / f"{part}.txt").write_text("\n".join(lines) + "\n")
    dataset = open_any(tmp_path)
    assert parts(dataset) == EXPECTED
    assert kinds(dataset).keys() <= {"few-cases"}


def test_pascal_voc(tmp_path: Path) -> None:
    """Most images have no mask, and those of the test part are listed without."""
    image, mask = "VOC2012/JPEGImages/2007_000#.jpg", "VOC2012/SegmentationClass/2007_000#.png"
    for number in NUMBERS:
        pair(tmp_path, image, mask, number, masked=number < 7)
    for number in range(20, 30):
        pair(tmp_path, image, mask, number, masked=False)
    lists = tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, numbers in {**PARTS, "trainval": NUMBERS[:6]}.items():
        (lists / f"{part}.txt").write_text("".join(f"2007_000{number:03d}\n" for number in numbers))
    (tmp_path / "VOC2012" / "ImageSets" / "Main").mkdir()
    (tmp_path / "VOC2012" / "ImageSets" / "Main" / "train.txt").write_text("2007_000020\n")
    for root in (tmp_path, tmp_path / "VOC2012"):
        dataset = open_any(root)
        assert parts(dataset) == {name: part for name, part in EXPECTED.items() if part != "test"}
        warned = [one for one in inspect_dataset(dataset).problems if "left-out" in one.kind]
        assert sorted(one.found for one in warned) == ["10 such pictures", "3 such pictures"]


def test_a_list_for_training_and_validation_alone(tmp_path: Path) -> None:
    """Oxford pets has no other beside that for testing."""
    for number in NUMBERS:
        pair(tmp_path, "images/#.jpg", "annotations/trimaps/#.png", number)
    (tmp_path / "annotations" / "trainval.txt").write_text(
        "".join(f"{number:03d} 1 1 1\n" for number in NUMBERS[:6])
    )
    (tmp_path / "annotations" / "test.txt").write_text(
        "".join(f"{number:03d} 1 1 1\n" for number in NUMBERS[6:])
    )
    (tmp_path / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n001 1 1 1\n")
    assert Counter(parts(open_any(tmp_path)).values()) == {"train": 6, "test": 3}


def test_commas_end_the_names(tmp_path: Path) -> None:
    for number in NUMBERS:
        pair(tmp_path, "images/#.png", "masks/#.png", number)
    (tmp_path / "train.txt").write_text("".join(f"{number:03d}.png,1\n" for number in NUMBERS[:6]))
    (tmp_path / "test.txt").write_text("".join(f"{number:03d},1\n" for number in NUMBERS[6:]))
    assert Counter(parts(open_any(tmp_path)).values()) == {"train": 6, "test": 3}


def test_names_that_are_not_there_and_names_in_two_parts(tmp_path: Path) -> None:
    for number in NUMBERS:
        pair(tmp_path, "images/#.png", "masks/#.png", number)
    (tmp_path / "train.txt").write_text("\n".join(f"{number:03d}" for number in (*NUMBERS[:7], 77)))
    (tmp_path / "test.txt").write_text("\n".join(f"{number:03d}" for number in NUMBERS[6:]))
    found = [one for one in inspect_dataset(open_any(tmp_path)).problems if one.kind == "lists-of-parts"]
    assert [(one.severity, one.file) for one in found] == [("error", "train.txt"), ("warning", "train.txt")]
    assert "007.png also in test.txt" in found[0].found
    assert "no 077" in found[1].found


@pytest.mark.parametrize("content", ["batch size 16\nepochs 200\n", "", "\xff"])
def test_texts_that_are_no_lists_of_the_pictures(tmp_path: Path, content: str) -> None:
    for number in NUMBERS:
        pair(tmp_path, "images/#.png", "masks/#.png", number)
    (tmp_path / "train.txt").write_bytes(content.encode("latin-1"))
    dataset = open_any(tmp_path)
    assert set(parts(dataset).values()) == {None}
    assert kinds(dataset) == {"few-cases": 1}


def test_parts_of_folders_go_first(tmp_path: Path) -> None:
    for part, numbers in PARTS.items():
        for number in numbers:
            pair(tmp_path, f"{part}/images/#.png", f"{part}/masks/#.png", number)
    (tmp_path / "train.txt").write_text("001\n009\n")
    assert parts(open_any(tmp_path)) == EXPECTED
