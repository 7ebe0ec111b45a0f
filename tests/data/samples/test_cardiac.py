"""The generated hearts: repeatable, shaped like hearts, and not to be segmented by a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from netwright.data import PreprocessingSettings, inspect_dataset, open_any, prepare
from netwright.data.layouts.acdc import read_info
from netwright.data.samples.cardiac import FRAMES, write_cardiac_sample
from netwright.data.samples.phantoms import write_sample
from netwright.data.volumes.slices import SliceSettings
from netwright.errors import DatasetError, SettingsError

RIGHT, WALL, LEFT = 1, 2, 3


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cardiac_sample(tmp_path_factory.mktemp("data") / "hearts", patients=8)


def frames(hearts: Path) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Of each patient what Info.cfg says, and the label maps at end diastole and end systole."""
    frames = []
    for patient in sorted((hearts / "training").iterdir()):
        info = read_info(patient / "Info.cfg")
        maps = [
            np.asarray(nibabel.load(patient / f"{patient.name}_frame{n:02d}_gt.nii.gz").dataobj)
            for n in (info.ED, info.ES)
        ]
        frames.append((info, *maps))
    return frames


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        write_cardiac_sample(tmp_path / name, patients=3, seed=seed)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (again / file).read_bytes() for file in files)
    image = Path("training/patient001/patient001_frame01.nii.gz")
    assert (first / image).read_bytes() != (other / image).read_bytes()


def test_it_is_a_sound_dataset(hearts: Path) -> None:
    dataset = open_any(hearts)
    assert (dataset.name, dataset.format) == ("NetwrightCardiac", "acdc")
    inspection = inspect_dataset(dataset)
    assert [problem.kind for problem in inspection.problems] == ["few-cases"]
    assert "8" in inspection.problems[0].found
    fingerprint = inspection.fingerprint
    assert (fingerprint.cases, fingerprint.groups) == (16, 8)
    assert all(label.cases == 16 for label in fingerprint.labels)
    for spacing in (fingerprint.spacing.minimum, fingerprint.spacing.maximum):
        assert spacing[0] == spacing[1]
        assert 4 < spacing[2] / spacing[0] < 6.5
    assert fingerprint.spacing.minimum != fingerprint.spacing.maximum


def test_hearts_contract(hearts: Path) -> None:
    for info, diastole, systole in frames(hearts):
        volume = [np.bincount(labels.ravel(), minlength=4) for labels in (diastole, systole)]
        ejected = 1 - volume[1][LEFT] / volume[0][LEFT]
        assert (0.1 < ejected < 0.4) if info.Group == "DCM" else (0.45 < ejected < 0.85)
        assert volume[1][RIGHT] < volume[0][RIGHT]
        middle = diastole.shape[2] // 2
        thickness = [
            np.sqrt(np.isin(labels[..., middle], (WALL, LEFT)).sum() / np.pi)
            - np.sqrt((labels[..., middle] == LEFT).sum() / np.pi)
            for labels in (diastole, systole)
        ]
        assert thickness[1] > thickness[0]


def test_ventricles_narrow_towards_the_apex_and_the_right_one_ends_first(hearts: Path) -> None:
    for _, *maps in frames(hearts):
        for labels in maps:
            areas = {label: (labels == label).sum(axis=(0, 1)) for label in (RIGHT, WALL, LEFT)}
            base, apex = np.flatnonzero(areas[WALL]).max(), np.flatnonzero(areas[WALL]).min()
            left = areas[LEFT][apex : base + 1]
            assert left[0] < 0.3 * left[-1]
            assert (np.diff(left.astype(int)) >= -0.06 * left.max()).all()
            assert areas[RIGHT][apex] == 0
            assert np.flatnonzero(areas[RIGHT]).min() > apex
            assert not labels[..., -1].any() or areas[RIGHT][-1] > 0


def test_the_wall_encloses_the_left_ventricle(hearts: Path) -> None:
    for _, *maps in frames(hearts):
        for labels in maps:
            left = labels == LEFT
            for axis in (0, 1):
                for step in (-1, 1):
                    beside = np.roll(labels, step, axis)[left]
                    assert np.isin(beside, (WALL, LEFT)).all()


def test_dilated_and_hypertrophic_hearts_are(hearts: Path) -> None:
    volume: dict[str, list[int]] = {}
    for info, diastole, _ in frames(hearts):
        volume.setdefault(info.Group, []).append(np.bincount(diastole.ravel(), minlength=4))
    means = {group: np.mean(counts, axis=0) for group, counts in volume.items()}
    assert means["DCM"][LEFT] > 1.2 * means["NOR"][LEFT]
    assert means["HCM"][WALL] / means["HCM"][LEFT] > 1.5 * means["NOR"][WALL] / means["NOR"][LEFT]
    assert means["RV"][RIGHT] > 1.3 * means["NOR"][RIGHT]


def test_a_cine_to_predict_holds_its_frames(hearts: Path) -> None:
    for patient in sorted((hearts / "testing").iterdir()):
        cine = nibabel.load(patient / f"{patient.name}_4d.nii.gz")
        assert cine.shape[3] == FRAMES
        assert cine.header.get_xyzt_units() == ("mm", "sec")
        info = read_info(patient / "Info.cfg")
        for number in (info.ED, info.ES):
            frame = nibabel.load(patient / f"{patient.name}_frame{number:02d}.nii.gz")
            np.testing.assert_array_equal(
                np.asarray(cine.dataobj)[..., number - 1], np.asarray(frame.dataobj)
            )
        assert not list(patient.glob("*_gt*"))


def test_slices_are_short_axis_whatever_the_spacing(hearts: Path, tmp_path: Path) -> None:
    for spacing in ("native", "isotropic"):
        prepared = prepare(open_any(hearts), PreprocessingSettings(spacing=spacing), tmp_path)
        assert SliceSettings().axis_of(prepared) == 2


def test_no_two_thresholds_segment_it(hearts: Path, tmp_path: Path) -> None:
    """The best pair of thresholds that hindsight finds for each label of each frame."""
    prepared = prepare(open_any(hearts), PreprocessingSettings(spacing="native"), tmp_path)
    best = np.zeros((len(prepared), 3))
    for case in range(len(prepared)):
        image, labels = prepared.image(case)[0], prepared.label(case)
        levels = np.quantile(image, np.linspace(0.4, 1, 12))
        for low in levels:
            for high in levels[levels > low]:
                inside = (image > low) & (image <= high)
                for label in (RIGHT, WALL, LEFT):
                    truth = labels == label
                    dice = 2 * (inside & truth).sum() / (inside.sum() + truth.sum())
                    best[case, label - 1] = max(best[case, label - 1], dice)
    assert best.mean() < 0.5


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected 3 to 900"):
        write_cardiac_sample(tmp_path / "few", patients=2)
    other = write_sample(tmp_path / "other", cases=3, size=24)
    with pytest.raises(DatasetError, match="is not empty"):
        write_cardiac_sample(other, patients=3)
