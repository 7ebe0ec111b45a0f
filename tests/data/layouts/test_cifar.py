"""CIFAR in its binary version, as a writer of its own leaves it, byte by byte."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netwright.data.images.cache import content_digests, prepare_images
from netwright.data.images.inspection import inspect_images
from netwright.data.images.reading import array_chunks
from netwright.data.images.settings import ImageSettings
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts.cifar import matches, read
from netwright.data.open import open_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))

Pictures = NDArray[np.uint8]
Build = Callable[..., Path]


def pictures_of(count: int, seed: int) -> Pictures:
    """(N, 32, 32, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def record(picture: Pictures, *labels: int) -> bytes:
    """Labels, then 1024 bytes red, 1024 green, 1024 blue, each row by row from the top (cs.toronto.edu/~kriz)."""
    content = bytes(labels)
    for channel in range(3):
        for row in range(32):
            for column in range(32):
                content += bytes([int(picture[row, column, channel])])
    assert len(content) == len(labels) + 3072
    return content


def batch(pictures: Pictures, labels: Sequence[Sequence[int]]) -> bytes:
    return b"".join(record(picture, *own) for picture, own in zip(pictures, labels, strict=True))


@pytest.fixture
def cifar10(tmp_path: Path) -> Build:
    """Five batches of 4 pictures and a test batch of 5, labels in turn."""

    def build(left_out: Sequence[str] = ()) -> Path:
        root = tmp_path / "cifar-10-batches-bin"
        root.mkdir(exist_ok=True)
        files: dict[str, Any] = {"batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode()}
        for number, name in enumerate(BATCHES):
            labels = [[(4 * number + row) % 10] for row in range(4)]
            files[name] = batch(pictures_of(4, number), labels)
        files["test_batch.bin"] = batch(pictures_of(5, 9), [[9 - row] for row in range(5)])
        for name, content in files.items():
            if name not in left_out:
                (root / name).write_bytes(content)
        return root

    return build


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    root = tmp_path / "cifar-100-binary"
    root.mkdir()
    (root / "train.bin").write_bytes(batch(pictures_of(12, 0), [(19 - row, 8 * row) for row in range(12)]))
    (root / "test.bin").write_bytes(batch(pictures_of(3, 1), [(0, 99), (1, 0), (2, 50)]))
    (root / "fine_label_names.txt").write_text("".join(f"fine {label}\n" for label in range(100)))
    (root / "coarse_label_names.txt").write_text("".join(f"coarse {label}\n" for label in range(20)))
    return root


def test_cifar_10_is_read_pixel_by_pixel(cifar10: Build) -> None:
    root = cifar10()
    assert recognise(root) == "cifar"
    dataset = open_any(root)
    assert dataset == read(root)
    assert (dataset.name, dataset.format) == ("cifar-10-batches-bin", "cifar")
    assert dataset.channels == ("red", "green", "blue")
    assert (dataset.classes, dataset.depth) == (NAMES, "uint8")
    assert dataset.parts == ("test",) * 5 + ("train",) * 20
    assert dataset.labels == (9, 8, 7, 6, 5, *range(10), *range(10))
    assert dataset.names == tuple(sorted(dataset.names))
    assert dataset.records[5 + 7].path.name == "data_batch_2.bin"
    assert {record.size for record in dataset.records} == {(32, 32)}
    expected = np.concatenate([pictures_of(5, 9), *(pictures_of(4, number) for number in range(5))])
    np.testing.assert_array_equal(np.concatenate(list(array_chunks(dataset))), expected)


def test_cifar_100_with_its_coarse_classes(cifar100: Path, cifar10: Build) -> None:
    fine, coarse = open_any(cifar100), open_any(cifar100, format="cifar-coarse")
    assert recognise(cifar100) == "cifar", "the coarse classes only if they are asked for"
    assert (fine.format, coarse.format) == ("cifar", "cifar-coarse")
    assert coarse.classes == tuple(f"coarse {label}" for label in range(20))
    assert coarse.labels == (0, 1, 2, *range(19, 7, -1))
    assert coarse.names == fine.names
    np.testing.assert_array_equal(
        np.concatenate(list(array_chunks(coarse))), np.concatenate(list(array_chunks(fine)))
    )
    (cifar100 / "coarse_label_names.txt").unlink()
    assert open_any(cifar100, format="cifar-coarse").classes == tuple(str(label) for label in range(20))
    with pytest.raises(DatasetError, match="holds CIFAR-10: expected CIFAR-100"):
        open_any(cifar10(), format="cifar-coarse")


def test_the_first_bytes_are_red_and_run_along_the_top_row(cifar10: Build) -> None:
    root = cifar10()
    content = bytearray((root / "test_batch.bin").read_bytes())
    content[1:5] = bytes([10, 20, 30, 40])
    content[1 + 1024] = 50
    content[1 + 2048 + 32] = 60
    (root / "test_batch.bin").write_bytes(bytes(content))
    first = next(array_chunks(read(root)))[0]
    assert first[0, :4, 0].tolist() == [10, 20, 30, 40]
    assert (first[0, 0, 1], first[1, 0, 2]) == (50, 60)


def test_the_test_batch_is_the_test_part(cifar10: Build) -> None:
    dataset = read(cifar10())
    splits = image_splits(dataset, 0)
    assert set(splits.test) == {f"test/{row}" for row in range(5)}
    assert set(splits.training) | set(splits.validation) == {f"train/{row:02d}" for row in range(20)}


def test_cifar_10_is_prepared_as_it_is(cifar10: Build, tmp_path: Path) -> None:
    dataset = read(cifar10())
    prepared = prepare_images(dataset, ImageSettings(normalise="none"), tmp_path / "cache")
    assert prepared.size == (32, 32)
    pictures = prepared.images(range(5, 25))
    expected = np.concatenate([pictures_of(4, number) for number in range(5)])
    np.testing.assert_array_equal(pictures, np.moveaxis(expected, -1, 1))
    assert prepared.labels == dataset.labels
    again = prepare_images(dataset, ImageSettings(normalise="none"), tmp_path / "cache")
    assert again.folder == prepared.folder
    assert len(set(content_digests(dataset).values())) == 25


@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
def test_other_pixels_in_any_file_are_another_folder_of_the_cache(
    cifar10: Build, tmp_path: Path, name: str
) -> None:
    root = cifar10()
    settings = ImageSettings(normalise="none")
    first = prepare_images(read(root), settings, tmp_path / "cache")
    content = bytearray((root / name).read_bytes())
    content[-1] ^= 1
    (root / name).write_bytes(bytes(content))
    assert prepare_images(read(root), settings, tmp_path / "cache").folder != first.folder


def test_cifar_100_has_the_fine_classes(cifar100: Path) -> None:
    assert recognise(cifar100) == "cifar"
    dataset = read(cifar100)
    assert dataset.classes == tuple(f"fine {label}" for label in range(100))
    assert dataset.labels == (99, 0, 50, *range(0, 96, 8))
    assert dataset.parts == ("test",) * 3 + ("train",) * 12
    expected = np.concatenate([pictures_of(3, 1), pictures_of(12, 0)])
    np.testing.assert_array_equal(np.concatenate(list(array_chunks(dataset))), expected)


def test_cifar_100_without_names_is_recognised_by_its_records(cifar100: Path, tmp_path: Path) -> None:
    (cifar100 / "fine_label_names.txt").unlink()
    assert recognise(cifar100) == "cifar"
    dataset = open_any(cifar100)
    assert dataset.classes == tuple(map(str, range(100)))  # type: ignore[union-attr]
    assert dataset.labels == (99, 0, 50, *range(0, 96, 8))  # type: ignore[union-attr]
    assert "no fine_label_names.txt" in dataset.problems[0].found
    (cifar100 / "test.bin").write_bytes(bytes(3 * 3074 - 1))
    assert recognise(cifar100) is None
    (cifar100 / "test.bin").unlink()
    assert recognise(cifar100) is None, "a single file of whole records may be anything"
    with (cifar100 / "train.bin").open("wb") as file:
        file.truncate(50000 * 3074)  # as long as the original, without taking its room
    assert recognise(cifar100) == "cifar"


def test_a_folder_of_neither_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(bytes(3074))
    with pytest.raises(DatasetError, match=r"holds no CIFAR: expected `data_batch_1\.bin`"):
        read(tmp_path)


def test_inspection_names_the_classes_and_says_that_it_is_not_the_whole(cifar10: Build) -> None:
    inspection = inspect_images(read(cifar10()))
    assert inspection.errors == ()
    fingerprint = inspection.fingerprint.to_dict()
    assert [row["name"] for row in fingerprint["classes"]] == list(NAMES)
    assert fingerprint["parts"] == {"test": 5, "train": 20}
    problem = next(problem for problem in inspection.problems if problem.kind == "not-whole")
    assert problem.severity == "warning"
    assert f"12292 bytes in place of 30730000 in {', '.join(BATCHES)}" in problem.found
    assert "15365 bytes in place of 30730000 in test_batch.bin" in problem.found
    assert "batches.meta.txt" not in problem.found


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2 * 3073 + 100, "found 6246 bytes, which are 2 pictures and 100 bytes more"),
        (0, "found 0 bytes, which are 0 pictures"),
        (3072, "found 3072 bytes, which are 0 pictures and 3072 bytes more"),
        (2 * 3074, "found 6148 bytes"),
    ],
)
def test_a_truncated_or_wrong_file_is_named_with_its_length(cifar10: Build, count: int, words: str) -> None:
    root = cifar10()
    path = root / "data_batch_2.bin"
    path.write_bytes(bytes(count))
    with pytest.raises(UnusableFile, match=r"expected 3073 bytes a picture \(30730000 in the") as error:
        read(root)
    assert str(path) in str(error.value)
    assert words in str(error.value)


