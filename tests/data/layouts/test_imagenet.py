"""ImageNet's folders and tables, as Kaggle distributes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import read_record
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.imagenet import read
from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.data.samples.published_pictures import SYNSETS, synset_picture, write_imagenet
from netwright.errors import DatasetError

DATA = "ILSVRC/Data/CLS-LOC"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_imagenet(tmp_path / "imagenet")


def test_synsets_and_the_official_validation_part(root: Path) -> None:
    assert recognise(root) == "imagenet"
    dataset = open_any(root)
    assert dataset == read(root)
    assert (dataset.format, dataset.task) == ("imagenet", "classification")
    assert dataset.classes == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    assert [dataset.parts.count(part) for part in ("train", "val", "test")] == [18, 6, 0]
    for record in dataset.records:
        if record.part == "train":
            assert record.label == list(SYNSETS).index(record.path.parent.name)
        else:
            assert record.label == (int(record.path.stem[-8:]) - 1) % 3
    assert [problem.kind for problem in dataset.problems] == ["unlabelled-part"]
    splits = image_splits(dataset, 0)
    assert set(splits.validation) == {name for name in dataset.names if "/val/" in name}
    assert splits.test
    assert all("/train/" in name for name in splits.test)


def test_cmyk_and_png_among_the_jpegs_are_read(root: Path) -> None:
    dataset = open_any(root)
    inspection = inspect_images(dataset)
    assert inspection.errors == ()
    kinds = {}
    for record in dataset.records:
        with Image.open(record.path) as image:
            kinds[record.name] = (image.format, image.mode)
    assert set(kinds.values()) == {("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB")}
    for record in dataset.records:
        if record.path.stem.endswith("_10031"):
            assert kinds[record.name][0] == "PNG"
            expected = synset_picture(5, record.label if isinstance(record.label, int) else -1)
            np.testing.assert_array_equal(read_record(record).pixels, expected)


def test_pictures_to_restore_have_all_three_parts(root: Path) -> None:
    dataset = open_any(root, format="images")
    assert (dataset.task, dataset.classes) == ("inpainting", ())
    assert [dataset.parts.count(part) for part in ("train", "val", "test")] == [18, 6, 2]


def test_some_of_the_synsets(root: Path) -> None:
    shutil.rmtree(root / DATA / "train" / "n02012849")
    dataset = open_any(root)
    assert dataset.classes == ("tench, Tinca tinca", "crane")
    assert dataset.parts.count("val") == 4
    found = " ".join(str(problem) for problem in dataset.problems)
    assert "2 of the 3 synsets" in found
    assert "has no class that training has: expected one of these, found 2 files" in found
    assert not any(problem.severity == "error" for problem in dataset.problems)


def test_pictures_that_are_missing_or_lost(root: Path) -> None:
    (root / DATA / "train" / "n01440764" / "n01440764_10026.JPEG").unlink()
    (root / DATA / "val" / "ILSVRC2012_val_00000003.JPEG").unlink()
    (root / DATA / "train" / "n01440764" / "n01440764_10027.JPEG").rename(root / DATA / "train" / "a.JPEG")
    dataset = open_any(root)
    assert len(dataset.records) == 21
    found = " ".join(str(problem) for problem in dataset.problems)
    assert "2 pictures of train_cls.txt missing, such as n01440764/n01440764_10026" in found
    assert "1 pictures of LOC_val_solution.csv missing" in found
    assert "is in no folder of a synset" in found


def test_validation_pictures_that_were_sorted_into_folders(root: Path) -> None:
    whole = open_any(root)
    for record in whole.records:
        if record.part == "val":
            home = root / DATA / "val" / list(SYNSETS)[record.classes[0]]
            home.mkdir(exist_ok=True)
            record.path.rename(home / record.path.name)
    (root / "LOC_val_solution.csv").unlink()
    again = open_any(root)
    assert {(r.path.stem, r.label, r.part) for r in again.records} == {
        (r.path.stem, r.label, r.part) for r in whole.records
    }
    assert again.problems == whole.problems


def test_without_tables(root: Path) -> None:
    (root / "LOC_synset_mapping.txt").unlink()
    (root / "LOC_val_solution.csv").unlink()
    shutil.rmtree(root / DATA / "test")
    dataset = open_any(root)
    assert dataset.classes == tuple(SYNSETS)
    assert set(dataset.parts) == {"train"}
    assert [problem.kind for problem in dataset.problems] == ["not-whole", "not-whole"]
    shutil.rmtree(root / DATA / "val")
    assert "no pictures in val" in " ".join(str(problem) for problem in open_any(root).problems)


def test_tables_that_are_not_right(root: Path) -> None:
    (root / "LOC_val_solution.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnusableFile, match=r"LOC_val_solution.*ImageId and PredictionString.*a, b"):
        open_any(root)
    (root / "LOC_val_solution.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnusableFile, match="cannot be read"):
        open_any(root)
    shutil.rmtree(root / DATA / "train")
    (root / DATA / "train").mkdir()
    with pytest.raises(DatasetError, match="expected one for each synset"):
        open_any(root)
