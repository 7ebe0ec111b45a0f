"""IDX files byte by byte, and .npz files as MedMNIST ships them."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data.images.cache import content_digests, prepare_images
from netwright.data.images.dataset import ImageSet
from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import array_chunks
from netwright.data.images.settings import ImageSettings
from netwright.data.images.splits import image_splits
from netwright.data.io.arrays import idx_file, npz_files
from netwright.data.issues import Problem, UnusableFile
from netwright.data.layouts.image_tables import matches_idx, npz_in, read_idx, read_npz
from netwright.data.open import open_any
from netwright.errors import DatasetError

FASHION = Path("/usr/share/datasets/fashion-mnist")

Build = Callable[..., Path]


def idx(values: Any, code: int = 8) -> bytes:
    """An IDX file by hand: two zero bytes, the type, the number of axes, their lengths, the values."""
    array = np.asarray(values)
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Build:
    def build(train: int = 40, test: int = 8, packed: bool = False, classes: int = 3) -> Path:
        root = tmp_path / "mnist"
        root.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for part, count in (("train", train), ("t10k", test)):
            images = rng.integers(0, 256, (count, 5, 7), dtype=np.uint8)
            labels = (np.arange(count) % classes).astype(np.uint8)
            for name, content in (
                (f"{part}-images-idx3-ubyte", images),
                (f"{part}-labels-idx1-ubyte", labels),
            ):
                data = idx(content)
                (root / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
        return root

    return build


@pytest.fixture
def npz(tmp_path: Path) -> Build:
    """A file as MedMNIST's: labels (N, 1), images (N, H, W, 3); to be replaced in part."""

    def build(name: str = "pathmnist", **arrays: Any) -> Path:
        rng = np.random.default_rng(1)
        members: dict[str, Any] = {}
        for part, count in (("train", 40), ("val", 8), ("test", 12)):
            members[f"{part}_images"] = rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
            members[f"{part}_labels"] = (np.arange(count) % 4)[:, None].astype(np.uint8)
        members |= arrays
        path = tmp_path / f"{name}.npz"
        np.savez_compressed(path, **{key: value for key, value in members.items() if value is not None})
        return path

    return build


def problems(dataset: ImageSet) -> tuple[Problem, ...]:
    return inspect_images(dataset).problems


def test_an_idx_file_byte_by_byte(tmp_path: Path) -> None:
    content = bytes.fromhex("00000803 00000002 00000001 00000003 0a0b0c 0d0e0f")
    (tmp_path / "a").write_bytes(content)
    file = idx_file(tmp_path / "a")
    assert file.shape == (2, 1, 3)
    assert file.read().tolist() == [[[10, 11, 12]], [[13, 14, 15]]]
    (tmp_path / "b").write_bytes(bytes.fromhex("00000b01 00000002 0102 fffe"))
    assert idx_file(tmp_path / "b").read().tolist() == [258, -2]
    (tmp_path / "c").write_bytes(bytes.fromhex("00000d01 00000001 3fc00000"))
    assert idx_file(tmp_path / "c").read().tolist() == [1.5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends 4 bytes too early"),
        (b"\x00\x00\x08", "ends 1 bytes too early"),
        (bytes.fromhex("00000703 00000001"), "magic number 1795"),
        (b"\x89PNG\r\n\x1a\n", "magic number"),
        (bytes.fromhex("00000803 00000002 00000001"), "too early"),
        (bytes.fromhex("00000801 00000003 0102"), "ends 1 bytes too early"),
        (bytes.fromhex("00000801 00000001 0102"), "bytes follow the 1 rows"),
        (bytes.fromhex("00000803 ffffffff ffffffff ffffffff 00"), "cannot be read"),
        (b"\x1f\x8b\x08garbage", "cannot be read"),
    ],
)
def test_idx_files_that_are_damaged(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UnusableFile, match=words):
        idx_file(tmp_path / "a").read()


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_folder(idx_folder: Build, packed: bool) -> None:
    root = idx_folder(packed=packed)
    assert matches_idx(root)
    dataset = read_idx(root)
    assert (dataset.name, dataset.format, dataset.classes) == ("mnist", "idx", ("0", "1", "2"))
    assert [record.part for record in dataset.records] == ["test"] * 8 + ["train"] * 40
    assert dataset.records[8 + 39].name == "train/39"
    assert dataset.names == tuple(sorted(dataset.names))
    assert dataset.records[10].label == 2
    rng = np.random.default_rng(0)
    training = rng.integers(0, 256, (40, 5, 7), dtype=np.uint8)
    rows = np.concatenate(list(array_chunks(dataset)))
    np.testing.assert_array_equal(rows[8:, ..., 0], training)
    assert problems(dataset) == ()


