"""Image folders: what is found in them, and everything that can be wrong with one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.data.images.dataset import ImageSet
from netwright.data.images.inspection import inspect_images
from netwright.data.issues import Problem
from netwright.data.layouts import class_folders as image_folder
from netwright.errors import DatasetError
from netwright_tests import save_picture as save

Folder = Callable[..., Path]

CIFAR = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "cifar10-jpeg"


def picture(seed: int, shape: tuple[int, ...] = (12, 16)) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def build(tmp_path: Path) -> Folder:
    """``cat`` and ``dog`` with twelve grey pictures for training each and four for the test, to be spoilt."""

    def make(parts: tuple[str, ...] = ("train", "test")) -> Path:
        root = tmp_path / "Pets"
        seed = 0
        for part in parts:
            for name in ("cat", "dog"):
                for number in range(12 if part in ("train", "") else 4):
                    ending = ("png", "tif", "bmp", "jpg")[number % 4]
                    save(root / part / name / f"{number}.{ending}", picture(seed := seed + 1))
        return root

    return make


def problems(dataset: ImageSet, workers: int = 1) -> tuple[Problem, ...]:
    return inspect_images(dataset, workers=workers).problems


def only(root: Path) -> Problem:
    listed = problems(image_folder.read(root))
    assert len(listed) == 1, [str(problem) for problem in listed]
    return listed[0]


def test_parts_and_classes(build: Folder) -> None:
    dataset = image_folder.read(build(("train", "valid", "test")))
    assert dataset.classes == ("cat", "dog")
    assert dataset.channels == ("grey",)
    assert dataset.depth == "uint8"
    assert len(dataset.records) == 2 * (12 + 4 + 4)
    assert dataset.names == tuple(sorted(dataset.names))
    by_name = {record.name: record for record in dataset.records}
    record = by_name["valid/dog/3.jpg"]
    assert (record.label, record.part, record.size) == (1, "val", (12, 16))
    assert problems(dataset) == problems(dataset, workers=3)
    assert {problem.kind for problem in problems(dataset)} == {"few-validated"}


def test_one_folder_a_class_has_no_parts(build: Folder) -> None:
    dataset = image_folder.read(build(("",)))
    assert set(dataset.parts) == {None}
    assert dataset.labels == (0,) * 12 + (1,) * 12
    assert problems(dataset) == ()


def test_the_fingerprint_is_numpy_s(build: Folder) -> None:
    root = build()
    dataset = image_folder.read(root)
    inspection = inspect_images(dataset, workers=2)
    pixels = np.stack([np.asarray(Image.open(record.path)) for record in dataset.records])
    fingerprint = inspection.fingerprint.to_dict()
    (channel,) = fingerprint["channels"]
    assert channel["mean"] == pytest.approx(pixels.mean(), rel=1e-9)
    assert channel["std"] == pytest.approx(pixels.std(), rel=1e-9)
    assert (channel["minimum"], channel["maximum"]) == (pixels.min(), pixels.max())
    assert fingerprint["parts"] == {"train": 24, "test": 8}
    assert [row["pictures"] for row in fingerprint["classes"]] == [16, 16]
    assert fingerprint["classes"][0]["parts"] == {"train": 12, "test": 4}


def test_a_class_with_no_image(build: Folder) -> None:
    root = build()
    (root / "train" / "eel").mkdir()
    (root / "test" / "eel").mkdir()
    listed = problems(image_folder.read(root))
    assert [(problem.severity, problem.kind) for problem in listed] == [("error", "empty-class")]
    assert "train/eel is a class with no image" in str(listed[0])
    save(root / "train" / "eel" / "x.png", picture(1000))
    listed = problems(image_folder.read(root))
    assert [(problem.severity, problem.kind) for problem in listed] == [
        ("warning", "few-cases"),
        ("warning", "untested-class"),
    ]


def test_a_class_that_only_the_test_has(build: Folder) -> None:
    root = build()
    save(root / "test" / "Dog " / "x.png", picture(99))
    problem = only(root)
    assert (problem.severity, problem.kind) == ("error", "unknown-class")
    assert "cat and dog" in str(problem)


def test_corrupt_files(build: Folder) -> None:
    root = build()
    jpeg = io.BytesIO()
    Image.fromarray(picture(5, (64, 64, 3))).save(jpeg, "JPEG")
    (root / "train" / "cat" / "cut.jpg").write_bytes(jpeg.getvalue()[:900])
    (root / "train" / "cat" / "empty.png").write_bytes(b"")
    (root / "train" / "dog" / "text.jpg").write_text("no picture")
    dataset = image_folder.read(root)
    listed = problems(dataset)
    assert {Path(problem.file).name for problem in listed if problem.severity == "error"} == {
        "cut.jpg",
        "empty.png",
        "text.jpg",
    }
    assert {problem.kind for problem in listed if problem.severity == "error"} == {"unreadable"}


def test_sizes_that_differ_are_brought_to_their_median(build: Folder) -> None:
    root = build()
    for number in range(5):
        save(root / "train" / "cat" / f"big{number}.png", picture(200 + number, (30, 20)))
    problem = only(root)
    assert (problem.severity, problem.kind) == ("warning", "sizes")
    assert "2 sizes from 12 x 16 to 30 x 20" in str(problem)
    assert "12 x 16, their median" in str(problem)


def test_grey_among_colours(build: Folder) -> None:
    root = build()
    save(root / "train" / "cat" / "colour.png", picture(300, (12, 16, 3)))
    dataset = image_folder.read(root)
    assert dataset.channels == ("red", "green", "blue")
    (problem,) = problems(dataset)
    assert (problem.severity, problem.kind) == ("warning", "mixed-colours")
    assert "32 grey, 1 in red" in str(problem)


def test_eight_bits_among_sixteen_and_real_numbers_among_whole(build: Folder) -> None:
    root = build()
    save(root / "train" / "cat" / "deep.png", np.arange(192, dtype=np.uint16).reshape(12, 16) * 300)
    dataset = image_folder.read(root)
    assert dataset.depth == "uint16"
    (problem,) = problems(dataset)
    assert (problem.severity, problem.kind) == ("warning", "mixed-depth")
    save(root / "train" / "cat" / "real.tif", np.linspace(0, 1, 192, dtype=np.float32).reshape(12, 16))
    errors = inspect_images(image_folder.read(root)).errors
    assert len(errors) == 33
    assert {problem.kind for problem in errors} == {"depth"}


def test_duplicates(build: Folder) -> None:
    root = build()
    pixels = np.asarray(Image.open(root / "train" / "cat" / "0.png"))
    save(root / "train" / "cat" / "again.bmp", pixels)
    save(root / "train" / "dog" / "other.png", pixels)
    save(root / "test" / "cat" / "leak.png", pixels)
    by_name = {Path(problem.file).name: problem for problem in problems(image_folder.read(root))}
    # the test part comes first in order of name
    assert {name: problem.kind for name, problem in by_name.items()} == {
        "0.png": "duplicate-parts",
        "again.bmp": "duplicate-parts",
        "other.png": "duplicate-parts",
    }
    (root / "test" / "cat" / "leak.png").unlink()
    by_name = {Path(problem.file).name: problem for problem in problems(image_folder.read(root))}
    assert {name: problem.kind for name, problem in by_name.items()} == {
        "again.bmp": "duplicate",
        "other.png": "duplicate-classes",
    }
    assert all(problem.severity == "warning" for problem in by_name.values())


def test_transparent_and_constant_pictures(build: Folder) -> None:
    root = build()
    save(root / "train" / "cat" / "t.png", np.dstack([picture(7, (12, 16, 3)), picture(8)]))
    save(root / "train" / "cat" / "c.png", np.full((12, 16), 4, np.uint8))
    assert {problem.kind for problem in problems(image_folder.read(root))} == {
        "transparent",
        "constant",
        "mixed-colours",
    }


def test_other_files_and_loose_pictures(build: Folder) -> None:
    root = build()
    (root / "train" / "cat" / "notes.txt").write_text("x")
    (root / "train" / "cat" / ".DS_Store").write_text("x")
    save(root / "train" / "loose.png", picture(9))
    dataset = image_folder.read(root)
    assert len(dataset.records) == 32
    assert [(p.severity, p.kind, Path(p.file).name) for p in problems(dataset)] == [
        ("warning", "ignored-file", "loose.png"),
        ("warning", "ignored-file", "notes.txt"),
    ]


def test_names_that_cannot_be_read(build: Folder) -> None:
    root = build()
    content = (root / "train" / "cat" / "0.png").read_bytes()
    name = os.fsencode(root / "train" / "cat") + b"/caf\xe9.png"
    try:
        with open(name, "wb") as file:
            file.write(content)
    except OSError:
        pytest.skip("the file system takes no such name")
    listed = [problem for problem in problems(image_folder.read(root)) if problem.severity == "error"]
    assert [problem.kind for problem in listed] == ["unreadable-name"]
    str(listed[0]).encode()


def test_few_pictures(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        save(tmp_path / name / "x.png", picture(number))
    listed = problems(image_folder.read(tmp_path))
    assert [(problem.severity, problem.kind) for problem in listed] == [
        ("error", "few-cases"),
        ("warning", "few-cases"),
        ("warning", "few-cases"),
    ]


def test_folders_that_are_none(tmp_path: Path, build: Folder) -> None:
    save(tmp_path / "one" / "a" / "x.png", picture(0))
    alone = next(p for p in problems(image_folder.read(tmp_path / "one")) if p.kind == image_folder.ONE_CLASS)
    assert alone.severity == "error"
    assert f"{tmp_path / 'one'} has one class folder: expected at least two" in str(alone)
    (tmp_path / "zero" / "train").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"no class folder.*`images` beside `masks`"):
        image_folder.read(tmp_path / "zero")
    save(tmp_path / "two" / "test" / "a" / "x.png", picture(0))
    with pytest.raises(DatasetError, match="no `train`"):
        image_folder.read(tmp_path / "two")
    root = build()
    save(root / "training" / "cat" / "x.png", picture(0))
    with pytest.raises(DatasetError, match="one folder for each part"):
        image_folder.read(root)
    assert not image_folder.matches(tmp_path / "nowhere")
    save(tmp_path / "home" / "pets" / "train" / "cat" / "x.png", picture(0))
    save(tmp_path / "home" / "other" / "x.png", picture(0))
    with pytest.raises(DatasetError, match=r"pets, which is a dataset itself"):
        image_folder.read(tmp_path / "home")


def test_pictures_deeper_in_a_class_belong_to_it(build: Folder) -> None:
    root = build()
    save(root / "train" / "cat" / "patient 1" / "left" / "x.PNG", picture(500))
    dataset = image_folder.read(root)
    assert "train/cat/patient 1/left/x.PNG" in dataset.names
    assert problems(dataset) == ()


def test_real_pictures() -> None:
    if not CIFAR.is_dir():
        pytest.skip(f"{CIFAR} is not there")
    dataset = image_folder.read(CIFAR)
    assert len(dataset.records) == 12000
    assert len(dataset.classes) == 10
    assert dataset.channels == ("red", "green", "blue")
    assert {record.size for record in dataset.records} == {(32, 32)}
    assert [record.part for record in dataset.records].count("test") == 2000
