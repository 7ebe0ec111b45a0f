"""Pictures without classes: what is taken for them, their boxes, their preparation."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.cli.inspected import inspection_lines
from netwright.data.images.cache import prepare_images, prepare_like
from netwright.data.images.dataset import ImageSet
from netwright.data.images.reading import prepare_one
from netwright.data.images.settings import ImageSettings
from netwright.data.issues import UnusableFile
from netwright.data.open import inspect_any, open_any, prepare_any, split_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError, SettingsError
from netwright_tests import save_picture as save

Build = Callable[..., Path]
HEADER = "file,left,top,right,bottom\n"
UNIT = ImageSettings(size=(12, 12), normalise="unit", fit="stretch")


@pytest.fixture
def album(tmp_path: Path) -> Build:
    """Pictures of many sizes, modes and formats; each has its number for the red of its first pixel."""

    def build(*homes: str, each: int = 6) -> Path:
        root = tmp_path / "Album"
        rng = np.random.default_rng(0)
        for home in homes or ("",):
            for number in range(each):
                pixels = rng.integers(0, 256, (14 + number, 20 - number, 3), dtype=np.uint8)
                pixels[0, 0, 0] = number
                ending = (".png", ".bmp", ".tif")[number % 3]
                save(root / home / f"{number}{ending}", pixels[..., 0] if number == 4 else pixels)
        return root

    return build


@pytest.mark.parametrize(
    ("homes", "format"),
    [
        ((), "images"),
        (("train", "test"), "images"),
        (("cats", "dogs"), "image-folder"),
        (("", "dogs"), "image-folder"),
        (("train/cats", "train/dogs", "test/cats"), "image-folder"),
    ],
)
def test_pictures_without_class_folders_are_recognised(
    album: Build, homes: tuple[str, ...], format: str
) -> None:
    root = album(*homes)
    assert recognise(root) == format
    dataset = open_any(root, format="images")
    assert isinstance(dataset, ImageSet)
    assert dataset.classes == ()
    assert len(dataset.names) == 6 * max(1, len(homes)), "in folders below, too"
    assert set(dataset.labels) == {0}
    assert set(dataset.parts) == ({"train", "test"} if "train" in str(homes) else {None})


def test_pictures_of_any_size_and_kind_are_fine(album: Build) -> None:
    root = album()
    inspection = inspect_any(open_any(root))
    inspection.require_usable()
    assert [problem.kind for problem in inspection.problems] == ["mixed-colours"]
    assert "classes" not in str(inspection.problems[0])
    lines = list(inspection_lines(root, inspection, show_all=True))
    assert lines[0] == "Album   6 pictures   format images"
    assert lines[1].startswith("size       14 x 15, 16 x 18, 19 x 20 pixels")
    assert not any(line.startswith("class ") for line in lines)


def test_parts_are_kept_and_others_dealt(album: Build, tmp_path: Path) -> None:
    for homes, official in ((("train", "test"), 6), (("",), None)):
        prepared = prepare_any(open_any(album(*homes, each=6), format="images"), UNIT, tmp_path / "cache")
        splits = split_any(prepared, 0)
        parts = (splits.training, splits.validation, splits.test)
        assert sorted(sum(parts, ())) == sorted(prepared.names)
        assert official is None or all(name.startswith("test/") for name in splits.test)
        assert all(parts)
        (tmp_path / "Album").rename(tmp_path / f"Done {len(homes)}")


def test_boxes_are_what_is_taken(album: Build, tmp_path: Path) -> None:
    root = album()
    rows = [
        "0.png,3,2,15,14",
        "1.bmp,0,0,19,15",
        "5.tif,1,7,13,19",
        *(f"{n},0,0,12,12" for n in ("2.tif", "3.png")),
    ]
    (root / "boxes.csv").write_text(
        "\ufeff" + HEADER.replace("bottom", "bottom,note") + "\n".join(rows) + "\n"
    )
    dataset = open_any(root)
    assert isinstance(dataset, ImageSet)
    assert [record.size for record in dataset.records] == [
        (12, 12),
        (15, 19),
        (12, 12),
        (12, 12),
        (18, 16),
        (12, 12),
    ]
    inspection = inspect_any(dataset)
    inspection.require_usable()
    warning = next(problem for problem in inspection.problems if problem.kind == "no-box")
    assert "none for 4.bmp" in warning.found
    prepared = prepare_images(dataset, UNIT, tmp_path / "cache")
    whole = np.asarray(Image.open(root / "0.png"), dtype=np.float32)
    np.testing.assert_allclose(prepared.image(0), np.moveaxis(whole[2:14, 3:15] / 255, -1, 0), rtol=1e-6)
    assert prepared.class_names == ()
    rows[0] = "0.png,4,2,16,14"
    (root / "boxes.csv").write_text(HEADER + "\n".join(rows))
    moved = prepare_images(open_any(root), UNIT, tmp_path / "cache")  # type: ignore[arg-type]
    assert moved.folder != prepared.folder
    np.testing.assert_array_equal(moved.image(0)[..., :-1], prepared.image(0)[..., 1:])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("file,left,top,right\n0.png,1,2,3\n", r"boxes.csv lacks the column bottom"),
        (HEADER + "7.png,0,0,5,5\n", r"row 2, '7.png'\) names no picture"),
        (
            HEADER + "0.png,0,0,21,5\n",
            "left < right <= 20 and 0 <= top < bottom <= 14, found left 0, top 0, right 21",
        ),
        (HEADER + "0.png,5,0,5,5\n", "lies not within"),
        (HEADER + "0.png,-1,0,5,5\n", "lies not within"),
        (
            HEADER + "0.png,0,0,5.5,5\n",
            "is no box: expected four whole numbers of pixels, found 0, 0, 5.5, 5",
        ),
        (HEADER + "0.png,0,0,5\n", "is no box"),
        (HEADER + "0.png,0,0,5,5\n0.png,0,0,6,6\n", r"row 3, '0.png'\) is a second box"),
    ],
)
def test_wrong_boxes_are_named(album: Build, table: str, words: str, tmp_path: Path) -> None:
    root = album()
    (root / "boxes.csv").write_text(table)
    dataset = open_any(root)
    with pytest.raises(DatasetError, match=words):
        inspect_any(dataset).require_usable()
    with pytest.raises(DatasetError, match=words):
        prepare_any(dataset, UNIT, tmp_path / "cache")


def test_labels_of_arrays_are_passed_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        f"{part}_{kind}": values
        for part, count in (("train", 8), ("test", 3))
        for kind, values in (
            ("images", rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)),
            ("labels", rng.integers(0, 2, count)),
        )
    }
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = open_any(tmp_path / "a.npz", format="images")
    assert isinstance(dataset, ImageSet)
    assert (dataset.classes, set(dataset.labels), len(dataset.names)) == ((), {0}, 11)
    inspect_any(dataset).require_usable()
    prepared = prepare_any(dataset, UNIT, tmp_path / "cache")
    assert prepared.names[-1].startswith("train")
    picture = prepared.image(prepared.indices([dataset.names[-1]])[0])
    np.testing.assert_allclose(picture, np.moveaxis(arrays["train_images"][-1], -1, 0) / 255, rtol=1e-6)
    assert recognise(tmp_path / "a.npz") == "npz"


def test_numbers_beyond_white_are_refused(tmp_path: Path) -> None:
    for number, white in enumerate((1.0, 1.0, 255.0)):
        save(
            tmp_path / "R" / f"{number}.tif",
            np.full((12, 12), white, np.float32) * np.eye(12, dtype=np.float32),
        )
    with pytest.raises(
        DatasetError, match=r"2.tif holds real.*expected values from 0 \(black\).*found 0 to 255"
    ):
        inspect_any(open_any(tmp_path / "R")).require_usable()


def test_numbers_beyond_white_are_refused_wherever_they_are_prepared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        save(tmp_path / "R" / f"{number}.tif", rng.random((12, 12), dtype=np.float32))
    prepared = prepare_images(open_any(tmp_path / "R"), UNIT, tmp_path / "cache")  # type: ignore[arg-type]
    beyond = save(tmp_path / "B" / "a.tif", np.full((12, 12), 2, np.float32))
    words = r"a\.tif holds real.*found 2 to 2"
    with pytest.raises(UnusableFile, match=words):
        prepare_one(beyond, prepared.preparation, to_restore=True)
    assert prepare_one(beyond, prepared.preparation).max() == 2, "as of pictures with classes"
    with pytest.raises(UnusableFile, match=words):
        prepare_like(open_any(tmp_path / "B"), prepared.preparation, tmp_path / "cache")  # type: ignore[arg-type]
    images = rng.random((2, 12, 12), dtype=np.float32) - 0.5
    np.savez(tmp_path / "b.npz", train_images=images, train_labels=[0, 1])
    rows = open_any(tmp_path / "b.npz", format="images")
    assert isinstance(rows, ImageSet)
    with pytest.raises(UnusableFile, match="beyond black and white"):
        prepare_like(rows, prepared.preparation, tmp_path / "cache")


def test_without_boxes_the_key_is_that_of_before_there_were_any(tmp_path: Path) -> None:
    """The hash of what it was made of then, written out."""
    contents = []
    for number in range(4):
        path = save(tmp_path / "K" / f"{number}.png", np.full((12, 12), 20 * number, np.uint8))
        contents.append(blake2b(path.read_bytes(), digest_size=16).hexdigest())
    prepared = prepare_images(open_any(tmp_path / "K"), UNIT, tmp_path / "cache")  # type: ignore[arg-type]
    training = set(split_any(prepared, 0).training)
    meaning = {
        "version": 1,
        "dataset": "K",
        "channels": ["grey"],
        "classes": [],
        "depth": "uint8",
        "settings": UNIT.to_dict(),
        "names": list(prepared.names),
        "labels": [0] * 4,
        "parts": [None] * 4,
        "scales": np.packbits([name in training for name in prepared.names]).tobytes().hex(),
    }
    digest = blake2b(json.dumps(meaning, sort_keys=True).encode() + "".join(contents).encode(), digest_size=8)
    assert digest.hexdigest() in prepared.folder.name


def test_what_is_left_out_is_said(album: Build) -> None:
    root = album("train", "test")
    save(root / "stray.png", np.zeros((12, 12), np.uint8))
    (root / "train" / "notes.txt").write_text("x")
    inspection = inspect_any(open_any(root))
    assert sorted(p.file for p in inspection.problems if p.kind == "ignored-file") == [
        "stray.png",
        "train/notes.txt",
    ]


def test_wrong_folders_are_told(album: Build, cells: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"pictures with masks.*Name {cells / 'images'}"):
        open_any(cells, format="images")
    with pytest.raises(DatasetError, match="no `train`"):
        open_any(album("test"), format="images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"a folder of pictures for each class.*it is empty"):
        open_any(tmp_path / "empty")
    with pytest.raises(SettingsError, match="--map-label is for"):
        open_any(cells / "images", format="images", map_label={1: 0})