def test_a_packed_file_beside_the_unpacked_one(idx_folder: Build) -> None:
    root = idx_folder()
    content = (root / "train-images-idx3-ubyte").read_bytes()
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    assert len(read_idx(root).records) == 48


def test_idx_folders_that_lack_something(idx_folder: Build) -> None:
    root = idx_folder()
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(39, np.uint8)))
    with pytest.raises(DatasetError, match=r"expected 40 labels.*found 39"):
        read_idx(root)
    (root / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match="no IDX file of the labels of the part train"):
        read_idx(root)
    (root / "emnist-train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(DatasetError, match="those of one dataset"):
        read_idx(root)


def test_labels_of_the_test_part_that_training_lacks(idx_folder: Build) -> None:
    root = idx_folder()
    (root / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 2, 0, 1, 9, 9, 7], np.uint8)))
    errors = inspect_images(read_idx(root)).errors
    assert [problem.kind for problem in errors] == ["label-range"]
    assert "expected 0 to 2" in str(errors[0])
    assert "found 7 and 9 in 3 pictures" in str(errors[0])


def test_a_class_without_an_image_and_labels_from_one(idx_folder: Build) -> None:
    root = idx_folder()
    (root / "train-labels-idx1-ubyte").write_bytes(idx((np.arange(40) % 2 * 2).astype(np.uint8)))
    errors = inspect_images(read_idx(root)).errors
    assert [problem.kind for problem in errors] == ["empty-class"]
    assert "has a class (1) that has no image to learn from" in str(errors[0])
    (root / "train-labels-idx1-ubyte").write_bytes(idx((np.arange(40) % 2 + 1).astype(np.uint8)))
    (root / "t10k-labels-idx1-ubyte").write_bytes(idx((np.arange(8) % 2 + 1).astype(np.uint8)))
    dataset = read_idx(root)
    assert dataset.classes == ("1", "2")
    assert dataset.labels[:3] == (0, 1, 0)


def test_an_npz_file_as_medmnist_ships_them(npz: Build) -> None:
    path = npz()
    assert npz_in(path) == npz_in(path.parent) == path
    dataset = read_npz(path)
    assert (dataset.name, dataset.format) == ("pathmnist", "npz")
    assert dataset.channels == ("red", "green", "blue")
    assert dataset.classes == ("0", "1", "2", "3")
    assert {part: dataset.parts.count(part) for part in ("train", "val", "test")} == {
        "train": 40,
        "val": 8,
        "test": 12,
    }
    with np.load(path) as arrays:
        expected = np.concatenate([arrays[f"{part}_images"] for part in ("test", "train", "val")])
    np.testing.assert_array_equal(np.concatenate(list(array_chunks(dataset))), expected)
    assert [record.label for record in dataset.records][12:16] == [0, 1, 2, 3]
    assert {problem.kind for problem in problems(dataset)} == {"few-validated"}


@pytest.mark.parametrize(
    "values",
    [
        {"classes": ["a", "b", "c", "d"]},
        {"label": {"0": "a", "1": "b", "2": "c", "3": "d"}},
        {"pathmnist": {"label": {"0": "a", "1": "b", "2": "c", "3": "d"}}, "other": {}},
    ],
)
@pytest.mark.parametrize("name", ["dataset.json", "pathmnist.json", "INFO.json"])
def test_names_from_a_file_beside_it(npz: Build, values: dict[str, Any], name: str) -> None:
    path = npz()
    (path.parent / name).write_text(json.dumps(values))
    assert read_npz(path).classes == ("a", "b", "c", "d")
    (path.parent / name).write_text(json.dumps({"classes": {"1": "a", "2": "b"}}))
    with pytest.raises(DatasetError, match="a name for each number from 0"):
        read_npz(path)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("import test_classification_tables_evil",)


