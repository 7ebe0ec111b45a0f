"""Pictures that may have several labels each: read, counted, divided and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.cli.inspected import inspection_lines
from netwright.data.images.cache import prepare_images
from netwright.data.images.dataset import ImageSet, Record
from netwright.data.images.settings import ImageSettings
from netwright.data.loading.augmentation import AugmentationSettings, augment
from netwright.data.loading.pictures import ImageBatches
from netwright.data.open import inspect_any, open_prepared_any, split_any
from netwright_tests import save_picture

FINDINGS = ("mass", "nodule", "fluid")
COUNT = 24


def labels_of(number: int) -> tuple[int, ...]:
    """Every second picture has a mass, every third a nodule, every eighth fluid; some have none."""
    return int(number % 2 == 0), int(number % 3 == 0), int(number % 8 == 0)


@pytest.fixture
def chests(tmp_path: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    records = []
    for number in range(COUNT):
        name = f"{number:02d}.png"
        path = save_picture(tmp_path / "Chests" / name, rng.integers(0, 256, (8, 8), dtype=np.uint8))
        records.append(Record(name, labels_of(number), None, path, size=(8, 8)))
    return ImageSet(
        "Chests", tmp_path / "Chests", "findings", ("grey",), FINDINGS, tuple(records), labels_for="findings"
    )


def test_each_label_is_counted(chests: ImageSet) -> None:
    inspection = inspect_any(chests)
    counted = {one.name: one.pictures for one in inspection.fingerprint.classes}  # type: ignore[union-attr]
    assert counted == {"mass": 12, "nodule": 8, "fluid": 3}
    assert not inspection.errors


def test_what_is_said_of_labels_calls_them_so(chests: ImageSet) -> None:
    copy = save_picture(chests.root / "copy.png", np.asarray(Image.open(chests.records[0].path)))
    twin = Record("copy.png", (0, 1, 0), None, copy, size=(8, 8))
    inspection = inspect_any(
        replace(chests, classes=(*FINDINGS[:2], "rare"), records=(*chests.records, twin))
    )
    lines = list(inspection_lines(chests.root, inspection, show_all=True))
    assert "label      1 nodule: 9 pictures, 36.00 %" in lines
    told = [str(problem) for problem in inspection.problems]
    assert any("has a label (rare) that has few images to learn from" in one for one in told)
    assert any("is there twice, with other labels" in one and "(mass, nodule, rare)" in one for one in told)
    assert not any("class" in line for line in lines)


def test_labels_are_kept_with_the_pictures(chests: ImageSet, tmp_path: Path) -> None:
    folder = prepare_images(chests, ImageSettings(size=(8, 8)), tmp_path / "cache").folder
    kept = open_prepared_any(folder)
    expected = np.array([labels_of(number) for number in range(COUNT)])
    labels = kept.labels_of([3, 8, 1])  # type: ignore[attr-defined]
    assert (labels.dtype, kept.task) == (np.float32, "findings")
    np.testing.assert_array_equal(labels, expected[[3, 8, 1]])
    counts = kept.class_counts_of(range(COUNT))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(counts, expected.sum(0))


def test_every_part_has_pictures_with_the_rarest_label(chests: ImageSet, tmp_path: Path) -> None:
    prepared = prepare_images(chests, ImageSettings(size=(8, 8)), tmp_path / "cache")
    for seed in range(5):
        splits = split_any(prepared, seed)
        parts = (splits.training, splits.validation, splits.test)
        assert sorted(name for part in parts for name in part) == sorted(chests.names)
        for part in parts:
            assert sum(labels_of(int(name[:2]))[2] for name in part) == 1, "three pictures, three parts"


def test_batches_leave_the_labels_as_they_are(chests: ImageSet, tmp_path: Path) -> None:
    prepared = prepare_images(chests, ImageSettings(size=(8, 8)), tmp_path / "cache")
    batches = ImageBatches(
        prepared,
        range(COUNT),
        5,
        device=torch.device("cpu"),
        augmentation=AugmentationSettings(probability=1.0, flip=1.0, crop=2, cutout=2),
        generator=torch.Generator().manual_seed(0),
    )
    labels = torch.cat([labels for _, labels in batches])
    assert labels.shape == (COUNT, 3)
    assert labels.sum(0).tolist() == [12, 8, 3]


def test_augmentation_tells_labels_of_pictures_from_those_of_pixels() -> None:
    images, generator = torch.rand(4, 1, 6, 6), torch.Generator().manual_seed(0)
    settings = AugmentationSettings(probability=1.0, flip=1.0, crop=1)
    several = torch.randint(0, 2, (4, 6), generator=generator)
    _, same = augment(images, several, settings, generator)
    assert torch.equal(same, several)
    _, moved = augment(images, several[:, None].expand(4, 6, 6).contiguous(), settings, generator)
    assert moved.shape == (4, 6, 6)
