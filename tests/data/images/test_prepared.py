"""Prepared pictures: pixels, normalisation without the test part, the folder on disk, the parts."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netwright.data.images.cache import Moments, content_digests, prepare_images, prepare_like
from netwright.data.images.dataset import ImageSet, Record
from netwright.data.images.prepared import PreparedImages, open_prepared_images
from netwright.data.images.reading import prepare_one
from netwright.data.images.settings import ImageSettings, PicturePreparation, fitted, stored
from netwright.data.images.splits import image_splits
from netwright.data.issues import UnusableFile
from netwright.data.layouts import class_folders as folder
from netwright.data.layouts.image_tables import read_npz
from netwright.data.splits import Part, Splits
from netwright.errors import DatasetError, SettingsError, StorageError
from netwright_tests import save_picture as save
from processes import run

Build = Callable[..., Path]


@pytest.fixture
def pets(tmp_path: Path) -> Build:
    """Two classes in colour; the test pictures are white, so that they would show in any mean."""

    def build(
        parts: tuple[str, ...] = ("train", "test"), each: int = 10, shape: tuple[int, int] = (6, 9)
    ) -> Path:
        root = tmp_path / "Pets"
        rng = np.random.default_rng(0)
        for part in parts:
            for name in ("cat", "dog"):
                for number in range(each):
                    low = 250 if part == "test" else 0
                    high = 256 if part == "test" else 100
                    pixels = rng.integers(low, high, (*shape, 3), dtype=np.uint8)
                    save(root / part / name / f"{number}.png", pixels)
        return root

    return build


def prepared_of(
    root: Path, tmp_path: Path, settings: ImageSettings | None = None, **options: Any
) -> PreparedImages:
    return prepare_images(folder.read(root), settings or ImageSettings(), tmp_path / "cache", **options)


def test_pixels_labels_and_parts(pets: Build, tmp_path: Path) -> None:
    prepared = prepared_of(pets(), tmp_path, workers=2)
    assert len(prepared) == 40
    assert (prepared.size, prepared.channels, prepared.classes) == ((6, 9), 3, 2)
    assert (prepared.class_names, prepared.channel_names) == (("cat", "dog"), ("red", "green", "blue"))
    for index, name in enumerate(prepared.names):
        pixels = np.asarray(Image.open(tmp_path / "Pets" / name))
        np.testing.assert_array_equal(prepared.raw_images([index])[0], pixels.transpose(2, 0, 1))
        assert prepared.label(index) == ("dog" in name)
        assert prepared.parts[index] == name.split("/")[0]
    assert prepared.class_counts_of(range(0, 40, 2)).tolist() == [10, 10]
    assert prepared.indices(["train/dog/3.png", "test/cat/0.png"]) == (
        prepared.names.index("train/dog/3.png"),
        0,
    )
    with pytest.raises(DatasetError, match=r"no picture x\.png"):
        prepared.indices(["x.png"])


def test_normalisation_is_that_of_the_training_part_alone(pets: Build, tmp_path: Path) -> None:
    prepared = prepared_of(pets(), tmp_path)
    training = [index for index, part in enumerate(prepared.parts) if part == "train"]
    images = prepared.images(training)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), 1, atol=1e-5)
    assert prepared.images([0]).min() > 5  # white test pictures, seen from dark training pictures
    np.testing.assert_array_equal(prepared.images([3, 1])[1], prepared.image(1))


def test_without_an_official_test_part_it_is_that_of_the_seed_s_training_part(
    pets: Build, tmp_path: Path
) -> None:
    root = pets(("",))
    for seed in (0, 1):
        prepared = prepared_of(root, tmp_path, seed=seed, fractions=(0.4, 0.2, 0.4))
        training = prepared.indices(image_splits(prepared, seed, (0.4, 0.2, 0.4)).training)
        raw = prepared.raw_images(training).astype(np.float64)
        np.testing.assert_allclose(prepared.means, raw.mean(axis=(0, 2, 3)), rtol=1e-9)
        np.testing.assert_allclose(prepared.stds, raw.std(axis=(0, 2, 3)), rtol=1e-9)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_moments_bit_by_bit_are_those_of_the_whole(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    chunks = [rng.integers(0, 256, (count, 2, 3, 4), dtype=np.uint8) for count in counts]
    moments = Moments(2)
    for chunk in chunks:
        moments.add(chunk)
        moments.add(chunk[:0])
    whole = np.concatenate(chunks).astype(np.float64)
    np.testing.assert_allclose(moments.mean, whole.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(moments.std, whole.std(axis=(0, 2, 3)), rtol=1e-9)


def test_other_ways_to_normalise(pets: Build, tmp_path: Path) -> None:
    root = pets()
    raw = prepared_of(root, tmp_path, ImageSettings(normalise="none"))
    np.testing.assert_array_equal(raw.images([4]), raw.raw_images([4]))
    unit = prepared_of(root, tmp_path, ImageSettings(normalise="unit"))
    np.testing.assert_allclose(unit.images([4]), raw.raw_images([4]) / 255, rtol=1e-6)
    assert raw.folder != unit.folder


def test_a_picture_to_predict_goes_the_same_way(pets: Build, tmp_path: Path) -> None:
    root = pets(shape=(7, 5))
    prepared = prepared_of(root, tmp_path, ImageSettings(size=(8, 8)))
    for index in (0, 17, 39):
        np.testing.assert_array_equal(
            prepare_one(root / prepared.names[index], prepared.preparation), prepared.image(index)
        )
    carried = PicturePreparation.from_dict(json.loads(json.dumps(prepared.preparation.to_dict())))
    assert carried == prepared.preparation
    grey = save(tmp_path / "grey.png", np.full((8, 8), 7, np.uint8))
    np.testing.assert_allclose(
        prepare_one(grey, carried)[1], (7 - prepared.means[1]) / prepared.stds[1], rtol=1e-5
    )


def test_other_pictures_are_prepared_like_those_of_the_training(pets: Build, tmp_path: Path) -> None:
    prepared = prepared_of(pets(), tmp_path, ImageSettings(size=(8, 8)))
    save(tmp_path / "E" / "dog" / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    save(tmp_path / "E" / "eel" / "b.png", np.arange(72, dtype=np.uint8).reshape(8, 3, 3))
    files = prepare_like(folder.read(tmp_path / "E"), prepared.preparation, tmp_path / "cache")
    assert files.preparation == prepared.preparation
    assert files.class_names == ("dog", "eel")
    for index, name in enumerate(files.names):
        np.testing.assert_array_equal(
            files.image(index), prepare_one(tmp_path / "E" / name, prepared.preparation)
        )
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "e.npz", train_images=images, train_labels=[0, 1])
    rows = prepare_like(read_npz(tmp_path / "e.npz"), prepared.preparation, tmp_path / "cache")
    np.testing.assert_array_equal(rows.raw_images([0, 1]), images[:, None].repeat(3, axis=1))
    deep = replace(prepared.preparation, depth="uint16")
    rows = prepare_like(read_npz(tmp_path / "e.npz"), deep, tmp_path / "cache")
    np.testing.assert_array_equal(rows.raw_images([0, 1])[:, 1], images * 257.0)
    grey = replace(prepared.preparation, channel_names=("grey",), means=(0.0,), stds=(1.0,))
    with pytest.raises(DatasetError, match="pictures in colours"):
        prepare_like(folder.read(tmp_path / "E"), grey, tmp_path / "cache")
    np.savez(tmp_path / "f.npz", train_images=images / 255, train_labels=[0, 1])
    with pytest.raises(DatasetError, match="holds real or 32-bit numbers"):
        prepare_like(read_npz(tmp_path / "f.npz"), prepared.preparation, tmp_path / "cache")


def test_pictures_of_one_class_are_for_testing_alone(pets: Build, tmp_path: Path) -> None:
    preparation = prepared_of(pets(), tmp_path, ImageSettings(size=(8, 8))).preparation
    save(tmp_path / "E" / "dog" / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    alone = folder.read(tmp_path / "E")
    assert prepare_like(alone, preparation, tmp_path / "cache").class_names == ("dog",)
    with pytest.raises(UnusableFile, match="at least two to tell apart"):
        prepare_images(alone, ImageSettings(), tmp_path / "cache")


def test_a_picture_to_predict_that_does_not_fit(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / "G" / "ab"[number % 2] / f"{number}.png", np.full((4, 4), number * 9, np.uint8))
    prepared = prepared_of(tmp_path / "G", tmp_path)
    with pytest.raises(UnusableFile, match="is a picture in colours"):
        prepare_one(save(tmp_path / "c.png", np.zeros((4, 4, 3), np.uint8)), prepared.preparation)
    with pytest.raises(UnusableFile, match="holds 16-bit numbers"):
        prepare_one(save(tmp_path / "d.png", np.zeros((4, 4), np.uint16)), prepared.preparation)


def test_sizes_are_fitted() -> None:
    white = np.full((10, 40, 1), 255, np.uint8)
    padded = fitted(white, (20, 20), "pad")[..., 0]
    assert padded.shape == (20, 20)
    assert (padded[7:12] == 255).all()
    assert not padded[:7].any()
    assert not padded[12:].any()
    assert (fitted(white, (20, 20), "stretch") == 255).all()
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :, None].repeat(64, axis=0)
    small = fitted(ramp, (16, 16), "stretch")
    assert small.dtype == np.uint16
    np.testing.assert_allclose(small[4, 1:-1, 0], ramp[0].reshape(16, 4).mean(axis=1)[1:-1], rtol=0.02)


def test_eight_bits_among_sixteen_and_grey_among_colours() -> None:
    settings = ImageSettings(size=(2, 2))
    grey = np.array([[0, 255], [1, 2]], np.uint8)
    np.testing.assert_array_equal(stored(grey, 1, "uint16", settings)[0], [[0, 65535], [257, 514]])
    np.testing.assert_array_equal(stored(grey, 3, "uint8", settings), np.stack([grey] * 3))
    with pytest.raises(ValueError):
        stored(grey, 1, "float32", settings)
    with pytest.raises(ValueError):
        stored(np.zeros((2, 2, 3), np.uint8), 1, "uint8", settings)


def test_a_constant_channel_becomes_zeros(tmp_path: Path) -> None:
    for number in range(6):
        pixels = np.zeros((4, 4, 3), np.uint8)
        pixels[..., 0] = number * 30
        save(tmp_path / "R" / "ab"[number % 2] / f"{number}.png", pixels)
    prepared = prepared_of(tmp_path / "R", tmp_path)
    assert np.isfinite(prepared.images(range(6))).all()
    assert not prepared.images(range(6))[:, 1:].any()


def test_settings() -> None:
    assert ImageSettings().resolved([(20, 40), (30, 40), (50, 41)]).size == (30, 40)
    assert ImageSettings().resolved([(300, 600)]).size == (112, 224)
    assert ImageSettings(size=(5, 6)).resolved([]).size == (5, 6)
    settings = ImageSettings(size=(5, 6), normalise="unit", fit="stretch")
    assert ImageSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    with pytest.raises(DatasetError):
        ImageSettings().resolved([])
    for bad in (
        {"size": (0, 4)},
        {"size": (4, 4, 4)},
        {"size": (4.5, 4)},
        {"normalise": "x"},
        {"fit": "crop"},
    ):
        with pytest.raises(SettingsError):
            ImageSettings(**bad)  # type: ignore[arg-type]


def test_arrays_are_prepared_as_files_are(pets: Build, tmp_path: Path) -> None:
    root = pets()
    files = prepared_of(root, tmp_path, ImageSettings(size=(8, 8)))
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        indices = [index for index, own in enumerate(files.parts) if own == part]
        pixels = [np.asarray(Image.open(root / files.names[index])) for index in indices]
        arrays |= {f"{part}_images": np.stack(pixels), f"{part}_labels": files.labels_of(indices)}
    np.savez(tmp_path / "pets.npz", **arrays)
    rows = prepare_images(read_npz(tmp_path / "pets.npz"), ImageSettings(size=(8, 8)), tmp_path / "cache")
    np.testing.assert_array_equal(rows.raw_images(range(40)), files.raw_images(range(40)))
    assert (rows.labels, rows.parts) == (files.labels, files.parts)
    np.testing.assert_allclose(rows.means, files.means)


def test_real_numbers_in_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(3, 2, (12, 4, 4))
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.arange(12) % 2)
    prepared = prepare_images(
        read_npz(tmp_path / "a.npz"), ImageSettings(normalise="none"), tmp_path / "cache"
    )
    np.testing.assert_allclose(prepared.images(range(12))[:, 0], images, rtol=1e-6)


def test_the_key_is_content_and_settings(pets: Build, tmp_path: Path) -> None:
    root = pets()
    first = prepared_of(root, tmp_path)
    moved = tmp_path / "elsewhere" / "Pets"
    moved.parent.mkdir()
    root.rename(moved)
    assert prepared_of(moved, tmp_path).folder == first.folder
    assert prepared_of(moved, tmp_path, seed=5).folder == first.folder  # official parts do not depend on it
    assert prepared_of(moved, tmp_path, ImageSettings(size=(4, 4))).folder != first.folder
    save(moved / "train" / "cat" / "0.png", np.zeros((6, 9, 3), np.uint8))
    assert prepared_of(moved, tmp_path).folder != first.folder


def test_pickles_as_its_path(pets: Build, tmp_path: Path) -> None:
    prepared = prepared_of(pets(), tmp_path)
    content = pickle.dumps(prepared)
    assert len(content) < 500
    again = pickle.loads(content)
    assert again.to_dict() == prepared.to_dict()
    np.testing.assert_array_equal(again.image(3), prepared.image(3))


def test_damaged_folders_are_made_again(pets: Build, tmp_path: Path) -> None:
    root = pets()
    prepared = prepared_of(root, tmp_path)
    whole = (prepared.folder / "images.npy").read_bytes()
    for spoil in (
        lambda: (prepared.folder / "images.npy").write_bytes(whole[: len(whole) // 2]),
        lambda: (prepared.folder / "index.json").write_text("{"),
        lambda: (prepared.folder / "index.json").write_text("[]"),
        lambda: (prepared.folder / "images.npy").unlink(),
    ):
        spoil()
        with pytest.raises(DatasetError, match="Delete the folder"):
            open_prepared_images(prepared.folder)
        np.testing.assert_array_equal(prepared_of(root, tmp_path).raw_images([1]), prepared.raw_images([1]))


def test_a_kill_leaves_nothing_that_would_be_taken_for_whole(pets: Build, tmp_path: Path) -> None:
    root = pets()
    program = f"""
        import os, signal
        from pathlib import Path
        from netwright.data.layouts import class_folders as folder
        from netwright.data.images.cache import prepare_images
        from netwright.data.images.settings import ImageSettings
        prepare_images(folder.read(Path({str(root)!r})), ImageSettings(), Path({str(tmp_path / "cache")!r}),
            on_case=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
    """
    killed = run([sys.executable, "-c", textwrap.dedent(program)])
    assert killed.returncode == -9
    assert not list((tmp_path / "cache").glob("Pets-*"))
    assert len(prepared_of(root, tmp_path)) == 40
    assert [path.name[0] for path in (tmp_path / "cache").iterdir() if path.is_dir()] == ["P"]


def test_a_full_disk_is_told(pets: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pets()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=9e9, used=9e9, free=1e6))
    with pytest.raises(StorageError, match="enough space"):
        prepared_of(root, tmp_path)


def test_what_inspection_refuses_preparation_refuses(pets: Build, tmp_path: Path) -> None:
    root = pets()
    (root / "train" / "cat" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UnusableFile, match="cannot be read"):
        prepared_of(root, tmp_path)
    (root / "train" / "cat" / "0.png").unlink()
    (root / "train" / "eel").mkdir()
    with pytest.raises(UnusableFile, match="class with no image"):
        prepared_of(root, tmp_path)
    assert not list((tmp_path / "cache").glob("Pets-*"))


def test_digests_know_pictures_by_content(pets: Build) -> None:
    root = pets()
    before = content_digests(folder.read(root))
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "zero.png")
    after = content_digests(folder.read(root), workers=2)
    assert after["train/cat/zero.png"] == before["train/cat/0.png"]
    assert len(set(after.values())) == 40


def image_set(counts: dict[Part | None, tuple[int, ...]]) -> ImageSet:
    records = [
        Record(f"{part or 'all'}/{label}/{number}", label, part, Path("x"))
        for part, numbers in counts.items()
        for label, count in enumerate(numbers)
        for number in range(count)
    ]
    return ImageSet("s", Path(), "image-folder", ("grey",), ("a", "b", "c"), tuple(records))


def per_class(names: tuple[str, ...]) -> list[int]:
    return [sum(name.split("/")[1] == str(label) for name in names) for label in range(3)]


def test_official_parts_are_kept() -> None:
    splits = image_splits(image_set({"train": (70, 35, 7), "val": (5, 5, 5), "test": (9, 8, 7)}), 0)
    assert [per_class(part) for part in (splits.training, splits.validation, splits.test)] == [
        [70, 35, 7],
        [5, 5, 5],
        [9, 8, 7],
    ]
    splits = image_splits(image_set({"train": (70, 35, 7), "test": (9, 8, 7)}), 0)
    assert per_class(splits.training) == [50, 25, 5]
    assert per_class(splits.validation) == [20, 10, 2]
    assert {name[:4] for name in splits.test} == {"test"}
    splits = image_splits(image_set({"train": (80, 40, 8), "val": (5, 5, 5)}), 0)
    assert per_class(splits.training) == [50, 25, 5]
    assert per_class(splits.test) == [30, 15, 3]
    assert {name[:3] for name in splits.validation} == {"val"}


@given(st.tuples(*[st.integers(3, 40)] * 3), st.integers(0, 1000))
def test_parts_by_seed_hold_every_picture_once_and_each_class_in_proportion(
    counts: tuple[int, int, int], seed: int
) -> None:
    pictures = image_set({None: counts})
    splits = image_splits(pictures, seed, (0.5, 0.2, 0.3))
    parts = (splits.training, splits.validation, splits.test)
    assert sorted(name for part in parts for name in part) == sorted(pictures.names)
    for part, share in zip(parts, (0.5, 0.2, 0.3), strict=True):
        for count, members in zip(counts, per_class(part), strict=True):
            assert members >= 1
            assert abs(members - share * count) < 1 or members == 1 or count < 6
    shuffled = replace(pictures, records=tuple(reversed(pictures.records)))
    assert image_splits(shuffled, seed, (0.5, 0.2, 0.3)) == splits
    assert Splits.from_dict(splits.to_dict()) == splits


def test_seeds_differ_and_rare_classes_go_to_training() -> None:
    pictures = image_set({None: (30, 30, 1)})
    assert image_splits(pictures, 0) != image_splits(pictures, 1)
    assert per_class(image_splits(pictures, 0).training)[2] == 1
    with pytest.raises(DatasetError, match="leave none for"):
        image_splits(image_set({None: (1, 1, 0)}), 0)
    with pytest.raises(SettingsError):
        image_splits(pictures, 0, (0.5, 0.5, 0.5))