def test_a_file_that_shrinks_meanwhile_is_an_error_of_the_inspection(cifar10: Build) -> None:
    root = cifar10()
    dataset = read(root)
    (root / "data_batch_5.bin").write_bytes(bytes(3073))
    errors = inspect_images(dataset).errors
    assert [(problem.file, problem.kind) for problem in errors] == [("data_batch_5.bin", "unreadable")]
    assert "9219 bytes too early" in errors[0].found


def test_labels_of_no_class_are_counted_in_their_file(cifar10: Build) -> None:
    root = cifar10()
    labels = [[3], [10], [200], [10]]
    (root / "data_batch_4.bin").write_bytes(batch(pictures_of(4, 3), labels))
    dataset = read(root)
    assert len(dataset.records) == 22
    assert [record.row for record in dataset.records if record.path.name == "data_batch_4.bin"] == [12]
    errors = inspect_images(dataset).errors
    assert [(problem.file, problem.kind) for problem in errors] == [("data_batch_4.bin", "label-range")]
    assert "expected 0 to 9" in str(errors[0])
    assert "found 10 and 200 in 3 pictures" in str(errors[0])


def test_missing_files_are_said(cifar10: Build) -> None:
    root = cifar10(left_out=("data_batch_3.bin", "test_batch.bin", "batches.meta.txt"))
    dataset = read(root)
    assert dataset.classes == tuple(map(str, range(10)))
    assert dataset.parts == ("train",) * 16
    [problem] = dataset.problems
    assert problem.found.startswith(
        "no batches.meta.txt, no data_batch_3.bin, no test_batch.bin and 12292 bytes"
    )