def test_a_pickled_array_is_refused_unread(npz: Build) -> None:
    images = np.empty(40, dtype=object)
    images[:] = [Evil() for _ in range(40)]
    path = npz(train_images=images)
    with pytest.raises(
        UnusableFile, match=r"(?s)train_images\) is a pickled array.*Unpickling runs code"
    ) as error:
        read_npz(path)
    assert error.value.problem.kind == "pickled"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_labels": None}, "expected train_labels among them"),
        ({"test_labels": None}, "expected test_labels among them"),
        ({"train_images": np.zeros((40, 8, 8, 8), np.uint8)}, "Volumes are not classified"),
        (
            {"train_images": np.zeros((40, 28, 28, 28), np.uint8)},
            r"\(40, 28, 28, 28\).*\n.*Of MedMNIST, take one of",
        ),
        ({"train_images": np.zeros((40, 3, 8, 8), np.uint8)}, "Channels go last"),
        ({"train_images": np.zeros((40, 64), np.uint8)}, r"the shape \(40, 64\)"),
        ({"train_images": np.zeros((40, 6, 5, 3), np.int64)}, "numbers of type int64"),
        ({"train_images": np.zeros((40, 6, 6, 3), np.uint8)}, "parts of different kinds"),
        ({"train_labels": np.zeros((40, 14), np.uint8)}, "several labels a picture"),
        ({"train_labels": np.zeros((39, 1), np.uint8)}, "expected 40 labels"),
        ({"train_labels": np.full((40, 1), 0.5)}, "no whole numbers"),
        ({"train_labels": np.full(40, 5000)}, "labels up to 5000"),
        ({"train_labels": np.array(["a"] * 40)}, "no whole numbers"),
        (
            {"train_images": np.zeros((0, 6, 5, 3), np.uint8), "train_labels": np.zeros(0)},
            "no pictures for training",
        ),
        ({"train_images": np.asfortranarray(np.zeros((40, 6, 5, 3), np.uint8))}, "stored by columns"),
    ],
)
def test_npz_files_that_are_not_right(npz: Build, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_npz(npz(**arrays))


def matrices(**replaced: Any) -> dict[str, Any]:
    """Labels (N, 14) as those of ChestMNIST: many pictures have none, some have several."""
    rng = np.random.default_rng(2)
    counts = {"train": 40, "val": 8, "test": 12}
    return {
        f"{part}_labels": rng.integers(0, 2, (n, 14), dtype=np.uint8) for part, n in counts.items()
    } | replaced


def test_several_labels_a_picture_as_chestmnist_has_them(npz: Build, tmp_path: Path) -> None:
    labels = matrices()
    path = npz("chestmnist", **labels)
    names = {"chestmnist": {"label": {str(number): f"finding {number}" for number in range(14)}}}
    (path.parent / "INFO.json").write_text(json.dumps(names))
    dataset = open_any(path)
    assert (dataset.format, dataset.task, dataset.class_word) == ("npz", "multilabel", "label")
    assert dataset.classes == tuple(f"finding {number}" for number in range(14))
    assert [dataset.parts.count(part) for part in ("train", "val", "test")] == [40, 8, 12]
    expected = np.concatenate([labels[f"{part}_labels"] for part in ("test", "train", "val")])
    assert dataset.labels == tuple(map(tuple, expected.tolist()))
    inspection = inspect_images(dataset)
    assert inspection.errors == ()
    assert inspection.fingerprint.to_dict()["classes"][3]["pictures"] == int(expected[:, 3].sum())
    prepared = prepare_images(dataset, ImageSettings(), tmp_path / "cache")
    assert (prepared.task, prepared.labels) == ("multilabel", dataset.labels)
    splits = image_splits(dataset, 0)
    assert {name.partition("/")[0] for name in splits.validation} == {"val"}, "the official part"
    assert open_any(path, format="images").classes == ()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (matrices(val_labels=np.zeros((8, 13), np.uint8)), "not as many as another part"),
        (matrices(train_labels=np.zeros(40, np.uint8)), "does not have several labels"),
        (matrices(test_labels=np.full((12, 14), 2, np.uint8)), "not 0 or 1"),
        (matrices(train_labels=np.zeros((40, 0), np.uint8)), "holds no labels"),
        (
            {f"{part}_labels": np.eye(14, dtype=np.uint8)[:n] for part, n in (("val", 8), ("test", 12))}
            | {"train_labels": np.eye(14, dtype=np.uint8)[np.arange(40) % 14]},
            r"one-hot.*\n.*argmax",
        ),
    ],
)
def test_several_labels_that_are_not_right(npz: Build, labels: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_npz(npz(**labels))


def test_a_label_that_all_pictures_have_and_one_that_none_has(npz: Build) -> None:
    labels = matrices()
    labels["train_labels"][:, 2], labels["train_labels"][:, 5] = 1, 0
    errors = inspect_images(read_npz(npz(**labels))).errors
    assert {problem.kind for problem in errors} == {"label-of-all", "empty-class"}


def test_negative_labels_and_floats(npz: Build) -> None:
    labels = np.arange(40) % 4
    labels[3] = -1
    errors = inspect_images(read_npz(npz(train_labels=labels))).errors
    assert "found -1 in 1 picture" in str(errors[0])
    images = np.random.default_rng(0).random((40, 6, 5, 3))
    images[0, 0, 0, 0] = np.nan
    parts = {
        f"{part}_images": np.random.default_rng(2).random((n, 6, 5, 3))
        for part, n in (("val", 8), ("test", 12))
    }
    dataset = read_npz(npz(train_images=images, **parts))
    assert dataset.depth == "float32"
    assert [problem.kind for problem in inspect_images(dataset).errors] == ["not-finite"]


def test_damaged_npz_files(npz: Build) -> None:
    path = npz()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnusableFile, match="cannot be read"):
        read_npz(path)
    with pytest.raises(UnusableFile, match="cannot be read"):
        npz_files(path)
    spoilt = bytearray(whole)
    spoilt[2000:2100] = bytes(100)
    path.write_bytes(bytes(spoilt))
    try:
        errors = inspect_images(read_npz(path)).errors
        assert {problem.kind for problem in errors} == {"unreadable"}
    except UnusableFile as error:
        assert error.problem.kind == "unreadable"  # noqa: PT017  either way is right


