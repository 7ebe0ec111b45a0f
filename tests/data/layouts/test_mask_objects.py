"""A mask for each object of an image, as the 2018 Data Science Bowl has them: they are read as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netwright.data import PreprocessingSettings, find_cases, inspect_dataset, open_any, prepare
from netwright.data.io.volumes import read_label
from netwright_tests import save_photograph, save_picture

CASES = 5
SHAPE = (24, 32)


def nucleus(row: int, column: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.where((rows - row) ** 2 + (columns - column) ** 2 < 10, np.uint8(255), np.uint8(0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``stage1_train/ID/images/ID.png`` with two or three masks each, ``stage1_test`` without."""
    for number in range(CASES):
        home = tmp_path / "stage1_train" / f"0b{number}"
        save_photograph(home / "images" / f"0b{number}.png")
        for mark, place in enumerate([(6, 6 + number), (17, 20), (8, 25)][: 2 + number % 2]):
            save_picture(home / "masks" / f"f{mark}a{number}.png", nucleus(*place))
    for number in range(2):
        save_photograph(tmp_path / "stage1_test" / f"7c{number}" / "images" / f"7c{number}.png")
    return tmp_path


@pytest.mark.parametrize("home", ["", "stage1_train"])
def test_the_masks_of_an_image_are_one(root: Path, home: str, tmp_path: Path) -> None:
    dataset = open_any(root / home, map_label={255: 1})
    assert dataset.format == "image-masks"
    assert dataset.names == tuple(f"0b{number}" for number in range(CASES))
    for number, case in enumerate(dataset.cases):
        places = [(6, 6 + number), (17, 20), (8, 25)][: 2 + number % 2]
        union = np.maximum.reduce([nucleus(*place) for place in places])
        assert case.label is not None
        np.testing.assert_array_equal(read_label(case.label)[..., 0][::-1, ::-1].T, union)
    inspection = inspect_dataset(dataset)
    assert inspection.errors == ()
    (warning,) = [problem for problem in inspection.warnings if problem.kind == "objects"]
    assert "5 such folders" in warning.found
    assert any("left-out" in problem.kind for problem in inspection.warnings) is (home == "")
    settings = PreprocessingSettings(spacing="native", pad=False)
    before = prepare(dataset, settings, tmp_path / "cache")
    save_picture(root / "stage1_train" / "0b0" / "masks" / "more.png", nucleus(17, 5))
    after = prepare(open_any(root / home, map_label={255: 1}), settings, tmp_path / "cache")
    assert np.count_nonzero(after.label(0)) > np.count_nonzero(before.label(0))


def test_images_of_the_test_part_are_predicted(root: Path) -> None:
    cases = find_cases(root / "stage1_test", 3)
    assert [(case.name, case.images[0].name) for case in cases] == [("7c0", "7c0.png"), ("7c1", "7c1.png")]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (
            np.zeros((24, 31), np.uint8),
            "another size than the other masks of its image: expected 24 x 32 pixels",
        ),
        (
            nucleus(6, 6) // 2,
            "another label than the other masks of its image: expected 255, found 127 at a pixel",
        ),
    ],
)
def test_masks_that_do_not_fit_together(root: Path, mask: NDArray[np.uint8], words: str) -> None:
    save_picture(root / "stage1_train" / "0b0" / "masks" / "x.png", mask)
    (error,) = inspect_dataset(open_any(root / "stage1_train", map_label={255: 1, 127: 1})).errors
    assert words in str(error)
    assert error.file == "0b0/masks/x.png"


def test_a_label_has_one_colour_in_all_masks_of_an_image(root: Path) -> None:
    for name, colour in (("x", (255, 0, 0)), ("y", (0, 255, 0))):
        image = Image.fromarray(nucleus(12, 28) // 255).convert("P")
        image.putpalette([0, 0, 0, *colour])
        image.save(root / "stage1_train" / "0b0" / "masks" / f"{name}.png")
    (error,) = inspect_dataset(open_any(root / "stage1_train", map_label={255: 1})).errors
    assert (error.file, error.kind) == ("0b0/masks/y.png", "objects")
    assert "expected (255, 0, 0) for 1, found (0, 255, 0) for 1" in str(error)


def test_a_mask_of_the_name_of_its_image_is_none_of_an_object(root: Path) -> None:
    save_picture(root / "stage1_train" / "0b0" / "masks" / "0b0.png", nucleus(6, 6))
    dataset = open_any(root / "stage1_train", map_label={255: 1})
    assert {problem.kind for problem in inspect_dataset(dataset).errors} == {"missing-image"}
