"""CT is normalised by what was measured over the foreground of the training cases, and of no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data import PreprocessingSettings, open_any, prepare, prepare_volume, read_image, split
from netwright.data.volumes.intensities import is_ct
from netwright.data.volumes.preprocessing import FOR_ANY_DATA, normalised
from netwright.errors import DatasetError, SettingsError

NAMES = [f"ct_{number}" for number in range(8)]
PARTS = split(NAMES, 3, (0.5, 0.25, 0.25))
SETTINGS = PreprocessingSettings(spacing="native", normalise="modality", pad=False)


@pytest.fixture
def cts(tmp_path: Path, save_volume: Callable[..., Path]) -> Path:
    """Eight CTs with a second channel, whose foreground is brighter in the cases that are not for training."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        shape = (12 + number, 11, 10)
        label = (rng.random(shape) < 0.3).astype(np.uint8)
        ct = rng.normal(-500, 300, shape) + label * (600.0 + 1000 * (name not in PARTS.training))
        save_volume(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", ct.astype(np.float32))
        save_volume(tmp_path / "imagesTr" / f"{name}_0001.nii.gz", rng.normal(9, 4, shape).astype(np.float32))
        save_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", label)
    description = {
        "channel_names": {"0": "ct", "1": "PET"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(NAMES),
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    return tmp_path


def voxels(root: Path, channel: int, label: int | None, names: tuple[str, ...]) -> np.ndarray:
    chosen = []
    for name in names:
        image = nibabel.load(root / "imagesTr" / f"{name}_000{channel}.nii.gz").get_fdata()
        mask = nibabel.load(root / "labelsTr" / f"{name}.nii.gz").get_fdata()
        chosen.append(image[mask == label] if label is not None else image.ravel())
    return np.concatenate(chosen)


def test_ct_is_measured_over_the_foreground_of_the_training_cases(cts: Path, tmp_path: Path) -> None:
    dataset = open_any(cts)
    cache = tmp_path / "cache"
    done: list[tuple[int, int]] = []
    prepared = prepare(
        dataset,
        SETTINGS,
        cache,
        seed=3,
        fractions=(0.5, 0.25, 0.25),
        workers=2,
        on_case=lambda *case: done.append(case),
    )
    assert done == [*((number, 4) for number in range(1, 5)), *((number, 8) for number in range(1, 9))]
    measured = prepared.settings.ct_intensities
    assert measured is not None
    assert measured[1] is None
    foreground = voxels(cts, 0, 1, PARTS.training)
    low, high, mean, deviation = measured[0] or (0, 0, 0, 0)
    assert (mean, deviation) == pytest.approx((foreground.mean(), foreground.std()), rel=1e-5)
    assert [low, high] == pytest.approx(np.percentile(foreground, [0.5, 99.5]), abs=20)
    for index, name in enumerate(prepared.names):
        ct = np.clip(voxels(cts, 0, None, (name,)), low, high)
        np.testing.assert_allclose(prepared.image(index)[0].ravel(), (ct - mean) / deviation, atol=1e-4)
        other = voxels(cts, 1, None, (name,))
        expected = (other - other.mean()) / other.std()
        np.testing.assert_allclose(prepared.image(index)[1].ravel(), expected, atol=1e-4)
    # a prediction normalises by the same numbers, which come back from JSON
    saved = PreprocessingSettings.from_dict(json.loads(json.dumps(prepared.preprocessing())))
    assert saved == prepared.settings
    case = dataset.cases[0]
    np.testing.assert_array_equal(
        prepare_volume(read_image(case.images), case.images, saved).image, prepared.image(0)
    )
    # and a run that goes on finds its cache without measuring again
    assert prepare(dataset, saved, cache, seed=9).folder == prepared.folder
    assert prepare(dataset, SETTINGS, cache, seed=9).folder != prepared.folder


def test_ct_is_measured_once_for_a_training_part(cts: Path, tmp_path: Path) -> None:
    """Also where it is prepared otherwise; and again where what is kept is damaged."""
    dataset, cache = open_any(cts), tmp_path / "cache"
    done: list[tuple[int, int]] = []

    def prepared(settings: PreprocessingSettings = SETTINGS, seed: int = 3) -> PreprocessingSettings:
        done.clear()
        options = {"seed": seed, "fractions": (0.5, 0.25, 0.25), "on_case": lambda *case: done.append(case)}
        return prepare(dataset, settings, cache, **options).settings  # type: ignore[arg-type]

    first = prepared()
    assert prepared() == first
    assert done == []
    assert prepared(replace(SETTINGS, spacing=(2.0, 2.0, 2.0))).ct_intensities == first.ct_intensities
    assert {cases for _, cases in done} == {8}, "written, not measured"
    (kept,) = cache.glob("*/intensities.json")
    for damaged in ("", "7", "[[1, 2, 3, 0], null]", "null", "[[1]]"):
        kept.write_text(damaged)
        assert prepared() == first
        assert done == [(number, 4) for number in range(1, 5)]
    assert prepared(seed=4).ct_intensities != first.ct_intensities
    assert done[:4] == [(number, 4) for number in range(1, 5)]


def test_cases_for_validation_and_test_have_no_influence(
    cts: Path, tmp_path: Path, save_volume: Callable[..., Path]
) -> None:
    options = {"seed": 3, "fractions": (0.5, 0.25, 0.25)}
    before = prepare(open_any(cts), SETTINGS, tmp_path / "cache", **options).settings  # type: ignore[arg-type]
    for name in (*PARTS.validation, *PARTS.test):
        path = cts / "imagesTr" / f"{name}_0000.nii.gz"
        save_volume(path, (nibabel.load(path).get_fdata() * 3 + 7).astype(np.float32))
    assert prepare(open_any(cts), SETTINGS, tmp_path / "cache", **options).settings == before  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "expected"), [("CT", True), (" ct ", True), ("MRI", False), ("CTA", False), ("T2", False)]
)
def test_names_of_ct(channel: str, expected: bool) -> None:
    assert is_ct(channel) is expected


def test_without_ct_cubic_volumes_are_prepared_as_before(
    msd_folder: Callable[..., Path], tmp_path: Path
) -> None:
    dataset = open_any(msd_folder(4))
    ours = prepare(dataset, PreprocessingSettings(**FOR_ANY_DATA), tmp_path / "cache")
    assert (ours.settings.normalise, ours.settings.ct_intensities) == ("zscore", None)
    assert ours.folder == prepare(dataset, PreprocessingSettings(), tmp_path / "cache").folder


def test_training_cases_without_foreground_are_refused(
    cts: Path, tmp_path: Path, save_volume: Callable[..., Path]
) -> None:
    for name in PARTS.training:
        path = cts / "labelsTr" / f"{name}.nii.gz"
        save_volume(path, np.zeros(nibabel.load(path).shape, np.uint8))
    with pytest.raises(DatasetError, match="none of the 4 training cases has a labelled voxel"):
        prepare(open_any(cts), SETTINGS, tmp_path / "cache", seed=3, fractions=(0.5, 0.25, 0.25))


def test_intensities_that_a_user_gave(cts: Path, tmp_path: Path) -> None:
    given = PreprocessingSettings(
        spacing="native", normalise="modality", ct_intensities=((-100.0, 240.0, 80.0, 50.0), None)
    )
    assert prepare(open_any(cts), given, tmp_path / "cache").settings.ct_intensities == given.ct_intensities
    one = PreprocessingSettings(normalise="modality", ct_intensities=((-100.0, 240.0, 80.0, 50.0),))
    with pytest.raises(SettingsError, match="has 1 entries: expected one for each of the 2 channels"):
        prepare(open_any(cts), one, tmp_path / "cache")
    with pytest.raises(SettingsError, match="a standard deviation above 0"):
        PreprocessingSettings(ct_intensities=((0.0, 1.0, 0.5, 0.0),))
    with pytest.raises(SettingsError, match="CT must be measured"):
        normalised(np.zeros((1, 2, 2, 2), np.float32), PreprocessingSettings(normalise="modality"))
