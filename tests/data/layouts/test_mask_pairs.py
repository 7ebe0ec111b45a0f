"""Pictures with masks as their publishers name them: made-up copies are read with all pairs and the official parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from netwright.data import Dataset, PreprocessingSettings, inspect_dataset, open_any, prepare_any, split_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError
from netwright_tests import save_photograph, save_picture

PAIRS = 3
"""Of each part."""

Parts = dict[str | None, tuple[str, str]]

SIDE: Parts = {None: ("#.jpg", "#_mask.png")}


def in_folders(images: str, masks: str, parts: Sequence[str] = ("train", "val", "test")) -> Parts:
    """The names of images and masks; @ stands for the part."""
    return {part: (images.replace("@", part), masks.replace("@", part)) for part in parts}


def isic(year: str, images: str, masks: str, test: str = "Test") -> Parts:
    names = {"train": "Training", "val": "Validation", "test": test}
    return {
        part: (
            f"{images.replace('@', name)}/ISIC_#.jpg",
            f"{masks.replace('@', name)}/ISIC_#_segmentation.png",
        )
        for part, name in names.items()
        if (year, part) != ("2016", "val")
    }


LAYOUTS: dict[str, Parts] = {
    "imgs and masks": {None: ("imgs/#.png", "masks/#.png")},
    "capitals": {None: ("Images/#.png", "Masks/#.png")},
    "labels": {None: ("images/#.png", "labels/#.png")},
    "gt": {None: ("img/#.png", "gt/#.png")},
    "Carvana": {"train": ("train/#_01.jpg", "train_masks/#_01_mask.gif")},
    "ISIC 2016": isic("2016", "ISBI2016_ISIC_Part1_@_Data", "ISBI2016_ISIC_Part1_@_GroundTruth"),
    "ISIC 2017": isic("2017", "ISIC-2017_@_Data", "ISIC-2017_@_Part1_GroundTruth", "Test_v2"),
    "ISIC 2018": isic("2018", "ISIC2018_Task1-2_@_Input", "ISIC2018_Task1_@_GroundTruth"),
    "Oxford pets": {None: ("images/Abyssinian_#.jpg", "annotations/trimaps/Abyssinian_#.png")},
    "DRIVE": {
        "train": ("training/images/#_training.tif", "training/1st_manual/#_manual1.gif"),
        "test": ("test/images/#_test.tif", "test/1st_manual/#_manual1.gif"),
    },
    "HRF": {None: ("images/#_dr.JPG", "manual1/#_dr.tif")},
    "CHASE-DB1": {None: ("Image_#L.jpg", "Image_#L_1stHO.png")},
    "Cityscapes": in_folders(
        "leftImg8bit/@/aachen/aachen_#_000019_leftImg8bit.png",
        "gtFine/@/aachen/aachen_#_000019_gtFine_labelIds.png",
        ("train", "val"),
    ),
    "CamVid of SegNet": in_folders("@/0001TP_#.png", "@annot/0001TP_#.png"),
    "ADE20K": {
        "train": ("images/training/ADE_train_#.jpg", "annotations/training/ADE_train_#.png"),
        "val": ("images/validation/ADE_val_#.jpg", "annotations/validation/ADE_val_#.png"),
    },
    "PASCAL VOC": {None: ("JPEGImages/2007_#.jpg", "SegmentationClass/2007_#.png")},
    "BUSI": {
        None: ("benign/benign (#).png", "benign/benign (#)_mask.png"),
    },
    "DeepGlobe": {None: ("#_sat.jpg", "#_mask.png")},
    "beginnings": {None: ("image_#.png", "label_#.png")},
    "parts above": in_folders("@/images/#.png", "@/masks/#.png"),
    "parts below": in_folders("images/@/#.png", "masks/@/#.png"),
    "one folder each": {None: ("case#/image.png", "case#/mask.png")},
    "side by side": SIDE,
    "side by side in parts": in_folders("@/#.png", "@/#_mask.png"),
    "in a folder": {None: ("DatasetA/images/#.png", "DatasetA/masks/#.png")},
}


def picture(path: Path, values: int = 2) -> None:
    """A mask of a disc, whose place is that of the number in its image's name; or a photograph with that disc."""
    digits = int("".join(character for character in path.stem if character.isdigit())[-3:] or 0)
    y, x = np.mgrid[:24, :32]
    disc = (y - 12) ** 2 + (x - 10 - digits % 10) ** 2 < 40
    save_picture(path, (disc * (values - 1)).astype(np.uint8))