def test_several_files_in_a_folder(npz: Build) -> None:
    path = npz()
    npz("bloodmnist")
    with pytest.raises(DatasetError, match="Name the file itself"):
        npz_in(path.parent)
    assert npz_in(path) == path


def test_duplicates_and_constant_rows(npz: Build) -> None:
    images = np.random.default_rng(3).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    images[5] = images[1]
    images[7] = 9
    found = problems(read_npz(npz(train_images=images)))
    listed = [problem for problem in found if problem.kind != "few-validated"]
    assert [(problem.kind, problem.severity) for problem in listed] == [
        ("constant", "warning"),
        ("duplicate", "warning"),
    ]
    assert "train/05) is a duplicate" in str(listed[1])


def test_fashion_mnist() -> None:
    if not FASHION.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not there")
    dataset = read_idx(FASHION)
    inspection = inspect_images(dataset)
    assert inspection.errors == ()
    fingerprint = inspection.fingerprint.to_dict()
    assert [row["pictures"] for row in fingerprint["classes"]] == [7000] * 10
    assert fingerprint["parts"] == {"test": 10000, "train": 60000}


def test_digests_leave_out_pictures_whose_labels_are_out_of_range(idx_folder: Build) -> None:
    root = idx_folder()
    whole = content_digests(read_idx(root))
    (root / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 2, 0, 1, 9, 9, 7], np.uint8)))
    assert content_digests(read_idx(root)) == {
        name: digest for name, digest in whole.items() if name not in ("test/5", "test/6", "test/7")
    }