def test_without_pictures_to_train_on(cifar100: Path) -> None:
    (cifar100 / "train.bin").unlink()
    with pytest.raises(DatasetError, match=r"no pictures for training: expected train.bin"):
        read(cifar100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"one\n", "names the classes one"),
        (b"\n", "not at all"),
        (b"a\nb\na\n", "a, b and a"),
        (b"\xff\n", "utf-8"),
    ],
)
def test_names_that_cannot_be_used(cifar10: Build, content: bytes, words: str) -> None:
    root = cifar10()
    (root / "batches.meta.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        read(root)


def test_both_datasets_in_one_folder(cifar10: Build, cifar100: Path) -> None:
    root = cifar10()
    (root / "fine_label_names.txt").write_bytes((cifar100 / "fine_label_names.txt").read_bytes())
    with pytest.raises(DatasetError, match="expected one dataset"):
        read(root)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise AssertionError('it was unpickled')",)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("data_batch_1", "data_batch_2", "test_batch", "batches.meta"), "cifar-10-binary.tar.gz"),
        (("meta", "train", "test"), "cifar-100-binary.tar.gz"),
    ],
)
def test_the_python_version_is_recognised_and_refused_unread(
    tmp_path: Path, files: Sequence[str], words: str
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    assert recognise(tmp_path) == "cifar"
    with pytest.raises(
        UnusableFile, match=r"holds the Python version of CIFAR-100?: expected the binary"
    ) as error:
        open_any(tmp_path)
    assert error.value.problem.kind == "pickled"
    assert words in str(error.value)


def test_other_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    assert not matches(tmp_path)
    (tmp_path / "train.bin").write_bytes(bytes(3074))
    (tmp_path / "dataset.json").write_text(json.dumps({}))
    (tmp_path / "train").mkdir()
    assert not matches(tmp_path)
    assert not matches(tmp_path / "train.bin")
