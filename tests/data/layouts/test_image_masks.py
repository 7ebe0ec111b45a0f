"""Folders of pictures with masks: the same road as volumes, and what is said of those that are not right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.cli.reading import read_label_map
from netwright.data import (
    Dataset,
    PreprocessingSettings,
    find_cases,
    inspect_dataset,
    open_any,
    prepare,
    prepare_volume,
    read_image,
    write_label_map,
)
from netwright.errors import DatasetError
from netwright_tests import save_picture as save

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """``images`` and ``masks`` of twelve random cases whose masks hold the values given."""

    def build(values: tuple[int, ...] = (0, 1, 2), cases: int = 12, colour: bool = False) -> Path:
        rng = np.random.default_rng(0)
        root = tmp_path / "Cells"
        for part in ("images", "masks"):
            (root / part).mkdir(parents=True)
        for number in range(cases):
            shape = (20 + number, 36 - number)
            image = rng.integers(0, 256, (*shape, 3) if colour else shape, dtype=np.uint8)
            save(root / "images" / f"cell_{number:02d}.{('png', 'jpg', 'tif')[number % 3]}", image)
            save(root / "masks" / f"cell_{number:02d}.png", rng.choice(np.array(values, np.uint8), shape))
        return root

    return build


def kinds(dataset: Dataset) -> list[str]:
    return [problem.kind for problem in inspect_dataset(dataset).problems]


def test_pairs_become_cases_with_the_labels_of_the_masks(folder: Folder) -> None:
    dataset = open_any(folder())
    assert dataset.format == "image-masks"
    assert dataset.channels == ("grey",)
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2"}
    assert [case.name for case in dataset.cases] == [f"cell_{number:02d}" for number in range(12)]
    inspection = inspect_dataset(dataset)
    assert inspection.problems == ()
    assert inspection.fingerprint.shape is not None
    assert inspection.fingerprint.shape.minimum == (25, 20, 1)
    assert open_any(dataset.root, format="image-masks") == dataset


def test_colours_give_three_channels(folder: Folder) -> None:
    dataset = open_any(folder(colour=True))
    assert dataset.channels == ("red", "green", "blue")
    assert kinds(dataset) == []


def test_two_values_without_numbers_are_confirmed_with_one_flag(folder: Folder) -> None:
    root = folder((0, 255))
    inspection = inspect_dataset(open_any(root))
    text = str(inspection.errors[0])
    assert {problem.kind for problem in inspection.errors} == {"unconfirmed-labels"}
    assert "0 -> 0 (background), 255 -> 1 (foreground)" in text
    assert "--map-label 255=1;" in text
    assert "found 0 and 255" in text
    confirmed = open_any(root, map_label={255: 1})
    assert confirmed.labels == {0: "background", 1: "foreground"}
    assert kinds(confirmed) == []


@pytest.mark.parametrize("values", [(0, 128, 255), (0, 1, 3), (7, 9), (0, 2, 1, 255)])
def test_the_flag_that_is_named_makes_any_values_usable(folder: Folder, values: tuple[int, ...]) -> None:
    root = folder(values)
    advice = inspect_dataset(open_any(root)).errors[0].advice
    flag = advice.split("--map-label ")[1].split(";")[0]
    dataset = open_any(root, map_label=read_label_map([flag]))
    assert kinds(dataset) == []
    ranks = {value: rank for rank, value in enumerate(sorted({0, *values}))}
    labels = inspect_dataset(dataset).fingerprint.labels
    masks = [np.asarray(Image.open(path)) for path in sorted((root / "masks").iterdir())]
    for value in values:
        pixels = sum(int((mask == value).sum()) for mask in masks)
        assert next(label for label in labels if label.value == ranks[value]).voxels == pixels


def test_one_value_can_be_merged_into_another(folder: Folder) -> None:
    dataset = open_any(folder((0, 1, 255)), map_label={255: 0})
    assert dataset.labels == {0: "background", 1: "foreground"}
    assert kinds(dataset) == []


def test_a_description_names_the_labels(folder: Folder) -> None:
    root = folder((0, 255))
    (root / "dataset.json").write_text(
        json.dumps({"name": "N", "labels": {"0": "background", "255": "nucleus"}})
    )
    dataset = open_any(root)
    assert (dataset.name, dataset.labels) == ("N", {0: "background", 255: "nucleus"})
    assert kinds(dataset) == []
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "nucleus": 1}}))
    assert "--map-label 255=1" in inspect_dataset(open_any(root)).errors[0].advice


def test_what_inspection_says_of_single_files(folder: Folder) -> None:
    root = folder()
    masks, images = sorted((root / "masks").iterdir()), sorted((root / "images").iterdir())
    save(masks[0], np.zeros((20, 35), np.uint8))
    masks[1].unlink()
    images[2].unlink()
    save(masks[3], np.random.default_rng(0).integers(0, 256, (23, 33, 3), dtype=np.uint8))
    content = images[4].read_bytes()
    images[4].write_bytes(content[: len(content) // 2])
    save(images[5], np.arange(25 * 31 * 3, dtype=np.uint8).reshape(25, 31, 3))
    images[6].write_bytes(b"")
    save(images[7].with_suffix(".bmp"), np.full((27, 29), 5, np.uint8))
    images[7].unlink()
    by_stem = {Path(problem.file).stem: problem for problem in inspect_dataset(open_any(root)).problems}
    expected = {
        "cell_00": ("label-shape", "found 35 x 20 x 1"),
        "cell_01": ("missing-label", "has no mask"),
        "cell_02": ("missing-image", "has no image"),
        "cell_03": ("colour-mask", "different colours"),
        "cell_04": ("unreadable", "cannot be read"),
        "cell_05": ("channels", "is coloured among greys"),
        "cell_06": ("unreadable", "is empty"),
        "cell_07": ("constant", "is constant"),
    }
    assert {name: problem.kind for name, problem in by_stem.items()} == {
        name: kind for name, (kind, _) in expected.items()
    }
    for name, (_, words) in expected.items():
        assert words in str(by_stem[name])
        assert "dataset.json" not in str(by_stem[name])


def test_a_jpeg_mask_is_an_error(folder: Folder) -> None:
    root = folder()
    mask = sorted((root / "masks").iterdir())[0]
    Image.open(mask).save(mask.with_suffix(".jpg"))
    mask.unlink()
    assert sorted(kinds(open_any(root))) == ["jpeg-masks", "lossy-mask"]


def test_folders_that_are_no_dataset(folder: Folder, tmp_path: Path) -> None:
    root = folder((0, 1))
    save(root / "masks" / "cell_00.tif", np.zeros((20, 36), np.uint8))
    with pytest.raises(DatasetError, match=r"cell_00\.png and masks/cell_00\.tif"):
        open_any(root)
    for path in (root / "masks").iterdir():
        path.unlink()
    save(root / "masks" / "outline_00.png", np.zeros((20, 36), np.uint8))
    with pytest.raises(DatasetError, match=r"no image with a mask of the same stem.*outline_00\.png"):
        open_any(root)
    (root / "masks" / "outline_00.png").unlink()
    save(root / "masks" / "cell_00.png", np.zeros((20, 36), np.uint8))
    with pytest.raises(DatasetError, match="holds no label"):
        open_any(root)
    blurred = np.arange(20 * 36).reshape(20, 36) % 200
    save(root / "masks" / "cell_00.png", blurred.astype(np.uint8))
    with pytest.raises(DatasetError, match=r"200 different values.*threshold"):
        open_any(root)


def test_prepared_as_flat_volumes(folder: Folder, tmp_path: Path) -> None:
    root = folder()
    prepared = prepare(open_any(root), PreprocessingSettings(normalise="none"), tmp_path / "cache")
    assert prepared.size == (32, 32, 1)
    assert prepared.spacing == (1, 1, 1)
    pixels = np.asarray(Image.open(root / "images" / "cell_00.png")).astype(np.float32)
    mask = np.asarray(Image.open(root / "masks" / "cell_00.png"))
    geometry = prepared.geometry(0)
    image, label = prepared.image(0), prepared.label(0)
    assert image.shape == (1, 36, 32, 1)
    np.testing.assert_array_equal(image[0, :, 6:26, 0], pixels.T[::-1, ::-1])
    assert not image[0, :, :6].any()
    np.testing.assert_array_equal(geometry.restore(label)[..., 0].T, mask)
    files = [root / "images" / "cell_00.png"]
    again = prepare_volume(read_image(files), files, prepared.settings)
    np.testing.assert_array_equal(again.image, image)
    write_label_map(tmp_path / "out.png", geometry.restore(label), root / "images" / "cell_00.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), mask)


def test_pictures_to_predict(folder: Folder, tmp_path: Path) -> None:
    root = folder()
    cases = find_cases(root / "images", 1)
    assert [case.name for case in cases] == [f"cell_{number:02d}" for number in range(12)]
    assert find_cases(cases[3].images[0], 1) == (cases[3],)
    save(root / "images" / "cell_00.bmp", np.zeros((4, 4), np.uint8))
    with pytest.raises(DatasetError, match="one file for each stem"):
        find_cases(root / "images", 1)
    with pytest.raises(DatasetError, match=r"\.png"):
        find_cases(tmp_path / "Cells", 1)


def test_a_size_for_pictures_is_a_multiple_of_16_up_to_512(tmp_path: Path) -> None:
    from netwright.data.io.grid import Grid

    def size(*shape: int) -> Any:
        rows = ((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 5.0, 0), (0, 0, 0, 1.0))
        return PreprocessingSettings().resolved([Grid(shape, rows)])  # type: ignore[arg-type]

    assert size(33, 700, 1).size == (48, 512, 1)
    assert size(33, 700, 1).spacing == (1, 1, 5)
    assert size(33, 700, 2).size == (40, 128, 16)
