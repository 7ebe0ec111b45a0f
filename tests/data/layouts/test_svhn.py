"""SVHN's files, written by scipy as MATLAB does."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from netwright.data.images.cache import content_digests, prepare_images
from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import array_chunks
from netwright.data.images.settings import ImageSettings
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.svhn import read
from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.data.samples.published_pictures import SVHN_PARTS, digit_pictures, write_svhn
from netwright.errors import DatasetError


def test_every_pixel_and_every_digit(tmp_path: Path) -> None:
    root = write_svhn(tmp_path / "svhn")
    assert recognise(root) == "svhn"
    dataset = open_any(root)
    assert dataset == read(root)
    assert (dataset.name, dataset.format, dataset.task) == ("svhn", "svhn", "classification")
    assert dataset.classes == tuple("0123456789")
    assert dataset.parts == ("test",) * 20 + ("train",) * 40
    assert dataset.names == tuple(sorted(dataset.names))
    expected = [digit_pictures(part) for part in ("test", "train")]
    for record, label in zip(dataset.records, np.concatenate([y.ravel() for _, y in expected]), strict=True):
        assert dataset.classes[record.label] == str(label)[-1], "10 stands for the digit 0"
    rows = np.concatenate(list(array_chunks(dataset)))
    for row, (pictures, number) in zip(
        rows, ((x, n) for x, _ in expected for n in range(x.shape[-1])), strict=True
    ):
        assert (row == pictures[:, :, :, number]).all()


def test_the_official_test_part_is_kept(tmp_path: Path) -> None:
    dataset = read(write_svhn(tmp_path))
    splits = image_splits(dataset, 0)
    assert set(splits.test) == {f"test/{row:02d}" for row in range(20)}
    assert {name.partition("/")[0] for name in (*splits.training, *splits.validation)} == {"train"}


def test_the_extra_pictures_only_if_they_are_asked_for(tmp_path: Path) -> None:
    root = write_svhn(tmp_path, SVHN_PARTS)
    plain, more = open_any(root), open_any(root, format="svhn-extra")
    assert recognise(root) == "svhn"
    assert "extra" in {problem.kind for problem in plain.problems}
    assert plain.records == read(write_svhn(tmp_path)).records
    assert {problem.kind for problem in more.problems} == {"not-whole"}
    assert [more.parts.count(part) for part in ("train", "test")] == [50, 20]
    assert more.names == tuple(sorted(more.names))
    rows = np.concatenate(list(array_chunks(more)))
    np.testing.assert_array_equal(rows[-10:], np.moveaxis(digit_pictures("extra")[0], -1, 0))
    assert len(content_digests(more)) == 70
    (root / "extra_32x32.mat").unlink()
    with pytest.raises(DatasetError, match="lacks extra_32x32"):
        open_any(root, format="svhn-extra")


def test_it_is_inspected_and_prepared(tmp_path: Path) -> None:
    dataset = read(write_svhn(tmp_path / "svhn"))
    inspection = inspect_images(dataset)
    assert inspection.errors == ()
    assert {problem.kind for problem in inspection.problems} == {"not-whole", "few-cases"}
    assert "40 pictures in place of 73257 in train_32x32.mat" in str(inspection.problems)
    prepared = prepare_images(dataset, ImageSettings(normalise="unit"), tmp_path / "cache")
    pictures = digit_pictures("train")[0].astype(np.float32) / 255
    np.testing.assert_allclose(prepared.image(20), np.moveaxis(pictures[..., 0], -1, 0), atol=1e-6)


def test_pictures_to_restore(tmp_path: Path) -> None:
    dataset = open_any(write_svhn(tmp_path), format="images")
    assert (dataset.task, dataset.classes) == ("inpainting", ())
    assert [dataset.parts.count(part) for part in ("train", "test")] == [40, 20]


def test_without_a_test_file(tmp_path: Path) -> None:
    root = write_svhn(tmp_path)
    (root / "test_32x32.mat").unlink()
    assert "no test_32x32.mat" in str(read(root).problems[0])
    (root / "train_32x32.mat").rename(root / "test_32x32.mat")
    with pytest.raises(DatasetError, match=r"no pictures for training: expected train_32x32\.mat"):
        open_any(root)


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"y": np.zeros((40, 2), np.uint8)}, "labels in y that are not those of SVHN"),
        ({"y": np.full((40, 1), 1.5)}, "expected whole numbers"),
        ({"y": np.full((40, 1), np.nan)}, "expected whole numbers"),
        ({"y": "digits"}, "has no numbers in y: expected an array of numbers, found str"),
        ({"y": np.full((40, 1), 11, np.uint8)}, "labels out of range: expected 1 to 10"),
        ({"y": np.full((40, 1), 0, np.uint8)}, "labels out of range: expected 1 to 10"),
        ({"y": np.ones((39, 1), np.uint8)}, "32 x 32 x 3 x 39 numbers of 8 bits"),
        ({"X": np.zeros((32, 32, 40), np.uint8)}, "found 32 x 32 x 40 of type uint8"),
        ({"X": np.zeros((32, 32, 3, 40))}, "of type float64"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, replaced: dict[str, Any], words: str) -> None:
    root = write_svhn(tmp_path, ("train",), **replaced)
    with pytest.raises(DatasetError, match=words):
        inspect_images(read(root)).require_usable()


def test_files_that_lack_a_variable_or_are_damaged(tmp_path: Path) -> None:
    path = write_svhn(tmp_path, ("train",)) / "train_32x32.mat"
    whole = path.read_bytes()
    savemat(path, {"X": np.zeros(3)})
    with pytest.raises(UnusableFile, match="lacks the variable y: expected y, found no such variable"):
        read(tmp_path)
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"\x89HDF\r\n\x1a\n", b"\x1f\x8b" + whole):
        path.write_bytes(content)
        with pytest.raises(UnusableFile, match=r"cannot be read|version 7\.3"):
            read(tmp_path)
    savemat(path, {"X": np.zeros(3), "y": np.zeros(3)}, format="4")
    with pytest.raises(UnusableFile, match="cannot be read"):
        read(tmp_path)


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = write_svhn(tmp_path, ("train",)) / "train_32x32.mat"
    zeros = zlib.compressobj(1)
    head = (
        struct.pack("<II", 14, 170 << 20)
        + struct.pack("<4I", 6, 8, 9, 0)
        + struct.pack("<4I", 5, 8, 170 << 20, 1)
    )
    packed = zeros.compress(head + struct.pack("<HH4s", 1, 1, b"y") + struct.pack("<II", 2, 170 << 20))
    packed += b"".join(zeros.compress(bytes(1 << 20)) for _ in range(170)) + zeros.flush()
    path.write_bytes(path.read_bytes()[:128] + struct.pack("<II", 15, len(packed)) + packed)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UnusableFile, match="unpacks to more than") as error:
        read(tmp_path)
    assert error.value.problem.kind == "too-large"