def build(root: Path, parts: Parts, pairs: int = PAIRS) -> Path:
    number = 0
    for image, mask in parts.values():
        for _ in range(pairs):
            number += 1
            save_photograph(root / image.replace("#", f"{number:03d}"))
            picture(root / mask.replace("#", f"{number:03d}"))
    return root


def left_out(dataset: Dataset) -> dict[str, str]:
    """The first file of each kind that is left out, and how many there are."""
    return {one.file: one.found for one in inspect_dataset(dataset).warnings if "left-out" in one.kind}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_pair_is_a_case_of_its_part(tmp_path: Path, name: str) -> None:
    parts = LAYOUTS[name]
    root = build(tmp_path, parts)
    dataset = open_any(root)
    assert isinstance(dataset, Dataset)
    assert recognise(root) == dataset.format == "image-masks"
    assert Counter(case.part for case in dataset.cases) == dict.fromkeys(parts, PAIRS)
    expected = {
        (root / image.replace("#", f"{number:03d}"), root / mask.replace("#", f"{number:03d}"), part)
        for index, (part, (image, mask)) in enumerate(parts.items())
        for number in range(PAIRS * index + 1, PAIRS * (index + 1) + 1)
    }
    assert {(case.images[0], case.label, case.part) for case in dataset.cases} == expected
    assert {one.kind for one in inspect_dataset(dataset).problems} <= {"few-cases"}
    assert dataset.labels == {0: "background", 1: "foreground"}


def test_official_parts_reach_the_split(tmp_path: Path) -> None:
    dataset = open_any(build(tmp_path / "isic", LAYOUTS["ISIC 2018"]))
    prepared = prepare_any(dataset, PreprocessingSettings(), tmp_path / "cache")
    splits = split_any(prepared, 0)
    assert splits.training == ("ISIC_001", "ISIC_002", "ISIC_003")
    assert splits.validation == ("ISIC_004", "ISIC_005", "ISIC_006")
    assert splits.test == ("ISIC_007", "ISIC_008", "ISIC_009")


