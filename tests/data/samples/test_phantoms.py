"""The generated dataset: repeatable, varied, sound, and not to be segmented by a threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.data import PreprocessingSettings, inspect_dataset, open_any, prepare
from netwright.data.samples.phantoms import write_sample
from netwright.errors import DatasetError, SettingsError


def test_the_same_arguments_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    again = write_sample(tmp_path / "again", cases=6, size=24)
    files = sorted(path.relative_to(sample) for path in sample.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((sample / file).read_bytes() == (again / file).read_bytes() for file in files)
    write_sample(again, cases=6, size=24)
    other = write_sample(tmp_path / "other", cases=6, size=24, seed=1)
    image = Path("imagesTr/phantom_000.nii.gz")
    assert (again / image).read_bytes() == (sample / image).read_bytes() != (other / image).read_bytes()


def test_it_is_sound_and_varied(sample: Path) -> None:
    inspection = inspect_dataset(open_any(sample))
    assert [problem.kind for problem in inspection.problems] == ["few-cases"]
    fingerprint = inspection.fingerprint
    assert all(label.cases == 6 for label in fingerprint.labels)
    assert fingerprint.shape is not None
    assert fingerprint.shape.minimum != fingerprint.shape.maximum
    assert fingerprint.spacing is not None
    assert fingerprint.spacing.minimum != fingerprint.spacing.maximum
    assert len(fingerprint.orientations) > 1
    assert len(list((sample / "imagesTs").iterdir())) == 2


def test_no_two_thresholds_segment_it(sample: Path, tmp_path: Path) -> None:
    """The best pair of thresholds that hindsight finds for each label of each case."""
    prepared = prepare(open_any(sample), PreprocessingSettings(), tmp_path)
    best = np.zeros((6, 3))
    for case in range(6):
        image, labels = prepared.image(case)[0], prepared.label(case)
        levels = np.quantile(image, np.linspace(0.5, 1, 15))
        for low in levels:
            for high in levels[levels > low]:
                inside = (image > low) & (image <= high)
                for label in (1, 2, 3):
                    truth = labels == label
                    dice = 2 * (inside & truth).sum() / (inside.sum() + truth.sum())
                    best[case, label - 1] = max(best[case, label - 1], dice)
    assert best.mean() < 0.7


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least 3 cases"):
        write_sample(tmp_path / "few", cases=2)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not empty"):
        write_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