def test_equal_numbers_in_every_part_get_names_of_their_own(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(PAIRS):
            save_photograph(tmp_path / part / "images" / f"{number}.png")
            picture(tmp_path / part / "masks" / f"{number}.png")
    cases = open_any(tmp_path).cases
    assert {case.name: case.part for case in cases} == {
        f"{part}_{number}": part for part in ("train", "test") for number in range(PAIRS)
    }


def test_what_publishers_add_is_left_out_and_told(tmp_path: Path) -> None:
    """Superpixels of ISIC 2017, colours of Cityscapes, second observers, and the field of view of DRIVE."""
    root = build(tmp_path / "isic", LAYOUTS["ISIC 2017"])
    picture(root / "ISIC-2017_Training_Data" / "ISIC_001_superpixels.png")
    assert left_out(open_any(root)) == {"ISIC-2017_Training_Data/ISIC_001_superpixels.png": "1 such picture"}

    root = build(tmp_path / "city", LAYOUTS["Cityscapes"])
    for kind in ("color", "instanceIds", "labelTrainIds"):
        picture(root / "gtFine/train/aachen" / f"aachen_001_000019_gtFine_{kind}.png")
    save_photograph(root / "leftImg8bit/test/berlin/berlin_009_000019_leftImg8bit.png")
    picture(root / "gtFine/test/berlin/berlin_009_000019_gtFine_labelIds.png")
    dataset = open_any(root)
    assert len(dataset.cases) == 2 * PAIRS
    assert left_out(dataset) == {
        "leftImg8bit/test/berlin/berlin_009_000019_leftImg8bit.png": "1 such picture",
        "gtFine/test/berlin/berlin_009_000019_gtFine_labelIds.png": "4 such pictures",
    }

    root = build(tmp_path / "chase", LAYOUTS["CHASE-DB1"])
    picture(root / "Image_001L_2ndHO.png")
    assert len(open_any(root).cases) == PAIRS

    root = build(tmp_path / "drive", LAYOUTS["DRIVE"])
    picture(root / "training" / "mask" / "001_training_mask.png")
    picture(root / "test" / "2nd_manual" / "004_manual2.png")
    dataset = open_any(root)
    assert all(case.label is not None and case.label.parent.name == "1st_manual" for case in dataset.cases)
    assert len(dataset.cases) == 2 * PAIRS
    assert left_out(dataset) == {"test/2nd_manual/004_manual2.png": "2 such pictures"}

    root = build(tmp_path / "hrf", LAYOUTS["HRF"])
    for number in range(1, PAIRS + 1):
        picture(root / "mask" / f"{number:03d}_dr_mask.tif")
    dataset = open_any(root)
    assert [case.label for case in dataset.cases] == sorted((root / "manual1").iterdir())
    assert left_out(dataset) == {"mask/001_dr_mask.tif": f"{PAIRS} such pictures"}


def test_formats_that_are_not_read_are_refused_with_the_command_that_converts(tmp_path: Path) -> None:
    """STARE has masks in PPM."""
    root = build(tmp_path / "stare", {None: ("images/#.png", "labels/#.ppm")})
    with pytest.raises(DatasetError, match=r"PPM is not read.*mogrify -format png labels/\*\.ppm"):
        open_any(root)
    for mask in root.rglob("*.ppm"):
        picture(mask.with_suffix(".png"))
    assert len(open_any(root).cases) == PAIRS


@pytest.mark.parametrize("name", ["side by side", "labels", "ISIC 2018", "parts above"])
def test_pictures_without_a_partner_are_told_by_inspect(tmp_path: Path, name: str) -> None:
    parts = LAYOUTS[name]
    root = build(tmp_path, parts, 2 * PAIRS)
    image, mask = next(iter(parts.values()))
    (root / mask.replace("#", "001")).unlink()
    (root / image.replace("#", "002")).unlink()
    errors = {one.kind: one for one in inspect_dataset(open_any(root)).errors}
    assert errors.keys() == {"missing-label", "missing-image"}
    assert errors["missing-label"].file == image.replace("#", "001")
    assert errors["missing-image"].file == mask.replace("#", "002")
    assert mask.replace("#", "003") in errors["missing-label"].expected
    may_be_classes = name != "side by side"
    assert all(("--format image-folder" in one.advice) is may_be_classes for one in errors.values())


def test_a_part_without_masks_is_left_out(tmp_path: Path) -> None:
    root = build(tmp_path, LAYOUTS["ISIC 2018"])
    for mask in (root / "ISIC2018_Task1_Test_GroundTruth").iterdir():
        mask.unlink()
    dataset = open_any(root)
    assert {case.part for case in dataset.cases} == {"train", "val"}
    assert left_out(dataset) == {"ISIC2018_Task1-2_Test_Input/ISIC_007.jpg": "3 such pictures"}


def test_several_masks_of_a_picture(tmp_path: Path) -> None:
    """BUSI numbers the masks of a picture: that is told. Of two kinds of masks the user has to choose one."""
    root = build(tmp_path / "busi", LAYOUTS["BUSI"])
    picture(root / "benign" / "benign (001)_mask_1.png")
    (error,) = inspect_dataset(open_any(root)).errors
    assert error.kind == "several-masks"
    assert "benign (001)_mask.png" in error.found
    assert "benign (001)_mask_1.png" in error.found

    root = build(tmp_path / "two", {None: ("images/#.png", "masks_of_one/#.png")})
    for number in range(1, PAIRS + 1):
        for folder in ("labels", "gt"):
            picture(root / folder / f"{number:03d}.png", 2 if folder == "gt" else 3)
    with pytest.raises(
        DatasetError, match=r"has several masks for images/001\.png.*\{\"masks\": \"(gt|labels)\"\}"
    ):
        open_any(root)
    for choice, labels in (("gt", 2), ("labels", 3), ("masks_of_one", 2)):
        (root / "dataset.json").write_text(json.dumps({"masks": choice}))
        dataset = open_any(root, map_label={2: 1} if labels == 3 else None)
        assert {case.label.parent.name for case in dataset.cases if case.label} == {choice}


def test_of_masks_side_by_side_one_kind_is_chosen(tmp_path: Path) -> None:
    root = build(tmp_path, SIDE)
    for number in range(1, PAIRS + 1):
        picture(root / f"{number:03d}_seg.png", 3)
    with pytest.raises(DatasetError, match=r"has several masks for 001\.jpg.*\{\"masks\": \"_mask\.png\"\}"):
        open_any(root)
    for choice, ending in (("_mask.png", "_mask"), ("_seg", "_seg")):
        (root / "dataset.json").write_text(json.dumps({"masks": choice}))
        dataset = open_any(root)
        stems = [f"{number:03d}" for number in range(1, PAIRS + 1)]
        assert [case.label.stem for case in dataset.cases if case.label] == [stem + ending for stem in stems]
        assert list(left_out(dataset).values()) == [f"{PAIRS} such pictures"]


def test_only_what_decides_is_advised(tmp_path: Path) -> None:
    """``.png`` is how both of two masks end. Where nothing decides, nothing is advised but to move files."""
    root = build(tmp_path / "endings", {None: ("images/#.png", "masks/#.png")})
    for number in range(1, PAIRS + 1):
        picture(root / "masks" / f"{number:03d}_mask.png", 3)
    with pytest.raises(DatasetError, match=r"\{\"masks\": \"_mask\.png\"\}") as error:
        open_any(root)
    (root / "dataset.json").write_text(f"{{{str(error.value).split('{')[1].split('}')[0]}}}")
    cases = open_any(root, map_label={2: 1}).cases
    assert [case.label.name for case in cases if case.label] == [
        "001_mask.png",
        "002_mask.png",
        "003_mask.png",
    ]
    assert inspect_dataset(open_any(root, map_label={2: 1})).errors == ()

    root = build(tmp_path / "beginnings", {None: ("images/#.png", "masks/mask_#.png")})
    for number in range(1, PAIRS + 1):
        picture(root / "masks" / f"label_{number:03d}.png")
    with pytest.raises(DatasetError, match=r"Expected one\. Move the others out of the folder"):
        open_any(root)


@pytest.mark.parametrize("value", ["nowhere", ""])
def test_a_choice_that_cannot_be_followed_is_refused(tmp_path: Path, value: object) -> None:
    root = build(tmp_path, LAYOUTS["labels"])
    (root / "dataset.json").write_text(json.dumps({"masks": value}))
    with pytest.raises(DatasetError, match=r"gives `masks` as .*Correct it"):
        open_any(root)


def test_two_datasets_in_one_folder_are_refused(tmp_path: Path) -> None:
    for home in ("A", "B"):
        build(tmp_path / home, LAYOUTS["parts above"])
    with pytest.raises(DatasetError, match=r"in each of 2 folders \(A and B\).*Give one of them"):
        open_any(tmp_path)


def test_pictures_of_classes_are_read_where_the_format_says_so(tmp_path: Path) -> None:
    root = build(tmp_path, LAYOUTS["labels"])
    assert open_any(root, format="image-folder").classes == ("images", "labels")
    with pytest.raises(DatasetError, match="images"):
        open_any(root, format="images")


def test_masks_in_folders_below_without_images_are_left_out(tmp_path: Path) -> None:
    """Previews, and masks of single objects, beside the masks that belong to the images."""
    for images, masks in (("images", "masks"), ("train/imgs", "train/gt")):
        root = build(tmp_path / images, {None: (f"{images}/#.png", f"{masks}/#.png")})
        for number in range(1, PAIRS + 1):
            picture(root / masks / "preview" / f"{number:03d}.png", 3)
        dataset = open_any(root)
        assert [case.label for case in dataset.cases] == sorted((root / masks).glob("*.png"))
        assert left_out(dataset) == {f"{masks}/preview/001.png": f"{PAIRS} such pictures"}
        assert inspect_dataset(dataset).errors == ()


def test_a_test_part_without_masks_does_not_matter(tmp_path: Path) -> None:
    """Carvana has twenty times as many pictures for testing, without masks."""
    root = build(tmp_path, LAYOUTS["Carvana"])
    for number in range(10 * PAIRS):
        save_photograph(root / "test" / f"{number}_01.jpg")
    dataset = open_any(root)
    assert len(dataset.cases) == PAIRS
    assert left_out(dataset) == {"test/0_01.jpg": f"{10 * PAIRS} such pictures"}


def test_folders_of_photographs_are_no_masks(tmp_path: Path) -> None:
    """A folder of the name does not make a dataset of masks: those must look like masks. Nor is it a class."""
    for number in range(PAIRS):
        save_photograph(tmp_path / "images" / f"{number}.png")
        save_photograph(tmp_path / "labels" / f"{number}.png")
    with pytest.raises(DatasetError, match="images is called after what lies in it"):
        open_any(tmp_path)
    (tmp_path / "images").rename(tmp_path / "bottles")
    assert open_any(tmp_path).format == "image-folder"
